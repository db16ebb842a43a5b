"""Which of several people the robot attends to."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FocusSettings:
    """What makes a person important, as ratios of the area of the face; each is 1 or more."""

    takeover_ratio: float  # how many times more important than the person in focus another must be
    speaking_ratio: float  # a face that speaks counts as if it were so many times larger
    center_ratio: float  # one in the middle of the image likewise, in comparison with one in a corner

    def __post_init__(self) -> None:
        for name, ratio in vars(self).items():
            if not ratio >= 1:
                raise ValueError(f"focus_{name} is {ratio}; it must be 1 or more.")


@dataclass(frozen=True)
class Candidate:
    """One of the people who may come into focus."""

    area: float  # of the face, in any unit
    off_center: float  # distance of the face from the image's middle, 1 in a corner
    is_speaking: bool


class PersonInFocus:
    """The one who speaks, is near, and stands in front of the robot; another must be clearly more important."""

    def __init__(self, settings: FocusSettings) -> None:
        self._settings = settings
        self._track_id: str | None = None

    def choose(self, people: Mapping[str, Candidate]) -> str | None:
        """Give the track id in focus, out of the people who are there; None without people."""
        importance = {track_id: self._importance(person) for track_id, person in people.items()}
        first = max(importance, key=importance.__getitem__, default=None)
        present = importance.get(self._track_id) if self._track_id is not None else None
        if first is None or present is None or importance[first] > self._settings.takeover_ratio * present:
            self._track_id = first
        return self._track_id

    def _importance(self, person: Candidate) -> float:
        speaking = self._settings.speaking_ratio if person.is_speaking else 1.0
        return person.area * speaking * float(self._settings.center_ratio**-person.off_center)
