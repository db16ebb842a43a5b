"""Streaming fusion: faces and sound come in as they are captured, estimates go out at any moment.

Every crop and every audio window is encoded once, when it comes. An estimate only runs the small fusion head
over the embeddings that are kept. Stamps are integer nanoseconds, as ROS carries them, so that the stamp of an
estimate is exactly the stamp of a sample.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.model_bundle import BoolArray, FloatArray, ModelBundle
from emotion_perception.core.person_in_focus import PersonInFocus
from emotion_perception.core.probability_smoothing import ProbabilitySmoother, SmoothingSettings

NANOSECONDS_PER_S = 1_000_000_000
# Samples of one stream may come a little late; more than this, and time itself was set back (a bag that
# starts again, a simulation that was reset).
TIME_JUMP_NS = NANOSECONDS_PER_S // 2
VOICE_ONLY = ""  # the track id of a voice without a face


@dataclass(frozen=True)
class StreamSettings:
    """What a user decides about the stream."""

    face_limit_s: float  # an older face is not used
    audio_limit_s: float  # an older voice is not used
    min_voice_activity: float  # share of the window with voice from which the window is used
    uncertain_below: float  # confidence
    focus_takeover_ratio: float  # how many times larger another face must be to come into focus
    smoothing: SmoothingSettings


@dataclass(frozen=True)
class FaceSample:
    """One tracked face in one image."""

    track_id: str
    crop: NDArray[np.uint8]  # (side, side, 3) RGB, of any size
    area_px: float  # of the face in the camera image


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


@dataclass
class StreamCounts:
    """How much work was done, and what was not usable."""

    faces: int = 0
    faces_encoded: int = 0
    audio_windows: int = 0
    audio_windows_encoded: int = 0
    late_samples: int = 0
    time_jumps: int = 0


@dataclass
class _Track:
    """The recent embeddings of one face."""

    smoother: ProbabilitySmoother
    stamps_ns: deque[int] = field(default_factory=deque)
    embeddings: deque[FloatArray] = field(default_factory=deque)
    area_px: float = 0.0


class EmotionStream:
    """Keeps the embeddings of the last moments and fuses them on demand. One thread at a time."""

    def __init__(self, bundle: ModelBundle, settings: StreamSettings) -> None:
        self.bundle = bundle
        self.counts = StreamCounts()
        self._settings = settings
        self._face_window_ns = round(bundle.face.bins * bundle.face.bin_s * NANOSECONDS_PER_S)
        self._face_limit_ns = round(settings.face_limit_s * NANOSECONDS_PER_S)
        self._audio_limit_ns = round(settings.audio_limit_s * NANOSECONDS_PER_S)
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        self._tracks: dict[str, _Track] = {}
        self._focus = PersonInFocus(self._settings.focus_takeover_ratio)
        self._face_stamp_ns: int | None = None
        self._audio_stamp_ns: int | None = None
        self._audio_embeddings: FloatArray | None = None  # (tokens, embedding); None while nobody speaks
        self._voice_only = ProbabilitySmoother(self._settings.smoothing)
        self._estimated_ns: int | None = None

    def add_faces(self, stamp_ns: int, faces: Sequence[FaceSample]) -> None:
        """Encode the faces of one image, in one batch."""
        self.counts.faces += len(faces)
        if not self._accept(self._face_stamp_ns, stamp_ns):
            return
        self._face_stamp_ns = stamp_ns
        if not faces:
            return
        side = self.bundle.face.size_px
        crops = np.stack([_fit(face.crop, side) for face in faces])  # (B, side, side, 3)
        embeddings = self.bundle.encode_faces(crops)  # (B, D)
        self.counts.faces_encoded += len(faces)
        for face, embedding in zip(faces, embeddings, strict=True):
            track = self._tracks.get(face.track_id)
            if track is None:
                track = self._tracks[face.track_id] = _Track(ProbabilitySmoother(self._settings.smoothing))
            track.stamps_ns.append(stamp_ns)
            track.embeddings.append(embedding)
            track.area_px = face.area_px

    def add_audio(self, stamp_ns: int, samples: FloatArray, sample_rate_hz: int, voice_activity: float) -> None:
        """Encode one window of sound, if somebody speaks in it.

        Args:
            stamp_ns: capture time of the newest sample.
            samples: (N,) mono in [-1, 1]; a window of another length than the model's is cut or filled at its start.
            sample_rate_hz: must be the model's.
            voice_activity: share of the window with voice, in [0, 1].

        Raises:
            ValueError: the rate is not the model's, or a sample is not finite.
        """
        audio = self.bundle.audio
        if sample_rate_hz != audio.sample_rate_hz:
            raise ValueError(
                f"The audio window has {sample_rate_hz} Hz and the model wants {audio.sample_rate_hz} Hz; "
                "feed the windows of audio_window_node."
            )
        if not np.isfinite(samples).all():
            raise ValueError("The audio window holds NaN or infinite samples; mend the node that makes it.")
        self.counts.audio_windows += 1
        if not self._accept(self._audio_stamp_ns, stamp_ns):
            return
        self._audio_stamp_ns = stamp_ns
        if voice_activity < self._settings.min_voice_activity:
            self._audio_embeddings = None
            return
        window = np.zeros(audio.window_samples, np.float32)
        newest = samples[-len(window) :]
        window[len(window) - len(newest) :] = newest
        self._audio_embeddings = self.bundle.encode_audio(window)
        self.counts.audio_windows_encoded += 1

    def estimate(self, now_ns: int) -> list[EmotionEstimate]:
        """Fuse what is known at now_ns: one estimate a person, the one in focus first; empty when nobody is there."""
        if self._estimated_ns is not None and now_ns < self._estimated_ns - TIME_JUMP_NS:
            self._jump_back()
        self._estimated_ns = now_ns
        self._forget(now_ns)

        present = {
            track_id: track.area_px
            for track_id, track in self._tracks.items()
            if abs(now_ns - track.stamps_ns[-1]) <= self._face_limit_ns
        }
        focus = self._focus.choose(present)
        track_ids = sorted(present, key=lambda track_id: (track_id != focus, -present[track_id]))
        voice = self._usable_voice(now_ns)
        if voice is None:
            self._voice_only = ProbabilitySmoother(self._settings.smoothing)
        elif not track_ids:
            track_ids = [VOICE_ONLY]
        if not track_ids:
            return []

        face, audio = self.bundle.face, self.bundle.audio
        people = len(track_ids)
        face_embeddings = np.zeros((people, face.bins, face.embedding), np.float32)
        face_mask = np.zeros((people, face.bins), np.bool_)
        audio_embeddings = np.zeros((people, audio.tokens, audio.embedding), np.float32)
        audio_mask = np.zeros(people, np.bool_)
        for row, track_id in enumerate(track_ids):
            if track_id != VOICE_ONLY:
                self._bin(self._tracks[track_id], now_ns, face_embeddings[row], face_mask[row])
        if voice is not None:  # the voice is that of the person in focus
            audio_embeddings[0] = voice
            audio_mask[0] = True
        fused = self.bundle.fuse(face_embeddings, face_mask, audio_embeddings, audio_mask)
        return [
            self._describe(
                track_id, fused.probabilities[row], fused.modality_weights[row], bool(audio_mask[row]), now_ns
            )
            for row, track_id in enumerate(track_ids)
        ]

    def _accept(self, newest_ns: int | None, stamp_ns: int) -> bool:
        """Whether a sample is in time; a jump back clears everything first."""
        if newest_ns is None or stamp_ns > newest_ns:
            return True
        if stamp_ns < newest_ns - TIME_JUMP_NS:
            self._jump_back()
            return True
        self.counts.late_samples += 1
        return False

    def _jump_back(self) -> None:
        self.counts.time_jumps += 1
        self.reset()

    def _forget(self, now_ns: int) -> None:
        """Drop embeddings that left the fusion's window, and tracks without any."""
        for track_id, track in list(self._tracks.items()):
            while track.stamps_ns and track.stamps_ns[0] <= now_ns - self._face_window_ns:
                track.stamps_ns.popleft()
                track.embeddings.popleft()
            if not track.stamps_ns:
                del self._tracks[track_id]

    def _usable_voice(self, now_ns: int) -> FloatArray | None:
        if self._audio_embeddings is None or self._audio_stamp_ns is None:
            return None
        return self._audio_embeddings if abs(now_ns - self._audio_stamp_ns) <= self._audio_limit_ns else None

    def _bin(self, track: _Track, now_ns: int, embeddings: FloatArray, mask: BoolArray) -> None:
        """Average a track's embeddings by time bin into embeddings (bins, D) and mask (bins,)."""
        ages_ns = np.maximum(now_ns - np.array(track.stamps_ns), 0)  # (F,)
        bins = len(mask) - 1 - ages_ns * len(mask) // self._face_window_ns  # (F,)
        frames = np.array(track.embeddings)  # (F, D)
        for index in np.unique(bins):
            embeddings[index] = frames[bins == index].mean(axis=0)
            mask[index] = True

    def _describe(
        self, track_id: str, probabilities: FloatArray, weights: FloatArray, with_voice: bool, now_ns: int
    ) -> EmotionEstimate:
        track = self._tracks.get(track_id)
        face_ns = track.stamps_ns[-1] if track else None
        audio_ns = self._audio_stamp_ns if with_voice else None
        smoother = track.smoother if track else self._voice_only
        smoothed, label = smoother.update(probabilities, now_ns / NANOSECONDS_PER_S)
        confidence = float(smoothed[label])
        valence, arousal = smoothed @ self.bundle.coordinates  # (C,) @ (C, 2)
        return EmotionEstimate(
            stamp_ns=max(stamp for stamp in (face_ns, audio_ns) if stamp is not None),
            track_id=track_id,
            probabilities=smoothed,
            label=self.bundle.labels[label],
            confidence=confidence,
            uncertain=confidence < self._settings.uncertain_below,
            valence=float(valence),
            arousal=float(arousal),
            face_weight=float(weights[0]),
            audio_weight=float(weights[1]),
            face_age_s=_seconds_between(face_ns, now_ns),
            audio_age_s=_seconds_between(audio_ns, now_ns),
            skew_s=_seconds_between(face_ns, audio_ns),
        )


def _seconds_between(earlier_ns: int | None, later_ns: int | None) -> float:
    if earlier_ns is None or later_ns is None:
        return math.nan
    return (later_ns - earlier_ns) / NANOSECONDS_PER_S


def _fit(crop: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Scale a square crop to the model's side; the area filter when shrinking keeps fine texture from aliasing."""
    if crop.shape[:2] == (side_px, side_px):
        return crop
    shrinking = crop.shape[0] > side_px
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (side_px, side_px), interpolation=interpolation), np.uint8)
