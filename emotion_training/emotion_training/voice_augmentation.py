"""Windows of a clip as a robot would hear them: another moment, speed, level, microphone and room noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .speech_clips import SpeechClip

INT16_SCALE = 1.0 / 32768.0
TRAILING_SHARE = 0.1  # of the window, after the end of the voice
BABBLING = 3  # other windows that are heard at once, where a batch has so many


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


def plain_window(clip: SpeechClip, window_samples: int) -> np.ndarray:
    """The window that ends shortly after the voice, float32 (window_samples,), zeros before the clip began.

    A voice longer than the window is seen by its middle.
    """
    voice_samples = clip.voice_end_sample - clip.voice_start_sample
    if voice_samples > window_samples:
        end = clip.voice_start_sample + (voice_samples + window_samples) // 2
    else:
        end = min(clip.voice_end_sample + round(TRAILING_SHARE * window_samples), len(clip.samples))
    return cut_window(clip.samples, end, window_samples)


class VoiceBank:
    """Clips side by side on a device, from which whole batches of windows are cut at once."""

    def __init__(self, clips: Sequence[SpeechClip], device: torch.device):
        counts = torch.tensor([len(clip.samples) for clip in clips])
        self.samples = torch.from_numpy(np.concatenate([clip.samples for clip in clips])).to(device)  # int16 (N,)
        self.counts = counts.to(device)
        self.firsts = (counts.cumsum(0) - counts).to(device)
        self.voice_starts = torch.tensor([clip.voice_start_sample for clip in clips], device=device)
        self.voice_ends = torch.tensor([clip.voice_end_sample for clip in clips], device=device)

    def random_windows(
        self, chosen: Tensor, window_samples: int, options: VoiceAugmentation, generator: torch.Generator
    ) -> Tensor:
        """A window of each chosen clip (B,) that holds at least `least_voice` of the voice, float32
        (B, window_samples).
        """
        draws = draw(generator, 4, len(chosen))
        voice_starts, voice_ends = self.voice_starts[chosen], self.voice_ends[chosen]
        speed = 1.0 + options.speed * (2.0 * draws[0] - 1.0)
        span = (window_samples * speed).round().long()  # samples of the clip that make a window
        needed = (options.least_voice * torch.minimum(voice_ends - voice_starts, span)).round().long()
        earliest_end = voice_starts + needed
        latest_end = torch.minimum(self.counts[chosen], voice_ends - needed + span).maximum(earliest_end + 1)
        end = _integers(draws[1], earliest_end, latest_end)
        windows = self._cut(chosen, end, window_samples, speed)
        # Where the stream is to have begun inside the window: as late as leaves enough of the voice.
        first_heard = voice_starts.maximum(end - span)
        voice_left = (voice_ends.minimum(end) - first_heard).clamp(min=0)
        first_voice = window_samples - ((end - first_heard) / speed).round().long()
        most = first_voice + ((voice_left - needed) / speed).round().long().clamp(min=0)
        begins = _integers(draws[2], torch.zeros_like(most), most.clamp(min=1))
        padded = (draws[3] < options.padding_probability) & (begins > 0)
        before = torch.arange(window_samples, device=windows.device) < begins.unsqueeze(1)  # (B, N)
        return torch.where(padded.unsqueeze(1) & before, 0.0, windows)

    def _cut(self, chosen: Tensor, end: Tensor, window_samples: int, speed: Tensor) -> Tensor:
        """`speed` times as many samples before `end` as a window has; zeros outside the clip. end, speed: (B,)."""
        before = torch.arange(window_samples, 0, -1, device=end.device)
        positions = end.unsqueeze(1) - speed.unsqueeze(1) * before  # (B, N)
        last = (self.counts[chosen] - 1).unsqueeze(1)
        inside = (positions >= 0) & (positions <= last)
        left = positions.floor().long().clamp(min=0).minimum(last)
        firsts = self.firsts[chosen].unsqueeze(1)
        share = positions - left
        here, there = (self.samples[firsts + at].to(torch.float32) for at in (left, (left + 1).minimum(last)))
        return torch.where(inside, here + share * (there - here), 0.0) * INT16_SCALE


def cut_window(samples: np.ndarray, end: int, window_samples: int) -> np.ndarray:
    """The samples (int16) before `end`, as float32 (window_samples,); zeros outside the clip."""
    positions = np.arange(end - window_samples, end)
    inside = (positions >= 0) & (positions < len(samples))
    window = np.zeros(window_samples, np.float32)
    window[inside] = samples[positions[inside]]
    return window * INT16_SCALE


def augment_windows(windows: Tensor, options: VoiceAugmentation, generator: torch.Generator) -> Tensor:
    """(B, N) -> (B, N): equaliser, coloured noise, babble of other windows, level with clipping.

    Zeros before a stream began stay zeros.
    """
    after = heard(windows)
    voice = _equalise(windows, options, generator)
    power = (voice * voice).sum(dim=1) / after.sum(dim=1).clamp(min=1)  # (B,)
    noise = coloured_noise(voice.shape, generator)
    voice = _mix(voice, power, noise, options.noise_probability, options.noise_snr_db, generator)
    babble = torch.zeros_like(windows)
    for step in 1 + torch.randperm(len(windows) - 1, generator=generator, device=generator.device)[:BABBLING]:
        babble += windows.roll(int(step), 0)
    voice = _mix(voice, power, babble, options.babble_probability, options.babble_snr_db, generator)
    level = 10.0 ** (uniform(options.level_dbfs, generator, len(voice), 1) / 20.0)
    voice = voice * level / torch.sqrt(power.unsqueeze(1) + 1e-12)
    return torch.where(after, voice, 0.0).clamp(-1.0, 1.0)


def heard(windows: Tensor) -> Tensor:
    """(B, N) -> bool (B, N): False for the zeros before a stream began."""
    return (windows != 0.0).to(torch.int8).cummax(dim=1).values.to(torch.bool)


def _equalise(windows: Tensor, options: VoiceAugmentation, generator: torch.Generator) -> Tensor:
    """A random smooth gain over eight points of the frequency axis."""
    spectrum = torch.fft.rfft(windows)  # (B, F)
    points = 8
    gains_db = uniform((-options.equaliser_db, options.equaliser_db), generator, len(windows), 1, points)
    curve_db = torch.nn.functional.interpolate(gains_db, size=spectrum.shape[1], mode="linear").squeeze(1)  # (B, F)
    return torch.fft.irfft(spectrum * 10.0 ** (curve_db / 20.0), n=windows.shape[1])


def draw(generator: torch.Generator, *shape: int) -> Tensor:
    """From [0, 1), on the device of the generator."""
    return torch.rand(shape, generator=generator, device=generator.device)


def uniform(limits: tuple[float, float], generator: torch.Generator, *shape: int) -> Tensor:
    low, high = limits
    return low + (high - low) * draw(generator, *shape)


def _integers(draw: Tensor, least: Tensor, end: Tensor) -> Tensor:
    """Integers from `least` up to before `end`, all (B,), by a draw from [0, 1)."""
    return (least + (draw * (end - least)).long()).minimum(end - 1)


def coloured_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """(B, N) noise between white and brown."""
    spectrum = torch.fft.rfft(torch.randn(shape, generator=generator, device=generator.device))
    exponent = draw(generator, shape[0], 1)
    frequency = torch.arange(1, spectrum.shape[1] + 1, dtype=torch.float32, device=generator.device)
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
    ratio_db = uniform(snr_db, generator, len(voice))
    noise_power = (noise * noise).mean(dim=1)
    gain = torch.sqrt(power / (noise_power + 1e-12)) * 10.0 ** (-ratio_db / 20.0)
    chosen = draw(generator, len(voice)) < probability
    return voice + noise * torch.where(chosen, gain, 0.0).unsqueeze(1)
