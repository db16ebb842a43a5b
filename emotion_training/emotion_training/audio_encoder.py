"""Compact residual network from a window of voice to a row of embeddings in time."""

import torch
from torch import Tensor, nn

from .log_mel import LogMel
from .residual_block import ResidualBlock


class AudioEncoder(nn.Module):
    """`forward` takes what the robot sends; `encode` is the same network after the log-mel layer.

    channels: of the stages; each halves time and frequency, so that with four a token stands for 160 ms.
    """

    def __init__(
        self, sample_rate_hz: int, mels: int, channels: tuple[int, ...], embedding: int, dropout: float
    ):
        super().__init__()
        self.log_mel = LogMel(sample_rate_hz, mels)
        self.band_norm = nn.BatchNorm1d(mels)
        stages, channels_in = [], 1
        for channels_out in channels:
            stages.append(ResidualBlock(channels_in, channels_out, stride=2))
            channels_in = channels_out
        self.network = nn.Sequential(*stages)
        self.token_frames = 2 ** len(channels)
        bands = mels // self.token_frames
        self.dropout = nn.Dropout(dropout)
        self.join_bands = nn.Sequential(
            nn.Conv1d(channels_in * bands, embedding, 1, bias=False), nn.BatchNorm1d(embedding), nn.ReLU()
        )
        self.context = nn.Conv1d(embedding, embedding, 3, padding=1)
        self.embedding = embedding

    def encode(self, log_mel: Tensor) -> Tensor:
        """(B, mels, T) normalised log-mel -> (B, Ta, D)."""
        missing = (
            -log_mel.shape[2] % self.token_frames
        )  # frames to a whole number of tokens, added at the old end
        padded = nn.functional.pad(log_mel, (missing, 0)).unsqueeze(1)  # (B, 1, mels, 16 * Ta)
        features = self.network(padded)  # (B, C, mels / 16, Ta)
        features = self.dropout(features.flatten(1, 2))  # (B, C * mels / 16, Ta)
        joined = self.join_bands(features)  # (B, D, Ta)
        return (joined + self.context(joined)).transpose(1, 2)

    def normalised_log_mel(self, audio: Tensor) -> Tensor:
        """(B, N) -> (B, mels, T), about zero mean and unit deviation in every band over the training data."""
        return self.band_norm(self.log_mel(audio))

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) mono in [-1, 1] -> (B, Ta, D)."""
        return self.encode(self.normalised_log_mel(audio))


class AttentivePooling(nn.Module):
    """(B, T, D) -> (B, D): a mean over time with learned weights."""

    def __init__(self, width: int):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        weights = torch.softmax(self.score(tokens), dim=1)  # (B, T, 1)
        return (weights * tokens).sum(dim=1)
