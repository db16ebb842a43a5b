"""Pictures and sound out of the messages of a recording, read without ROS by the package `rosbags`."""

from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from emotion_perception.core.audio_chunk import AudioError, check_chunk
from emotion_perception.core.audio_messages import READERS, Chunk, Unstamped
from emotion_perception.core.image_messages import ImageError, compressed_to_rgb, image_to_rgb
from emotion_perception.core.robot_speech import EXECUTING
from emotion_perception.core.stamps import NANOSECONDS_PER_S

from .package_share import package_share

# Of the topics by which the robot says that it speaks.
ROBOT_SPEECH_TYPES = ("std_msgs/msg/Bool", "action_msgs/msg/GoalStatusArray")
AUDIO_TYPES = {name.replace("/", "/msg/"): reader for name, reader in READERS.items()}
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
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


def image_rgb(message: Any, kind: str) -> np.ndarray:
    """uint8 (H, W, 3) of a message of one of IMAGE_TYPES; MessageError if it cannot be had."""
    try:
        return compressed_to_rgb(message) if kind == "sensor_msgs/msg/CompressedImage" else image_to_rgb(message)
    except ImageError as error:
        raise MessageError(str(error)) from None


def robot_speaks(message: Any, kind: str) -> bool:
    """What a message of one of ROBOT_SPEECH_TYPES says."""
    if kind == "std_msgs/msg/Bool":
        return bool(message.data)
    return any(goal.status in EXECUTING for goal in message.status_list)


def audio_chunk(message: Any, kind: str, unstamped: Unstamped) -> Chunk:
    """The sound of a message of one of AUDIO_TYPES; MessageError if it cannot be had."""
    try:
        chunk = AUDIO_TYPES[kind](message, unstamped)
        check_chunk(chunk.samples, chunk.sample_rate_hz, chunk.stamp_ns / NANOSECONDS_PER_S)
    except AudioError as error:
        raise MessageError(str(error)) from None
    return chunk
