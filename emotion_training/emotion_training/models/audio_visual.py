"""The whole audiovisual model, from a batch of clips to logits, and how it is built from a configuration."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .registry import (
    ModelError,
    audio_encoders,
    face_encoders,
    feature_encoders,
    fusions,
    joint_models,
)
from .spectrogram_encoder import SpectrogramEncoder
from .start_weights import start


@dataclass(frozen=True)
class NetworkConfig:
    """A registered network and the arguments of its constructor that do not follow from the rest.

    start_from: file of weights that it begins with, for those that have a method of that name.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    start_from: str | None = None


@dataclass(frozen=True)
class ModelConfig:
    """What `build_model` needs.

    face_encoder: name of a face encoder (crops) or of a feature encoder (clip-level features); None for
        `voice_only` and `early`. audio_encoder: None for `face_only` and `early`.
    """

    fusion: NetworkConfig  # of the fusions or the joint models
    classes: int
    face_encoder: NetworkConfig | None = None
    audio_encoder: NetworkConfig | None = None
    face_features: int | None = None  # number of clip-level features; None for face crops
    face_bins: int = 1  # face crops of a clip
    window_s: float = 3.0
    sample_rate_hz: int = 16000


class FusionOutput(NamedTuple):
    """What a model says about a batch.

    The logits of a single modality are None where the fusion has no head for it, and meaningless in the samples
    that lack the modality. face_regularisation is the mean attention regularisation L_SA of the face encoder,
    None where it has none.
    """

    logits: Tensor  # (B, C)
    modality_weights: Tensor  # (B, 2), face and voice
    face_logits: Tensor | None  # (B, C)
    audio_logits: Tensor | None  # (B, C)
    face_regularisation: Tensor | None = None  # ()


