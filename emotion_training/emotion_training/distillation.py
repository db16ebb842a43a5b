"""Teaches an encoder that merges states to make the tokens that it makes of all states; no label is needed for that."""

import copy
import math
from collections.abc import Sequence

import torch
from tqdm import tqdm

from .config import AudioEncoderConfig, AudioTrainingConfig
from .machine import training_device
from .models.whisper import WhisperAudioEncoder
from .optimisation import one_cycle
from .speech_clips import SpeechClip
from .voice_windows import AugmentedWindows

STEPS_AT_ONCE = 50  # have one figure in the history, as an epoch has


def distil(
    config: AudioEncoderConfig,
    training: AudioTrainingConfig,
    clips: Sequence[SpeechClip],
    started: WhisperAudioEncoder,
    seed: int,
) -> tuple[WhisperAudioEncoder, list[dict[str, float]]]:
    """The encoder whose blocks have learnt from augmented windows of the clips, and the loss of every 50 steps.

    The loss is what is missed of the variance of the tokens that the started network makes without merging, mean over
    all numbers of a token (Hinton et al. 2015 for what a network says; FitNets, Romero et al. 2015, for its states).
    started: stays as it is. Trains on CUDA's first graphics processor where there is one.

    Raises:
        FloatingPointError: the loss is no number.
    """
    options, device = config.distillation, training_device()
    whole, encoder = (copy.deepcopy(started).to(device).eval() for _ in range(2))
    whole.merged = (1,) * len(started.merged)
    blocks = encoder.network.blocks.requires_grad_(True)
    optimizer = torch.optim.AdamW(blocks.parameters(), lr=options.learning_rate, weight_decay=0.0)
    schedule = one_cycle(optimizer, options.steps)
    losses, history = [], []
    with device:  # where all tensors are made from here on
        generator = torch.Generator(device).manual_seed(seed)
        windows = AugmentedWindows(clips, config, training, generator)
        for step in tqdm(range(1, options.steps + 1), desc="merged states", unit="step", mininterval=5):
            with torch.no_grad():
                states = whole.first_states(windows(torch.randint(len(clips), (options.batch,), generator=generator)))
                expected = whole.token_states(states)  # (B, Ta, blocks * WIDTH)
            missed = (encoder.token_states(states) - expected).square() / expected.var(dim=(0, 1))
            loss = missed.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
            if step % STEPS_AT_ONCE and step != options.steps:
                continue
            mean_loss, losses = torch.stack(losses).mean().item(), []
            if not math.isfinite(mean_loss):
                raise FloatingPointError(
                    f"the loss of merged states is {mean_loss} after step {step}; lower learning_rate"
                )
            history.append({"loss": mean_loss})
    blocks.requires_grad_(False)
    return encoder.cpu(), history
