"""Pictures and sound out of the messages of a recording, read without ROS by the package `rosbags`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from emotion_perception.core.mp3 import is_mp3_frame

from .package_share import package_share

NANOSECONDS_PER_S = 1_000_000_000
# By which the robot says that it speaks: itself, and by the status of the action with which it does.
ROBOT_SPEECH_TYPES = ("std_msgs/msg/Bool", "action_msgs/msg/GoalStatusArray")
EXECUTING = (2, 3)  # of action_msgs/GoalStatus: executing, and canceling
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
# Bytes a pixel, and how OpenCV makes RGB of them.
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
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),  # OpenCV names a pattern by its second row and column
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
}
# PortAudio's number of a sample format: the field of AudioData, and its full scale.
PORTAUDIO_FORMATS = {
    1: ("float32_data", 1.0),
    2: ("int32_data", 2.0**31),
    8: ("int16_data", 2.0**15),
    16: ("int8_data", 2.0**7),
}
# `audio_common_msgs` is the name of two packages. That of ros-drivers has AudioDataStamped, that of mgonzs13
# AudioStamped; their AudioData differ.
ROS_DRIVERS = {
    "AudioData": "uint8[] data",
    "AudioDataStamped": "std_msgs/Header header\naudio_common_msgs/AudioData audio",
}
MGONZS13 = {
    "AudioData": "float32[] float32_data\nint32[] int32_data\nint16[] int16_data\nint8[] int8_data\nuint8[] uint8_data",
    "AudioInfo": "int32 format\nint32 channels\nint32 rate\nint32 chunk",
    "Audio": "audio_common_msgs/AudioData audio_data\naudio_common_msgs/AudioInfo info",
    "AudioStamped": "std_msgs/Header header\naudio_common_msgs/Audio audio",
}


class MessageError(Exception):
    """A message that holds no picture or no sound as its type promises."""


@dataclass(frozen=True)
class Unstamped:
    """What audio_common_msgs/AudioData does not say about itself."""

    received_ns: int
    sample_rate_hz: int
    channels: int


@dataclass(frozen=True)
class Chunk:
    """A piece of sound: float32 (N, channels) in [-1, 1], and the capture time of its first sample."""

    samples: np.ndarray
    sample_rate_hz: int
    stamp_ns: int
    may_be_late: bool = False  # the stamp: it is of the reception, for which a busy computer takes its time


def message_types(audio_type: str | None) -> Typestore:
    """The message types of a recording that does not bring its own, with the `audio_common_msgs` of `audio_type`."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    audio_chunk = package_share("emotion_msgs") / "msg" / "AudioChunk.msg"
    definitions = {"emotion_msgs/msg/AudioChunk": audio_chunk.read_text()}
    package = MGONZS13 if audio_type == "audio_common_msgs/msg/AudioStamped" else ROS_DRIVERS
    definitions |= {f"audio_common_msgs/msg/{name}": text for name, text in package.items()}
    for name, text in definitions.items():
        types.register(get_types_from_msg(text, name))
    return types


def stamp_ns(header: Any) -> int:
    return header.stamp.sec * NANOSECONDS_PER_S + header.stamp.nanosec


def image_rgb(message: Any, kind: str) -> np.ndarray:
    """uint8 (H, W, 3) of a message of one of IMAGE_TYPES; MessageError if it cannot be had."""
    if kind == "sensor_msgs/msg/CompressedImage":
        pixels = cv2.imdecode(message.data, cv2.IMREAD_COLOR) if len(message.data) else None
        if pixels is None:
            raise MessageError(f"a compressed image of format {message.format!r} cannot be decoded")
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if message.encoding not in ENCODINGS:
        raise MessageError(f"the images have the encoding {message.encoding!r}; expected one of {', '.join(ENCODINGS)}")
    bytes_per_pixel, conversion = ENCODINGS[message.encoding]
    if bytes_per_pixel == 2 and message.width % 2:
        raise MessageError(f"a {message.encoding} image is {message.width} pixels wide; expected an even number")
    row_bytes = message.width * bytes_per_pixel
    if not row_bytes or message.step < row_bytes or len(message.data) != message.height * message.step:
        raise MessageError(
            f"an image of {message.width}x{message.height} {message.encoding} with rows of {message.step} bytes holds "
            f"{len(message.data)} bytes"
        )
    rows = message.data.reshape(message.height, message.step)[:, :row_bytes]  # rows may be padded
    pixels = np.ascontiguousarray(rows).reshape(message.height, message.width, bytes_per_pixel)
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def robot_speaks(message: Any, kind: str) -> bool:
    """What a message of one of ROBOT_SPEECH_TYPES says."""
    if kind == "std_msgs/msg/Bool":
        return bool(message.data)
    return any(goal.status in EXECUTING for goal in message.status_list)


