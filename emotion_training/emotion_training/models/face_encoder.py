"""Compact residual network from a face crop to an embedding."""

import torch
from torch import Tensor, nn

from .registry import face_encoders
from .residual_block import ResidualBlock

GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601, as OpenCV's RGB2GRAY
CONTRAST_FLOOR = 0.04  # of full scale: a flat picture stays flat instead of becoming noise


def grey_from_rgb(face: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 RGB -> (B, 1, S, S) float32 grey in [0, 1]."""
    weights = torch.tensor(GREY_WEIGHTS, dtype=torch.float32, device=face.device) / 255.0
    return (face.to(torch.float32) * weights).sum(dim=3).unsqueeze(1)


def standardise(grey: Tensor) -> Tensor:
    """(B, 1, S, S) grey -> the same with zero mean and about unit deviation per picture: light and contrast
    drop out.
    """
    centred = grey - grey.mean(dim=(2, 3), keepdim=True)
    variance = (centred * centred).mean(dim=(2, 3), keepdim=True)
    return centred / torch.sqrt(variance + CONTRAST_FLOOR**2)


@face_encoders.register("compact_cnn")
class FaceEncoder(nn.Module):
    """`forward` takes what the robot sends; `embed_grey` is the same network after the conversion to grey.

    stages: (channels, blocks) from fine to coarse; each stage halves the picture.
    """

    def __init__(self, stem_channels: int, stages: tuple[tuple[int, int], ...], embedding: int, dropout: float):
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, stem_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(stem_channels),
            nn.ReLU(),
        ]
        channels_in = stem_channels
        for channels, blocks in stages:
            for i in range(blocks):
                layers.append(ResidualBlock(channels_in, channels, stride=2 if i == 0 else 1))
                channels_in = channels
        self.network = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(channels_in, embedding)
        self.embedding = embedding

    def embed_grey(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) grey in [0, 1] -> (B, D)."""
        features = self.network(standardise(grey))  # (B, C, S / 2**stages, S / 2**stages)
        return self.project(self.dropout(features.mean(dim=(2, 3))))

    def forward(self, face: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 RGB -> (B, D)."""
        return self.embed_grey(grey_from_rgb(face))
