"""Where a film shows another scene: who stands there now is not who stood there before."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.face_box import check_image_rgb

THUMBNAIL_PX = (32, 24)  # width, height: gestures vanish in it, the scene stays
# By so much a camera may have turned or tilted between two images: an eighth of the image's width, as at 15 images a
# second that of a head which turns by more than 100 degrees a second.
TURN_PX, TILT_PX = 4, 1
# Correlation of the thumbnails of two images, below which they show two scenes. In a recital, an animated film and six
# other clips it was -0.23 to 0.43 at the cuts, and above 0.6 elsewhere, where the camera moves; with 100 ms between two
# images of a fast pan 0.52.
LEAST_CORRELATION = 0.5
# Between two images: in a longer time somebody may walk through half of a picture, which then looks like another one.
MAX_INTERVAL_S = 0.12
LEAST_DEVIATION = 2.0  # grey levels: an image with less shows no scene, as when a hand covers the camera


class SceneCuts:
    """Compares each image with the one before; light may change, the picture of the scene may only move."""

    def __init__(self) -> None:
        self._scene: NDArray[np.uint8] | None = None  # (H, W) thumbnail
        self._stamp_s = -math.inf  # of the last image

    def is_cut(self, image_rgb: NDArray[np.uint8], stamp_s: float) -> bool:
        """Whether `image_rgb` uint8 (H, W, 3) shows another scene than the last image that showed one.

        Where the last image of any kind is longer ago than `MAX_INTERVAL_S` nothing tells; films have more a second.
        """
        check_image_rgb(image_rgb)
        is_recent, self._stamp_s = stamp_s - self._stamp_s <= MAX_INTERVAL_S, stamp_s
        scene = cv2.cvtColor(cv2.resize(image_rgb, THUMBNAIL_PX, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        if scene.std() < LEAST_DEVIATION:
            return False
        before, self._scene = self._scene, np.asarray(scene, np.uint8)
        return before is not None and is_recent and _correlation(before, self._scene) < LEAST_CORRELATION

    def reset(self) -> None:
        """Forget the scene: the next image is the first one."""
        self._scene = None
        self._stamp_s = -math.inf


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """How well the middle of each of two thumbnails is found in the other, at the best place: from -1 to 1."""
    return min(
        float(cv2.matchTemplate(whole, part[TILT_PX:-TILT_PX, TURN_PX:-TURN_PX], cv2.TM_CCOEFF_NORMED).max())
        for whole, part in ((a, b), (b, a))
    )
