"""Loads the clips of a corpus into `ClipTensors`: a prepared corpus, or one of single pictures."""

import dataclasses
import hashlib
import json
import logging
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from emotion_perception.core.audio_resampler import SAMPLE_RATE_HZ
from emotion_perception.core.face_crop import scale_crop

from .clip import Clip
from .clip_tensors import ClipTensors, DataError, class_targets, feature_rows, label_of, perceived
from .corpora import read_corpus
from .face_images import load_images
from .models.whisper import BLOCKS
from .prepared_corpus import PreparedCorpus
from .robustness import with_noise
from .voice_functionals import FUNCTIONALS_VERSION, LEAST_SAMPLES, voice_functionals
from .voice_states import VoiceStates

PREPARED = "prepared"
_log = logging.getLogger(__name__)
SPEEDS = (1.0, 0.94, 1.06, 0.88, 1.13)  # of the views of a voice whose functionals are taken


@dataclass(frozen=True)
class CorpusConfig:
    """Where clips come from, and what of them goes into the tensors.

    root: the folder that `prepare` wrote; or, with `reader` naming a corpus of single pictures, its folder.
    reader: "prepared", or a corpus of `corpora` whose clips are single pictures, such as fer2013.
    reader_options: of that corpus's reader.
    labels: the classes, in output order; clips of other labels are left out where `other_labels` is "drop",
        and those without any label or vote always.
    face: clip-level "features", "crops", or "none".
    audio: "samples" of a window, "functionals" of the whole voice, or "none".
    both_modalities: leave out clips that lack one of them.
    votes: take the annotators' votes for targets where there are any.
    window_s: length of the window of samples: the loudest part of a longer voice.
    face_bins: of `face_bin_s` each, of which one crop is taken. As on the robot the last one ends with the window of
        samples; or with the newest crop, where there is no such window or no crop in the bins before its end.
    face_px: side of the crops.
    views: of each voice for functionals: the voice itself, then at other speeds.
    speech_network: weights for Whisper-tiny, see `read_smart_turn`, a path or a file in `root`; the states of its first
        `speech_blocks` blocks come beside the functionals, see `VoiceStates`. None: functionals alone.
    speakers: only the clips of these; none: of all.
    snr_db: noise is added to what is taken of every voice, at this ratio to its power, to see what a model stands;
        none: the voices as they are.
    cache: folder for functionals once computed; none: they are computed at each start.
    """

    root: Path
    labels: tuple[str, ...]
    reader: str = PREPARED
    reader_options: dict[str, Any] = field(default_factory=dict)
    other_labels: Literal["refuse", "drop"] = "refuse"
    face: Literal["features", "crops", "none"] = "features"
    audio: Literal["samples", "functionals", "none"] = "functionals"
    both_modalities: bool = False
    votes: bool = True
    window_s: float = 3.0
    face_bins: int = 8
    face_bin_s: float = 0.25
    face_px: int = 48
    views: int = 1
    speech_network: Path | None = None
    speech_blocks: int = 3
    speakers: tuple[str, ...] | None = None
    snr_db: float | None = None
    cache: Path | None = None


def load_corpus(config: CorpusConfig, keep: bool = True) -> ClipTensors:
    """All clips of the corpus with a face or a voice, in the order of their ids.

    keep: in memory, for whoever asks for them again.

    Raises:
        CorpusError: the corpus cannot be read.
        DataError: a number of `config` out of its range, a label out of the set, features that do not fit, a voice too
            short for functionals, or no clip at all.
    """
    key = json.dumps(vars(config), sort_keys=True, default=str)
    clips = _loaded.get(key) or _load(config)
    if keep:
        _loaded[key] = clips
    return clips


_loaded: dict[str, ClipTensors] = {}


