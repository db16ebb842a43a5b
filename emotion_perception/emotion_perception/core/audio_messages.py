"""Sound out of the messages that robots publish, whoever has read them: rclpy on the robot, rosbags in a recording.

`audio_common_msgs` is the name of two packages with different messages, of ros-drivers and of mgonzs13.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.audio_chunk import MAX_DELAY_S, MAX_JITTER_S, AudioError
from emotion_perception.core.mp3 import is_mp3_frame
from emotion_perception.core.stamps import NANOSECONDS_PER_S, to_nanoseconds

# PortAudio's number of a sample format: its field of AudioData, and its full scale.
PORTAUDIO_FORMATS = {
    1: ("float32_data", 1.0),
    2: ("int32_data", 2.0**31),
    8: ("int16_data", 2.0**15),
    16: ("int8_data", 2.0**7),
}


@dataclass(frozen=True)
class Unstamped:
    """What some messages do not say about themselves."""

    now_ns: int  # when the message was received
    sample_rate_hz: int
    channels: int


@dataclass(frozen=True)
class Chunk:
    """Sound as the windower takes it."""

    samples: NDArray[np.float32]  # (N, channels) in [-1, 1]
    sample_rate_hz: int
    stamp_ns: int  # capture time of the first sample
    frame_id: str
    may_be_late: bool = False  # the stamp: it is of the reception, for which a busy computer takes its time
    is_assumed: bool = False  # rate and channels are what Unstamped says, and the message may be of others

    @property
    def jitter_s(self) -> float:
        """By how much the stamp may be off though nothing was lost."""
        return MAX_DELAY_S if self.may_be_late else MAX_JITTER_S


def _audio_chunk(message: Any, _: Unstamped) -> Chunk:
    samples = _by_channel(np.frombuffer(message.samples, np.float32), message.channels)
    return Chunk(samples, message.sample_rate_hz, to_nanoseconds(message.header.stamp), message.header.frame_id)


def _audio_data(message: Any, unstamped: Unstamped) -> Chunk:
    samples = _signed_16_bit(message.data, unstamped.channels)
    # It is sent when its last sample has been captured.
    stamp_ns = unstamped.now_ns - len(samples) * NANOSECONDS_PER_S // unstamped.sample_rate_hz
    return Chunk(samples, unstamped.sample_rate_hz, stamp_ns, "", may_be_late=True, is_assumed=True)


def _audio_data_stamped(message: Any, unstamped: Unstamped) -> Chunk:
    samples = _signed_16_bit(message.audio.data, unstamped.channels)
    stamp_ns = to_nanoseconds(message.header.stamp)
    return Chunk(samples, unstamped.sample_rate_hz, stamp_ns, message.header.frame_id, is_assumed=True)


def _audio_stamped(message: Any, _: Unstamped) -> Chunk:
    info, data = message.audio.info, message.audio.audio_data
    if info.format not in PORTAUDIO_FORMATS:
        raise AudioError(
            f"The audio has the PortAudio format {info.format}, expected one of "
            f"{', '.join(map(str, PORTAUDIO_FORMATS))} (32-bit float, 32-, 16- or 8-bit integers); set one of these in "
            "what captures it."
        )
    name, full_scale = PORTAUDIO_FORMATS[info.format]
    samples = _by_channel(np.asarray(getattr(data, name), np.float32) / np.float32(full_scale), info.channels)
    # Its capturer stamps a chunk when it begins to wait for it, which is late by what the device has ready by then.
    return Chunk(samples, info.rate, to_nanoseconds(message.header.stamp), message.header.frame_id, may_be_late=True)


READERS: dict[str, Callable[[Any, Unstamped], Chunk]] = {
    "emotion_msgs/AudioChunk": _audio_chunk,
    "audio_common_msgs/AudioData": _audio_data,
    "audio_common_msgs/AudioDataStamped": _audio_data_stamped,
    "audio_common_msgs/AudioStamped": _audio_stamped,
}


def _signed_16_bit(data: Any, channels: int) -> NDArray[np.float32]:
    if is_mp3_frame(data):
        raise AudioError(
            f"The audio message holds an MP3 frame of {len(data)} bytes, expected 16-bit samples; set format:=wave "
            "where audio_capture is started."
        )
    if len(data) % 2:
        raise AudioError(
            f"The audio message holds {len(data)} bytes; expected 16-bit samples, an even number of bytes."
        )
    return _by_channel(np.frombuffer(data, "<i2").astype(np.float32) / np.float32(2**15), channels)


def _by_channel(samples: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    if channels < 1 or len(samples) % channels:
        raise AudioError(
            f"The audio message holds {len(samples)} samples of {channels} channels; expected a whole number each."
        )
    return samples.reshape(-1, channels)  # (N, channels)
