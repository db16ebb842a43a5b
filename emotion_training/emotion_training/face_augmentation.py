"""Random changes of faces: what a jittering detector, a cheap camera and bad light do to a crop."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class FaceAugmentation:
    """How far each change goes; probabilities are per picture."""

    rotation_deg: float
    scale: float  # share of the size, both ways
    shift: float  # share of the size, both ways
    brightness: float  # of full scale, both ways
    contrast: float  # log of the gain, both ways
    gamma: float  # log of the exponent, both ways
    low_resolution_probability: float
    low_resolution_min_px: int
    noise: float  # greatest deviation, of full scale
    erasing_probability: float
    erasing_max: float  # greatest side of the erased box, share of the size


def augment_faces(grey: Tensor, options: FaceAugmentation, generator: torch.Generator) -> Tensor:
    """(B, 1, S, S) grey in [0, 1] -> the same shape, changed picture by picture."""
    grey = _move(grey, options, generator)
    grey = _lower_resolution(grey, options, generator)
    grey = _change_light(grey, options, generator)
    return _erase(grey, options, generator)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _move(grey: Tensor, options: FaceAugmentation, generator: torch.Generator) -> Tensor:
    """Flip, rotate, scale and shift in one interpolation."""
    count = len(grey)
    angle = _uniform(count, -1.0, 1.0, generator) * math.radians(options.rotation_deg)
    scale = 1.0 + _uniform(count, -options.scale, options.scale, generator)
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    # affine_grid counts in [-1, 1] from border to border, so a share of the size is twice as much there.
    shift = 2.0 * (torch.rand(count, 2, generator=generator) * 2.0 - 1.0) * options.shift
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrices = torch.stack(
        [
            torch.stack([cosine * flip, -sine, shift[:, 0]], 1),
            torch.stack([sine * flip, cosine, shift[:, 1]], 1),
        ],
        1,
    )  # (B, 2, 3)
    grid = functional.affine_grid(matrices, list(grey.shape), align_corners=False)
    return functional.grid_sample(grey, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _lower_resolution(grey: Tensor, options: FaceAugmentation, generator: torch.Generator) -> Tensor:
    """A share of the pictures made small and large again, all of a batch to the same size."""
    size_px = grey.shape[-1]
    chosen = torch.rand(len(grey), generator=generator) < options.low_resolution_probability
    small_px = int(torch.randint(options.low_resolution_min_px, size_px, (1,), generator=generator))
    small = functional.interpolate(grey[chosen], size=(small_px, small_px), mode="area")
    changed = grey.clone()
    changed[chosen] = functional.interpolate(small, size=(size_px, size_px), mode="bilinear", align_corners=False)
    return changed


def _change_light(grey: Tensor, options: FaceAugmentation, generator: torch.Generator) -> Tensor:
    count = len(grey)
    gamma = torch.exp(_uniform(count, -options.gamma, options.gamma, generator)).view(-1, 1, 1, 1)
    gain = torch.exp(_uniform(count, -options.contrast, options.contrast, generator)).view(-1, 1, 1, 1)
    offset = _uniform(count, -options.brightness, options.brightness, generator).view(-1, 1, 1, 1)
    noise = torch.rand(count, 1, 1, 1, generator=generator) * options.noise
    lit = (grey.clamp(0.0, 1.0) ** gamma - 0.5) * gain + 0.5 + offset
    return (lit + noise * torch.randn(grey.shape, generator=generator)).clamp(0.0, 1.0)


def _erase(grey: Tensor, options: FaceAugmentation, generator: torch.Generator) -> Tensor:
    """A box of one grey value in a share of the pictures: a hand, a mask, hair."""
    count, size_px = len(grey), grey.shape[-1]
    sides = _uniform(2 * count, 0.1, options.erasing_max, generator).view(2, count, 1) * size_px
    centres = torch.rand(2, count, 1, generator=generator) * size_px
    positions = torch.arange(size_px).view(1, 1, -1)
    inside = (positions - centres).abs() < sides / 2  # (2, B, S): rows, columns
    chosen = (torch.rand(count, generator=generator) < options.erasing_probability).view(-1, 1, 1)
    box = inside[0].unsqueeze(2) & inside[1].unsqueeze(1) & chosen  # (B, S, S)
    value = torch.rand(count, 1, 1, 1, generator=generator)
    return torch.where(box.unsqueeze(1), value, grey)
