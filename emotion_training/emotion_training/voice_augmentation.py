"""Windows of a clip as a robot would hear them: another moment, speed, level, microphone and room noise."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .speech_clips import SpeechClip

INT16_SCALE = 1.0 / 32768.0
TRAILING_SHARE = 0.1  # of the window, after the end of the voice


@dataclass(frozen=True)
class VoiceAugmentation:
    """How far each change goes; probabilities are per window."""

    speed: float  # share, both ways; the pitch goes with it
    least_voice: float  # share of the voice (or of the window, if shorter) that stays in it
    padding_probability: float  # the stream began inside the window
    level_dbfs: tuple[float, float]  # root mean square of the voice
    equaliser_db: float  # greatest gain of a band, both ways
    noise_probability: float
    noise_snr_db: tuple[float, float]
    babble_probability: float
    babble_snr_db: tuple[float, float]
    mask_bands: int  # widest masked band of the spectrogram, in mels
    mask_frames: int  # longest masked time of the spectrogram, in frames
    masks: int  # of each kind


def plain_window(clip: SpeechClip, window_samples: int) -> np.ndarray:
    """The window that ends shortly after the voice, float32 (window_samples,), zeros before the clip began.

    A voice longer than the window is seen by its middle.
    """
    voice_samples = clip.voice_end_sample - clip.voice_start_sample
    if voice_samples > window_samples:
        end = clip.voice_start_sample + (voice_samples + window_samples) // 2
    else:
        end = min(clip.voice_end_sample + round(TRAILING_SHARE * window_samples), len(clip.samples))
    return cut_window(clip.samples, end, window_samples, 1.0)


def random_window(
    clip: SpeechClip, window_samples: int, options: VoiceAugmentation, rng: np.random.Generator
) -> np.ndarray:
    """A window that holds at least `least_voice` of the voice, float32 (window_samples,)."""
    speed = 1.0 + rng.uniform(-options.speed, options.speed)
    span = round(window_samples * speed)  # samples of the clip that make a window
    voice_samples = clip.voice_end_sample - clip.voice_start_sample
    needed = round(options.least_voice * min(voice_samples, span))
    earliest_end = clip.voice_start_sample + needed
    latest_end = max(earliest_end + 1, min(len(clip.samples), clip.voice_end_sample - needed + span))
    end = int(rng.integers(earliest_end, latest_end))
    window = cut_window(clip.samples, end, window_samples, speed)
    if rng.random() < options.padding_probability:
        voice_in_window = max(0, min(clip.voice_end_sample, end) - max(clip.voice_start_sample, end - span))
        first_voice = window_samples - round((end - max(clip.voice_start_sample, end - span)) / speed)
        most = first_voice + max(0, round((voice_in_window - needed) / speed))
        window[: int(rng.integers(0, max(1, most)))] = 0.0
    return window


def cut_window(samples: np.ndarray, end: int, window_samples: int, speed: float) -> np.ndarray:
    """`speed` times as many samples (int16) before `end`, as float32 (window_samples,); zeros outside the
    clip.
    """
    positions = end - speed * np.arange(window_samples, 0, -1)
    if speed == 1.0:
        inside = (positions >= 0) & (positions < len(samples))
        window = np.zeros(window_samples, np.float32)
        window[inside] = samples[positions[inside].astype(np.int64)]
    else:
        window = np.interp(positions, np.arange(len(samples)), samples, left=0.0, right=0.0).astype(np.float32)
    return window * INT16_SCALE


def augment_windows(windows: Tensor, options: VoiceAugmentation, generator: torch.Generator) -> Tensor:
    """(B, N) -> (B, N): equaliser, coloured noise, babble of the other windows, level with clipping.

    Zeros before a stream began stay zeros.
    """
    heard = (windows != 0.0).to(torch.int8).cummax(dim=1).values.to(torch.bool)  # False before the stream began
    voice = _equalise(windows, options, generator)
    power = (voice * voice).sum(dim=1) / heard.sum(dim=1).clamp(min=1)  # (B,)
    noise = _coloured_noise(voice.shape, generator)
    voice = _mix(voice, power, noise, options.noise_probability, options.noise_snr_db, generator)
    babble = windows[torch.randperm(len(windows), generator=generator)] + windows.roll(1, 0) + windows.roll(2, 0)
    voice = _mix(voice, power, babble, options.babble_probability, options.babble_snr_db, generator)
    low, high = options.level_dbfs
    level = 10.0 ** ((low + (high - low) * torch.rand(len(voice), 1, generator=generator)) / 20.0)
    voice = voice * level / torch.sqrt(power.unsqueeze(1) + 1e-12)
    return torch.where(heard, voice, 0.0).clamp(-1.0, 1.0)


def mask_spectrogram(log_mel: Tensor, options: VoiceAugmentation, generator: torch.Generator) -> Tensor:
    """SpecAugment: (B, mels, T) normalised -> the same with random bands and times at 0, the mean."""
    count, mels, frames = log_mel.shape
    for _ in range(options.masks):
        for axis, size, widest in ((1, mels, options.mask_bands), (2, frames, options.mask_frames)):
            width = torch.rand(count, 1, generator=generator) * widest
            start = torch.rand(count, 1, generator=generator) * (size - width)
            positions = torch.arange(size).unsqueeze(0)
            masked = (positions >= start) & (positions < start + width)  # (B, size)
            log_mel = log_mel.masked_fill(masked.unsqueeze(3 - axis), 0.0)
    return log_mel


def _equalise(windows: Tensor, options: VoiceAugmentation, generator: torch.Generator) -> Tensor:
    """A random smooth gain over eight points of the frequency axis."""
    spectrum = torch.fft.rfft(windows)  # (B, F)
    points = 8
    gains_db = (torch.rand(len(windows), 1, points, generator=generator) * 2.0 - 1.0) * options.equaliser_db
    curve_db = torch.nn.functional.interpolate(gains_db, size=spectrum.shape[1], mode="linear").squeeze(1)  # (B, F)
    return torch.fft.irfft(spectrum * 10.0 ** (curve_db / 20.0), n=windows.shape[1])


def _coloured_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """(B, N) noise between white and brown."""
    spectrum = torch.fft.rfft(torch.randn(shape, generator=generator))
    exponent = torch.rand(shape[0], 1, generator=generator)
    frequency = torch.arange(1, spectrum.shape[1] + 1, dtype=torch.float32)
    return torch.fft.irfft(spectrum * frequency ** (-exponent), n=shape[1])


def _mix(
    voice: Tensor,
    power: Tensor,
    noise: Tensor,
    probability: float,
    snr_db: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Adds noise (B, N) to a share of the voices (B, N) at a random ratio to their power (B,)."""
    low, high = snr_db
    ratio_db = low + (high - low) * torch.rand(len(voice), generator=generator)
    noise_power = (noise * noise).mean(dim=1)
    gain = torch.sqrt(power / (noise_power + 1e-12)) * 10.0 ** (-ratio_db / 20.0)
    chosen = torch.rand(len(voice), generator=generator) < probability
    return voice + noise * torch.where(chosen, gain, 0.0).unsqueeze(1)
