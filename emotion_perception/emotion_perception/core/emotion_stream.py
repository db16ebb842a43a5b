"""Streaming fusion: faces and sound come in as they are captured, estimates go out at any moment.

Every crop and every audio window is encoded once, when it comes. An estimate only runs the small fusion head
over the embeddings that are kept. Stamps are integer nanoseconds, as ROS carries them, so that the stamp of an
estimate is exactly the stamp of a sample.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.active_speaker import OFF_SCREEN, ActiveSpeaker, SpeakerSettings, Speech, Verdict
from emotion_perception.core.emotion_estimate import EmotionEstimate
from emotion_perception.core.face_crop import scale_crop
from emotion_perception.core.model_bundle import FloatArray, FusionOutput, ModelBundle
from emotion_perception.core.person import FaceSample, Person
from emotion_perception.core.person_in_focus import Candidate, FocusSettings, PersonInFocus
from emotion_perception.core.probability_smoothing import ProbabilitySmoother, SmoothingSettings
from emotion_perception.core.stamps import NANOSECONDS_PER_S, TIME_JUMP_NS, seconds_between

# A new speaker is noticed about so long after beginning: what was heard before is the former one's.
SPEAKER_DELAY_NS = NANOSECONDS_PER_S // 2
VOICE_ONLY = OFF_SCREEN  # the track id of a voice without a face


@dataclass(frozen=True)
class StreamSettings:
    """What a user decides about the stream."""

    face_limit_s: float  # an older face is not used, nor one that is older than what the model looks at
    audio_limit_s: float  # an older voice is not used
    min_contrast: float  # deviation of a crop's grey levels from which the face is used
    min_voice_activity: float  # share of the window with voice from which the window is used
    uncertain_below: float  # confidence; 0: as the model says for the modalities in use
    speaker: SpeakerSettings
    focus: FocusSettings
    smoothing: SmoothingSettings


@dataclass
class StreamCounts:
    """How much work was done, and what was not usable."""

    faces: int = 0
    faces_encoded: int = 0
    faces_too_dark: int = 0
    audio_windows: int = 0
    audio_windows_encoded: int = 0
    audio_windows_muted: int = 0
    late_samples: int = 0
    time_jumps: int = 0


class EmotionStream:
    """Keeps the embeddings of the last moments and fuses them on demand. One thread at a time."""

    def __init__(self, bundle: ModelBundle, settings: StreamSettings) -> None:
        self.bundle = bundle
        self.counts = StreamCounts()
        self._settings = settings
        self._face_window_ns = round(bundle.face.window_s * NANOSECONDS_PER_S)
        self._face_limit_ns = round(settings.face_limit_s * NANOSECONDS_PER_S)
        self._audio_window_ns = round(bundle.audio.window_s * NANOSECONDS_PER_S)
        self._audio_limit_ns = round(settings.audio_limit_s * NANOSECONDS_PER_S)
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        self._people: dict[str, Person] = {}
        self._speaker = ActiveSpeaker(self._settings.speaker, memory_ns=self._audio_window_ns)
        self._focus = PersonInFocus(self._settings.focus)
        self._face_stamp_ns: int | None = None  # of the newest image
        self._face_before_ns: int | None = None  # of the one before
        self._scene = 0  # of the newest image
        self._audio_stamp_ns: int | None = None
        self._audio_embeddings: FloatArray | None = None  # (tokens, embedding); None without a usable voice
        self._speaking: deque[tuple[int, bool]] = deque()  # whether somebody spoke at the ends of the last windows
        self._voice_of: str | None = None  # the last of whom it was known
        self._voice_since_ns: int | None = None  # what was heard before is another's voice; None: nothing is
        self._heard_of: str | None = None  # the last track id to which the voice was given
        self._heard_ns = 0  # when
        self._doubted_ns = 0  # when it was last not known whether that one is still there
        self._doubted_seen_ns: int | None = None  # when that one had been seen last then
        self._voice_only = ProbabilitySmoother(self._settings.smoothing)
        self._estimated_ns: int | None = None

    def forget_sound(self, before_ns: int) -> None:
        """What was captured before that stamp is nobody's, though windows that come still hold it."""
        self._voice_since_ns = max(before_ns, self._voice_since_ns or before_ns)
        self._audio_embeddings = None  # until the next window

    def add_faces(self, stamp_ns: int, faces: Sequence[FaceSample], scene: int = 0) -> None:
        """Encode the faces of one image, in one batch; those in the dark count as not seen.

        Args:
            stamp_ns: capture time of the image.
            faces: what it shows of faces.
            scene: the number of the scene that it shows; the people of another one are gone.
        """
        self.counts.faces += len(faces)
        if not self._accept(self._face_stamp_ns, stamp_ns):
            return
        self._face_before_ns, self._face_stamp_ns = self._face_stamp_ns, stamp_ns
        if scene != self._scene:
            self._scene = scene
            self._people.clear()  # else they would stay as long as a face that the detector misses for a moment
        clear = [face for face in faces if _contrast(face.crop) >= self._settings.min_contrast]
        self.counts.faces_too_dark += len(faces) - len(clear)
        if not clear:
            return
        side = self.bundle.face.size_px
        crops = np.stack([scale_crop(face.crop, side) for face in clear])  # (B, side, side, 3)
        embeddings = self.bundle.encode_faces(crops)  # (B, D)
        self.counts.faces_encoded += len(clear)
        for face, embedding in zip(clear, embeddings, strict=True):
            person = self._people.get(face.track_id)
            if person is None:
                person = self._people[face.track_id] = Person(ProbabilitySmoother(self._settings.smoothing))
            person.see(stamp_ns, embedding, face)
            self._speaker.see_mouth(stamp_ns, face.track_id, face.mouth_opening)

    def add_audio(
        self,
        stamp_ns: int,
        samples: FloatArray,
        sample_rate_hz: int,
        voice_activity: float,
        speaking: bool,
        muted: bool,
    ) -> None:
        """Encode one window of sound, if somebody else than the robot speaks in it.

        Args:
            stamp_ns: capture time of the newest sample.
            samples: (N,) mono in [-1, 1]; a window of another length than the model's is cut or filled at its start.
            sample_rate_hz: must be the model's.
            voice_activity: share of the window with voice, in [0, 1].
            speaking: somebody speaks at its end.
            muted: at its end the robot speaks; then the voice is not used.

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
        self._audio_embeddings = None
        self._speaking.append((stamp_ns, speaking))
        while self._speaking[0][0] <= stamp_ns - self._audio_window_ns:
            self._speaking.popleft()
        if muted:
            self.counts.audio_windows_muted += 1
            self._speaker.hear_nothing()
            return
        self._speaker.hear(stamp_ns, speaking)
        newest = samples[-audio.window_samples :]
        own_samples = len(newest)
        if self._voice_since_ns is not None:
            own_ns = max(stamp_ns - self._voice_since_ns, 0)
            own_samples = min(own_samples, own_ns * sample_rate_hz // NANOSECONDS_PER_S)
        own_voice = voice_activity * len(newest)
        if own_samples < len(newest):  # the share does not say where in the window the voice is
            own_voice = min(own_voice, self._own_voice_activity() * own_samples)
        if own_voice <= 0.0 or own_voice < self._settings.min_voice_activity * len(newest):
            return
        # The share is of all that came: where the model looks at less of it, there must be a voice at its end.
        if len(newest) < len(samples) and not speaking:
            return
        window = np.zeros(audio.window_samples, np.float32)
        window[-own_samples:] = newest[-own_samples:]
        self._audio_embeddings = self.bundle.encode_audio(window)
        self.counts.audio_windows_encoded += 1

    def estimate(self, now_ns: int) -> list[EmotionEstimate]:
        """Fuse what is known at now_ns: one estimate a person, the one in focus first; empty when nobody is there."""
        # What was forgotten just before time was set back would else be kept out until that time comes again.
        past_ns = (self._estimated_ns, self._voice_since_ns)
        if any(stamp_ns is not None and now_ns < stamp_ns - TIME_JUMP_NS for stamp_ns in past_ns):
            self._jump_back()
        self._estimated_ns = now_ns
        self._forget(now_ns)

        present = {
            track_id: person
            for track_id, person in self._people.items()
            if abs(now_ns - person.newest_ns) <= self._face_limit_ns
        }
        verdict = self._speaker.decide(now_ns, present)
        self._pass_voice_on(verdict.voice_of, now_ns)
        voice = self._usable_voice(now_ns)
        focus = self._focus.choose(
            {
                track_id: Candidate(
                    person.area, person.off_center, is_speaking=voice is not None and track_id == verdict.voice_of
                )
                for track_id, person in present.items()
            }
        )
        track_ids = sorted(present, key=lambda track_id: (track_id != focus, -present[track_id].area))
        voice_of = _owner(voice, verdict, focus)
        if voice_of in present and not self._may_hear(voice_of, now_ns):
            voice = voice_of = None
        if voice_of == VOICE_ONLY:
            track_ids.append(VOICE_ONLY)
        else:
            self._voice_only = ProbabilitySmoother(self._settings.smoothing)
        return self._fuse(track_ids, voice_of, voice, verdict, now_ns) if track_ids else []

    def _fuse(
        self, track_ids: Sequence[str], voice_of: str | None, voice: FloatArray | None, verdict: Verdict, now_ns: int
    ) -> list[EmotionEstimate]:
        """One estimate of each track id, in one batch; the voice belongs to one of them."""
        face, audio = self.bundle.face, self.bundle.audio
        people = len(track_ids)
        face_embeddings = np.zeros((people, face.bins, face.embedding), np.float32)
        face_mask = np.zeros((people, face.bins), np.bool_)
        audio_embeddings = np.zeros((people, audio.tokens, audio.embedding), np.float32)
        audio_mask = np.zeros(people, np.bool_)
        for row, track_id in enumerate(track_ids):
            if track_id != VOICE_ONLY:
                self._people[track_id].bin(now_ns, self._face_window_ns, face_embeddings[row], face_mask[row])
            if voice is not None and track_id == voice_of:
                audio_embeddings[row] = voice
                audio_mask[row] = True
        fused = self.bundle.fuse(face_embeddings, face_mask, audio_embeddings, audio_mask)
        return [
            self._describe(track_id, fused, row, bool(audio_mask[row]), verdict, now_ns)
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
        """Drop embeddings that left the fusion's window, and people without any."""
        for track_id, person in list(self._people.items()):
            person.forget(now_ns - self._face_window_ns)
            if person.is_forgotten:
                del self._people[track_id]

    def _own_voice_activity(self) -> float:
        """Share of the last windows, of those that do not end in another's voice, that end in one."""
        since_ns = self._voice_since_ns or 0
        own = [speaking for stamp_ns, speaking in self._speaking if stamp_ns > since_ns]
        return sum(own) / len(own) if own else 0.0

    def _pass_voice_on(self, voice_of: str | None, now_ns: int) -> None:
        """When another person is found to speak, keep the words of the one before out of the window."""
        if voice_of is None or voice_of == self._voice_of:
            return
        if self._voice_of is not None:
            self.forget_sound(now_ns - SPEAKER_DELAY_NS)
        self._voice_of = voice_of

    def _may_hear(self, track_id: str, now_ns: int) -> bool:
        """Whether the words in the window may be this one's; those of one who has left are kept out of it."""
        former, heard_ns = self._heard_of, self._heard_ns
        has_left = False
        if former not in (None, track_id) and now_ns - heard_ns <= self._audio_window_ns:
            seen_ns = self._people[former].newest_ns if former in self._people else None
            if self._is_doubtful(seen_ns, now_ns):
                return False
            has_left = seen_ns not in (self._face_stamp_ns, self._face_before_ns)
        self._heard_of, self._heard_ns = track_id, now_ns
        if has_left:
            self.forget_sound(now_ns)
        return not has_left

    def _is_doubtful(self, seen_ns: int | None, now_ns: int) -> bool:
        """Whether the former speaker, last seen at `seen_ns`, is missing in the newest image only: a later one tells.

        Who came back after such a doubt is not doubted again so soon.
        """
        is_back = seen_ns != self._doubted_seen_ns and now_ns - self._doubted_ns <= self._face_limit_ns
        if seen_ns != self._face_before_ns or is_back:
            return False
        self._doubted_ns, self._doubted_seen_ns = now_ns, seen_ns
        return True

    def _usable_voice(self, now_ns: int) -> FloatArray | None:
        if self._audio_embeddings is None or self._audio_stamp_ns is None:
            return None
        return self._audio_embeddings if abs(now_ns - self._audio_stamp_ns) <= self._audio_limit_ns else None

    def _describe(
        self,
        track_id: str,
        fused: FusionOutput,
        row: int,
        with_voice: bool,
        verdict: Verdict,
        now_ns: int,
    ) -> EmotionEstimate:
        person = self._people.get(track_id)
        face_ns = person.newest_ns if person else None
        audio_ns = self._audio_stamp_ns if with_voice else None
        smoother = person.smoother if person else self._voice_only
        unseen_speech = Speech.SPEAKING if self._speaking and self._speaking[-1][1] else Speech.SILENT
        smoothed, label = smoother.update(fused.probabilities[row], now_ns / NANOSECONDS_PER_S)
        confidence = float(smoothed[label])
        valence, arousal = smoothed @ self.bundle.coordinates  # (C,) @ (C, 2)
        return EmotionEstimate(
            stamp_ns=max(stamp for stamp in (face_ns, audio_ns) if stamp is not None),
            track_id=track_id,
            probabilities=smoothed,
            label=self.bundle.labels[label],
            confidence=confidence,
            uncertain=confidence < (self._settings.uncertain_below or float(fused.uncertain_below[row])),
            valence=float(valence),
            arousal=float(arousal),
            face_weight=float(fused.modality_weights[row, 0]),
            audio_weight=float(fused.modality_weights[row, 1]),
            face_age_s=seconds_between(face_ns, now_ns),
            audio_age_s=seconds_between(audio_ns, now_ns),
            skew_s=seconds_between(face_ns, audio_ns),
            speech=verdict.speech.get(track_id, unseen_speech),
        )


def _owner(voice: FloatArray | None, verdict: Verdict, focus: str | None) -> str | None:
    """The track id to which the voice belongs; None: it is not used.

    An undecided voice belongs to the person in focus, one of nobody who is seen to VOICE_ONLY.
    """
    if voice is None:
        return None
    if verdict.voice_of in verdict.speech:
        return verdict.voice_of
    if verdict.voice_of is not None or focus is None:
        return VOICE_ONLY
    # The mouth of the one in focus is at rest, and another's, of whom nothing is known yet, may speak.
    is_anothers = verdict.speech[focus] is Speech.SILENT and set(verdict.speech.values()) != {Speech.SILENT}
    return None if is_anothers else focus


def _contrast(crop: NDArray[np.uint8]) -> float:
    """Standard deviation of the grey levels, 0 to 127.5."""
    return float(cv2.meanStdDev(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY))[1][0, 0])
