"""Teaches an encoder that merges states to make the tokens that it makes of all states."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from .config import AudioEncoderConfig, AudioTrainingConfig
from .distillation import distil
from .machine import training_device
from .models.whisper import WhisperAudioEncoder
from .speech_clips import SpeechClip
from .voice_windows import AugmentedWindows


def distil_voice(
    config: AudioEncoderConfig,
    training: AudioTrainingConfig,
    clips: Sequence[SpeechClip],
    started: WhisperAudioEncoder,
    seed: int,
) -> tuple[WhisperAudioEncoder, list[dict[str, float]]]:
    """The encoder whose blocks have learnt from augmented windows of the clips, and the loss of every 50 steps.

    The loss is what is missed of the variance of the tokens that the started network makes without merging, mean over
    all numbers of a token. started: stays as it is. Trains on CUDA's first graphics processor where there is one.

    Raises:
        FloatingPointError: the loss is no number.
    """
    options, device = config.distillation, training_device()
    whole, encoder = (copy.deepcopy(started).to(device).eval() for _ in range(2))
    whole.merged = (1,) * len(started.merged)
    blocks = encoder.network.blocks.requires_grad_(True)
    with device:  # where all tensors are made from here on
        generator = torch.Generator(device).manual_seed(seed)
        windows = AugmentedWindows(clips, config, training, generator)

        def missed() -> Tensor:
            with torch.no_grad():
                states = whole.first_states(windows(torch.randint(len(clips), (options.batch,), generator=generator)))
                expected = whole.token_states(states)  # (B, Ta, blocks * WIDTH)
            error = encoder.token_states(states) - expected
            return (error.square() / expected.var(dim=(0, 1))).mean()

        history = distil(blocks.parameters(), missed, options, "merged states")
    blocks.requires_grad_(False)
    return encoder.cpu(), history
