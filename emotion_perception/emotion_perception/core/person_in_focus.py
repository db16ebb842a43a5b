"""Which of several people the robot attends to."""

from collections.abc import Mapping


class PersonInFocus:
    """The largest face, which is the nearest; another one must be clearly larger to take over."""

    def __init__(self, takeover_ratio: float) -> None:
        """Args:
        takeover_ratio: how many times larger than the present face another must be, 1 or more.
        """
        if takeover_ratio < 1:
            raise ValueError(f"takeover_ratio is {takeover_ratio}; it must be 1 or more.")
        self._takeover_ratio = takeover_ratio
        self._track_id: str | None = None

    def choose(self, areas: Mapping[str, float]) -> str | None:
        """Give the track id in focus, out of the areas of the faces that are there; None without faces."""
        largest = max(areas, key=areas.__getitem__, default=None)
        present = areas.get(self._track_id) if self._track_id is not None else None
        if largest is None or present is None or areas[largest] > self._takeover_ratio * present:
            self._track_id = largest
        return self._track_id
