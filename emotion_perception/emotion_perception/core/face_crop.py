"""Cuts a face out of an image, framed as the pictures are that the face encoder was trained on."""

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.face_box import Box, check_image_rgb

# How FER2013 frames a face, in sides of the detector's box. Measured on 4000 of its training pictures, scaled
# to 120 px in the middle of a grey 480x480 image: the full-range detector found the face in 3200; the picture
# was 1.12 box sides large (quartiles 1.04 to 1.22), its centre 0.06 above the box's (quartiles 0.02 to 0.09)
# and 0.01 beside it. (In boxes, the eyes are as far apart there as in ordinary pictures: the padding misleads
# the detector by less than 5 %.)
SIDE_PER_BOX_SIDE = 1.12
UPWARD_SHIFT_PER_BOX_SIDE = 0.06
MAX_SIDE_PER_IMAGE_SIDE = 4.0  # a face that exceeds the image further than this is no face


def crop_face(image_rgb: NDArray[np.uint8], box: Box, size_px: int) -> NDArray[np.uint8]:
    """Cut the face at `box` out of `image_rgb` as the face encoder wants it; see `crop_square`."""
    return crop_square(image_rgb, box, SIDE_PER_BOX_SIDE, size_px, UPWARD_SHIFT_PER_BOX_SIDE)


def crop_square(
    image_rgb: NDArray[np.uint8],
    box: Box,
    side_per_box_side: float,
    size_px: int,
    upward_shift_per_box_side: float = 0.0,
) -> NDArray[np.uint8]:
    """Cut a square around `box` out of `image_rgb` uint8 (H, W, 3); beyond the image its border is repeated.

    Returns:
        uint8 (size_px, size_px, 3).

    Raises:
        ValueError: the image has another type or shape, `size_px` is not positive, or the box or its square lies
            outside the image, is smaller than a pixel or much larger than the image.
    """
    check_image_rgb(image_rgb)
    if size_px < 1:
        raise ValueError(f"size_px is {size_px}, expected 1 or more.")
    height_px, width_px = image_rgb.shape[:2]
    box_side_px = (box.width_px + box.height_px) / 2.0
    side_px = round(side_per_box_side * box_side_px)
    if not 1 <= side_px <= MAX_SIDE_PER_IMAGE_SIDE * max(height_px, width_px):
        raise ValueError(f"{box} cannot be a face in a {width_px}x{height_px} image; check where the box comes from.")
    left_px = round(box.x_px + box.width_px / 2.0 - side_px / 2.0)
    top_px = round(box.y_px + box.height_px / 2.0 - upward_shift_per_box_side * box_side_px - side_px / 2.0)
    right_px, bottom_px = left_px + side_px, top_px + side_px

    # The square of a long or shifted box may lie outside though the box does not.
    if not (
        max(left_px, box.x_px) < width_px
        and min(right_px, box.x_px + box.width_px) > 0
        and max(top_px, box.y_px) < height_px
        and min(bottom_px, box.y_px + box.height_px) > 0
    ):
        raise ValueError(f"{box} lies outside the {width_px}x{height_px} image; check that it belongs to this image.")
    inside = image_rgb[max(top_px, 0) : bottom_px, max(left_px, 0) : right_px]
    square = cv2.copyMakeBorder(
        inside,
        top=max(-top_px, 0),
        bottom=max(bottom_px - height_px, 0),
        left=max(-left_px, 0),
        right=max(right_px - width_px, 0),
        borderType=cv2.BORDER_REPLICATE,
    )
    return scale_crop(np.asarray(square, np.uint8), size_px)


def scale_crop(image_rgb: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) -> (size_px, size_px, 3), on the robot and in training.

    The area filter when shrinking keeps fine texture from aliasing.
    """
    if image_rgb.shape[:2] == (size_px, size_px):
        return image_rgb
    interpolation = cv2.INTER_AREA if max(image_rgb.shape[:2]) > size_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image_rgb, (size_px, size_px), interpolation=interpolation), np.uint8)
