"""Voices in memory, split by speaker."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from .clip import Clip
from .corpora import CorpusError
from .labels import LABELS, label_index
from .splits import PARTS, Fold, Split, SplitError, require_every_class

VOICED_RANGE_DB = 30.0  # frames within it of the loudest frame belong to the voice
FRAME_S = 0.025
PCM16_FULL_SCALE = 32768


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
class SpeechSplits:
    """Clips by their use; no speaker is in two of them."""

    train: tuple[SpeechClip, ...]
    validation: tuple[SpeechClip, ...]
    test: tuple[SpeechClip, ...]


def load_voices(clips: Sequence[Clip], sample_rate_hz: int) -> tuple[SpeechClip, ...]:
    """Reads the clips, as mono at this rate; boredom, the rest of a person who has no wish to speak, joins neutral.

    Raises:
        CorpusError: a clip without a file of sound, or with one that cannot be read.
    """
    return tuple(_load(clip, sample_rate_hz) for clip in tqdm(clips, desc="voices", unit="clip"))


def speech_folds(splits: Mapping[str, Split], clips: Sequence[SpeechClip]) -> list[SpeechSplits]:
    """The clips by their use in each fold of the speakers at hand; speakers that a split does not have always learn.

    splits: of each corpus that the clips are of; the folds of a number go together.

    Raises:
        SplitError: a corpus without clips, or one that has lost a fold that another has, for want of its speakers; a
            single fold; a class of which a part of a fold has no voice.
    """
    at_hand = [
        split.among(split.speakers & {clip.speaker_id for clip in clips if clip.corpus == corpus})
        for corpus, split in splits.items()
    ]
    numbers = sorted(set().union(*(split.numbers for split in at_hand)))
    if len(numbers) < 2:
        raise SplitError(
            f"fold {numbers[0]} alone tests speakers at hand; expected two folds or more, as each is calibrated by the "
            "others: fetch more speakers"
        )
    return [_speech_fold(number, [split.fold(number) for split in at_hand], clips) for number in numbers]


def _speech_fold(number: int, folds: Sequence[Fold], clips: Sequence[SpeechClip]) -> SpeechSplits:
    part_of = {speaker: part for fold in folds for part in PARTS for speaker in getattr(fold, part)}
    by_part = {part: tuple(clip for clip in clips if part_of.get(clip.speaker_id, "train") == part) for part in PARTS}
    for part, chosen in by_part.items():
        found = {LABELS[clip.label] for clip in chosen}
        require_every_class(f"the {part} part of the voices, fold {number},", LABELS, found)
    return SpeechSplits(**by_part)


def fingerprint_clips(*sets: Sequence[SpeechClip]) -> str:
    """Hash of names, labels and samples."""
    digest = hashlib.sha256()
    for clips in sets:
        digest.update(json.dumps([(clip.clip_id, clip.speaker_id, clip.label) for clip in clips]).encode())
        for clip in clips:
            digest.update(clip.samples.tobytes())
    return digest.hexdigest()


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
        channels, rate_hz = soundfile.read(clip.audio, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise CorpusError(f"{clip.audio} cannot be read ({error}); fetch it again") from None
    sound = soxr.resample(channels.mean(axis=1), rate_hz, sample_rate_hz)  # as it is where the rates agree
    samples = (PCM16_FULL_SCALE * sound).round().clip(-PCM16_FULL_SCALE, PCM16_FULL_SCALE - 1).astype(np.int16)
    label = label_index("neutral" if clip.label == "bored" else clip.label)
    span = voiced_span(samples, sample_rate_hz)
    return SpeechClip(clip.clip_id, clip.corpus, clip.speaker_id, label, samples, *span, clip.intensity)
