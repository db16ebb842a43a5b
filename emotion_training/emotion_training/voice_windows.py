"""Windows of clips, as they are judged and as they are learnt from."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .config import AudioEncoderConfig, AudioTrainingConfig
from .robot_voice_augmentation import RobotVoiceAugmenter
from .robustness import with_noise
from .speech_clips import SpeechClip
from .voice_augmentation import VoiceBank, augment_windows, plain_window

WINDOWS_AT_ONCE = 32  # where nothing learns


def window_samples(config: AudioEncoderConfig) -> int:
    return round(config.window_s * config.sample_rate_hz)


def plain_windows(clips: Sequence[SpeechClip], samples: int) -> Tensor:
    """One window a clip, float32 (B, N)."""
    return torch.from_numpy(np.stack([plain_window(clip, samples) for clip in clips]))


def noisy_windows(clips: Sequence[SpeechClip], samples: int, snr_db: float) -> Tensor:
    """The plain window of each clip with noise of its own, float32 (B, N)."""
    return torch.from_numpy(
        np.stack([with_noise(plain_window(clip, samples), snr_db, zlib.crc32(clip.clip_id.encode())) for clip in clips])
    )


class AugmentedWindows:
    """Random windows of clips as a robot would hear them: first the room and the line, then the microphone.

    The generator goes on from call to call, and decides everything; windows are made on its device.
    """

    def __init__(
        self,
        clips: Sequence[SpeechClip],
        encoder_config: AudioEncoderConfig,
        config: AudioTrainingConfig,
        generator: torch.Generator,
    ):
        self.bank = VoiceBank(clips, generator.device)
        self.generator = generator
        self.samples = window_samples(encoder_config)
        self.options = config.augmentation
        self.robot = RobotVoiceAugmenter(config.robot_augmentation, encoder_config.sample_rate_hz)

    def __call__(self, chosen: Tensor) -> Tensor:
        """One window of each clip, by its position (B,): float32 (B, N)."""
        windows = self.bank.random_windows(chosen, self.samples, self.options, self.generator)
        return augment_windows(self.robot(windows, self.generator), self.options, self.generator)
