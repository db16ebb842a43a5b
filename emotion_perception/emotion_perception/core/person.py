"""What is seen of one person, and kept."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.model_bundle import BoolArray, FloatArray
from emotion_perception.core.probability_smoothing import ProbabilitySmoother


@dataclass(frozen=True)
class FaceSample:
    """One tracked face in one image."""

    track_id: str
    crop: NDArray[np.uint8]  # (side, side, 3) RGB, of any size
    area: float  # of the face in the camera image, in any unit
    off_center: float  # distance from the image's middle, 1 in a corner
    mouth_opening: float  # as `MouthMeter` measures it; NaN when it was not measured


class Person:
    """The recent embeddings of a face, and where in the image it stands. Stamps are integer nanoseconds, in order."""

    def __init__(self, smoother: ProbabilitySmoother) -> None:
        self.smoother = smoother
        self.area = 0.0  # of the newest face, as in `FaceSample`
        self.off_center = 0.0
        self._stamps_ns: deque[int] = deque()
        self._embeddings: deque[FloatArray] = deque()  # (D,) each

    @property
    def newest_ns(self) -> int:
        """When the newest face was captured."""
        return self._stamps_ns[-1]

    @property
    def is_forgotten(self) -> bool:
        return not self._stamps_ns

    def see(self, stamp_ns: int, embedding: FloatArray, face: FaceSample) -> None:
        """Take the next face, with its embedding (D,)."""
        self._stamps_ns.append(stamp_ns)
        self._embeddings.append(embedding)
        self.area, self.off_center = face.area, face.off_center

    def forget(self, until_ns: int) -> None:
        """Drop what was captured at `until_ns` or before."""
        while self._stamps_ns and self._stamps_ns[0] <= until_ns:
            self._stamps_ns.popleft()
            self._embeddings.popleft()

    def bin(self, now_ns: int, window_ns: int, embeddings: FloatArray, mask: BoolArray) -> None:
        """Average the last `window_ns` by time bin into embeddings (bins, D) and mask (bins,), oldest first."""
        ages_ns = np.maximum(now_ns - np.array(self._stamps_ns), 0)  # (F,)
        bins = len(mask) - 1 - ages_ns * len(mask) // window_ns  # (F,)
        frames = np.array(self._embeddings)  # (F, D)
        for index in np.unique(bins):
            embeddings[index] = frames[bins == index].mean(axis=0)
            mask[index] = True
