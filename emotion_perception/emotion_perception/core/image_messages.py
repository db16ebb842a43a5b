"""Pixels out of images as ROS carries them, whoever has read them: rclpy on the robot, rosbags in a recording."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Bytes a pixel, and how OpenCV makes RGB of them. yuv422 is ROS's older name of uyvy, yuv422_yuy2 that of yuyv. ROS
# names a Bayer pattern by its first two rows, OpenCV by the second and third pixel of the second and third row.
ENCODINGS = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
}


class ImageError(ValueError):
    """The message is no image that can be looked at."""


def image_to_rgb(image: Any) -> NDArray[np.uint8]:
    """The pixels (height, width, 3) of a sensor_msgs/Image.

    Raises:
        ImageError: unknown encoding, or data that do not fit the size.
    """
    if image.encoding not in ENCODINGS:
        raise ImageError(
            f"The image has the encoding {image.encoding!r}; expected one of {', '.join(sorted(ENCODINGS))}."
        )
    bytes_per_pixel, conversion = ENCODINGS[image.encoding]
    row_bytes = image.width * bytes_per_pixel
    if not row_bytes or not image.height or image.step < row_bytes or len(image.data) != image.height * image.step:
        raise ImageError(
            f"The image of {image.width}x{image.height} {image.encoding} with rows of {image.step} bytes holds "
            f"{len(image.data)} bytes; expected rows of {row_bytes} bytes or more, and {image.height} of them."
        )
    if bytes_per_pixel == 2 and image.width % 2:
        raise ImageError(
            f"The image of encoding {image.encoding} is {image.width} wide; expected an even width, as two pixels "
            "share their colour."
        )
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)[:, :row_bytes]
    pixels = rows.reshape(image.height, image.width, bytes_per_pixel)
    return pixels if conversion is None else np.asarray(cv2.cvtColor(pixels, conversion), np.uint8)


def compressed_to_rgb(image: Any) -> NDArray[np.uint8]:
    """The pixels (height, width, 3) of a JPEG or PNG image.

    Raises:
        ImageError: the data are no picture that OpenCV can decode.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_COLOR) if len(image.data) else None
    except cv2.error:  # of a damaged header that claims more pixels than OpenCV allows
        pixels = None
    if pixels is None:
        raise ImageError(
            f"The compressed image of format {image.format!r} with {len(image.data)} bytes cannot be decoded; "
            "expected a JPEG or PNG picture."
        )
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
