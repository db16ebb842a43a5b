"""Weights of a ConvNeXt trained on ImageNet, from a file, for EmoNeXt.

Two layouts are known: the checkpoints of its authors ({"model": weights}, names such as
`stages.0.0.dwconv.weight`) and torchvision's (names such as `features.1.0.block.0.weight`).
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .start_weights import WeightsError

OFFICIAL_PARTS = {
    "dwconv": "depthwise",
    "norm": "norm",
    "pwconv1": "expand",
    "pwconv2": "reduce",
    "gamma": "layer_scale",
}
TORCHVISION_PARTS = {
    "block.0": "depthwise",
    "block.2": "norm",
    "block.3": "expand",
    "block.5": "reduce",
    "layer_scale": "layer_scale",
}
OWN_PARTS = ("spatial_transformer.", "attention.")  # of EmoNeXt, and the squeeze-and-excitation layers


def read_imagenet_convnext(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the ConvNeXt inside an EmoNeXt, by the names that they have in its `state`; all of them.

    Raises:
        WeightsError: for a file that is missing, is no checkpoint, has another layout, or was made for
            another size of the network.
    """
    weights = _read(path)
    official = "downsample_layers.0.0.weight" in weights
    if not official and "features.0.0.weight" not in weights:
        raise WeightsError(
            f"{path} holds names such as {next(iter(weights), 'none')!r}; expected a ConvNeXt checkpoint of its "
            "authors or of torchvision"
        )
    translate = _from_official if official else _from_torchvision
    named = {name: translate(name) for name in weights}
    convnext = [name for name in state if not name.startswith(OWN_PARTS) and ".gate." not in name]
    loaded = {own: weights[name] for name, own in named.items() if own in state}
    problems = [f"{name} is missing" for name in convnext if name not in loaded]
    problems += [f"{name} for {own} is unknown" for name, own in named.items() if own is not None and own not in state]
    for own in loaded:
        loaded[own] = loaded[own].reshape(-1) if own.endswith("layer_scale") else loaded[own]
        if loaded[own].shape != state[own].shape:
            shapes = f"{tuple(loaded[own].shape)} in the file and {tuple(state[own].shape)} in the model"
            problems.append(f"{own} is {shapes}")
    if problems:
        raise WeightsError(
            f"{path} does not fit this size of EmoNeXt in {len(problems)} tensors, first: {problems[0]}; "
            "take the checkpoint of the ConvNeXt of the same size"
        )
    return loaded


def _read(path: Path) -> dict[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; expected a file of weights") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise WeightsError(f"{path} is no file of weights: {str(error).splitlines()[0]}") from None
    weights = weights.get("model", weights) if isinstance(weights, dict) else weights
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise WeightsError(f"{path} holds no named tensors; expected a file of weights")
    return weights


def _from_official(name: str) -> str | None:
    """Name in the authors' checkpoint -> name in EmoNeXt; None for the classifier."""
    if name.startswith("head."):
        return None
    if match := re.fullmatch(r"stages\.(\d+\.\d+)\.(\w+)(.*)", name):
        place, part, rest = match.groups()
        return f"stages.{place}.{OFFICIAL_PARTS.get(part, part)}{rest}"
    return name.replace("downsample_layers.", "downsampling.")


def _from_torchvision(name: str) -> str | None:
    """Name in torchvision's checkpoint -> name in EmoNeXt; None for the classifier."""
    if name.startswith("classifier."):
        return name.replace("classifier.0.", "norm.") if name.startswith("classifier.0.") else None
    match = re.fullmatch(r"features\.(\d+)\.(\d+)\.(.+)", name)
    if match is None:
        return name
    feature, place, part = int(match[1]), match[2], match[3]
    if feature % 2 == 0:  # features alternate: downsampling, stage, downsampling, ...
        return f"downsampling.{feature // 2}.{place}.{part}"
    for theirs, own in TORCHVISION_PARTS.items():
        if part == theirs or part.startswith(f"{theirs}."):
            return f"stages.{feature // 2}.{place}.{own}{part.removeprefix(theirs)}"
    return name
