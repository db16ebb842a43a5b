"""The encoders of a bundle as networks that never train: a fusion learns on what they say, as the robot runs them."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emotion_perception.core.model_bundle import ModelBundle, load_bundle

from .registry import audio_encoders, face_encoders

CROPS = 64  # at once: more take memory and no less time


class BundleEncoder(nn.Module):
    """What both have in common.

    bundle: its folder; BundleError where it cannot be used. graph: the file as it is.
    """

    file: str

    def __init__(self, bundle: Path):
        super().__init__()
        self.bundle = _loaded(bundle)
        self.graph = (bundle / self.file).read_bytes()

    def __deepcopy__(self, memo: dict[int, Any]) -> "BundleEncoder":
        return self  # nothing in it ever changes


@face_encoders.register("bundle")
class BundleFaceEncoder(BundleEncoder):
    """face_encoder.onnx."""

    file = "face_encoder.onnx"

    @property
    def embedding(self) -> int:
        return self.bundle.face.embedding

    def forward(self, face: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 RGB -> (B, D)."""
        return torch.cat([torch.from_numpy(self.bundle.encode_faces(part.numpy())) for part in face.split(CROPS)])


@audio_encoders.register("bundle")
class BundleAudioEncoder(BundleEncoder):
    """audio_encoder.onnx."""

    file = "audio_encoder.onnx"

    @property
    def embedding(self) -> int:
        return self.bundle.audio.embedding

    def token_count(self, samples: int) -> int:
        """Tokens of a window; ValueError for another window than the bundle's."""
        if samples != self.bundle.audio.window_samples:
            raise ValueError(f"the window has {samples} samples; expected {self.bundle.audio.window_samples}")
        return self.bundle.audio.tokens

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) in [-1, 1] -> (B, Ta, D)."""
        return torch.stack([torch.from_numpy(self.bundle.encode_audio(samples)) for samples in audio.numpy()])


def encoders_of_bundles(model: nn.Module) -> list[BundleEncoder]:
    """Those that a model has."""
    return [module for module in model.modules() if isinstance(module, BundleEncoder)]


def start_of(model: nn.Module) -> ModelBundle | None:
    """The bundle whose encoders a model has; None where it has encoders of its own."""
    return next((encoder.bundle for encoder in encoders_of_bundles(model)), None)


def known_speakers(bundle: ModelBundle) -> dict[str, list[str]]:
    """By part, train or validation, whom the bundle has learnt from or been chosen by; empty where it does not say."""
    known: dict[str, list[str]] = training_of(bundle.directory).get("speakers", {})
    return known


def training_of(directory: Path) -> dict[str, Any]:
    """What the model.json of a bundle says of its training."""
    training: dict[str, Any] = json.loads((directory / "model.json").read_text())["training"]
    return training


@lru_cache(maxsize=1)
def _loaded(directory: Path) -> ModelBundle:
    return load_bundle(directory)
