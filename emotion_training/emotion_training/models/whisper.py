"""The encoder of Whisper-tiny (Radford et al. 2023), whose first blocks hear how something is said."""

import math
from collections.abc import Sequence
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


def neighbour_means(x: Tensor, count: int) -> Tensor:
    """(B, T, W) -> (B, T / count, W)."""
    return x if count == 1 else x.unflatten(1, (-1, count)).mean(dim=2)


class FrameConvolution(nn.Conv1d):
    """Over three frames, as one product with a matrix: the bundle has products in integers, convolutions not."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__(channels_in, channels, 3, stride=stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, channels_in) -> (B, T / stride, channels)."""
        padded = functional.pad(x, (0, 0, 1, 1))
        neighbours = [padded[:, first : first + x.shape[1] : self.stride[0]] for first in range(3)]
        matrix = self.weight.transpose(1, 2).flatten(1)  # (channels, 3 channels_in)
        return functional.linear(torch.cat(neighbours, dim=2), matrix, self.bias)


class WhisperBlock(nn.Module):
    """Self-attention and a feed-forward step, each with a shortcut, normalised before."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.feed_forward_norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor, merged: int = 1, means: int = 1) -> Tensor:
        """(B, T, WIDTH) -> (B, T / merged / means, WIDTH).

        merged: neighbouring states in whose place their mean goes on, which reads all T of them. means: of so many
        states as come out; the last product is linear, so that it is done for the means alone.
        """
        normed, going_on = self.attention_norm(x), neighbour_means(x, merged)
        asking = normed if merged == 1 else self.attention_norm(going_on)
        query, key, value = (
            split_heads(part, HEADS) for part in (self.query(asking), self.key(normed), self.value(normed))
        )
        read = torch.matmul(attention_weights(query, key, None), value)  # (B, H, T / merged, WIDTH / H)
        x = going_on + self.out(read.transpose(1, 2).flatten(2))
        widened = gelu(self.widen(self.feed_forward_norm(x)))  # (B, T / merged, 4 WIDTH)
        return neighbour_means(x, means) + self.narrow(neighbour_means(widened, means))


class WhisperTiny(nn.Module):
    """blocks: how many of its `BLOCKS`."""

    def __init__(self, blocks: int):
        super().__init__()
        self.conv1 = FrameConvolution(MELS, WIDTH, 1)
        self.conv2 = FrameConvolution(WIDTH, WIDTH, STATE_FRAMES)
        self.positions = nn.Parameter(0.02 * torch.randn(STATES, WIDTH))
        self.blocks = nn.ModuleList(WhisperBlock() for _ in range(blocks))

    def first_states(self, log_mel: Tensor) -> Tensor:
        """(B, MELS, T) -> (B, T / 2, WIDTH), before any block."""
        x = gelu(self.conv2(gelu(self.conv1(log_mel.transpose(1, 2)))))
        return x + self.positions[STATES - x.shape[1] :]  # the newest state has the last place, as it was learnt

    def forward(self, log_mel: Tensor) -> list[Tensor]:
        """(B, MELS, T) -> states (B, T / 2, WIDTH) after each block."""
        x, after = self.first_states(log_mel), []
        for block in self.blocks:
            x = block(x)
            after.append(x)
        return after


@audio_encoders.register("whisper_tiny")
class WhisperAudioEncoder(SpectrogramEncoder):
    """The weights of its network, which come by `start_from`, never learn from labels: what makes tokens of the
    states after all its blocks does. Where it merges states, `distil` teaches the blocks to say what they say with all.

    merged: how many neighbouring states go on as their mean, for each block of the network that is used, the first 1 to
    `BLOCKS`; see `WhisperBlock`. hidden: neurons between the states and the tokens. ValueError for more blocks, for
    merged states of which no whole number makes a token, and for another rate than 16 kHz.
    """

    token_frames = STATE_FRAMES * POOLED_STATES

    def __init__(self, sample_rate_hz: int, merged: Sequence[int], hidden: int, embedding: int, dropout: float):
        if sample_rate_hz != SAMPLE_RATE_HZ:
            raise ValueError(f"sample_rate_hz is {sample_rate_hz}; expected {SAMPLE_RATE_HZ} for Whisper")
        if not 1 <= len(merged) <= BLOCKS or min(merged) < 1 or POOLED_STATES % math.prod(merged):
            raise ValueError(
                f"merged is {list(merged)}; expected 1 to {BLOCKS} numbers above 0, "
                f"whose product divides {POOLED_STATES}"
            )
        super().__init__(WhisperLogMel(self.token_frames), nn.Identity())
        self.merged = tuple(merged)
        self.network = WhisperTiny(len(merged)).requires_grad_(False)
        states = len(merged) * WIDTH  # of which a token is made
        self.state_norm = nn.BatchNorm1d(states)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(states, hidden)
        self.project = nn.Linear(hidden, embedding)
        self.embedding = embedding

    def token_count(self, samples: int) -> int:
        """Tokens Ta that `forward` makes of N samples; ValueError for a longer window than the weights know."""
        longest = STATES * STATE_SAMPLES
        if samples > longest:
            raise ValueError(f"the window has {samples} samples; expected at most {longest} for Whisper-tiny")
        return super().token_count(samples)

    def features(self, audio: Tensor) -> Tensor:
        """(B, N) mono in [-1, 1] -> states (B, Ta, blocks * WIDTH), those after the first block first."""
        return self.token_states(self.first_states(audio))

    def first_states(self, audio: Tensor) -> Tensor:
        """(B, N) mono in [-1, 1] -> (B, T, WIDTH), before any block."""
        return self.network.first_states(self.log_mel(audio))

    def token_states(self, x: Tensor) -> Tensor:
        """First states (B, T, WIDTH) -> (B, Ta, blocks * WIDTH)."""
        *blocks, last = zip(self.network.blocks, self.merged, strict=True)
        token_states, tokens = POOLED_STATES, []
        for block, merged in blocks:
            x = block(x, merged)
            token_states //= merged
            tokens.append(neighbour_means(x, token_states))
        block, merged = last
        tokens.append(block(x, merged, token_states // merged))
        return torch.cat(tokens, dim=2)

    def encode(self, features: Tensor) -> Tensor:
        """(B, Ta, blocks * WIDTH) -> (B, Ta, D)."""
        states = self.dropout(self.state_norm(features.transpose(1, 2)).transpose(1, 2))
        return self.project(self.dropout(gelu(self.hidden(states))))

    def start_from(self, weights: Path) -> None:
        """Fills the network from a file, see `read_smart_turn`.

        Raises:
            WeightsError: for a file that is missing or does not fit.
        """
        self.network.load_state_dict(read_smart_turn(weights, len(self.network.blocks)))
