"""A small conformer over the spectrogram: attention for the whole window, convolution for what is near."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import MultiHeadAttention
from .log_mel import LogMel
from .registry import audio_encoders
from .spectrogram_encoder import SpectrogramEncoder


class ConvolutionModule(nn.Module):
    """Gated pointwise and depthwise convolution in time."""

    def __init__(self, width: int, kernel: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gated = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.depthwise_norm = nn.BatchNorm1d(width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        gated = functional.glu(self.gated(self.norm(tokens)), dim=2).transpose(1, 2)  # (B, W, T)
        near = functional.silu(self.depthwise_norm(self.depthwise(gated))).transpose(1, 2)  # (B, T, W)
        return self.dropout(self.out(near))


class ConformerBlock(nn.Module):
    """Half a feed-forward step, attention, convolution, the other half; each with a shortcut."""

    def __init__(self, width: int, heads: int, kernel: int, dropout: float):
        super().__init__()
        self.first_half = _feed_forward(width, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads)
        self.convolution = ConvolutionModule(width, kernel, dropout)
        self.second_half = _feed_forward(width, dropout)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        tokens = tokens + 0.5 * self.first_half(tokens)
        normed = self.attention_norm(tokens)
        tokens = tokens + self.dropout(self.attention(normed, normed))
        tokens = tokens + self.convolution(tokens)
        return self.norm(tokens + 0.5 * self.second_half(tokens))


@audio_encoders.register("conformer")
class Conformer(SpectrogramEncoder):
    """Gulati et al., "Conformer", Interspeech 2020, small; sine positions instead of relative ones.

    Two strided convolutions bring 10 ms frames to tokens of 40 ms before the blocks.

    Args:
        embedding: width of the blocks, a multiple of `heads`.
        kernel: of the depthwise convolution, in tokens, odd.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        mels: int = 64,
        embedding: int = 96,
        blocks: int = 2,
        heads: int = 4,
        kernel: int = 15,
        dropout: float = 0.2,
    ):
        super().__init__(LogMel(sample_rate_hz, mels), nn.BatchNorm1d(mels))
        self.token_frames = 4
        channels = embedding // 4
        self.subsampling = nn.Sequential(
            nn.Conv2d(1, channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.join_bands = nn.Linear(channels * (mels // 4), embedding)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(ConformerBlock(embedding, heads, kernel, dropout) for _ in range(blocks)))
        self.embedding = embedding

    def encode(self, features: Tensor) -> Tensor:
        """(B, mels, T) -> (B, Ta, D)."""
        picture = self.subsampling(self.whole_tokens(features).unsqueeze(1))  # (B, C, mels / 4, Ta)
        tokens = self.join_bands(picture.flatten(1, 2).transpose(1, 2))  # (B, Ta, D)
        positions = sine_positions(tokens.shape[1], self.embedding).to(tokens)
        return self.blocks(self.dropout(tokens + positions))


def sine_positions(count: int, width: int) -> Tensor:
    """(T, W): sines and cosines of falling frequency (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))  # (W / 2,)
    angles = torch.arange(count).unsqueeze(1) * rates  # (T, W / 2)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


def _feed_forward(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, 4 * width),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(4 * width, width),
        nn.Dropout(dropout),
    )
