"""Where a film shows another scene: who stands there now is not who stood there before."""

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.face_box import check_image_rgb

THUMBNAIL_PX = (32, 24)  # width, height: gestures vanish in it, the scene stays
# Correlation of the thumbnails of two images, below which they show two scenes. In a filmed recital it was 0.00 to 0.27
# at the cuts and above 0.67 elsewhere, where the camera moves; above 0.96 in four clips from cameras that stand.
LEAST_CORRELATION = 0.5
LEAST_DEVIATION = 2.0  # grey levels: an image with less shows no scene, as when a hand covers the camera


class SceneCuts:
    """Compares each image with the one before; light may change, the picture of the scene may not."""

    def __init__(self) -> None:
        self._scene: NDArray[np.float32] | None = None  # (H * W,) thumbnail with zero mean and unit length

    def is_cut(self, image_rgb: NDArray[np.uint8]) -> bool:
        """Whether `image_rgb` uint8 (H, W, 3) shows another scene than the last image that showed one."""
        check_image_rgb(image_rgb)
        small = cv2.cvtColor(cv2.resize(image_rgb, THUMBNAIL_PX, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        scene = small.astype(np.float32).ravel()
        scene -= scene.mean()
        if scene.std() < LEAST_DEVIATION:
            return False
        scene /= np.linalg.norm(scene)
        before, self._scene = self._scene, scene
        return before is not None and float(before @ scene) < LEAST_CORRELATION

    def reset(self) -> None:
        """Forget the scene: the next image is the first one."""
        self._scene = None
