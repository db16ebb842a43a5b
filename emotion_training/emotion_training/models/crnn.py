"""Convolutions over the spectrogram, then a recurrent layer over time in both directions."""

from torch import Tensor, nn

from .log_mel import LogMel
from .registry import audio_encoders
from .residual_block import residual_stages
from .spectrogram_encoder import SpectrogramEncoder


@audio_encoders.register("crnn")
class ConvolutionalRecurrentEncoder(SpectrogramEncoder):
    """channels: of the convolution stages; each halves time and frequency, so that with three a token stands
    for 80 ms.

    embedding: of a token, even: half from each direction.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        mels: int = 64,
        channels: tuple[int, ...] = (16, 32, 64),
        embedding: int = 128,
        dropout: float = 0.3,
    ):
        super().__init__(LogMel(sample_rate_hz, mels), nn.BatchNorm1d(mels))
        self.network = residual_stages(channels)
        self.token_frames = 2 ** len(channels)
        self.join_bands = nn.Linear(channels[-1] * (mels // self.token_frames), embedding)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = nn.GRU(embedding, embedding // 2, batch_first=True, bidirectional=True)
        self.embedding = embedding

    def encode(self, features: Tensor) -> Tensor:
        """(B, mels, T) -> (B, Ta, D)."""
        picture = self.network(self.whole_tokens(features).unsqueeze(1))  # (B, C, mels / 8, Ta)
        tokens = self.join_bands(picture.flatten(1, 2).transpose(1, 2))  # (B, Ta, D)
        return self.recurrent(self.dropout(tokens))[0]
