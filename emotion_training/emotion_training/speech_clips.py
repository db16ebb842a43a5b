"""Voices in memory, split by speaker."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
from tqdm import tqdm

from .clip import Clip
from .corpora import CorpusError
from .labels import label_index
from .splits import PARTS, ClipParts, Fold, split_clips

VOICED_RANGE_DB = 30.0  # frames within it of the loudest frame belong to the voice
FRAME_S = 0.025


@dataclass(frozen=True)
class SpeechClip:
    """One utterance.

    speaker_id is unique over corpora; label is the position in LABELS; samples: int16 (N,) mono at the configured rate;
    the voice lies in samples[voice_start_sample:voice_end_sample]; intensity is the corpus's own word.
    """

    clip_id: str
    corpus: str
    speaker_id: str
    label: int
    samples: np.ndarray
    voice_start_sample: int
    voice_end_sample: int
    intensity: str | None = None


@dataclass(frozen=True)
class SpeakerSplit:
    """Speakers held out of the learning of one corpus; all others learn."""

    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class SpeechSplits:
    """Clips by their use; no speaker is in two of them."""

    train: tuple[SpeechClip, ...]
    validation: tuple[SpeechClip, ...]
    test: tuple[SpeechClip, ...]


def hold_out(clips: Sequence[Clip], split: SpeakerSplit) -> ClipParts:
    """The clips of one corpus by their use; who is not held out learns.

    Raises:
        SplitError: a speaker in two parts or without a clip, or a class that the training or the test part lacks.
    """
    held_out = {*split.validation, *split.test}
    learning = tuple(sorted({clip.speaker_id for clip in clips} - held_out))
    return split_clips(clips, Fold(learning, split.validation, split.test))


def load_voices(corpora: Sequence[ClipParts], sample_rate_hz: int) -> SpeechSplits:
    """Reads the clips of all corpora; boredom, the rest of a person who has no wish to speak, joins neutral.

    Raises:
        CorpusError: a clip without a file of sound, or with one that cannot be read or is not mono at this rate.
    """
    parts = {}
    for part in PARTS:
        clips = [clip for corpus in corpora for clip in getattr(corpus, part)]
        parts[part] = tuple(_load(clip, sample_rate_hz) for clip in tqdm(clips, desc=f"voices, {part}", unit="clip"))
    return SpeechSplits(**parts)


def voiced_span(samples: np.ndarray, sample_rate_hz: int) -> tuple[int, int]:
    """First and one past the last sample (int16 (N,)) of what is within VOICED_RANGE_DB of the loudest
    frame.
    """
    frame_samples = round(FRAME_S * sample_rate_hz)
    frames = samples[: len(samples) // frame_samples * frame_samples].astype(np.float32).reshape(-1, frame_samples)
    power = (frames * frames).mean(axis=1)  # (T,)
    voiced = np.flatnonzero(power >= power.max(initial=0.0) * 10.0 ** (-VOICED_RANGE_DB / 10.0))
    if len(voiced) == 0:
        return 0, len(samples)
    return int(voiced[0]) * frame_samples, (int(voiced[-1]) + 1) * frame_samples


def _load(clip: Clip, sample_rate_hz: int) -> SpeechClip:
    if clip.audio is None:
        raise CorpusError(f"{clip.clip_id} of {clip.corpus} has no file of sound; fetch it, or take the clip out")
    try:
        samples, rate_hz = soundfile.read(clip.audio, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise CorpusError(f"{clip.audio} cannot be read ({error}); fetch it again") from None
    if rate_hz != sample_rate_hz or samples.ndim != 1:
        raise CorpusError(f"{clip.audio} has {rate_hz} Hz and shape {samples.shape}; expected {sample_rate_hz} Hz mono")
    label = label_index("neutral" if clip.label == "bored" else clip.label)
    span = voiced_span(samples, sample_rate_hz)
    return SpeechClip(clip.clip_id, clip.corpus, clip.speaker_id, label, samples, *span, clip.intensity)
