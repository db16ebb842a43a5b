"""The encoder of Whisper-tiny (Radford et al. 2023), whose first blocks hear how something is said."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import attention_weights, split_heads
from .registry import audio_encoders
from .smart_turn_weights import read_smart_turn
from .spectrogram_encoder import SpectrogramEncoder
from .whisper_log_mel import HOP_SAMPLES, MELS, SAMPLE_RATE_HZ, WhisperLogMel

BLOCKS, WIDTH, HEADS = 4, 384, 6
STATES = 400  # of the longest window that the weights know, 8 s
STATE_FRAMES = 2  # of the spectrogram
STATE_SAMPLES = STATE_FRAMES * HOP_SAMPLES
POOLED_STATES = 8  # that make a token, 160 ms


def gelu(x: Tensor) -> Tensor:
    """As `functional.gelu`, in the order of operations that ONNX Runtime knows and runs as one."""
    return 0.5 * (x * (1.0 + torch.erf(x / math.sqrt(2.0))))


class FrameConvolution(nn.Conv1d):
    """Over three frames, as one product with a matrix: the bundle has products in integers, convolutions not."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__(channels_in, channels, 3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, channels_in) -> (B, T / stride, channels)."""
        matrix = self.weight.transpose(1, 2).flatten(1)  # (channels, 3 channels_in)
        return functional.linear(self.neighbours(x), matrix, self.bias)

    def neighbours(self, x: Tensor) -> Tensor:
        """(B, T, channels_in) -> three frames side by side, (B, T / stride, 3 channels_in)."""
        padded = functional.pad(x, (0, 0, 1, 1))
        return torch.cat([padded[:, first : first + x.shape[1] : self.stride[0]] for first in range(3)], dim=2)


class WhisperBlock(nn.Module):
    """Self-attention and a feed-forward step, each with a shortcut, normalised before."""

    def __init__(self, feed_forward: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.feed_forward_norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, feed_forward)
        self.narrow = nn.Linear(feed_forward, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, WIDTH) -> (B, T, WIDTH)."""
        x = x + self.out(self.read(x))
        return x + self.narrow(self.neurons(x))

    def read(self, x: Tensor) -> Tensor:
        """What each state reads of all, as `out` takes it: (B, T, WIDTH) -> (B, T, WIDTH)."""
        normed = self.attention_norm(x)
        query, key, value = (split_heads(part(normed), HEADS) for part in (self.query, self.key, self.value))
        return torch.matmul(attention_weights(query, key, None), value).transpose(1, 2).flatten(2)

    def neurons(self, x: Tensor) -> Tensor:
        """(B, T, WIDTH) -> (B, T, feed_forward)."""
        return gelu(self.widen(self.feed_forward_norm(x)))


class SpeechNetwork(nn.Module):
    """Blocks over states in time, which `start`, of a subclass, makes of the spectrogram."""

    blocks: nn.ModuleList

    def start(self, log_mel: Tensor) -> Tensor:
        """(B, MELS, T) -> states (B, Ts, WIDTH) before the first block."""
        raise NotImplementedError

    def forward(self, log_mel: Tensor) -> list[Tensor]:
        """(B, MELS, T) -> states (B, Ts, WIDTH) after each block."""
        x = self.start(log_mel)
        after = []
        for block in self.blocks:
            x = block(x)
            after.append(x)
        return after


class WhisperTiny(SpeechNetwork):
    """blocks: how many of its `BLOCKS`. Two frames of the spectrogram make a state."""

    def __init__(self, blocks: int):
        super().__init__()
        self.conv1 = FrameConvolution(MELS, WIDTH, 1)
        self.conv2 = FrameConvolution(WIDTH, WIDTH, STATE_FRAMES)
        self.positions = nn.Parameter(0.02 * torch.randn(STATES, WIDTH))
        self.blocks = nn.ModuleList(WhisperBlock(4 * WIDTH) for _ in range(blocks))

    def start(self, log_mel: Tensor) -> Tensor:
        x = gelu(self.conv2(gelu(self.conv1(log_mel.transpose(1, 2)))))
        return x + self.positions[STATES - x.shape[1] :]  # the newest state has the last place, as it was learnt


class PooledStatesEncoder(SpectrogramEncoder):
    """A token is what a network hears in 160 ms, after all its blocks, in a learned projection.

    network: its states cover the time of whole frames. ValueError for another rate than 16 kHz.
    """

    token_frames = STATE_FRAMES * POOLED_STATES

    def __init__(self, sample_rate_hz: int, network: SpeechNetwork, embedding: int, dropout: float):
        if sample_rate_hz != SAMPLE_RATE_HZ:
            raise ValueError(f"sample_rate_hz is {sample_rate_hz}; expected {SAMPLE_RATE_HZ} for Whisper")
        super().__init__(WhisperLogMel(self.token_frames), nn.Identity())
        self.network = network
        width = len(network.blocks) * WIDTH
        self.state_norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(width, embedding)
        self.embedding = embedding

    def token_count(self, samples: int) -> int:
        """Tokens Ta that `forward` makes of N samples; ValueError for a longer window than the weights know."""
        longest = STATES * STATE_SAMPLES
        if samples > longest:
            raise ValueError(f"the window has {samples} samples; expected at most {longest} for Whisper-tiny")
        return super().token_count(samples)

    def pooled_states(self, log_mel: Tensor) -> Tensor:
        """(B, MELS, T) -> (B, Ta, blocks * WIDTH), those after the first block first."""
        count = log_mel.shape[2] // self.token_frames
        pooled = [after.unflatten(1, (count, -1)).mean(dim=2) for after in self.network(log_mel)]
        return torch.cat(pooled, dim=2)

    def encode(self, log_mel: Tensor) -> Tensor:
        """(B, MELS, T) -> (B, Ta, D)."""
        states = self.pooled_states(log_mel)
        return self.project(self.dropout(self.state_norm(states.transpose(1, 2)).transpose(1, 2)))


@audio_encoders.register("whisper_tiny")
class WhisperAudioEncoder(PooledStatesEncoder):
    """Its weights, which come by `start_from`, never train: what makes tokens of the states after all its blocks does.

    blocks: of the network, 1 to `BLOCKS`. ValueError for another number, and for another rate than 16 kHz.
    """

    def __init__(self, sample_rate_hz: int, blocks: int, embedding: int, dropout: float):
        if not 1 <= blocks <= BLOCKS:
            raise ValueError(f"blocks is {blocks}; expected 1 to {BLOCKS} for Whisper-tiny")
        network = WhisperTiny(blocks).requires_grad_(False)
        super().__init__(sample_rate_hz, network, embedding, dropout)

    def start_from(self, weights: Path) -> None:
        """Fills the network from a file, see `read_smart_turn`.

        Raises:
            WeightsError: for a file that is missing or does not fit.
        """
        self.network.load_state_dict(read_smart_turn(weights, len(self.network.blocks)))
