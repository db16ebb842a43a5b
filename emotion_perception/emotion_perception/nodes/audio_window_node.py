"""Microphone chunks in, windows of 16 kHz mono sound with voice activity out."""

import time
from collections.abc import Sequence
from typing import Any

from action_msgs.msg import GoalStatusArray
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_action_status_default
from std_msgs.msg import Bool, Header

from emotion_msgs.msg import AudioChunk, AudioWindow
from emotion_perception.core.audio_chunk import MAX_DELAY_S, AudioError, check_chunk
from emotion_perception.core.audio_messages import Chunk, Unstamped
from emotion_perception.core.audio_pace import AudioPace
from emotion_perception.core.audio_windows import SAMPLE_RATE_HZ, AudioWindower, Window
from emotion_perception.core.robot_speech import EXECUTING, ROBOT_SPEAKING, RobotSpeech
from emotion_perception.core.stamps import NANOSECONDS_PER_S
from emotion_perception.core.voice_activity import VoiceActivity
from emotion_perception.nodes import topics
from emotion_perception.nodes.arrivals import Diagnosis, TopicArrivals
from emotion_perception.nodes.audio_formats import audio_format
from emotion_perception.nodes.conversions import to_float_array, to_stamp
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode, share_directory
from emotion_perception.nodes.starting import run

VOICE_MODEL = "models/silero_vad/silero_vad_16k_op15.onnx"
DEAD_S = 10.0  # a microphone hears a change in less, be it the noise of its own


