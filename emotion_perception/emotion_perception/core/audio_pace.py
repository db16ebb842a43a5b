"""Notices sound whose rate or form is not the one that it is said to have: it does not last as long as it takes."""

from emotion_perception.core.audio_chunk import MAX_DELAY_S

STRETCH_S = 1.0  # what is measured at once
WRONG_STRETCHES = 3  # in a row, in the same direction: what comes late makes one too short and the next too long
MAX_PACE = 1.06  # of 48 kHz taken for 44.1 it is 1.09
MIN_PACE = 0.8  # below what lost chunks alone do; of 44.1 kHz taken for 48 it is 0.92, which goes unnoticed


class AudioPace:
    """How many seconds of sound come in a second, which is one."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything that was measured."""
        self.pace = 1.0  # of the last stretch that was judged, in seconds of sound per second
        self._direction = 0  # of that and those before it: 1 too much sound, -1 too little, 0 right
        self._stretches = 0  # in a row in that direction
        self._end_s = 0.0  # of the chunk before
        self._start_s: float | None = None  # stamp of the first chunk of the present stretch
        self._sound_s = 0.0  # in it
        self._has_pause = False

    @property
    def is_wrong(self) -> bool:
        """Whether the pace has been wrong for long enough to be sure, and not been right since."""
        return self._direction != 0 and self._stretches >= WRONG_STRETCHES

    def add(self, duration_s: float, stamp_s: float) -> None:
        """Measure with a chunk of `duration_s`, captured from `stamp_s` on, be that known to MAX_DELAY_S only."""
        self._has_pause |= stamp_s - self._end_s > MAX_DELAY_S
        if self._start_s is None or stamp_s < self._start_s:  # time that goes backwards measures nothing
            self._begin_stretch(stamp_s)
        elif stamp_s - self._start_s >= STRETCH_S:
            self._judge(self._sound_s / (stamp_s - self._start_s))
            self._begin_stretch(stamp_s)
        self._sound_s += duration_s
        self._end_s = stamp_s + duration_s

    def _begin_stretch(self, stamp_s: float) -> None:
        self._start_s, self._sound_s, self._has_pause = stamp_s, 0.0, False

    def _judge(self, pace: float) -> None:
        if self._has_pause and pace < 1.0:  # it may be right: nobody says that a microphone must not pause
            if not self.is_wrong:
                self._stretches = 0
            return
        direction = (pace > MAX_PACE) - (pace < MIN_PACE)
        self._stretches = self._stretches + 1 if direction == self._direction else 1
        self.pace, self._direction = pace, direction
