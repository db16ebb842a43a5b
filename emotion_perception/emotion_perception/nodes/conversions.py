"""Between ROS messages and arrays."""

import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from emotion_msgs.msg import FaceCropArray
from emotion_perception.core.stamps import NANOSECONDS_PER_S

_BRIDGE = CvBridge()
# YUV 4:2:2 of webcams and of RealSense; not every cv_bridge knows it. The first name is ROS's older one.
_YUV422 = {
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
# ROS names a Bayer pattern by its first two rows, OpenCV by the second and third pixel of the second and third row. Not
# every cv_bridge knows all four.
_BAYER = {
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
_BYTES_PER_PIXEL = {
    **{"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1},
    **dict.fromkeys(_BAYER, 1),
    **dict.fromkeys(_YUV422, 2),
}


class ImageError(ValueError):
    """The message is no image that can be looked at."""


def to_nanoseconds(stamp: Time) -> int:
    return stamp.sec * NANOSECONDS_PER_S + stamp.nanosec


def to_stamp(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // NANOSECONDS_PER_S, nanosec=nanoseconds % NANOSECONDS_PER_S)


def check_image_size(faces: FaceCropArray) -> None:
    """Raise ImageError unless boxes can be put in relation to the image."""
    if not faces.image_width_px or not faces.image_height_px:
        raise ImageError(
            f"The faces are those of an image of {faces.image_width_px}x{faces.image_height_px}; expected its size."
        )


def image_to_rgb(image: Image) -> NDArray[np.uint8]:
    """The pixels (height, width, 3) of an image.

    Raises:
        ImageError: unknown encoding, or data that do not fit the size.
    """
    bytes_per_pixel = _BYTES_PER_PIXEL.get(image.encoding)
    if bytes_per_pixel is None:
        raise ImageError(
            f"The image has the encoding {image.encoding!r}; expected one of {', '.join(sorted(_BYTES_PER_PIXEL))}."
        )
    row_bytes = image.width * bytes_per_pixel
    if not row_bytes or not image.height or image.step < row_bytes or len(image.data) != image.height * image.step:
        raise ImageError(
            f"The image of {image.width}x{image.height} {image.encoding} with rows of {image.step} bytes holds "
            f"{len(image.data)} bytes; expected rows of {row_bytes} bytes or more, and {image.height} of them."
        )
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)[:, :row_bytes]
    if image.encoding in _YUV422:
        if image.width % 2:
            raise ImageError(
                f"The image of encoding {image.encoding} is {image.width} wide; expected an even width, as two pixels "
                "share their colour."
            )
        return cv2.cvtColor(rows.reshape(image.height, image.width, 2), _YUV422[image.encoding])
    if image.encoding in _BAYER:
        return cv2.cvtColor(rows, _BAYER[image.encoding])
    if image.encoding == "rgb8":
        return rows.reshape(image.height, image.width, 3)
    if image.step != row_bytes:  # cv_bridge of the wheels takes no padded rows
        image = Image(height=image.height, width=image.width, encoding=image.encoding, step=row_bytes)
        image.data = array.array("B", rows.tobytes())
    try:
        return _BRIDGE.imgmsg_to_cv2(image, "rgb8")
    except CvBridgeError as error:
        raise ImageError(f"The image of encoding {image.encoding} cannot be made rgb8: {error}.") from error


def compressed_to_rgb(image: CompressedImage) -> NDArray[np.uint8]:
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
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


_IMAGE_FORMATS: dict[str, tuple[type, Callable[[Any], NDArray[np.uint8]]]] = {
    "raw": (Image, image_to_rgb),
    "compressed": (CompressedImage, compressed_to_rgb),
}


def image_format(transport: str) -> tuple[type, Callable[[Any], NDArray[np.uint8]]]:
    """The message class of an image_transport, and the function that gives the pixels (height, width, 3) of a message.

    Raises:
        ValueError: the transport is not known.
    """
    if transport not in _IMAGE_FORMATS:
        raise ValueError(f"image_transport is {transport!r}; expected one of {', '.join(_IMAGE_FORMATS)}.")
    return _IMAGE_FORMATS[transport]


def rgb_to_image(pixels: NDArray[np.uint8], header: Header) -> Image:
    """An rgb8 message of pixels (height, width, 3)."""
    height, width, channels = pixels.shape
    image = Image(header=header, height=height, width=width, encoding="rgb8", step=width * channels)
    image.data = array.array("B", pixels.tobytes())  # an array is taken over as it is, bytes one by one
    return image


def to_float_array(samples: NDArray[np.float32]) -> "array.array[float]":
    """Samples for a float32[] field, which takes an array over as it is and a list one by one."""
    return array.array("f", np.ascontiguousarray(samples, np.float32).tobytes())
