"""A file as camera and microphone, in its own timing."""

import threading
import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_msgs.msg import AudioChunk
from emotion_perception.core.media_reader import AudioBlock, MediaError, MediaReader, VideoFrame
from emotion_perception.core.stamps import NANOSECONDS_PER_S, TIME_JUMP_NS
from emotion_perception.nodes import topics
from emotion_perception.nodes.arrivals import Diagnosis
from emotion_perception.nodes.conversions import rgb_to_image, to_audio_chunk, to_stamp
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode
from emotion_perception.nodes.starting import run

# How often a waiting player looks at the clock, which a simulation may stop or set back.
LOOK_S = 0.02
# Where the machine cannot keep up, images so late are left out, as a camera would lose them: what all of them would
# delay more and more is too old to be judged.
LATE_NS = NANOSECONDS_PER_S // 5
# How long a picture stays in a file that does not say.
FRAME_S = 0.04
# A file is played once: its first states would be lost while those who want them are still being discovered.
LISTENER_WAIT_S = 3.0
# Best effort gives nothing to a listener that has not yet discovered the player, which may be later than the reverse.
DISCOVERY_S = 0.3


class MediaPlayerNode(PerceptionNode):
    """Plays a clip when it is activated; stamps are those that a camera and a microphone would give.

    In simulated time it waits for the clock, and begins again when that is set back.
    """

    PARAMETERS = (
        Parameter("path", "The file to play: anything that FFmpeg reads, with video, sound or both"),
        Parameter("loop", "Whether to start again at the end"),
        Parameter("image_topic", "Topic of the images"),
        Parameter("audio_topic", "Topic of the sound"),
        Parameter("camera_frame_id", "Frame of the images"),
        Parameter("microphone_frame_id", "Frame of the sound"),
    )

    def __init__(self) -> None:
        super().__init__("media_player_node")

    def configure(self) -> None:
        if not self.value("path"):
            raise ValueError("path is empty; expected the file to play, anything that FFmpeg reads.")
        self._path = Path(self.value("path"))
        with MediaReader(self._path) as reader:  # refuses a file that cannot be played, before anything starts
            streams = [name for name, there in (("video", reader.has_video), ("sound", reader.has_audio)) if there]
        self.get_logger().info(f"{self._path.name}: {' and '.join(streams)}")
        self._image_publisher = self.add_publisher(Image, self.value("image_topic"), QoSProfile(depth=2))
        self._audio_publisher = self.add_publisher(AudioChunk, self.value("audio_topic"), QoSProfile(depth=100))
        # Whoever comes later, or wants to lay results over the file, learns when its time zero was.
        self._start_publisher = self.add_publisher(Header, "~/start", topics.LATCHED)

    def wait_before_start(self, stop: threading.Event) -> None:
        """Wait a while until somebody listens to the file and to the states."""
        end_s = time.monotonic() + LISTENER_WAIT_S
        while not self._is_heard() and time.monotonic() < end_s:
            if stop.wait(LOOK_S):
                return
        if not self._is_heard():
            self.get_logger().info("Not all of the file has a listener, or the states have none; playing all the same.")
        stop.wait(DISCOVERY_S)

    def _is_heard(self) -> bool:
        publishers = (self._image_publisher, self._audio_publisher)
        is_received = all(publisher.get_subscription_count() for publisher in publishers)
        return is_received and any(map(self.count_subscribers, (topics.STATE, topics.STATES)))

    def activate(self) -> None:
        self._frames = self._late_frames = self._blocks = self._corrupt_packets = 0
        self._late_frames_diagnosed = 0
        self.start_thread(self._play, f"play {self._path}")

    def diagnose(self) -> Diagnosis:
        late_frames = self._late_frames
        diagnosis = Diagnosis(
            values={
                "frames": self._frames,
                "late_frames": late_frames,
                "audio_blocks": self._blocks,
                "corrupt_packets": self._corrupt_packets,
            }
        )
        if newly_late := late_frames - self._late_frames_diagnosed:
            self._late_frames_diagnosed = late_frames
            diagnosis.level = DiagnosticStatus.WARN
            diagnosis.message = (
                f"{newly_late} images came more than {LATE_NS / NANOSECONDS_PER_S:g} s late out of {self._path.name} "
                "and were left out, as this computer does not keep up; end other programs, or play smaller images."
            )
        return diagnosis

    def _play(self) -> None:
        try:
            while self._wait_for_clock() and not (self._play_once() and not self.value("loop")):
                pass
        except MediaError as error:
            self.get_logger().error(str(error))
        if not self.stopping.is_set():
            self.on_end()

    def _play_once(self) -> bool:
        """Whether the file was played to its end; otherwise the node was stopped or time was set back.

        A loop waits until the last picture has been there as long as the others.
        """
        with MediaReader(self._path) as reader:
            start_ns = self._newest_ns = self._now_ns()
            self._start_publisher.publish(Header(stamp=to_stamp(start_ns), frame_id=self._path.name))
            last_s = 0.0
            for item in reader:
                if not self._wait_until(start_ns + round(item.captured_s * NANOSECONDS_PER_S)):
                    return False
                stamp_ns = start_ns + round(item.time_s * NANOSECONDS_PER_S)
                if isinstance(item, VideoFrame):
                    self._publish_frame(item, stamp_ns)
                else:
                    self._publish_block(item, stamp_ns)
                self._corrupt_packets = reader.corrupt_packets
                last_s = item.time_s
            self._corrupt_packets = reader.corrupt_packets  # those at the end among them
        if self._corrupt_packets:
            self.get_logger().warning(f"{self._path.name}: {self._corrupt_packets} corrupt packets were left out.")
        if not self.value("loop"):
            return True
        # Else a photo would come again as fast as the machine can.
        frame_s = 1.0 / reader.frame_rate_hz if reader.frame_rate_hz else FRAME_S
        end_s = max(reader.duration_s or 0.0, last_s + frame_s)
        return self._wait_until(start_ns + round(end_s * NANOSECONDS_PER_S))

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _wait_for_clock(self) -> bool:
        """Wait until a simulation gives the time, which is 0 before; false when the node is stopped."""
        while self._now_ns() == 0 and not self.stopping.wait(LOOK_S):
            pass
        return not self.stopping.is_set()

    def _wait_until(self, due_ns: int) -> bool:
        """Wait for that time; false when the node is stopped or time is set back."""
        while (now_ns := self._now_ns()) > self._newest_ns - TIME_JUMP_NS:
            self._newest_ns = max(self._newest_ns, now_ns)
            if now_ns >= due_ns:
                return not self.stopping.is_set()
            if self.stopping.wait(min((due_ns - now_ns) / NANOSECONDS_PER_S, LOOK_S)):
                return False
        return False

    def _publish_frame(self, frame: VideoFrame, stamp_ns: int) -> None:
        if self._now_ns() > stamp_ns + LATE_NS:
            self._late_frames += 1
            return
        self._frames += 1
        if self._image_publisher.get_subscription_count():
            header = Header(stamp=to_stamp(stamp_ns), frame_id=self.value("camera_frame_id"))
            self._image_publisher.publish(rgb_to_image(frame.image_rgb, header))

    def _publish_block(self, block: AudioBlock, stamp_ns: int) -> None:
        frame_id = self.value("microphone_frame_id")
        self._audio_publisher.publish(to_audio_chunk(block.samples, block.sample_rate_hz, stamp_ns, frame_id))
        self._blocks += 1


def main() -> None:
    run(MediaPlayerNode)
