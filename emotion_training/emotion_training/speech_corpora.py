"""RAVDESS and EmoDB voices as clips with speakers, split by speaker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from .labels import EMODB_CODES, RAVDESS_CODES, label_index

VOICED_RANGE_DB = 30.0  # frames within it of the loudest frame belong to the voice
FRAME_S = 0.025


class SpeechDataError(Exception):
    """A speech corpus that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class SpeechClip:
    """One utterance.

    speaker_id is unique over corpora; label is the position in LABELS; samples: int16 (N,) mono at the
    configured rate; the voice lies in samples[voice_start_sample:voice_end_sample].
    """

    clip_id: str
    corpus: str
    speaker_id: str
    label: int
    samples: np.ndarray
    voice_start_sample: int
    voice_end_sample: int


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


def load_ravdess(directory: Path, sample_rate_hz: int) -> list[SpeechClip]:
    """`Actor_*/MM-VV-EE-II-SS-RR-AA.flac`, ordered by name; speaker_id is `ravdess-AA`."""
    clips = []
    for path in _audio_files(directory, "Actor_*/*.flac", "RAVDESS"):
        fields = path.stem.split("-")
        if len(fields) != 7 or fields[2] not in RAVDESS_CODES:
            raise SpeechDataError(
                f"{path} is no RAVDESS name; expected 03-01-EE-II-SS-RR-AA.flac with EE from 01 to 08"
            )
        label = label_index(RAVDESS_CODES[fields[2]])
        clips.append(_read_clip(path, "ravdess", f"ravdess-{fields[6]}", label, sample_rate_hz))
    return clips


def load_emodb(directory: Path, sample_rate_hz: int) -> list[SpeechClip]:
    """`SSTTTEV.flac` (speaker, text, emotion, version), ordered by name and without boredom; speaker_id is
    `emodb-SS`.
    """
    clips = []
    for path in _audio_files(directory, "*.flac", "EmoDB"):
        code = path.stem[5:6]
        if code == "L":
            continue
        if code not in EMODB_CODES:
            raise SpeechDataError(
                f"{path} is no EmoDB name; expected its sixth letter to be one of {sorted(EMODB_CODES)}"
            )
        label = label_index(EMODB_CODES[code])
        clips.append(_read_clip(path, "emodb", f"emodb-{path.stem[:2]}", label, sample_rate_hz))
    return clips


def split_by_speaker(clips: Sequence[SpeechClip], split: SpeakerSplit) -> SpeechSplits:
    """Puts whole speakers into validation and test; SpeechDataError for one in both or without a clip."""
    both = set(split.validation) & set(split.test)
    if both:
        raise SpeechDataError(f"speakers {sorted(both)} are in validation and in test; expected each speaker once")
    absent = (set(split.validation) | set(split.test)) - {clip.speaker_id for clip in clips}
    if absent:
        raise SpeechDataError(
            f"speakers {sorted(absent)} of the split have no clip; check the data folder and the split"
        )
    held_out = {*split.validation, *split.test}
    return SpeechSplits(
        train=tuple(clip for clip in clips if clip.speaker_id not in held_out),
        validation=tuple(clip for clip in clips if clip.speaker_id in split.validation),
        test=tuple(clip for clip in clips if clip.speaker_id in split.test),
    )


def join_splits(*splits: SpeechSplits) -> SpeechSplits:
    """The same use of several corpora together."""
    return SpeechSplits(
        train=sum((split.train for split in splits), ()),
        validation=sum((split.validation for split in splits), ()),
        test=sum((split.test for split in splits), ()),
    )


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


def _audio_files(directory: Path, pattern: str, corpus: str) -> tqdm:
    paths = sorted(directory.glob(pattern))
    if not paths:
        raise SpeechDataError(
            f"{directory} holds no {pattern}; give the folder that holds {directory.name}/ with --data"
        )
    return tqdm(paths, desc=corpus, unit="clip")


def _read_clip(path: Path, corpus: str, speaker_id: str, label: int, sample_rate_hz: int) -> SpeechClip:
    try:
        samples, rate_hz = soundfile.read(path, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise SpeechDataError(f"{path} cannot be read ({error}); fetch it again") from None
    if rate_hz != sample_rate_hz or samples.ndim != 1:
        raise SpeechDataError(f"{path} has {rate_hz} Hz and shape {samples.shape}; expected {sample_rate_hz} Hz mono")
    return SpeechClip(path.stem, corpus, speaker_id, label, samples, *voiced_span(samples, sample_rate_hz))
