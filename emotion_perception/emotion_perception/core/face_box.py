"""What a detected face is, and what counts as an image."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """An upright rectangle in an image, which it may exceed; pixels, fractions included.

    Raises:
        ValueError: a value is not finite, or a side is not positive.
    """

    x_px: float  # left edge
    y_px: float  # top edge
    width_px: float
    height_px: float

    def __post_init__(self) -> None:
        values = (self.x_px, self.y_px, self.width_px, self.height_px)
        if not all(map(math.isfinite, values)) or self.width_px <= 0 or self.height_px <= 0:
            raise ValueError(f"A box is (x, y, width, height) = {values}; expected finite edges and positive sides.")

    def off_center(self, image_width_px: float, image_height_px: float) -> float:
        """Distance of the box's centre from that of its image: 0 in the middle, 1 in a corner."""
        return math.hypot(
            (self.x_px + self.width_px / 2.0) / image_width_px - 0.5,
            (self.y_px + self.height_px / 2.0) / image_height_px - 0.5,
        ) / math.hypot(0.5, 0.5)


@dataclass(frozen=True)
class FaceDetection:
    """A face that a detector found in one image."""

    box: Box
    score: float  # in [0, 1]


def check_image_rgb(image_rgb: NDArray[np.uint8]) -> None:
    """Raise ValueError unless `image_rgb` is uint8 (H, W, 3) with at least one pixel."""
    shape, dtype = np.shape(image_rgb), getattr(image_rgb, "dtype", type(image_rgb).__name__)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f"The image is {dtype} {shape}, expected uint8 (height, width, 3); convert it to rgb8 first.")
