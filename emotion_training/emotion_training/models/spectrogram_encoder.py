"""What all audio encoders share: log-mel layer, normalisation, and the way samples become tokens."""

from torch import Tensor, nn

from .log_mel import LogMel
from .whisper_log_mel import WhisperLogMel


class SpectrogramEncoder(nn.Module):
    """`forward` takes what the robot sends: `features` of it, which never learn, and `encode`, of a subclass, of these.

    Attributes:
        embedding: width D of a token.
        token_frames: spectrogram frames (10 ms) that make a token.
    """

    embedding: int
    token_frames: int

    def __init__(self, log_mel: LogMel | WhisperLogMel, band_norm: nn.Module):
        super().__init__()
        self.log_mel = log_mel
        self.band_norm = band_norm

    def token_count(self, samples: int) -> int:
        """Tokens Ta that `forward` makes of N samples."""
        return -(-self.log_mel.frames(samples) // self.token_frames)

    def features(self, audio: Tensor) -> Tensor:
        """(B, N) mono in [-1, 1] -> what nothing that learns has a part in: the log-mel, (B, mels, T)."""
        return self.log_mel(audio)

    def whole_tokens(self, log_mel: Tensor) -> Tensor:
        """(B, mels, T) -> (B, mels, token_frames * Ta): about zero mean and unit deviation in every band over the
        training data, with mean frames added at the old end.
        """
        return nn.functional.pad(self.band_norm(log_mel), (-log_mel.shape[2] % self.token_frames, 0))

    def encode(self, features: Tensor) -> Tensor:
        """What `features` made -> (B, Ta, D)."""
        raise NotImplementedError

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) mono in [-1, 1] -> (B, Ta, D)."""
        return self.encode(self.features(audio))


class BandTokens(nn.Module):
    """Joins the bands of a feature map to a token at each time, which knows its neighbours.

    inputs: channels times bands.
    """

    def __init__(self, inputs: int, embedding: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.join_bands = nn.Sequential(
            nn.Conv1d(inputs, embedding, 1, bias=False), nn.BatchNorm1d(embedding), nn.ReLU()
        )
        self.context = nn.Conv1d(embedding, embedding, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, bands, Ta) -> (B, Ta, D)."""
        joined = self.join_bands(self.dropout(features.flatten(1, 2)))  # (B, D, Ta)
        return (joined + self.context(joined)).transpose(1, 2)
