"""Between ROS messages and arrays."""

import array
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from emotion_msgs.msg import AudioChunk, FaceCropArray
from emotion_perception.core.image_messages import ImageError, compressed_to_rgb, image_to_rgb
from emotion_perception.core.stamps import NANOSECONDS_PER_S


def to_stamp(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // NANOSECONDS_PER_S, nanosec=nanoseconds % NANOSECONDS_PER_S)


def check_image_size(faces: FaceCropArray) -> None:
    """Raise ImageError unless the boxes, where there are any, can be put in relation to the image."""
    if faces.faces and not (faces.image_width_px and faces.image_height_px):
        raise ImageError(
            f"The faces are those of an image of {faces.image_width_px}x{faces.image_height_px}; expected its size."
        )


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


def to_audio_chunk(samples: NDArray[np.float32], sample_rate_hz: int, stamp_ns: int, frame_id: str) -> AudioChunk:
    """A message of samples (N, channels), of which the first was captured at `stamp_ns`."""
    return AudioChunk(
        header=Header(stamp=to_stamp(stamp_ns), frame_id=frame_id),
        sample_rate_hz=sample_rate_hz,
        channels=samples.shape[1],
        samples=to_float_array(samples),
    )
