"""Networks of the audiovisual model, by registered names; importing this package registers all of them."""

# ruff: noqa: F401

from . import (
    action_unit_encoder,
    audio_encoder,
    bottleneck_fusion,
    bundle_encoders,
    clip_feature_encoder,
    concatenation_fusion,
    conformer,
    crnn,
    early_features,
    early_fusion,
    emonext,
    face_encoder,
    film_fusion,
    fusion,
    gated_fusion,
    intermediate_attention,
    joint_fusion,
    late_fusion,
    mobilenet,
    single_modality,
    whisper,
)
from .audio_visual import AudioVisualModel, FusionOutput, ModelConfig, NetworkConfig, build_model
from .registry import ModelError
