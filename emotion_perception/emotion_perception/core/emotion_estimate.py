"""What the stream says about one person."""

from dataclasses import dataclass

from emotion_perception.core.active_speaker import Speech
from emotion_perception.core.model_bundle import FloatArray


@dataclass(frozen=True)
class EmotionEstimate:
    """What one person seems to feel; the fields of the message EmotionState without ROS."""

    stamp_ns: int  # capture time of the newest sample used
    track_id: str
    probabilities: FloatArray  # (C,), calibrated and smoothed
    label: str
    confidence: float
    uncertain: bool
    valence: float
    arousal: float
    face_weight: float
    audio_weight: float
    face_age_s: float  # NaN when no face was used
    audio_age_s: float  # NaN when no voice was used
    skew_s: float  # capture time of the newest audio minus that of the newest face; NaN unless both were used
    speech: Speech  # whether the person speaks
