"""Listens to the running graph as a behaviour would, and keeps what it says."""

import json
import math
from dataclasses import dataclass, field
from typing import Any, TextIO

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header

from emotion_msgs.msg import AudioWindow, EmotionState, FaceCropArray
from emotion_perception.core.stamps import NANOSECONDS_PER_S, to_nanoseconds


@dataclass(frozen=True)
class FaceBox:
    """Where a face was found in an image."""

    track_id: str
    x_px: float
    y_px: float
    width_px: float
    height_px: float


@dataclass
class Recording:
    """What one run gave. Stamps are capture times in nanoseconds."""

    start_ns: int | None = None  # time zero of the clip; None for a live source
    states: list[EmotionState] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)  # from capture to reception, of each state
    received_ns: list[int] = field(default_factory=list)  # of each state
    faces: dict[int, list[FaceBox]] = field(default_factory=dict)  # by stamp of the image
    windows: int = 0
    windows_with_voice: int = 0

    def time_s(self, stamp_ns: int) -> float:
        """Seconds since the start of the clip, or since the first state of a live source."""
        start_ns = self.start_ns if self.start_ns is not None else to_nanoseconds(self.states[0].header.stamp)
        return (stamp_ns - start_ns) / NANOSECONDS_PER_S


class GraphRecorder(Node):
    """Records /emotion/state with the faces and windows it stands on; states go to a file as they come."""

    def __init__(self, states_file: TextIO) -> None:
        super().__init__("graph_recorder")
        self.recording = Recording()
        self._states_file = states_file
        self.create_subscription(EmotionState, "/emotion/state", self._on_state, QoSProfile(depth=100))
        self.create_subscription(FaceCropArray, "/emotion/faces", self._on_faces, QoSProfile(depth=100))
        self.create_subscription(AudioWindow, "/emotion/audio_window", self._on_window, QoSProfile(depth=20))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(Header, "/media_player_node/start", self._on_start, latched)

    def _on_start(self, header: Header) -> None:
        self.recording.start_ns = to_nanoseconds(header.stamp)

    def _on_state(self, state: EmotionState) -> None:
        received_ns = self.get_clock().now().nanoseconds
        latency_s = (received_ns - to_nanoseconds(state.header.stamp)) / NANOSECONDS_PER_S
        self.recording.states.append(state)
        self.recording.received_ns.append(received_ns)
        self.recording.latencies_s.append(latency_s)
        self._states_file.write(json.dumps({**as_plain(state), "latency_s": round(latency_s, 6)}) + "\n")
        self._states_file.flush()

    def _on_faces(self, message: FaceCropArray) -> None:
        self.recording.faces[to_nanoseconds(message.header.stamp)] = [
            FaceBox(face.track_id, face.x_px, face.y_px, face.width_px, face.height_px) for face in message.faces
        ]

    def _on_window(self, message: AudioWindow) -> None:
        self.recording.windows += 1
        self.recording.windows_with_voice += message.voice_activity > 0


def as_plain(value: Any) -> Any:
    """A message as JSON knows it: NaN, which JSON does not have, is null."""
    if hasattr(value, "get_fields_and_field_types"):
        return {name: as_plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if hasattr(value, "__iter__"):
        return [as_plain(item) for item in value]
    return value
