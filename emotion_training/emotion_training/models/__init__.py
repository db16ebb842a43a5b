"""Networks of the audiovisual model, by registered names; importing this package registers all of them."""

from . import (
    action_unit_encoder,
    audio_encoder,
    bottleneck_fusion,
    concatenation_fusion,
    conformer,
    crnn,
    early_fusion,
    emonext,
    face_encoder,
    film_fusion,
    fusion,
    gated_fusion,
    intermediate_attention,
    late_fusion,
    single_modality,
)
from .audio_visual import AudioVisualModel, FusionOutput, ModelConfig, NetworkConfig, build_model
from .registry import ModelError

__all__ = [
    "AudioVisualModel",
    "FusionOutput",
    "ModelConfig",
    "ModelError",
    "NetworkConfig",
    "action_unit_encoder",
    "audio_encoder",
    "bottleneck_fusion",
    "build_model",
    "concatenation_fusion",
    "conformer",
    "crnn",
    "early_fusion",
    "emonext",
    "face_encoder",
    "film_fusion",
    "fusion",
    "gated_fusion",
    "intermediate_attention",
    "late_fusion",
    "single_modality",
]
