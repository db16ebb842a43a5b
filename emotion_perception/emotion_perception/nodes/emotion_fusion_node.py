"""Face crops and audio windows in, emotions out, at a steady rate."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from emotion_msgs.msg import AudioWindow, EmotionState, EmotionStateArray, FaceCropArray
from emotion_perception.core.emotion_stream import EmotionEstimate, EmotionStream, FaceSample, StreamSettings
from emotion_perception.core.model_bundle import load_bundle
from emotion_perception.core.probability_smoothing import SmoothingSettings
from emotion_perception.nodes.conversions import (
    ImageError,
    image_to_rgb,
    to_float_array,
    to_nanoseconds,
    to_stamp,
)
from emotion_perception.nodes.perception_node import Diagnosis, Parameter, PerceptionNode, share_directory
from emotion_perception.nodes.starting import run

QUEUE = QoSProfile(depth=10)


class EmotionFusionNode(PerceptionNode):
    """Encodes what comes, once, and says at each tick what everybody seems to feel."""

    PARAMETERS = (
        Parameter("model", "Directory of the model bundle, or the name of one that is shipped (default)"),
        Parameter("rate_hz", "States a second", 0.1, 100.0),
        Parameter("face_limit_s", "A face older than this is not used, in seconds", 0.0, 10.0),
        Parameter("audio_limit_s", "A voice older than this is not used, in seconds", 0.0, 10.0),
        Parameter("min_voice_activity", "Share of an audio window with voice from which the voice is used", 0.0, 1.0),
        Parameter("uncertain_below", "Confidence below which a state is marked uncertain", 0.0, 1.0),
        Parameter("focus_takeover_ratio", "How many times larger another face must be to come into focus", 1.0, 10.0),
        Parameter(
            "smoothing_time_constant_s",
            "Of the average of the probabilities over time, in seconds; 0: none",
            0.0,
            10.0,
        ),
        Parameter("label_enter", "Probability from which another label takes over", 0.0, 1.0),
        Parameter("label_leave", "Probability below which the present label gives way to the likeliest", 0.0, 1.0),
    )

    def __init__(self) -> None:
        super().__init__("emotion_fusion_node")

    def configure(self) -> None:
        settings = StreamSettings(
            face_limit_s=self.value("face_limit_s"),
            audio_limit_s=self.value("audio_limit_s"),
            min_voice_activity=self.value("min_voice_activity"),
            uncertain_below=self.value("uncertain_below"),
            focus_takeover_ratio=self.value("focus_takeover_ratio"),
            smoothing=SmoothingSettings(
                time_constant_s=self.value("smoothing_time_constant_s"),
                enter=self.value("label_enter"),
                leave=self.value("label_leave"),
            ),
        )
        self._stream = EmotionStream(load_bundle(_bundle_directory(self.value("model"))), settings)
        self.get_logger().info(f"Model {self._stream.bundle.model_id}: {', '.join(self._stream.bundle.labels)}")
        self._state_publisher = self.add_publisher(EmotionState, "emotion/state", QUEUE)
        self._states_publisher = self.add_publisher(EmotionStateArray, "emotion/states", QUEUE)

    def activate(self) -> None:
        self._stream.reset()
        self._camera_frame_id = self._microphone_frame_id = ""
        self._states_published = 0
        self._refusal = ""
        self.add_subscription(FaceCropArray, "emotion/faces", self._on_faces, QUEUE)
        self.add_subscription(AudioWindow, "emotion/audio_window", self._on_audio_window, QUEUE)
        self.add_timer(1 / self.value("rate_hz"), self._on_tick)

    def diagnose(self) -> Diagnosis:
        values = {"states": self._states_published, **asdict(self._stream.counts)}
        refusal, self._refusal = self._refusal, ""
        if refusal:
            return Diagnosis(DiagnosticStatus.ERROR, refusal, values)
        return Diagnosis(values=values)

    def is_wanted(self) -> bool:
        """Whether anybody listens to the states; nothing is encoded before."""
        publishers = (self._state_publisher, self._states_publisher)
        return any(publisher.get_subscription_count() for publisher in publishers)

    def _on_faces(self, message: FaceCropArray) -> None:
        if not self.is_wanted():
            return
        try:
            samples = [
                FaceSample(face.track_id, image_to_rgb(face.crop), face.width_px * face.height_px)
                for face in message.faces
            ]
        except ImageError as error:
            self._refusal = f"emotion/faces: {error}"
            return
        self._camera_frame_id = message.header.frame_id
        self._stream.add_faces(to_nanoseconds(message.header.stamp), samples)

    def _on_audio_window(self, message: AudioWindow) -> None:
        if not self.is_wanted():
            return
        self._microphone_frame_id = message.header.frame_id
        try:
            self._stream.add_audio(
                to_nanoseconds(message.header.stamp),
                np.frombuffer(message.samples, np.float32),
                message.sample_rate_hz,
                message.voice_activity,
            )
        except ValueError as error:
            self._refusal = f"emotion/audio_window: {error}"

    def _on_tick(self) -> None:
        if not self.is_wanted():
            return
        now_ns = self.get_clock().now().nanoseconds
        states = [self._to_message(estimate) for estimate in self._stream.estimate(now_ns)]
        array_header = states[0].header if states else Header(stamp=to_stamp(now_ns))
        self._states_publisher.publish(EmotionStateArray(header=array_header, states=states))
        self._state_publisher.publish(states[0] if states else self._nobody(now_ns))
        self._states_published += 1

    def _to_message(self, estimate: EmotionEstimate) -> EmotionState:
        bundle = self._stream.bundle
        with_face, with_audio = not math.isnan(estimate.face_age_s), not math.isnan(estimate.audio_age_s)
        return EmotionState(
            header=Header(
                stamp=to_stamp(estimate.stamp_ns),
                frame_id=self._camera_frame_id if with_face else self._microphone_frame_id,
            ),
            track_id=estimate.track_id,
            model_id=bundle.model_id,
            labels=bundle.labels,
            probabilities=to_float_array(estimate.probabilities),
            label=estimate.label,
            confidence=estimate.confidence,
            uncertain=estimate.uncertain,
            valence=estimate.valence,
            arousal=estimate.arousal,
            modalities=EmotionState.FACE * with_face | EmotionState.AUDIO * with_audio,
            face_weight=estimate.face_weight,
            audio_weight=estimate.audio_weight,
            face_age_s=estimate.face_age_s,
            audio_age_s=estimate.audio_age_s,
            skew_s=estimate.skew_s,
        )

    def _nobody(self, now_ns: int) -> EmotionState:
        return EmotionState(
            header=Header(stamp=to_stamp(now_ns)),
            model_id=self._stream.bundle.model_id,
            label=EmotionState.NOBODY,
            uncertain=True,
            face_age_s=math.nan,
            audio_age_s=math.nan,
            skew_s=math.nan,
        )


def _bundle_directory(model: str) -> Path:
    shipped = share_directory() / "models" / model
    return shipped if shipped.is_dir() else Path(model)


def main() -> None:
    run(EmotionFusionNode)
