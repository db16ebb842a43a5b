"""From a jittering distribution to a label that a behaviour can act upon."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class SmoothingSettings:
    """How quickly and how surely a label changes."""

    time_constant_s: float  # of the exponential average; 0 does not smooth
    enter: float  # probability from which another label takes over
    leave: float  # probability below which the present label gives way to the likeliest

    def __post_init__(self) -> None:
        if self.time_constant_s < 0:
            raise ValueError(f"smoothing_time_constant_s is {self.time_constant_s}; it must be 0 or more.")
        if not 0 <= self.leave <= self.enter <= 1:
            raise ValueError(
                f"label_enter is {self.enter} and label_leave is {self.leave}; "
                "they must hold 0 <= label_leave <= label_enter <= 1."
            )


class ProbabilitySmoother:
    """Exponential average over time, and a label with separate thresholds to enter and to leave."""

    def __init__(self, settings: SmoothingSettings) -> None:
        self._settings = settings
        self._time_s = -math.inf
        self._probabilities: FloatArray | None = None
        self._label = -1

    def update(self, probabilities: FloatArray, time_s: float) -> tuple[FloatArray, int]:
        """Take the newest distribution (C,), give the smoothed one (C,) and the index of the label."""
        settings = self._settings
        if self._probabilities is None:
            self._probabilities = probabilities
            self._label = int(probabilities.argmax())
        else:
            elapsed_s = max(time_s - self._time_s, 0.0)
            newest = 1 - math.exp(-elapsed_s / settings.time_constant_s) if settings.time_constant_s else 1.0
            self._probabilities = self._probabilities + newest * (probabilities - self._probabilities)
            likeliest = int(self._probabilities.argmax())
            if self._probabilities[likeliest] >= settings.enter or self._probabilities[self._label] < settings.leave:
                self._label = likeliest
        self._time_s = time_s
        return self._probabilities, self._label
