"""Turns chunks of any sample rate and channel count into one stream of 16 kHz mono."""

import numpy as np
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000  # of everything after this


class AudioResampler:
    """One unbroken piece of sound, resampled by soxr (anti-aliased, flat to 7 kHz).

    Output sample k is the input at k / 16000 seconds exactly. It comes later than its input: by up to 40 ms
    from 44.1 or 48 kHz, up to 120 ms from 8 kHz, and at once from 16 kHz.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.received_samples = 0  # per channel, at sample_rate_hz
        self._stream = None
        if sample_rate_hz != SAMPLE_RATE_HZ:
            self._stream = soxr.ResampleStream(sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    @property
    def received_s(self) -> float:
        """Seconds of sound taken in so far."""
        return self.received_samples / self.sample_rate_hz

    def add(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples (N, channels), of any number of channels; give what is ready (M,)."""
        self.received_samples += len(samples)
        mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float32)
        return mono if self._stream is None else self._stream.resample_chunk(mono)

    def finish(self) -> NDArray[np.float32]:
        """Give the rest (M,), so that all output together lasts as long as all input; the end of its use."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        rest: NDArray[np.float32] = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        return rest