class AudioVisualModel(nn.Module):
    """Encoders and fusion.

    An encoder sees only what the masks say is there, so that what is masked costs no time, enters no batch
    statistics, and may be NaN. Without an encoder its part of the batch goes to the fusion as it is.
    """

    def __init__(
        self,
        face_encoder: nn.Module | None,
        audio_encoder: SpectrogramEncoder | None,
        fusion: nn.Module,
    ):
        super().__init__()
        self.face_encoder = face_encoder
        self.audio_encoder = audio_encoder
        self.fusion = fusion

    def forward(self, batch: Mapping[str, Tensor]) -> FusionOutput:
        """Takes "face", "face_mask", "audio" and "audio_mask"; a model of one modality needs only its own.

        face uint8 (B, Tf, S, S, 3), or float32 (B, F) with Tf = 1; face_mask bool (B, Tf); audio float32 (B, N);
        audio_mask bool (B,). What the encoders said of crops and samples can stand in their place: (B, Tf, D) and
        (B, Ta, D).
        """
        face, face_mask, regularisation = self.encode_faces(batch)
        audio, audio_mask = self.encode_audio(batch)
        inputs = (face, face_mask, audio, audio_mask)
        logits, modality_weights = self.fusion(*inputs)
        face_logits = audio_logits = None
        if hasattr(self.fusion, "unimodal_logits"):
            face_logits, audio_logits = self.fusion.unimodal_logits(*inputs)
        return FusionOutput(logits, modality_weights, face_logits, audio_logits, regularisation)

    def encode_faces(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Embeddings (B, Tf, D), bool (B, Tf), attention regularisation () or None."""
        if "face" not in batch:
            audio_mask = batch["audio_mask"]
            nothing = torch.zeros(len(audio_mask), 1, dtype=torch.bool, device=audio_mask.device)
            return nothing.to(torch.float32).unsqueeze(2), nothing, None
        face, mask = batch["face"], batch["face_mask"]
        if self.face_encoder is None or face.ndim == 3:  # embeddings already
            return face, mask, None
        if face.ndim == 2:  # clip-level features: all tokens of a clip are there or none
            tokens, width = self.face_encoder.tokens, self.face_encoder.embedding
            encoded = self.face_encoder(face[mask[:, 0]])  # (present, Tf, D)
            embeddings = _scatter(encoded, mask[:, 0], (tokens, width))
            return embeddings, mask.expand(-1, tokens), None
        there = mask.flatten()  # (B * Tf,)
        crops = face.flatten(0, 1)[there]  # (present, S, S, 3)
        regularisation = None
        if len(crops) == 0:
            encoded = torch.zeros(0, self.face_encoder.embedding, device=face.device)
        elif hasattr(self.face_encoder, "forward_regularised"):
            encoded, per_sample = self.face_encoder.forward_regularised(crops)
            regularisation = per_sample.mean()
        else:
            encoded = self.face_encoder(crops)  # (present, D)
        embeddings = _scatter(encoded, there, (self.face_encoder.embedding,))
        return embeddings.unflatten(0, mask.shape), mask, regularisation

    def encode_audio(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Embeddings (B, Ta, D), bool (B,)."""
        if "audio" not in batch:
            face_mask = batch["face_mask"]
            nothing = torch.zeros(len(face_mask), dtype=torch.bool, device=face_mask.device)
            return nothing.to(torch.float32)[:, None, None], nothing
        audio, mask = batch["audio"], batch["audio_mask"]
        if self.audio_encoder is None or audio.ndim == 3:  # embeddings already
            return audio, mask
        tokens, width = self.audio_encoder.token_count(audio.shape[1]), self.audio_encoder.embedding
        voices = audio[mask]  # (present, N)
        if len(voices) == 0:
            return torch.zeros(len(mask), tokens, width, device=audio.device), mask
        return _scatter(self.audio_encoder(voices), mask, (tokens, width)), mask


def build_model(config: ModelConfig) -> AudioVisualModel:
    """Builds encoders and fusion by their names.

    Raises:
        ModelError: for an unknown name or option, and for an encoder that the fusion needs or does not take.
        WeightsError: for weights that are missing or do not fit, or a network that cannot start from any.
    """
    common = {
        "classes": config.classes,
        "sample_rate_hz": config.sample_rate_hz,
        "face_features": config.face_features,
    }
    name, options = config.fusion.name, config.fusion.options
    if name in joint_models:
        _check_encoder(name, "face encoder", config.face_encoder, needed=False)
        _check_encoder(name, "audio encoder", config.audio_encoder, needed=False)
        joint = joint_models.build(name, options, **common)
        start(joint, name, config.fusion.start_from, "fusion")
        return AudioVisualModel(None, None, joint)
    if name not in fusions:
        known = ", ".join(sorted((*fusions.names, *joint_models.names)))
        raise ModelError(f"fusion {name!r} is unknown; expected one of {known}")
    arguments = inspect.signature(fusions.network(name)).parameters
    _check_encoder(name, "face encoder", config.face_encoder, needed="face_embedding" in arguments)
    _check_encoder(name, "audio encoder", config.audio_encoder, needed="audio_embedding" in arguments)
    face_encoder = audio_encoder = None
    given = dict(common)
    if config.face_encoder is not None:
        face_encoder = _build_face_encoder(config)
        start(face_encoder, config.face_encoder.name, config.face_encoder.start_from, "face_encoder")
        face_bins = getattr(face_encoder, "tokens", config.face_bins)
        given.update(face_embedding=face_encoder.embedding, face_bins=face_bins)
    if config.audio_encoder is not None:
        audio_encoder = audio_encoders.build(config.audio_encoder.name, config.audio_encoder.options, **common)
        start(audio_encoder, config.audio_encoder.name, config.audio_encoder.start_from, "audio_encoder")
        samples = round(config.window_s * config.sample_rate_hz)
        try:
            given.update(audio_embedding=audio_encoder.embedding, audio_tokens=audio_encoder.token_count(samples))
        except ValueError as error:
            raise ModelError(f"window_s {config.window_s} does not fit {config.audio_encoder.name}: {error}") from None
    fusion = fusions.build(name, options, **given)
    start(fusion, name, config.fusion.start_from, "fusion")
    return AudioVisualModel(face_encoder, audio_encoder, fusion)


def _build_face_encoder(config: ModelConfig) -> nn.Module:
    """A feature encoder where the data are clip-level features, else an encoder of crops."""
    kind, other = face_encoders, feature_encoders
    if config.face_features is not None:
        kind, other = feature_encoders, face_encoders
    name = config.face_encoder.name
    if name in other:
        raise ModelError(
            f"{name!r} is a {other.kind} and face_features is {config.face_features}; expected one of "
            f"{', '.join(kind.names)}, or another face_features"
        )
    return kind.build(name, config.face_encoder.options, features=config.face_features)


def _check_encoder(fusion: str, kind: str, encoder: NetworkConfig | None, needed: bool) -> None:
    if needed and encoder is None:
        raise ModelError(f"fusion {fusion} has no {kind}; expected the name of one")
    if not needed and encoder is not None:
        raise ModelError(f"fusion {fusion} takes no {kind} and has {encoder.name!r}; expected none")


def _scatter(rows: Tensor, there: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Rows (present, ...) to their places in (B, *shape); zeros elsewhere."""
    places = rows.new_zeros(len(there), *shape)
    return places.index_put((there,), rows)