def _check(config: CorpusConfig) -> None:
    """DataError for what no clip could make right."""
    if len(config.labels) < 2 or len(set(config.labels)) < len(config.labels):
        found = ", ".join(config.labels) or "none"
        raise DataError(f"data.corpus.labels are {found}; expected two or more, each once")
    for name in ("face_bins", "face_bin_s", "face_px", "window_s"):
        if not 0.0 < (number := getattr(config, name)) < math.inf:
            raise DataError(f"data.corpus.{name} is {number}; expected a finite number above 0")
    if config.reader != PREPARED and config.audio != "none":
        raise DataError(
            f"data.corpus.reader is {config.reader} and data.corpus.audio is {config.audio}; expected audio none, as "
            "such a corpus has pictures alone"
        )
    if config.snr_db is not None and not math.isfinite(config.snr_db):
        raise DataError(f"data.corpus.snr_db is {config.snr_db}; expected a finite number, or null for no noise")


def _load(config: CorpusConfig) -> ClipTensors:
    _check(config)
    if config.speech_network and config.audio != "functionals":
        raise DataError(f"speech_network is {config.speech_network} and audio is {config.audio}; expected functionals")
    prepared = PreparedCorpus(config.root) if config.reader == PREPARED else None
    clips = prepared.clips if prepared else read_corpus(config.reader, config.root, **config.reader_options)
    one_is_enough = dataclasses.replace(config, both_modalities=False)
    either = [clip for clip in clips if _wanted(clip, one_is_enough)]
    clips = [clip for clip in either if _wanted(clip, config)]
    if lacking := len(either) - len(clips):
        _log.warning(
            "%d of %d clips of %s have no face or no voice and are left out", lacking, len(either), config.root
        )
    if not clips:
        raise DataError(f"{config.root} has no clip for face {config.face} and audio {config.audio}; prepare it so")
    clips = _judged(clips, config)
    classes, target, voted = class_targets(clips, config.labels, config.votes)
    audio, audio_mask, ends_s = _voices(clips, prepared, config)
    face, face_mask = _faces(clips, prepared, config, ends_s)
    tensors = ClipTensors(
        np.array([clip.clip_id for clip in clips]),
        np.array([clip.speaker_id for clip in clips]),
        classes,
        target,
        voted,
        face,
        face_mask,
        audio,
        audio_mask,
        perceived(clips),
        sound=config.audio == "samples",
        facts=_facts(clips, prepared) if prepared else "",
    )
    return _seen_or_heard(tensors, config.root)


def _facts(clips: Sequence[Clip], prepared: PreparedCorpus) -> str:
    rows = [prepared.facts(clip) for clip in clips]
    return hashlib.sha256(json.dumps(rows, default=dict).encode()).hexdigest()[:16]


def _judged(clips: Sequence[Clip], config: CorpusConfig) -> list[Clip]:
    """Without those of which nobody said what is felt, as a conversation has many; and saying how many there were."""
    judged = [clip for clip in clips if _is_judged(clip, config)]
    if not judged:
        raise DataError(f"no clip of {config.root} has a label; fill in the labels of its table and run prepare again")
    if len(judged) < len(clips):
        missing = len(clips) - len(judged)
        _log.warning("%d of %d clips of %s have no label and are left out", missing, len(clips), config.root)
    return judged


def _seen_or_heard(clips: ClipTensors, root: Path) -> ClipTensors:
    """Without those that have neither a face nor a voice, and saying how many there were."""
    there = clips.seen_or_heard
    if there.all():
        return clips
    missing = f"{(~there).sum()} of {len(clips)} clips of {root} have neither a face nor a voice"
    if not there.any():
        raise DataError(f"{missing}; run prepare again")
    _log.warning("%s and are left out; run prepare again to have them", missing)
    return clips.of(np.flatnonzero(there))


def is_usable(clip: Clip, config: CorpusConfig) -> bool:
    """Whether the clip goes into the tensors."""
    return _wanted(clip, config) and _is_judged(clip, config)


def _is_judged(clip: Clip, config: CorpusConfig) -> bool:
    return clip.label is not None or bool(config.votes and clip.votes)


