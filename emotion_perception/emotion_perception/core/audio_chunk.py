"""What a chunk of sound may be: its samples, its rate, and how far off its stamp."""

import math
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

MIN_SAMPLE_RATE_HZ = 4_000
MAX_SAMPLE_RATE_HZ = 384_000
MAX_AMPLITUDE = 1e3  # full scale is 1; what is far louder is no sound, and deafens the voice detector for seconds
# A stamp of capture that is off by more than this is not jitter: chunks were lost, or the stamps were set anew.
MAX_JITTER_S = 0.03
# One of reception may be as much later: whoever had to wait for the processor got the chunk late, and lost nothing.
MAX_DELAY_S = 0.25


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
