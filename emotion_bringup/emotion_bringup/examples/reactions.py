"""When to greet somebody and when to slow down: decisions over time, without ROS."""

from enum import Enum

# States come 10 times a second, and must come more than twice: after a longer pause nobody knows what was felt
# meanwhile.
MAX_GAP_S = 0.5


class Reaction(Enum):
    GREET = "greet"
    SLOW_DOWN = "slow down"
    FULL_SPEED = "full speed"


class Reactions:
    """Gives each reaction once, for a state that holds.

    A state holds while the same person feels the same, without doubt and without a gap. Nobody is no person, and a
    voice without a face is nobody who could be greeted, but one for whom the robot slows down.
    """

    def __init__(self, greet: str, caution: str, dwell_s: float, greet_again_s: float, release_s: float) -> None:
        """Begin at full speed, with nobody greeted.

        Args:
            greet: label of those who are greeted.
            caution: label of those for whom the robot slows down.
            dwell_s: how long a state must hold before it counts.
            greet_again_s: how long the same track id is not greeted again.
            release_s: how long nobody must have seemed to need caution before the robot is as fast as ever.
        """
        self._greet = greet
        self._caution = caution
        self._dwell_s = dwell_s
        self._greet_again_s = greet_again_s
        self._release_s = release_s
        self._last_s = -float("inf")  # of the last state
        self._held: tuple[str, str] | None = None  # track id and label of what holds
        self._since_s = 0.0
        self._greeted_s: dict[str, float] = {}  # when, by track id
        self._is_slow = False
        self._caution_s = 0.0  # when somebody last seemed to need caution

    def update(self, time_s: float, track_id: str, label: str, uncertain: bool) -> list[Reaction]:
        """Take the present state of the person in focus and say what to do now.

        Args:
            time_s: of the state's arrival, on any clock.
            track_id: as in EmotionState.
            label: likewise.
            uncertain: likewise.
        """
        if time_s < self._last_s:  # a simulation or a bag has begun anew
            self._greeted_s.clear()
        is_unbroken = 0.0 <= time_s - self._last_s <= MAX_GAP_S
        if not is_unbroken:
            self._caution_s = time_s  # somebody may have needed it meanwhile
        self._last_s = time_s
        held = None if uncertain else (track_id, label)
        if held != self._held or not is_unbroken:
            self._held, self._since_s = held, time_s
        counts = held is not None and time_s - self._since_s >= self._dwell_s
        return [*self._greeting(time_s, track_id, label, counts), *self._speed(time_s, label, counts)]

    def see(self, time_s: float, label: str) -> None:
        """Take what anybody seems to feel, in focus or not: who needs caution keeps the robot slow."""
        if label == self._caution:
            self._caution_s = time_s

    def forget_greeting(self, track_id: str) -> None:
        """Take back a greeting that could not be given; it is due again when the state has ended and holds anew."""
        self._greeted_s.pop(track_id, None)
        # Not at once: the next state, a tenth of a second later, would ask the same missing server.
        self._since_s = float("inf")

    def _greeting(self, time_s: float, track_id: str, label: str, counts: bool) -> list[Reaction]:
        self._greeted_s = {who: when for who, when in self._greeted_s.items() if time_s - when < self._greet_again_s}
        if not counts or label != self._greet or not track_id or track_id in self._greeted_s:
            return []
        self._greeted_s[track_id] = time_s
        return [Reaction.GREET]

    def _speed(self, time_s: float, label: str, counts: bool) -> list[Reaction]:
        self.see(time_s, label)  # a doubt is no reason to slow down, but one to stay slow
        if label == self._caution:
            if counts and not self._is_slow:
                self._is_slow = True
                return [Reaction.SLOW_DOWN]
        elif self._is_slow and time_s - self._caution_s >= self._release_s:
            self._is_slow = False
            return [Reaction.FULL_SPEED]
        return []