def _wanted(clip: Clip, config: CorpusConfig) -> bool:
    """Has what the configuration asks for, in a class that counts."""
    # One of which nobody said what is felt is left to `_judged`.
    if config.other_labels == "drop" and label_of(clip, config.labels) not in (None, *config.labels):
        return False
    if config.speakers is not None and clip.speaker_id not in config.speakers:
        return False
    has = []
    if config.face != "none":
        has.append(bool(clip.face_features) if config.face == "features" else bool(clip.video or clip.image))
    if config.audio != "none":
        has.append(clip.audio is not None)
    return all(has) if config.both_modalities else any(has)


def _faces(
    clips: Sequence[Clip], prepared: PreparedCorpus | None, config: CorpusConfig, ends_s: np.ndarray
) -> tuple[Tensor | None, Tensor | None]:
    """Faces and their mask; ends_s: of the windows of sound, (N,), NaN where there is none."""
    if config.face == "none":
        return None, None
    if config.face == "features":
        return feature_rows(clips)
    if prepared is None:
        crops = load_images(clips, config.face_px)  # (N, S, S, 3)
        return torch.from_numpy(crops).unsqueeze(1), torch.ones(len(clips), 1, dtype=torch.bool)
    shape = (len(clips), config.face_bins, config.face_px, config.face_px, 3)
    faces, mask = np.zeros(shape, np.uint8), np.zeros(shape[:2], bool)
    for row, clip in enumerate(clips):
        _fill_bins(faces[row], mask[row], *prepared.load_faces(clip), ends_s[row], config.face_bin_s)
    return torch.from_numpy(faces), torch.from_numpy(mask)


