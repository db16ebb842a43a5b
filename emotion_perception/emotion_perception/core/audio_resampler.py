"""Turns chunks of any sample rate and channel count into one stream of 16 kHz mono."""

import math
from numbers import Integral

import numpy as np
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000  # of everything after this
MIN_SAMPLE_RATE_HZ = 4_000
MAX_SAMPLE_RATE_HZ = 384_000
MAX_AMPLITUDE = 1e3  # full scale is 1; what is far louder is no sound, and deafens the voice detector for seconds


class AudioError(ValueError):
    """A chunk that cannot be sound; nothing was changed by it."""


def check_chunk(samples: NDArray[np.float32], sample_rate_hz: int, stamp_s: float) -> None:
    """Raise AudioError unless `samples` is float32 (N, channels) of a possible loudness, rate and time."""
    shape, dtype = np.shape(samples), getattr(samples, "dtype", type(samples).__name__)
    if dtype != np.float32 or len(shape) != 2 or shape[1] == 0:
        raise AudioError(f"The audio chunk is {dtype} {shape}, expected float32 (samples, channels); reshape it.")
    if not isinstance(sample_rate_hz, Integral) or not MIN_SAMPLE_RATE_HZ <= sample_rate_hz <= MAX_SAMPLE_RATE_HZ:
        raise AudioError(
            f"The sample rate is {sample_rate_hz} Hz, expected a whole number from {MIN_SAMPLE_RATE_HZ} to "
            f"{MAX_SAMPLE_RATE_HZ}; check the microphone's settings."
        )
    if not math.isfinite(stamp_s):
        raise AudioError(f"The audio chunk's stamp is {stamp_s}, expected finite seconds; stamp it when captured.")
    loudest = np.abs(samples).max(initial=0.0)
    if not loudest <= MAX_AMPLITUDE:  # nor is it when NaN
        raise AudioError(
            f"The audio chunk's loudest sample is {loudest:g}, expected finite samples in [-1, 1]; mend what makes it."
        )


class AudioResampler:
    """One unbroken piece of sound, resampled by soxr (anti-aliased, flat to 7 kHz).

    Output sample k is the input at k / 16000 seconds exactly. It comes later than its input: by up to 40 ms
    from 44.1 or 48 kHz, up to 120 ms from 8 kHz, and at once from 16 kHz.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.channels = channels
        self.received_samples = 0  # per channel, at sample_rate_hz
        self._stream = None
        if sample_rate_hz != SAMPLE_RATE_HZ:
            self._stream = soxr.ResampleStream(sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    @property
    def received_s(self) -> float:
        """Seconds of sound taken in so far."""
        return self.received_samples / self.sample_rate_hz

    def add(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples (N, channels), give what is ready (M,)."""
        self.received_samples += len(samples)
        mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
        return mono if self._stream is None else self._stream.resample_chunk(mono)

    def finish(self) -> NDArray[np.float32]:
        """Give the rest (M,), so that all output together lasts as long as all input; the end of its use."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        rest: NDArray[np.float32] = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        return rest
