"""Face crops and audio windows in, emotions out, at a steady rate."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile

from emotion_msgs.msg import AudioWindow, EmotionState, EmotionStateArray, FaceCropArray, ModelInfo
from emotion_msgs.srv import Pause, Reset, SwitchModel
from emotion_perception.core.active_speaker import SpeakerSettings, Speech
from emotion_perception.core.audio_windows import SAMPLE_RATE_HZ
from emotion_perception.core.emotion_estimate import EmotionEstimate
from emotion_perception.core.emotion_stream import EmotionStream, StreamSettings
from emotion_perception.core.image_messages import ImageError
from emotion_perception.core.model_bundle import BundleError, ModelBundle, load_bundle
from emotion_perception.core.moments import SILENCE_NS, Moments, Source
from emotion_perception.core.person_in_focus import FocusSettings
from emotion_perception.core.probability_smoothing import SmoothingSettings
from emotion_perception.core.stamps import NANOSECONDS_PER_S, to_nanoseconds
from emotion_perception.nodes import topics
from emotion_perception.nodes.arrivals import Arrivals, Diagnosis
from emotion_perception.nodes.conversions import check_image_size
from emotion_perception.nodes.emotion_messages import nobody, to_model_info, to_sample, to_state
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode, share_directory
from emotion_perception.nodes.starting import run

# On a computer that falls behind, more would be too old before their turn comes: with three faces kept and four or five
# times more work than cores, a person in plain view was nobody in up to 8 of 10 states, with one in up to 1 of 10. Each
# window also tells whether somebody speaks, and chunks of sound may bring some at once.
NEWEST_FACES = QoSProfile(depth=1)
NEWEST_WINDOWS = QoSProfile(depth=3)
UNSEEN = "somebody unseen"  # in the diagnostics, who has no track id
TOPICS = {Source.FACE: topics.FACES, Source.AUDIO: topics.AUDIO_WINDOW}


class EmotionFusionNode(PerceptionNode):
    """Encodes what comes, once, and says for each moment what everybody seems to feel."""

    PARAMETERS = (
        Parameter("model", "Directory of the model bundle, or the name of a shipped one (default)"),
        Parameter("rate_hz", "States per second", 0.1, 100.0),
        Parameter(
            "face_limit_s",
            "A face older than this is not used, in seconds; with a slow camera, set more than "
            "the time between two images",
            0.0,
            10.0,
        ),
        Parameter(
            "audio_limit_s",
            "A voice older than this is not used, in seconds; set more than hop_s of audio_window_node and the "
            "length of the microphone's chunks together",
            0.0,
            10.0,
        ),
        Parameter(
            "min_contrast",
            "Standard deviation of a face's grey levels below which it is too dark to judge; 0: every face is judged",
            0.0,
            128.0,
        ),
        Parameter(
            "min_voice_activity",
            "Share of an audio window that must be voice for the window to be used; 0.15 of 3 s is 0.45 s",
            0.0,
            1.0,
        ),
        Parameter(
            "uncertain_below",
            "Confidence below which a state is marked uncertain; 0: as the model says for the modalities in use",
            0.0,
            1.0,
        ),
        Parameter(
            "mouth_movement_enter",
            "Movement of a mouth from which it may be the one that speaks, in distances between the eyes' "
            "outer corners per second",
            0.0,
            10.0,
        ),
        Parameter(
            "mouth_movement_leave",
            "Movement of a mouth below which it is silent, in the same unit; at most mouth_movement_enter",
            0.0,
            10.0,
        ),
        Parameter(
            "focus_takeover_ratio",
            "How many times larger than the face in focus another must be to take its place",
            1.0,
            10.0,
        ),
        Parameter(
            "focus_speaking_ratio",
            "How many times larger the face of the one who speaks counts for the focus; 1: no larger",
            1.0,
            100.0,
        ),
        Parameter(
            "focus_center_ratio",
            "How many times larger a face in the middle of the image counts for the focus than one in a "
            "corner; 1: no larger",
            1.0,
            100.0,
        ),
        Parameter(
            "smoothing_time_constant_s",
            "Time constant of the average of the probabilities, in seconds; longer: steadier but later; 0: no average",
            0.0,
            10.0,
        ),
        Parameter(
            "label_enter", "Smoothed probability from which another label takes over; higher: steadier", 0.0, 1.0
        ),
        Parameter(
            "label_leave",
            "Smoothed probability below which the present label gives way to the likeliest; at most label_enter",
            0.0,
            1.0,
        ),
    )

    def __init__(self) -> None:
        super().__init__("emotion_fusion_node")

    def configure(self) -> None:
        self._settings = StreamSettings(
            face_limit_s=self.value("face_limit_s"),
            audio_limit_s=self.value("audio_limit_s"),
            min_contrast=self.value("min_contrast"),
            min_voice_activity=self.value("min_voice_activity"),
            uncertain_below=self.value("uncertain_below"),
            speaker=SpeakerSettings(
                movement_enter=self.value("mouth_movement_enter"), movement_leave=self.value("mouth_movement_leave")
            ),
            focus=FocusSettings(
                takeover_ratio=self.value("focus_takeover_ratio"),
                speaking_ratio=self.value("focus_speaking_ratio"),
                center_ratio=self.value("focus_center_ratio"),
            ),
            smoothing=SmoothingSettings(
                time_constant_s=self.value("smoothing_time_constant_s"),
                enter=self.value("label_enter"),
                leave=self.value("label_leave"),
            ),
        )
        self._model_publisher = self.add_publisher(ModelInfo, topics.MODEL_INFO, topics.LATCHED)
        self._use(_load(self.value("model")))
        self._state_publisher = self.add_publisher(EmotionState, topics.STATE, topics.QUEUE)
        self._states_publisher = self.add_publisher(EmotionStateArray, topics.STATES, topics.QUEUE)
        self.add_service(Reset, "~/reset", self._on_reset)
        self.add_service(Pause, "~/pause", self._on_pause)
        self.add_service(SwitchModel, "~/switch_model", self._on_switch_model)

    def activate(self) -> None:
        self._forget()
        self._camera_frame_id = self._microphone_frame_id = ""
        self._states_published = 0
        self._is_paused = self._is_muted = False
        # Of either: one of the two may be missing for good.
        self._arrivals = Arrivals(
            " and ".join(TOPICS.values()),
            "check that face_crop_node (or hri_faces_node) and audio_window_node are active, and what they say in "
            "/diagnostics.",
        )
        self._delays_s: dict[Source, float] = {}  # of the newest samples since the last diagnosis, from capture to here
        self.add_subscription(FaceCropArray, TOPICS[Source.FACE], self._on_faces, NEWEST_FACES)
        self.add_subscription(AudioWindow, TOPICS[Source.AUDIO], self._on_audio_window, NEWEST_WINDOWS)
        self.add_timer(0.5 / self.value("rate_hz"), self._judge)  # for the moments that no sample makes due

    def diagnose(self) -> Diagnosis:
        delays_s, self._delays_s = self._delays_s, {}
        speakers = [estimate.track_id for estimate in self._estimates if estimate.speech == Speech.SPEAKING]
        values = {
            "model": self._stream.bundle.model_id,
            "paused": self._is_paused,
            "muted": self._is_muted,
            "in_focus": (self._estimates[0].track_id or UNSEEN) if self._estimates else "nobody",
            "speaking": ", ".join(track_id or UNSEEN for track_id in speakers) or "nobody known",
            "states": self._states_published,
            **asdict(self._stream.counts),
            **{f"{source.name.lower()}_delay_s": delay_s for source, delay_s in delays_s.items()},
        }
        diagnosis = self._arrivals.diagnose(**values)
        if diagnosis.level == DiagnosticStatus.ERROR:
            return diagnosis
        if self._is_paused:
            return Diagnosis(message="paused", values=diagnosis.values)
        complaint = self._complain_of_stamps(delays_s) if self.is_wanted() else ""
        if complaint:
            return Diagnosis(DiagnosticStatus.WARN, complaint, diagnosis.values)
        return diagnosis

    def _complain_of_stamps(self, delays_s: dict[Source, float]) -> str:
        """Why samples that came after such times are not used; empty if they are."""
        limits_s = {Source.FACE: self._settings.face_limit_s, Source.AUDIO: self._settings.audio_limit_s}
        for source, delay_s in delays_s.items():
            side, limit_s = ("before", limits_s[source]) if delay_s > 0.0 else ("after", SILENCE_NS / NANOSECONDS_PER_S)
            if abs(delay_s) > limit_s:
                return (
                    f"Samples of {TOPICS[source]} are stamped up to {abs(delay_s):.1f} s {side} the present of "
                    f"this node, expected at most {limit_s:g} s, and are not used; see that the clocks of all "
                    "computers agree, that use_sim_time is the same for all nodes, and that this computer keeps up."
                )
        return ""

    def is_wanted(self) -> bool:
        """Whether anybody listens to the states and the node is not paused; otherwise nothing is encoded."""
        publishers = (self._state_publisher, self._states_publisher)
        return not self._is_paused and any(publisher.get_subscription_count() for publisher in publishers)

    def _use(self, bundle: ModelBundle) -> None:
        """Judge with this model from now on, and say so to all who come."""
        self._stream = EmotionStream(bundle, self._settings)
        self._forget()
        self._model_publisher.publish(to_model_info(bundle, self._settings, self.get_clock().now().to_msg()))
        self.get_logger().info(f"Model {bundle.model_id}: {', '.join(bundle.labels)}")
        if self._settings.face_limit_s > bundle.face.window_s:
            self.get_logger().warning(
                f"face_limit_s is {self._settings.face_limit_s:g}, but the model looks at the last "
                f"{bundle.face.window_s:g} s of a face: older ones are not used; set it to that or less."
            )

    def _forget(self) -> None:
        """Begin as if nothing had come."""
        self._stream.reset()
        self._moments = Moments(self.value("rate_hz"))
        self._estimates: list[EmotionEstimate] = []  # the newest
        self._wanted_since_ns: int | None = None  # as for a new listener: nobody is said to be there too soon

    def _on_switch_model(self, request: SwitchModel.Request, response: SwitchModel.Response) -> SwitchModel.Response:
        try:
            bundle = _load(request.model)
        except BundleError as error:
            response.message = f"{error} {self._stream.bundle.model_id} stays in use."
            self.get_logger().error(response.message)
            return response
        self._use(bundle)
        response.success, response.message = True, bundle.model_id
        return response

    def _on_reset(self, _: Reset.Request, response: Reset.Response) -> Reset.Response:
        response.success, response.message = self._is_at_work()
        if response.success:
            self._forget()
        return response

    def _on_pause(self, request: Pause.Request, response: Pause.Response) -> Pause.Response:
        response.success, response.message = self._is_at_work()
        if response.success and request.paused != self._is_paused:
            self._is_paused = request.paused
            self._wanted_since_ns = None  # it need not last until the timer sees it
            self._estimates = []
        return response

    def _is_at_work(self) -> tuple[bool, str]:
        """Whether the node is active, and else what to do about it."""
        if self.is_active:
            return True, ""
        name = self.get_fully_qualified_name()
        return False, f"{name} is not active; activate it first (ros2 lifecycle set {name} activate)."

    def _on_faces(self, message: FaceCropArray) -> None:
        self._take(Source.FACE, message.header.stamp, partial(self._use_faces, message))

    def _on_audio_window(self, message: AudioWindow) -> None:
        self._is_muted = message.muted
        self._take(Source.AUDIO, message.header.stamp, partial(self._use_audio, message))

    def _take(self, source: Source, stamp: Time, use: Callable[[], None]) -> None:
        self._arrivals.receive()
        now_ns = self.get_clock().now().nanoseconds
        if self._wanted_for_ns(now_ns) is not None:
            stamp_ns = to_nanoseconds(stamp)
            self._delays_s[source] = round((now_ns - stamp_ns) / NANOSECONDS_PER_S, 3)
            self._moments.take(source, stamp_ns, now_ns, use)
            self._judge()

    def _use_faces(self, message: FaceCropArray) -> None:
        try:
            check_image_size(message)
        except ImageError as error:
            self._arrivals.refuse(f"{TOPICS[Source.FACE]}: {error}")
            return
        samples = []
        for face in message.faces:
            try:
                samples.append(to_sample(face, message))
            except ValueError as error:  # an ImageError, or a box that is none: the others are still there
                self._arrivals.refuse(f"{TOPICS[Source.FACE]}: {error}")
        if samples:  # an end of all faces may be said by somebody else than the camera
            self._camera_frame_id = message.header.frame_id
        self._stream.add_faces(to_nanoseconds(message.header.stamp), samples, message.scene)

    def _use_audio(self, message: AudioWindow) -> None:
        self._microphone_frame_id = message.header.frame_id
        try:
            self._stream.add_audio(
                to_nanoseconds(message.header.stamp),
                np.frombuffer(message.samples, np.float32),
                message.sample_rate_hz,
                message.voice_activity,
                message.speaking,
                message.muted,
            )
        except ValueError as error:
            self._arrivals.refuse(f"{TOPICS[Source.AUDIO]}: {error}")

    def _wanted_for_ns(self, now_ns: int) -> int | None:
        """How long states have been wanted, None if they are not.

        What was heard before they were is nobody's, though the next windows hold it.
        """
        if not self.is_wanted():
            self._wanted_since_ns = None
            self._estimates = []  # nobody is looked at
            return None
        if self._wanted_since_ns is None or now_ns < self._wanted_since_ns:
            self._wanted_since_ns = now_ns
            self._stream.forget_sound(now_ns)
        return now_ns - self._wanted_since_ns

    def _judge(self) -> None:
        """Publish the states that are due."""
        now_ns = self.get_clock().now().nanoseconds
        wanted_ns = self._wanted_for_ns(now_ns)
        if wanted_ns is None:
            return
        is_new_listener = wanted_ns < self._settings.face_limit_s * NANOSECONDS_PER_S
        for moment_ns in self._moments.due(now_ns):
            self._estimates = self._stream.estimate(moment_ns)
            # Who has just begun to listen must not hear "nobody" before a face could be judged.
            if self._estimates or not is_new_listener:
                self._publish(moment_ns)

    def _publish(self, moment_ns: int) -> None:
        frame_ids = (self._camera_frame_id, self._microphone_frame_id)
        states = [to_state(estimate, self._stream.bundle, *frame_ids) for estimate in self._estimates]
        first = states[0] if states else nobody(self._stream.bundle, moment_ns)
        newest = max(states, key=lambda state: to_nanoseconds(state.header.stamp), default=first)
        self._states_publisher.publish(EmotionStateArray(header=newest.header, states=states))
        self._state_publisher.publish(first)
        self._states_published += 1


def _load(model: str) -> ModelBundle:
    """The bundle of a directory, or a shipped one by its name; BundleError if it cannot be used."""
    shipped = share_directory() / "models" / model
    try:
        bundle = load_bundle(shipped if shipped.is_dir() else Path(model).absolute())
    except OSError as error:
        raise BundleError(f"The model {model!r} cannot be read ({error}); give a directory that can.") from error
    if bundle.audio.sample_rate_hz != SAMPLE_RATE_HZ:
        raise BundleError(
            f"{bundle.directory} wants sound of {bundle.audio.sample_rate_hz} Hz, expected {SAMPLE_RATE_HZ} Hz, "
            "which is what audio_window_node gives; export it for that rate."
        )
    return bundle


def main() -> None:
    run(EmotionFusionNode)
