"""Finds faces in an image, near and far."""

import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.face_box import Box, FaceDetection, check_image_rgb
from emotion_perception.core.native_stderr import without_native_chatter


def _import_mediapipe() -> ModuleType:
    """MediaPipe without the matplotlib of its drawing helpers, which takes half of the time that a start takes."""
    stand_ins = {name: ModuleType(name) for name in ("matplotlib", "matplotlib.pyplot") if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        return import_module("mediapipe")
    finally:
        for name in stand_ins:
            del sys.modules[name]


mediapipe = _import_mediapipe()
FULL_RANGE_MODEL = 1  # finds faces down to 40 px of a 640x480 image; model 0 loses those below 95 px


class FaceDetector:
    """MediaPipe's full-range face detector. Not thread-safe: call it from one thread at a time."""

    def __init__(self, min_score: float) -> None:
        """Load the detector and run it once, so that the first real image is not slower than the others.

        Args:
            min_score: faces with a lower score are not reported, in [0, 1].

        Raises:
            ValueError: `min_score` is outside [0, 1].
        """
        if not 0.0 <= min_score <= 1.0:
            raise ValueError(f"min_score is {min_score}, expected a number in [0, 1].")
        with without_native_chatter():
            self._solution = mediapipe.solutions.face_detection.FaceDetection(
                model_selection=FULL_RANGE_MODEL, min_detection_confidence=min_score
            )
            self._solution.process(np.zeros((48, 48, 3), np.uint8))

    def detect(self, image_rgb: NDArray[np.uint8]) -> list[FaceDetection]:
        """Find the faces in `image_rgb` uint8 (H, W, 3).

        Returns:
            The faces in no particular order, boxes in pixels of the image.

        Raises:
            ValueError: the image has another type or shape.
        """
        check_image_rgb(image_rgb)
        height_px, width_px = image_rgb.shape[:2]
        detections = self._solution.process(np.ascontiguousarray(image_rgb)).detections or []
        faces = []
        for detection in detections:
            with suppress(ValueError):  # a box that is none is no face, and the others are still there
                faces.append(_face_detection(detection, width_px, height_px))
        return faces

    def close(self) -> None:
        """Free the detector; the end of its use."""
        self._solution.close()

    def __enter__(self) -> "FaceDetector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _face_detection(detection: Any, width_px: int, height_px: int) -> FaceDetection:
    """Convert MediaPipe's Detection message, which has no Python types; ValueError for a box that is none."""
    relative = detection.location_data.relative_bounding_box  # fractions of the image's sides
    box = Box(
        x_px=relative.xmin * width_px,
        y_px=relative.ymin * height_px,
        width_px=relative.width * width_px,
        height_px=relative.height * height_px,
    )
    return FaceDetection(box=box, score=float(detection.score[0]))