def audio_chunk(message: Any, kind: str, unstamped: Unstamped) -> Chunk:
    """The sound of a message of one of AUDIO_TYPES; MessageError if it cannot be had."""
    return AUDIO_TYPES[kind](message, unstamped)


def _read_audio_chunk(message: Any, _: Unstamped) -> Chunk:
    samples = _by_channel(message.samples, 1.0, message.channels)
    return Chunk(samples, message.sample_rate_hz, stamp_ns(message.header))


def _read_audio_data(message: Any, unstamped: Unstamped) -> Chunk:
    samples = _signed_16_bit(message.data, unstamped.channels)
    # It is sent when its last sample has been captured.
    start_ns = unstamped.received_ns - len(samples) * NANOSECONDS_PER_S // unstamped.sample_rate_hz
    return Chunk(samples, unstamped.sample_rate_hz, start_ns, may_be_late=True)


def _read_audio_data_stamped(message: Any, unstamped: Unstamped) -> Chunk:
    samples = _signed_16_bit(message.audio.data, unstamped.channels)
    return Chunk(samples, unstamped.sample_rate_hz, stamp_ns(message.header))


def _read_audio_stamped(message: Any, _: Unstamped) -> Chunk:
    info = message.audio.info
    if info.format not in PORTAUDIO_FORMATS or info.rate <= 0:
        raise MessageError(
            f"the audio has the PortAudio format {info.format} at {info.rate} Hz; expected one of "
            f"{', '.join(map(str, PORTAUDIO_FORMATS))} and a positive rate"
        )
    field, full_scale = PORTAUDIO_FORMATS[info.format]
    samples = _by_channel(getattr(message.audio.audio_data, field), full_scale, info.channels)
    # Its capturer stamps a chunk when it begins to wait for it.
    return Chunk(samples, info.rate, stamp_ns(message.header), may_be_late=True)


AUDIO_TYPES: dict[str, Callable[[Any, Unstamped], Chunk]] = {
    "emotion_msgs/msg/AudioChunk": _read_audio_chunk,
    "audio_common_msgs/msg/AudioData": _read_audio_data,
    "audio_common_msgs/msg/AudioDataStamped": _read_audio_data_stamped,
    "audio_common_msgs/msg/AudioStamped": _read_audio_stamped,
}


def _signed_16_bit(data: np.ndarray, channels: int) -> np.ndarray:
    if is_mp3_frame(data):
        raise MessageError(f"an audio message holds an MP3 frame of {len(data)} bytes; expected 16-bit samples")
    if len(data) % 2:
        raise MessageError(f"an audio message holds {len(data)} bytes; expected 16-bit samples")
    return _by_channel(np.frombuffer(data.tobytes(), "<i2"), 2.0**15, channels)


def _by_channel(values: np.ndarray, full_scale: float, channels: int) -> np.ndarray:
    if channels < 1 or len(values) % channels:
        raise MessageError(f"an audio message holds {len(values)} samples of {channels} channels")
    samples = (values / np.float32(full_scale)).astype(np.float32).reshape(-1, channels)  # (N, channels)
    if not np.isfinite(samples).all():
        raise MessageError("an audio message holds samples that are not finite")
    return samples
