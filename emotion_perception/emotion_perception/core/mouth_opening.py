"""How far a mouth is open: MediaPipe's face mesh on one face of an image.

Unlike the darkness or the motion of the mouth's pixels, it stays the same when the head moves.
"""

import math
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.face_box import Box
from emotion_perception.core.face_crop import crop_square
from emotion_perception.core.face_detector import mediapipe
from emotion_perception.core.native_stderr import without_native_chatter

# The mesh of MediaPipe's FaceMesh without its own face detector: ours has found the face already, and what is kept
# from the image before would be another person's face.
GRAPH = """
input_stream: "image"
input_stream: "region"
output_stream: "landmarks"
node {
  calculator: "ConstantSidePacketCalculator"
  output_side_packet: "PACKET:with_attention"
  node_options {
    [type.googleapis.com/mediapipe.ConstantSidePacketCalculatorOptions] { packet { bool_value: false } }
  }
}
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:region"
  input_side_packet: "WITH_ATTENTION:with_attention"
  output_stream: "LANDMARKS:landmarks"
}
"""
MESH_PX = 192  # side of the mesh's input
SIDE_PER_BOX_SIDE = 1.5  # how FaceMesh frames a face, in sides of the detector's box
UPPER_LIP, LOWER_LIP, RIGHT_EYE, LEFT_EYE = 13, 14, 33, 263  # inner edges of the lips, outer corners of the eyes


def _part(name: str) -> ModuleType:
    """A module of MediaPipe, which face_detector has imported in its own way."""
    return import_module(f"{mediapipe.__name__}.{name}")


class MouthMeter:
    """Measures one mouth at a time. Not thread-safe."""

    def __init__(self) -> None:
        """Load the mesh and run it once, so that the first real face is not slower than the others."""
        rect = _part("framework.formats.rect_pb2").NormalizedRect
        self._whole = rect(x_center=0.5, y_center=0.5, width=1.0, height=1.0)
        with without_native_chatter():
            self._solution = _part("python.solution_base").SolutionBase(graph_config=GRAPH, outputs=["landmarks"])
            self._solution.process({"image": np.zeros((MESH_PX, MESH_PX, 3), np.uint8), "region": self._whole})

    def measure(self, image_rgb: NDArray[np.uint8], box: Box) -> float:
        """The gap between the lips of the face at `box` of `image_rgb` uint8 (H, W, 3).

        Returns:
            The gap in distances of the eyes' outer corners, about 0.02 for a shut mouth; NaN if the mesh finds no face.

        Raises:
            ValueError: as `crop_square`.
        """
        face = crop_square(image_rgb, box, SIDE_PER_BOX_SIDE, MESH_PX)
        found = self._solution.process({"image": face, "region": self._whole}).landmarks
        if found is None:
            return math.nan
        points = {
            index: np.array([found.landmark[index].x, found.landmark[index].y, found.landmark[index].z])
            for index in (UPPER_LIP, LOWER_LIP, RIGHT_EYE, LEFT_EYE)
        }
        gap = np.linalg.norm(points[UPPER_LIP] - points[LOWER_LIP])
        return float(gap / np.linalg.norm(points[RIGHT_EYE] - points[LEFT_EYE]))

    def close(self) -> None:
        """Free the mesh; the end of its use."""
        self._solution.close()

    def __enter__(self) -> "MouthMeter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