def _fill_bins(
    faces: np.ndarray, mask: np.ndarray, crops: np.ndarray, times_s: np.ndarray, end_s: float, bin_s: float
) -> None:
    """Crops (T, S', S', 3) at their times into bins (Tf, S, S, 3) before a moment: the middle one of each.

    The bins end with the newest crop where no moment is given, which is NaN, or none is in the bins before it.
    """
    if not len(crops):
        return
    bins, size_px = faces.shape[:2]
    if crops.shape[1] < size_px:
        raise DataError(f"crops have {crops.shape[1]} px; expected face_px, {size_px}, or more, so run prepare so")
    which = _bins_before(end_s, times_s, bins, bin_s)
    if (which < 0).all():
        which = _bins_before(times_s[-1], times_s, bins, bin_s)
    for number in np.unique(which[which >= 0]):
        members = np.flatnonzero(which == number)
        faces[number] = scale_crop(crops[members[len(members) // 2]], size_px)
        mask[number] = True


def _bins_before(end_s: float, times_s: np.ndarray, bins: int, bin_s: float) -> np.ndarray:
    """Int (T,): the bin of each time, the newest ones in the last, as in `Person.bin`; -1 outside all of them."""
    ages = np.floor((end_s - times_s) / bin_s + 1e-6)  # in bins; decimal times are not quite multiples of one
    return np.where((ages >= 0) & (ages < bins), bins - 1 - ages, -1).astype(np.int64)


def _voices(
    clips: Sequence[Clip], prepared: PreparedCorpus | None, config: CorpusConfig
) -> tuple[Tensor | None, Tensor | None, np.ndarray]:
    """Voices, their mask, and when the window of samples of each clip ends, (N,), NaN where there is none."""
    ends_s = np.full(len(clips), np.nan)
    if config.audio == "none" or prepared is None:
        return None, None, ends_s
    mask = torch.tensor([clip.audio is not None for clip in clips])
    if config.audio == "functionals":
        return _functionals(clips, prepared, config), mask, ends_s
    samples = round(config.window_s * SAMPLE_RATE_HZ)
    windows = np.zeros((1, len(clips), samples), np.float32)
    for row, clip in enumerate(clips):
        if clip.audio is not None:
            voice = prepared.load_audio(clip)
            start, end = loudest_span(voice, samples)
            # Noise at a ratio to what is judged: a long voice is mostly pauses. And the same moment in any noise.
            windows[0, row, samples - (end - start) :] = _noisy(voice[start:end], clip, config.snr_db)
            ends_s[row] = end / SAMPLE_RATE_HZ
    return torch.from_numpy(windows), mask, ends_s


def loudest_span(voice: np.ndarray, samples: int) -> tuple[int, int]:
    """Where those `samples` of the voice (N,) begin and end that have the most energy; all of a shorter voice."""
    if len(voice) <= samples:
        return 0, len(voice)
    energy = np.concatenate([[0.0], np.cumsum(voice.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[samples:] - energy[:-samples]))
    return start, start + samples


def _functionals(clips: Sequence[Clip], prepared: PreparedCorpus, config: CorpusConfig) -> Tensor:
    """Float32 (V, N, F): of each voice, and of it at other speeds; zeros where there is no voice."""
    if not 1 <= config.views <= len(SPEEDS):
        raise DataError(f"views is {config.views}; expected 1 to {len(SPEEDS)}")
    kinds: list[tuple[object, Callable[[np.ndarray], np.ndarray]]] = [(FUNCTIONALS_VERSION, voice_functionals)]
    if config.speech_network:
        if not 1 <= config.speech_blocks <= BLOCKS:
            raise DataError(f"speech_blocks is {config.speech_blocks}; expected 1 to {BLOCKS}")
        states = VoiceStates(config.root / config.speech_network, config.speech_blocks)
        kinds.append((states.name, states))
    voices = [None if clip.audio is None else _noisy(prepared.load_audio(clip), clip, config.snr_db) for clip in clips]
    if all(voice is None for voice in voices):
        raise DataError(f"{config.root} holds no clip with a voice; train without `audio`, or prepare clips with sound")
    clip_ids = [clip.clip_id for clip in clips]
    speeds = SPEEDS[: config.views]
    least = math.ceil(LEAST_SAMPLES * max(speeds)) + 1  # `at_speed` loses the last one
    for clip_id, voice in zip(clip_ids, voices, strict=True):
        if voice is not None and len(voice) < least:
            raise DataError(
                f"clip {clip_id} has a voice of {len(voice)} samples; expected {least} or more, so leave it out"
            )
    views = [
        np.concatenate([_view(clip_ids, voices, speed, config.cache, *kind) for kind in kinds], axis=1)
        for speed in speeds
    ]
    return torch.from_numpy(np.stack(views))


def _view(
    clip_ids: Sequence[str],
    voices: Sequence[np.ndarray | None],
    speed: float,
    cache: Path | None,
    version: object,
    features: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Float32 (N, F): `features` of each voice at a speed; version: another one makes kept ones again."""
    digest = hashlib.sha256(json.dumps([version, speed, clip_ids]).encode())
    for voice in voices:
        digest.update(b"" if voice is None else voice.tobytes())
    path = cache / f"functionals-{digest.hexdigest()[:16]}.npy" if cache else None
    if path and path.is_file():
        return np.load(path)
    progress = tqdm(voices, desc=f"voice features at speed {speed}", unit="clip")
    made = [None if voice is None else features(at_speed(voice, speed)) for voice in progress]
    nothing = np.zeros_like(next(row for row in made if row is not None))
    rows = np.stack([nothing if row is None else row for row in made]).astype(np.float32)
    if path:
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.npy")
        np.save(unfinished, rows)
        unfinished.replace(path)
    return rows


def _noisy(voice: np.ndarray, clip: Clip, snr_db: float | None) -> np.ndarray:
    """Of each clip another noise, and always the same."""
    return voice if snr_db is None else with_noise(voice, snr_db, seed=zlib.crc32(clip.clip_id.encode()))


def at_speed(voice: np.ndarray, speed: float) -> np.ndarray:
    """The voice (N,) played `speed` times as fast, (about N / speed,); its pitch goes with it."""
    if speed == 1.0:
        return voice
    positions = np.arange(0.0, len(voice) - 1, speed)
    return np.interp(positions, np.arange(len(voice)), voice).astype(np.float32)
