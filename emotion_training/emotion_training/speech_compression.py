"""Makes a compact Whisper of Whisper: what is left of each layer is fitted to say what the whole one says of voices."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .audio_training import AugmentedWindows
from .config import AudioEncoderConfig, AudioTrainingConfig, ConfigError, SpeechCompressionConfig
from .least_squares import LeastSquares
from .models.compact_whisper import CompactWhisper, CompactWhisperEncoder, merged
from .models.registry import ModelError, audio_encoders
from .models.whisper import POOLED_STATES, STATE_FRAMES, WhisperAudioEncoder, WhisperBlock, WhisperTiny, gelu
from .speech_clips import SpeechClip

BATCH = 32  # windows


def start_compression(
    encoder_config: AudioEncoderConfig, config: SpeechCompressionConfig, weights: Path
) -> tuple[CompactWhisperEncoder, WhisperAudioEncoder]:
    """The compact encoder before anything was fitted, and the whole one.

    Raises:
        WeightsError: as `read_smart_turn`.
        ModelError: the encoder is none that is made of Whisper, or its options do not fit.
        ConfigError: too few windows.
    """
    if config.windows < 2 * BATCH:
        raise ConfigError(
            f"speech_compression.windows is {config.windows}; expected at least {2 * BATCH}, as {BATCH} only tell how "
            "good the others made it"
        )
    compact = audio_encoders.build(
        encoder_config.name, encoder_config.options, sample_rate_hz=encoder_config.sample_rate_hz
    )
    if not isinstance(compact, CompactWhisperEncoder):
        raise ModelError(f"{encoder_config.name} is not made of Whisper; set speech_compression to null")
    blocks = len(compact.network.blocks)
    whole = WhisperAudioEncoder(encoder_config.sample_rate_hz, blocks, embedding=1, dropout=0.0)
    whole.start_from(weights)
    return compact, whole


def compress_speech_network(
    encoder_config: AudioEncoderConfig,
    config: SpeechCompressionConfig,
    voices: AudioTrainingConfig,
    clips: Sequence[SpeechClip],
    weights: Path,
    seed: int,
) -> tuple[nn.Module, list[dict[str, float]]]:
    """The network of the compact encoder, and how much of the whole one's pooled states it misses after each block.

    voices: how the windows are changed that it is fitted on; labels play no part. The error is the mean square by the
    variance, of other windows of the same clips.

    Raises:
        WeightsError, ModelError, ConfigError: as `start_compression`.
    """
    generator = torch.Generator().manual_seed(seed)
    compact, whole = start_compression(encoder_config, config, weights)
    augmented = AugmentedWindows(clips, encoder_config, voices, generator)
    batches = []
    for _ in tqdm(range(config.windows // BATCH), desc="speech windows", unit="batch"):
        batches.append(whole.normalised_log_mel(augmented(torch.randint(len(clips), (BATCH,), generator=generator))))
    with torch.inference_mode():
        compress(compact.network, whole.network, batches[1:])
        history = _errors(compact.network, whole.network, batches[0])
    return compact.network, history


def compress(compact: CompactWhisper, whole: WhisperTiny, log_mels: Sequence[Tensor]) -> None:
    """Fits all of `compact`, from the first layer to the last, on spectrograms (B, MELS, T) of voices.

    Each layer hears what the compact ones before it say, and is to say what the whole network says there, its states
    merged in time.
    """
    _fit_convolutions(compact, whole, log_mels)
    compact.positions.copy_(merged(whole.positions.unsqueeze(0))[0])
    states = [compact.start(log_mel) for log_mel in log_mels]
    targets = [whole.start(log_mel) for log_mel in log_mels]
    for own, theirs in zip(compact.blocks, whole.blocks, strict=True):
        own.attention_norm.load_state_dict(theirs.attention_norm.state_dict())
        own.feed_forward_norm.load_state_dict(theirs.feed_forward_norm.state_dict())
        for part in ("query", "key", "value"):
            getattr(own, part).load_state_dict(getattr(theirs, part).state_dict())
        targets = [x + theirs.out(theirs.read(x)) for x in targets]
        _fit(own.out, own.read, states, targets)
        states = [x + own.out(own.read(x)) for x in states]
        targets = [x + theirs.narrow(theirs.neurons(x)) for x in targets]
        _choose_neurons(own, theirs, states, targets)
        _fit(own.narrow, own.neurons, states, targets)
        states = [x + own.narrow(own.neurons(x)) for x in states]


def _fit_convolutions(compact: CompactWhisper, whole: WhisperTiny, log_mels: Sequence[Tensor]) -> None:
    """Keeps the channels that the second convolution needs most, and fits it to them."""
    channels = whole.conv2.in_channels
    fit = LeastSquares(3 * channels, whole.conv2.out_channels)
    for log_mel in log_mels:
        heard = gelu(whole.conv1(log_mel.transpose(1, 2)))  # (B, T, C)
        fit.add(whole.conv2.neighbours(heard).flatten(0, 1).double(), whole.conv2(heard).flatten(0, 1).double())
    groups = torch.arange(3 * channels).unflatten(0, (3, channels)).T  # of a channel, at three times
    kept = fit.most_needed(groups, compact.conv1.out_channels)
    compact.conv1.weight.copy_(whole.conv1.weight[kept])
    compact.conv1.bias.copy_(whole.conv1.bias[kept])
    matrix, bias = fit.fit(groups[kept].T.flatten())  # (WIDTH, 3 kept)
    compact.conv2.weight.copy_(matrix.unflatten(1, (3, len(kept))).transpose(1, 2))
    compact.conv2.bias.copy_(bias)


def _fit(
    layer: nn.Linear, inputs: Callable[[Tensor], Tensor], states: Sequence[Tensor], targets: Sequence[Tensor]
) -> None:
    """Fits a layer that adds to the states so that they become the merged targets."""
    fit = LeastSquares(layer.in_features, layer.out_features)
    for x, target in zip(states, targets, strict=True):
        fit.add(inputs(x).flatten(0, 1).double(), (merged(target) - x).flatten(0, 1).double())
    weight, bias = fit.fit(torch.arange(layer.in_features))
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)


def _choose_neurons(
    own: WhisperBlock, theirs: WhisperBlock, states: Sequence[Tensor], targets: Sequence[Tensor]
) -> None:
    fit = LeastSquares(theirs.widen.out_features, theirs.narrow.out_features)
    for x, target in zip(states, targets, strict=True):
        fit.add(theirs.neurons(x).flatten(0, 1).double(), (merged(target) - x).flatten(0, 1).double())
    kept = fit.most_needed(torch.arange(theirs.widen.out_features).unsqueeze(1), own.widen.out_features)
    own.widen.weight.copy_(theirs.widen.weight[kept])
    own.widen.bias.copy_(theirs.widen.bias[kept])


def _errors(compact: CompactWhisper, whole: WhisperTiny, log_mel: Tensor) -> list[dict[str, float]]:
    """After each block."""
    errors = []
    for own, theirs in zip(compact(log_mel), whole(log_mel), strict=True):
        tokens = log_mel.shape[2] // (STATE_FRAMES * POOLED_STATES)
        said, meant = (x.unflatten(1, (tokens, -1)).mean(dim=2).flatten(0, 1) for x in (own, theirs))
        errors.append({"missed": ((said - meant).square().mean(dim=0) / meant.var(dim=0)).mean().item()})
    return errors
