"""Tells when a sample was captured, though the chunks' stamps tremble and the sample clock drifts."""

# What the stamps are expected to do, for the Kalman filter below.
JITTER_S = 6e-3  # standard deviation of one stamp; that of an even +-10 ms
DRIFT = 5e-5  # standard deviation of the sample clock's error; a quartz is within 1e-4
DRIFT_WANDER_PER_S = 1e-6  # how far that error wanders within a second
WANDER_PER_S = 3e-6  # how far the stamps' own clock wanders within a second
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
        self._drift = 0.0  # captured seconds per second of the stream, minus 1
        self._drift_variance = DRIFT**2
        self.shift(stream_s, stamp_s)

    def shift(self, stream_s: float, stamp_s: float) -> None:
        """Forget all but the drift: the stream's second `stream_s` was captured at `stamp_s`."""
        self._origin_s = stamp_s - stream_s  # large; what is filtered is small, for the sake of precision
        self._stream_s = stream_s  # where in the stream the estimate holds
        self._offset_s = 0.0  # capture time minus stream time minus origin
        self._offset_variance = JITTER_S**2
        self._covariance = 0.0  # of offset and drift
        self._mean_lateness_s = 0.0

    def stamp_s(self, stream_s: float) -> float:
        """When the stream's second `stream_s` was captured."""
        return self._origin_s + stream_s + self._offset_s + self._drift * (stream_s - self._stream_s)

    def follow(self, stream_s: float, stamp_s: float) -> None:
        """Learn from a chunk that begins at the stream's second `stream_s` and bears `stamp_s`."""
        lateness_s = stamp_s - self.stamp_s(stream_s)
        elapsed_s = stream_s - self._stream_s
        self._stream_s = stream_s
        self._offset_s += self._drift * elapsed_s
        self._offset_variance += (
            2.0 * elapsed_s * self._covariance + elapsed_s**2 * self._drift_variance + elapsed_s * WANDER_PER_S**2
        )
        self._covariance += elapsed_s * self._drift_variance
        self._drift_variance += elapsed_s * DRIFT_WANDER_PER_S**2

        variance = self._offset_variance + JITTER_S**2
        offset_gain, drift_gain = self._offset_variance / variance, self._covariance / variance
        self._offset_s += offset_gain * lateness_s
        self._drift += drift_gain * lateness_s
        self._drift_variance -= drift_gain * self._covariance
        self._covariance -= offset_gain * self._covariance
        self._offset_variance -= offset_gain * self._offset_variance

        self._mean_lateness_s += (lateness_s - self._mean_lateness_s) / OFF_CHUNKS
        if abs(self._mean_lateness_s) > OFF_LIMIT_S:
            self.shift(stream_s, self.stamp_s(stream_s) + self._mean_lateness_s)
