"""Gives each face a name that lasts, over the images of one camera."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emotion_perception.core.face_box import Box, FaceDetection
from emotion_perception.core.stamps import TIME_JUMP_S

VELOCITY_TIME_S = 0.15  # the velocity is averaged over about this time: the detector's boxes tremble
MIN_STEP_S = 0.01  # two images in a shorter time tell of trembling and not of a velocity
# Between two images of a camera that is at work: a face that is in both was not lost between them.
MAX_INTERVAL_S = 1.0
MAX_SIZE_RATIO = 2.0  # a face does not double its size between two sightings
NOT_THE_SAME = 1e3  # cost that the assignment pays only where nothing else is left


@dataclass(frozen=True)
class TrackedFace:
    """A face in the newest image, under the name that it had before."""

    track_id: str  # never used again for another face
    box: Box
    score: float  # of the detector, in [0, 1]


@dataclass
class _Track:
    track_id: str
    box: Box  # where the face was last seen
    seen_s: float  # when
    velocity_px_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))  # of the centre
    n_steps: int = 0  # steps that the velocity averages

    def follow(self, box: Box, stamp_s: float) -> None:
        """Take `box` as the new place of the face."""
        elapsed_s = stamp_s - self.seen_s
        if elapsed_s > 0.0:
            elapsed_s = max(elapsed_s, MIN_STEP_S)
            self.n_steps += 1
            step_px_s = (_center_px(_edges(box)) - _center_px(_edges(self.box))) / elapsed_s
            gain = max(1.0 - math.exp(-elapsed_s / VELOCITY_TIME_S), 1.0 / self.n_steps)
            self.velocity_px_s += gain * (step_px_s - self.velocity_px_s)
        self.box, self.seen_s = box, stamp_s

    def predicted_edges(self, stamp_s: float) -> NDArray[np.float64]:
        """Where the face would be at `stamp_s` at constant velocity: (4,) left, top, right, bottom."""
        return _edges(self.box) + np.tile(self.velocity_px_s * (stamp_s - self.seen_s), 2)


class FaceTracker:
    """Follows faces by motion and overlap, also through short losses."""

    def __init__(
        self, max_lost_s: float, max_center_distance: float, duplicate_overlap: float, name_prefix: str = "face"
    ) -> None:
        """Make a tracker without faces.

        Args:
            max_lost_s: a face that was not seen for longer gets a new name; one that the last image showed keeps
                its name for `MAX_INTERVAL_S` at least, so that a slow camera does not lose it.
            max_center_distance: a detection is a known face if its centre is at most so many face sizes
                from where that face is expected.
            duplicate_overlap: of two detections in one image the weaker is dropped if they share more than
                this part of the smaller one's area, in (0, 1].
            name_prefix: what all names begin with; another one for each tracker keeps their names apart.

        Raises:
            ValueError: an argument is outside its range.
        """
        if not max_lost_s >= 0.0:
            raise ValueError(f"max_lost_s is {max_lost_s}, expected seconds, 0 or more.")
        if not max_center_distance > 0.0:
            raise ValueError(f"max_center_distance is {max_center_distance}, expected face sizes, more than 0.")
        if not 0.0 < duplicate_overlap <= 1.0:
            raise ValueError(f"duplicate_overlap is {duplicate_overlap}, expected a share in (0, 1].")
        self._max_lost_s = max_lost_s
        self._max_center_distance = max_center_distance
        self._duplicate_overlap = duplicate_overlap
        self._name_prefix = name_prefix
        self._n_named = 0
        self._tracks: list[_Track] = []
        self._last_stamp_s = -math.inf

    def update(self, detections: Sequence[FaceDetection], stamp_s: float) -> list[TrackedFace]:
        """Name the faces of the image captured at `stamp_s`; time that is set back ends all tracks.

        Returns:
            The faces of this image only, best score first, without duplicates; none of an image that is late.
        """
        if self.is_late(stamp_s):
            return []
        if stamp_s < self._last_stamp_s:
            self.reset()
        self._tracks = [track for track in self._tracks if not self._is_lost(track, stamp_s)]
        detections = self._without_duplicates(detections)
        track_of = self._assign(detections, stamp_s)
        faces = []
        for index, detection in enumerate(detections):
            track = track_of.get(index) or self._new_track(detection.box, stamp_s)
            track.follow(detection.box, stamp_s)
            faces.append(TrackedFace(track.track_id, detection.box, detection.score))
        if stamp_s == self._last_stamp_s:  # as of images without stamps: nothing is ever lost by its age
            self._tracks = [track for track in self._tracks if track.track_id in {face.track_id for face in faces}]
        self._last_stamp_s = stamp_s
        return faces

    def is_late(self, stamp_s: float) -> bool:
        """Whether an image was overtaken by the newest one, and is to be left out."""
        return self._last_stamp_s - TIME_JUMP_S <= stamp_s < self._last_stamp_s

    def reset(self) -> None:
        """End all tracks; names go on counting."""
        self._tracks = []
        self._last_stamp_s = -math.inf

    def _is_lost(self, track: _Track, stamp_s: float) -> bool:
        in_last_image = track.seen_s == self._last_stamp_s
        return stamp_s - track.seen_s > max(self._max_lost_s, MAX_INTERVAL_S if in_last_image else 0.0)

    def _new_track(self, box: Box, stamp_s: float) -> _Track:
        self._n_named += 1
        track = _Track(f"{self._name_prefix}_{self._n_named}", box, stamp_s)
        self._tracks.append(track)
        return track

    def _without_duplicates(self, detections: Sequence[FaceDetection]) -> list[FaceDetection]:
        kept: list[FaceDetection] = []
        for detection in sorted(detections, key=lambda detection: -detection.score):
            edges = _edges(detection.box)
            if all(_share_of_smaller(edges, _edges(other.box)) <= self._duplicate_overlap for other in kept):
                kept.append(detection)
        return kept

    def _assign(self, detections: list[FaceDetection], stamp_s: float) -> dict[int, _Track]:
        """The known track of each detection that has one, by the detection's index."""
        if not self._tracks or not detections:
            return {}
        found = np.stack([_edges(detection.box) for detection in detections])  # (D, 4)
        costs = np.stack([self._costs(track, found, stamp_s) for track in self._tracks])  # (T, D)
        rows, columns = linear_sum_assignment(costs)
        return {
            int(column): self._tracks[row]
            for row, column in zip(rows, columns, strict=True)
            if costs[row, column] < NOT_THE_SAME
        }

    def _costs(self, track: _Track, found: NDArray[np.float64], stamp_s: float) -> NDArray[np.float64]:
        """(D,) how badly each of the `found` edges (D, 4) fits the track, from 0 to NOT_THE_SAME."""
        costs = self._distance_costs(track.predicted_edges(stamp_s), found)
        if track.seen_s < self._last_stamp_s:
            # A lost face either moved on or waits where it was (it turned away, somebody passed in front).
            costs = np.minimum(costs, self._distance_costs(_edges(track.box), found))
        return costs

    def _distance_costs(self, expected: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
        size_px, found_sizes_px = _size_px(expected), _size_px(found)  # (), (D,)
        offsets_px = _center_px(found) - _center_px(expected)  # (D, 2)
        distances = np.hypot(offsets_px[:, 0], offsets_px[:, 1]) * 2.0 / (size_px + found_sizes_px)
        shared_px2 = _shared_area_px2(expected, found)
        overlaps = shared_px2 / (size_px**2 + found_sizes_px**2 - shared_px2)
        is_possible = (distances <= self._max_center_distance) & (
            np.maximum(size_px, found_sizes_px) <= MAX_SIZE_RATIO * np.minimum(size_px, found_sizes_px)
        )
        return np.where(is_possible, distances + 1.0 - overlaps, NOT_THE_SAME)


def _edges(box: Box) -> NDArray[np.float64]:
    """(4,) left, top, right, bottom; in what follows also (..., 4)."""
    return np.array([box.x_px, box.y_px, box.x_px + box.width_px, box.y_px + box.height_px])


def _center_px(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    center_px: NDArray[np.float64] = (edges[..., :2] + edges[..., 2:]) / 2.0
    return center_px


def _size_px(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The side of the square with the same area."""
    size_px: NDArray[np.float64] = np.sqrt(np.prod(edges[..., 2:] - edges[..., :2], axis=-1))
    return size_px


def _shared_area_px2(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    sides_px = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    area_px2: NDArray[np.float64] = np.prod(np.maximum(sides_px, 0.0), axis=-1)
    return area_px2


def _share_of_smaller(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(_shared_area_px2(a, b) / np.minimum(_size_px(a), _size_px(b)) ** 2)
