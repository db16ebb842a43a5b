"""Tells when a sample was captured, though the chunks' stamps tremble and the sample clock drifts."""

import numpy as np

# What the stamps are expected to do, for the Kalman filter below.
JITTER_S = 6e-3  # standard deviation of one stamp; that of an even +-10 ms
DRIFT = 5e-5  # standard deviation of the sample clock's error; a quartz is within 1e-4
# How far the stamps' own clock and the sample clock's error wander within a second.
WANDER = np.diag([3e-6**2, 1e-6**2])
# Stamps that are off in the same direction for long mean that the clocks were shifted against each other.
OFF_CHUNKS = 16  # chunks that "for long" averages
OFF_LIMIT_S = JITTER_S  # six times what jitter alone does to that average


class CaptureClock:
    """A line through the stamps: a Kalman filter of its offset and its slope.

    Exact stamps stay exact to a microsecond. Stamps that tremble by 10 ms, one each 20 or 30 ms, are known to
    3 ms after a second and, nine times in ten, to 1 ms after some five.
    """

    def __init__(self, stream_s: float, stamp_s: float) -> None:
        """The stream's second `stream_s` was captured at `stamp_s`."""
        self._state = np.zeros(2)  # offset: capture time minus stream time minus origin; drift: its change per second
        self._covariance = np.diag([0.0, DRIFT**2])
        self.shift(stream_s, stamp_s)

    def shift(self, stream_s: float, stamp_s: float) -> None:
        """Forget all but the drift: the stream's second `stream_s` was captured at `stamp_s`."""
        self._origin_s = stamp_s - stream_s  # large; what is filtered is small, for the sake of precision
        self._stream_s = stream_s  # where in the stream the estimate holds
        self._state[0] = 0.0
        self._covariance = np.diag([JITTER_S**2, self._covariance[1, 1]])
        self._mean_lateness_s = 0.0

    def stamp_s(self, stream_s: float) -> float:
        """When the stream's second `stream_s` was captured."""
        offset_s, drift = self._state
        return float(self._origin_s + stream_s + offset_s + drift * (stream_s - self._stream_s))

    def follow(self, stream_s: float, stamp_s: float) -> None:
        """Learn from a chunk that begins at the stream's second `stream_s` and bears `stamp_s`."""
        lateness_s = stamp_s - self.stamp_s(stream_s)
        elapsed_s = stream_s - self._stream_s
        self._stream_s = stream_s
        step = np.array([[1.0, elapsed_s], [0.0, 1.0]])
        self._state = step @ self._state
        self._covariance = step @ self._covariance @ step.T + elapsed_s * WANDER

        gain = self._covariance[:, 0] / (self._covariance[0, 0] + JITTER_S**2)  # (2,)
        self._state += gain * lateness_s
        self._covariance -= np.outer(gain, self._covariance[0])

        self._mean_lateness_s += (lateness_s - self._mean_lateness_s) / OFF_CHUNKS
        if abs(self._mean_lateness_s) > OFF_LIMIT_S:
            self.shift(stream_s, self.stamp_s(stream_s) + self._mean_lateness_s)
