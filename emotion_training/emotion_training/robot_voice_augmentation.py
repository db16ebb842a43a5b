"""What a room and a robot do to voices beyond `voice_augmentation`: reverberation, a telephone's band, noise of
fans and people.
"""

import contextlib
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import audiomentations
import numpy as np
import scipy.signal
import soundfile

TELEPHONE_HZ = (300.0, 3400.0)  # ITU-T G.712
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
        low_hz, high_hz = TELEPHONE_HZ
        least_db, most_db = options.background_snr_db
        self.made_noise = audiomentations.AddColorNoise(least_db, most_db, min_f_decay=-6.0, max_f_decay=0.0, p=1.0)
        self.telephone = audiomentations.Compose(
            [
                audiomentations.HighPassFilter(low_hz, low_hz, 24, 24, p=1.0),
                audiomentations.LowPassFilter(high_hz, high_hz, 24, 24, p=1.0),
            ]
        )

    def __call__(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Float32 (N,) in [-1, 1] -> the same shape and range; zeros before a stream began stay zeros.

        The room comes first, then the noise, then the line. `rng` decides everything: audiomentations, which
        draws from the global generators, finds them seeded from it, and they are left as they were.
        """
        heard = np.maximum.accumulate(window != 0.0)  # False before the stream began
        if not heard.any():
            return window.copy()
        options = self.options
        if rng.random() < options.reverberation_probability:
            window = self._reverberate(window, rng)
        if rng.random() < options.background_probability:
            window = self._add_background(window, rng)
        if rng.random() < options.telephone_probability:
            window = self._change(self.telephone, window, rng)
        return np.where(heard, np.clip(window, -1.0, 1.0), 0.0).astype(np.float32)

    def _change(
        self, change: Callable[[np.ndarray, int], np.ndarray], window: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        with _seeded_globals(int(rng.integers(2**32))):
            return change(window.astype(np.float32), self.sample_rate_hz)

    def _add_background(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random part of a random recording, repeated where it is too short; made noise without recordings."""
        if self.recordings is None:
            return self._change(self.made_noise, window, rng)
        recording = self.recordings[rng.integers(len(self.recordings))]
        start = rng.integers(len(recording))
        noise = np.take(recording, np.arange(start, start + len(window)), mode="wrap")
        snr_db = rng.uniform(*self.options.background_snr_db)
        gain = 10.0 ** (-snr_db / 20.0) * np.linalg.norm(window) / max(np.linalg.norm(noise), 1e-12)
        return window + gain * noise

    def _reverberate(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A room as decaying noise behind the direct sound (Polack 1988), at the level that the window had."""
        decay_s = rng.uniform(*self.options.reverberation_s)
        ratio_db = rng.uniform(*self.options.direct_to_reverberant_db)
        time_s = np.arange(1, round(decay_s * self.sample_rate_hz)) / self.sample_rate_hz
        tail = rng.standard_normal(len(time_s)) * 10.0 ** (-3.0 * time_s / decay_s)  # -60 dB at decay_s
        tail *= 10.0 ** (-ratio_db / 20.0) / np.linalg.norm(tail)
        wet = scipy.signal.fftconvolve(window, np.concatenate([[1.0], tail]))[: len(window)]
        return wet * (np.linalg.norm(window) / max(np.linalg.norm(wet), 1e-12))


def _read_recordings(folder: Path, sample_rate_hz: int) -> list[np.ndarray]:
    """All WAV and FLAC files below a folder, in the order of their names, mono at the given rate."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in RECORDINGS)
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


@contextlib.contextmanager
def _seeded_globals(seed: int) -> Iterator[None]:
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
