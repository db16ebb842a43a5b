"""Between the messages of the fusion and what the core makes of them."""

import math

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from emotion_msgs.msg import EmotionState, FaceCrop, FaceCropArray, ModelInfo
from emotion_perception.core.emotion_estimate import EmotionEstimate
from emotion_perception.core.emotion_stream import StreamSettings
from emotion_perception.core.face_box import Box
from emotion_perception.core.image_messages import image_to_rgb
from emotion_perception.core.model_bundle import STATES, ModelBundle
from emotion_perception.core.person import FaceSample
from emotion_perception.nodes.conversions import to_float_array, to_stamp


def to_sample(face: FaceCrop, faces: FaceCropArray) -> FaceSample:
    """A face of an image; ValueError if its crop is no image, its box no box, or nobody says whose it is."""
    if not face.track_id:  # which stands for the voice of somebody unseen
        raise ValueError("The face has no track_id; expected one, the same as long as the person is followed.")
    box = Box(face.x_px, face.y_px, face.width_px, face.height_px)
    return FaceSample(
        track_id=face.track_id,
        crop=image_to_rgb(face.crop),
        area=box.width_px * box.height_px,
        off_center=box.off_center(faces.image_width_px, faces.image_height_px),
        mouth_opening=face.mouth_opening,
    )


def to_state(
    estimate: EmotionEstimate, bundle: ModelBundle, camera_frame_id: str, microphone_frame_id: str
) -> EmotionState:
    with_face, with_audio = not math.isnan(estimate.face_age_s), not math.isnan(estimate.audio_age_s)
    return EmotionState(
        header=Header(
            stamp=to_stamp(estimate.stamp_ns), frame_id=camera_frame_id if with_face else microphone_frame_id
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
        speaking=int(estimate.speech),
    )


def nobody(bundle: ModelBundle, now_ns: int) -> EmotionState:
    """The state when nobody is there."""
    return EmotionState(
        header=Header(stamp=to_stamp(now_ns)),
        model_id=bundle.model_id,
        label=EmotionState.NOBODY,
        uncertain=True,
        face_age_s=math.nan,
        audio_age_s=math.nan,
        skew_s=math.nan,
    )


def to_model_info(bundle: ModelBundle, settings: StreamSettings, stamp: Time) -> ModelInfo:
    return ModelInfo(
        header=Header(stamp=stamp),
        model_id=bundle.model_id,
        format_version=bundle.format_version,
        path=str(bundle.directory),
        sha256=bundle.sha256,
        labels=bundle.labels,
        valence=to_float_array(bundle.coordinates[:, 0]),
        arousal=to_float_array(bundle.coordinates[:, 1]),
        trained_on=bundle.trained_on,
        licence=bundle.licence,
        uncertain_below=[settings.uncertain_below or bundle.calibration[state]["uncertain_below"] for state in STATES],
        label_enter=settings.smoothing.enter,
        label_leave=settings.smoothing.leave,
        min_voice_activity=settings.min_voice_activity,
    )
