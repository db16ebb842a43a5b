"""What a room and a robot do to voices beyond `voice_augmentation`: reverberation, a telephone's band, noise of
fans and people.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import torch
from torch import Tensor

from .voice_augmentation import coloured_noise, draw, heard, uniform

TELEPHONE_HZ = (300.0, 3400.0)  # ITU-T G.712
EDGE_ORDER = 4  # of the filters: 24 dB an octave
RECORDINGS = (".wav", ".flac")


class BackgroundError(Exception):
    """A background that cannot be used; the message names the file or folder."""


@dataclass(frozen=True)
class RobotVoiceAugmentation:
    """How far each change goes; probabilities are per window.

    background: a folder of recordings to take noise from; without one it is made, from white to brown, as of fans
        and motors.
    """

    reverberation_probability: float = 0.3
    reverberation_s: tuple[float, float] = (0.2, 0.8)  # until the sound has fallen by 60 dB
    direct_to_reverberant_db: tuple[float, float] = (-3.0, 12.0)  # near speaker to far
    telephone_probability: float = 0.1
    background_probability: float = 0.3
    background_snr_db: tuple[float, float] = (0.0, 25.0)
    background: Path | None = None


class RobotVoiceAugmenter:
    """Makes the changes of one configuration; the recordings of the background are read once."""

    def __init__(self, options: RobotVoiceAugmentation, sample_rate_hz: int):
        """Raises BackgroundError for a background folder without recordings."""
        self.options = options
        self.sample_rate_hz = sample_rate_hz
        self.recordings = None if options.background is None else _read_recordings(options.background, sample_rate_hz)

    def __call__(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """(B, N) in [-1, 1] -> the same shape and range; zeros before a stream began stay zeros.

        The room comes first, then the noise, then the line. The generator, on the device of the windows, decides
        everything.
        """
        options, changed, after = self.options, windows, heard(windows)
        for probability, change in (
            (options.reverberation_probability, self._reverberate),
            (options.background_probability, self._add_background),
            (options.telephone_probability, self._telephone),
        ):
            chosen = draw(generator, len(windows)) < probability
            if chosen.any():
                changed = changed.index_put((chosen,), change(changed[chosen], generator))
                changed = torch.where(after, changed, 0.0)
        return changed.clamp(-1.0, 1.0)

    def _reverberate(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """A room as decaying noise behind the direct sound (Polack 1988), at the level that the window had."""
        decay_s = uniform(self.options.reverberation_s, generator, len(windows), 1)
        ratio_db = uniform(self.options.direct_to_reverberant_db, generator, len(windows), 1)
        samples = round(max(self.options.reverberation_s) * self.sample_rate_hz)
        time_s = torch.arange(1, samples, device=generator.device) / self.sample_rate_hz
        tail = torch.randn(len(windows), len(time_s), generator=generator, device=generator.device)
        tail = tail * 10.0 ** (-3.0 * time_s / decay_s) * (time_s < decay_s)  # -60 dB at decay_s, where it ends
        tail = tail * 10.0 ** (-ratio_db / 20.0) / _length(tail)
        whole = windows.shape[1] + samples  # as long as the sound and all of its tail, for a circular convolution
        room = torch.fft.rfft(torch.nn.functional.pad(tail, (1, 0)), n=whole)
        wet = windows + torch.fft.irfft(torch.fft.rfft(windows, n=whole) * room, n=whole)[:, : windows.shape[1]]
        return wet * _length(windows) / _length(wet)

    def _add_background(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """A random part of a random recording, repeated where it is too short; made noise without recordings. The ratio
        is that of what is heard, after the stream began.
        """
        if self.recordings is None:
            noise = coloured_noise(windows.shape, generator)
        else:
            noise = torch.stack([self._recorded(windows.shape[1], generator) for _ in windows])
        noise = noise * heard(windows)
        snr_db = uniform(self.options.background_snr_db, generator, len(windows), 1)
        return windows + noise * 10.0 ** (-snr_db / 20.0) * _length(windows) / _length(noise)

    def _recorded(self, samples: int, generator: torch.Generator) -> Tensor:
        """(N,)."""
        which, first = draw(generator, 2).tolist()
        recording = self.recordings[int(which * len(self.recordings))]
        positions = np.arange(samples) + int(first * len(recording))
        noise = np.take(recording, positions, mode="wrap").astype(np.float32)
        return torch.from_numpy(noise).to(generator.device)

    def _telephone(self, windows: Tensor, generator: torch.Generator) -> Tensor:
        """A band with the edges of two Butterworth filters of the fourth order, without their delays."""
        samples = windows.shape[1]
        frequency_hz = torch.fft.rfftfreq(samples, 1.0 / self.sample_rate_hz, device=generator.device)
        low_hz, high_hz = TELEPHONE_HZ
        below = (low_hz / frequency_hz.clamp(min=1e-3)) ** EDGE_ORDER
        above = (frequency_hz / high_hz) ** EDGE_ORDER
        gain = torch.rsqrt((1.0 + below * below) * (1.0 + above * above))
        return torch.fft.irfft(torch.fft.rfft(windows) * gain, n=samples)


def _length(sound: Tensor) -> Tensor:
    """(B, N) -> (B, 1), above zero."""
    return torch.linalg.vector_norm(sound, dim=1, keepdim=True).clamp(min=1e-12)


def background_hashes(folder: Path | None) -> list[str]:
    """Of the content of its recordings, in their order; none without a folder."""
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in (_paths(folder) if folder else ())]


def _paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in RECORDINGS)


def _read_recordings(folder: Path, sample_rate_hz: int) -> list[np.ndarray]:
    """All WAV and FLAC files below a folder, in the order of their names, mono at the given rate."""
    paths = _paths(folder)
    if not paths:
        raise BackgroundError(
            f"background {folder} holds no recordings; expected a folder with {' or '.join(RECORDINGS)} files"
        )
    recordings = []
    for path in paths:
        try:
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise BackgroundError(f"background {path} cannot be read ({error}); take it out") from None
        if len(samples) == 0:
            raise BackgroundError(f"background {path} is empty; take it out")
        common = math.gcd(rate_hz, sample_rate_hz)
        mono = samples.mean(axis=1)  # (N, channels) -> (N,)
        recordings.append(scipy.signal.resample_poly(mono, sample_rate_hz // common, rate_hz // common))
    return recordings
