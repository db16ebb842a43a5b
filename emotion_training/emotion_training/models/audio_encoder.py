"""Compact residual network from a window of voice to a row of embeddings in time."""

from torch import Tensor, nn

from .log_mel import LogMel
from .registry import audio_encoders
from .residual_block import residual_stages
from .spectrogram_encoder import BandTokens, SpectrogramEncoder


@audio_encoders.register("log_mel_cnn")
class AudioEncoder(SpectrogramEncoder):
    """The robot's own: a few residual blocks over the spectrogram as a picture.

    channels: of the stages; each halves time and frequency, so that with four a token stands for 160 ms.
    """

    def __init__(self, sample_rate_hz: int, mels: int, channels: tuple[int, ...], embedding: int, dropout: float):
        super().__init__(LogMel(sample_rate_hz, mels), nn.BatchNorm1d(mels))
        self.network = residual_stages(channels)
        self.token_frames = 2 ** len(channels)
        self.tokens = BandTokens(channels[-1] * (mels // self.token_frames), embedding, dropout)
        self.embedding = embedding

    def encode(self, features: Tensor) -> Tensor:
        """(B, mels, T) -> (B, Ta, D)."""
        return self.tokens(self.network(self.whole_tokens(features).unsqueeze(1)))
