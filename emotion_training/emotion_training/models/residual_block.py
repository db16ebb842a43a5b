"""The convolution block that the compact encoders are made of."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Weighs the channels of (B, C, H, W) by what the whole picture shows."""

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = self.gate(x.mean(dim=(2, 3)))  # (B, C)
        return x * weights[:, :, None, None]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; `stride` 2 halves the picture."""

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            SqueezeExcite(channels_out),
        )
        self.shortcut = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            pool = nn.AvgPool2d(stride) if stride != 1 else nn.Identity()
            self.shortcut = nn.Sequential(
                pool, nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))


def residual_stages(channels: Sequence[int]) -> nn.Sequential:
    """(B, 1, H, W) -> (B, C, H / 2**n, W / 2**n): n blocks with these channels, each of which halves the picture."""
    if not channels:
        raise ValueError("channels is empty; expected those of one stage or more")
    return nn.Sequential(*(ResidualBlock(narrow, wide, stride=2) for narrow, wide in pairwise((1, *channels))))
