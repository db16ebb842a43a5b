"""A network in the form of Whisper's encoder that hears about the same in a fraction of the time."""

import torch
from torch import Tensor, nn

from .registry import audio_encoders
from .whisper import (
    BLOCKS,
    STATES,
    WIDTH,
    FrameConvolution,
    PooledStatesEncoder,
    SpeechNetwork,
    WhisperBlock,
    gelu,
)
from .whisper_log_mel import MELS

MERGED_STATES = 2  # of Whisper, that make one


class CompactWhisper(SpeechNetwork):
    """Half as many states as Whisper makes of the same sound, and fewer channels and neurons between them."""

    def __init__(self, channels: int, feed_forward: int, blocks: int):
        super().__init__()
        self.conv1 = FrameConvolution(MELS, channels, 1)
        self.conv2 = FrameConvolution(channels, WIDTH, 2)
        self.positions = nn.Parameter(0.02 * torch.randn(STATES // MERGED_STATES, WIDTH))
        self.blocks = nn.ModuleList(WhisperBlock(feed_forward) for _ in range(blocks))

    def start(self, log_mel: Tensor) -> Tensor:
        x = merged(gelu(self.conv2(gelu(self.conv1(log_mel.transpose(1, 2))))))
        return x + self.positions[len(self.positions) - x.shape[1] :]  # the newest state has the last place


def merged(states: Tensor) -> Tensor:
    """(B, T, C) -> means of neighbours, (B, T / MERGED_STATES, C)."""
    return states.unflatten(1, (states.shape[1] // MERGED_STATES, MERGED_STATES)).mean(dim=2)


@audio_encoders.register("compact_whisper")
class CompactWhisperEncoder(PooledStatesEncoder):
    """In a bundle its network is made of Whisper's, see `speech_compression`; elsewhere it learns from nothing.

    channels: between the convolutions. feed_forward: neurons of each block. ValueError for more of them or more blocks
    than Whisper-tiny has, for none, and for another rate than 16 kHz.
    """

    def __init__(
        self, sample_rate_hz: int, channels: int, feed_forward: int, blocks: int, embedding: int, dropout: float
    ):
        sizes = (("channels", channels, WIDTH), ("feed_forward", feed_forward, 4 * WIDTH), ("blocks", blocks, BLOCKS))
        for name, size, most in sizes:
            if not 1 <= size <= most:
                raise ValueError(f"{name} is {size}; expected 1 to {most}, as many as Whisper-tiny has")
        network = CompactWhisper(channels, feed_forward, blocks)
        super().__init__(sample_rate_hz, network, embedding, dropout)