class AudioWindowNode(PerceptionNode):
    """Resamples whatever the microphone gives and cuts it into overlapping windows."""

    PARAMETERS = (
        Parameter("audio_topic", "Topic of the microphone"),
        Parameter(
            "audio_type",
            "Type of its messages: emotion_msgs/AudioChunk, audio_common_msgs/AudioData, "
            "audio_common_msgs/AudioDataStamped (ros-drivers) or audio_common_msgs/AudioStamped (mgonzs13)",
        ),
        Parameter(
            "unstamped_sample_rate_hz",
            "Sample rate of AudioData and AudioDataStamped, which do not carry it",
            4000,
            192000,
        ),
        Parameter("unstamped_channels", "Channels of AudioData and AudioDataStamped, which do not carry them", 1, 32),
        Parameter(
            "window_s",
            "Length of a window, in seconds; the shipped model takes 3.0: it hears the end of a longer one, "
            "and silence before a shorter one",
            0.1,
            30.0,
        ),
        Parameter(
            "hop_s", "Time from one window to the next, in seconds; longer: less work for the voice encoder", 0.01, 0.4
        ),
        Parameter(
            "voice_enter",
            "Voice probability from which somebody speaks; higher: less noise is taken for a voice",
            0.0,
            1.0,
        ),
        Parameter("voice_leave", "Voice probability below which an utterance may end; at most voice_enter", 0.0, 1.0),
        Parameter("voice_min_silence_s", "Silence that ends an utterance, in seconds", 0.0, 5.0),
        Parameter(
            "tts_status_topic",
            "Status topic of the action with which the robot speaks: while a goal executes, the microphone "
            "is muted; empty: none",
            may_be_empty=True,
        ),
        Parameter(
            "mute_tail_s",
            "How long the microphone stays muted after the robot's last word, for the echo, in seconds",
            0.0,
            5.0,
        ),
        Parameter(
            "mute_limit_s",
            "How long a message that the robot speaks is believed, in seconds; after that it must be repeated",
            1.0,
            600.0,
        ),
    )

    def __init__(self) -> None:
        super().__init__("audio_window_node")

    def configure(self) -> None:
        self._message_type, self._read = audio_format(self.value("audio_type"))
        voice = VoiceActivity(
            share_directory() / VOICE_MODEL,
            enter_threshold=self.value("voice_enter"),
            leave_threshold=self.value("voice_leave"),
            min_silence_s=self.value("voice_min_silence_s"),
        )
        self._robot_speech = RobotSpeech(self.value("mute_tail_s"), self.value("mute_limit_s"))
        self._windower = AudioWindower(self.value("window_s"), self.value("hop_s"), voice, self._robot_speech)
        self._pace = AudioPace()
        self._publisher = self.add_publisher(AudioWindow, topics.AUDIO_WINDOW, topics.QUEUE)

    def activate(self) -> None:
        topic = self.value("audio_topic")
        self._arrivals = TopicArrivals(self, self._message_type, topic, "audio_topic and audio_type")
        self._windower.reset()
        self._pace.reset()
        self._lively_s = time.monotonic()  # when the samples were not all the same
        self._last_stamp_ns: int | None = None
        self._is_clock_coarse = False  # a simulated one of rare ticks, which stood still from one chunk to the next
        self._robot_speech.reset()  # whoever said meanwhile that it ended was not heard
        # No chunk of sound is made worthless by the next one: the queue holds some seconds, and one that was lost
        # is sent again where the publisher is sure to do so, as the nodes of this suite are.
        is_ours = self._message_type is AudioChunk
        reliability = ReliabilityPolicy.RELIABLE if is_ours else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=100, reliability=reliability)
        self.add_subscription(self._message_type, topic, self._on_audio, qos)
        self.add_subscription(Bool, ROBOT_SPEAKING, self._on_robot_speaking, topics.QUEUE)
        if tts_status_topic := self.value("tts_status_topic"):
            self.add_subscription(
                GoalStatusArray, tts_status_topic, self._on_tts_status, qos_profile_action_status_default
            )

    def diagnose(self) -> Diagnosis:
        now_s = self._now_s()
        diagnosis = self._arrivals.diagnose(muted=self._robot_speech.sounds(now_s))
        complaint = self._complain(self._robot_speech.disbelieved(now_s))
        if complaint and diagnosis.level == DiagnosticStatus.OK:
            diagnosis.level, diagnosis.message = DiagnosticStatus.WARN, complaint
        return diagnosis

    def _complain(self, disbelieved: Sequence[str]) -> str:
        """What is odd about sound that comes; empty for nothing."""
        if disbelieved:
            return (
                f"The robot speaks, as {' and '.join(disbelieved)} said last, but more than mute_limit_s = "
                f"{self.value('mute_limit_s'):g} s ago; it is no longer believed: say when it ends, or say it again."
            )
        if time.monotonic() - self._lively_s > DEAD_S:
            return (
                f"All samples of the last {DEAD_S:g} s have one value, expected the noise of a room; see that the "
                "microphone is not muted, and that it is the one that is meant."
            )
        if self._pace.is_wrong and self._pace.pace < 1.0:
            return (
                f"Only {self._pace.pace:.2f} s of sound come in a second, expected 1.00 s; see whether messages are "
                "lost, and that the sound has the rate that they say."
            )
        return ""

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds / NANOSECONDS_PER_S

    def _on_robot_speaking(self, message: Bool) -> None:
        self._robot_speech.tell(ROBOT_SPEAKING, message.data, self._now_s())

    def _on_tts_status(self, message: GoalStatusArray) -> None:
        is_executing = any(goal.status in EXECUTING for goal in message.status_list)
        self._robot_speech.tell(self.value("tts_status_topic"), is_executing, self._now_s())

    def _on_audio(self, message: Any) -> None:
        self._arrivals.receive()
        if not self._publisher.get_subscription_count():
            self._lively_s = time.monotonic()  # for all that is known
            return
        unstamped = Unstamped(
            self.get_clock().now().nanoseconds, self.value("unstamped_sample_rate_hz"), self.value("unstamped_channels")
        )
        try:
            chunk = self._read(message, unstamped)
            windows = self._hear(chunk)
        except AudioError as error:
            self._arrivals.refuse(str(error))
            return
        for window in windows:
            self._publisher.publish(_to_message(window, chunk.frame_id))

    def _hear(self, chunk: Chunk) -> list[Window]:
        """The windows that a chunk completes; AudioError if it is no sound."""
        if len(chunk.samples) == 0:
            raise AudioError("The audio message holds no samples, expected some; check what publishes it.")
        if chunk.samples.min() < chunk.samples.max():
            self._lively_s = time.monotonic()
        stamp_s = chunk.stamp_ns / NANOSECONDS_PER_S
        check_chunk(chunk.samples, chunk.sample_rate_hz, stamp_s)
        is_simulated = self.get_parameter("use_sim_time").value
        # Stamps of a simulation that is slower than the sound say nothing of its rate.
        if chunk.is_assumed or not is_simulated:
            self._check_pace(chunk, stamp_s)
        jitter_s = MAX_DELAY_S if self._is_clock_coarse else chunk.jitter_s
        windows = self._windower.add(chunk.samples, chunk.sample_rate_hz, stamp_s, jitter_s)
        self._is_clock_coarse |= is_simulated and chunk.stamp_ns == self._last_stamp_ns
        self._last_stamp_ns = chunk.stamp_ns
        return windows

    def _check_pace(self, chunk: Chunk, stamp_s: float) -> None:
        """AudioError where the sound cannot have the rate that it is said to have: its pitch would be another."""
        self._pace.add(len(chunk.samples) / chunk.sample_rate_hz, stamp_s)
        if not self._pace.is_wrong:
            return
        came = f"{self._pace.pace:.2f} s of sound come in a second"
        if chunk.is_assumed:
            raise AudioError(
                f"{came}, read with unstamped_sample_rate_hz {chunk.sample_rate_hz} and unstamped_channels "
                f"{chunk.samples.shape[1]}, expected 1.00 s; set both to what the microphone has, and its samples to "
                "S16LE, and see whether messages are lost."
            )
        if self._pace.pace > 1.0:  # where too little comes, stamps tell what was lost: only diagnose complains
            raise AudioError(
                f"{came}, expected 1.00 s; see that it has the {chunk.sample_rate_hz} Hz that its messages say, and "
                f"that {self.value('audio_topic')} has one publisher."
            )


def _to_message(window: Window, frame_id: str) -> AudioWindow:
    return AudioWindow(
        header=Header(stamp=to_stamp(round(window.stamp_s * NANOSECONDS_PER_S)), frame_id=frame_id),
        sample_rate_hz=SAMPLE_RATE_HZ,
        samples=to_float_array(window.samples),
        captured_s=window.captured_s,
        voice_activity=window.voice_activity,
        speaking=window.speaking,
        muted_s=window.muted_s,
        muted=window.muted,
    )


def main() -> None:
    run(AudioWindowNode)
