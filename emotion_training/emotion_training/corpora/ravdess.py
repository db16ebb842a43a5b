"""RAVDESS: 24 actors speak two sentences in eight emotions (Livingstone & Russo 2018,
doi:10.1371/journal.pone.0196391).
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from ..clip import Clip
from ..labels import RAVDESS_CODES, RAVDESS_EIGHT_CODES
from .table import CorpusError, Row, build_all, read_table

CORPUS = "ravdess"
CODES = {7: RAVDESS_CODES, 8: RAVDESS_EIGHT_CODES}
MODALITIES = {"01": "audio-video", "02": "video", "03": "audio"}
SPEECH, SONG = "01", "02"
INTENSITIES = {"01": "normal", "02": "strong"}
SUFFIXES = (".mp4", ".wav", ".flac")
CLIP_COLUMN = "clip"  # of a table of features


def read(root: Path, classes: int = 8, face_features: Path | None = None) -> list[Clip]:
    """Reads `Actor_AA/MM-VV-EE-II-SS-RR-AA.{mp4,wav,flac}`; songs (VV 02) are left out.

    The files of one utterance, which differ in MM, make one clip with the id `VV-EE-II-SS-RR-AA`: the pictures
    are of the file with both (01), or else of the one with video only (02); the sound is of the audio-only file
    (03) where there is one.

    Args:
        root: the folder with the `Actor_AA` folders.
        classes: 8, or 7 to join calm with neutral.
        face_features: a table with the column `clip` (a file name without its suffix, of any modality) and columns
            of numbers: the action units or the expression posteriors of the clip's face. Clips without a row have
            none.
    """
    if classes not in CODES:
        raise CorpusError(f"classes is {classes}; expected 8, or 7 to join calm with neutral")
    clips = [_clip(utterance, files, CODES[classes]) for utterance, files in sorted(_files_by_utterance(root).items())]
    return clips if face_features is None else _with_features(clips, face_features)


def _files_by_utterance(root: Path) -> dict[str, dict[str, Path]]:
    """The files of each utterance by their modality."""
    utterances: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(root.glob("Actor_*/*")):
        if path.suffix not in SUFFIXES:
            continue
        fields = path.stem.split("-")
        if (
            len(fields) != 7
            or fields[0] not in MODALITIES
            or fields[1] not in (SPEECH, SONG)
            or fields[2] not in RAVDESS_CODES
            or fields[3] not in INTENSITIES
        ):
            raise CorpusError(
                f"{path} is no RAVDESS name; expected MM-VV-EE-II-SS-RR-AA with MM from 01 to 03, VV 01 or 02, "
                "EE from 01 to 08 and II 01 or 02"
            )
        if fields[1] == SPEECH:
            utterances["-".join(fields[1:])][MODALITIES[fields[0]]] = path
    if not utterances:
        raise CorpusError(f"{root} holds no Actor_*/*.mp4, .wav or .flac; give the folder with the Actor_ folders")
    return utterances


def _clip(utterance: str, files: dict[str, Path], codes: dict[str, str]) -> Clip:
    _, emotion, intensity, _, _, actor = utterance.split("-")
    return Clip(
        clip_id=utterance,
        corpus=CORPUS,
        speaker_id=f"{CORPUS}-{actor}",
        label=codes[emotion],
        intensity=INTENSITIES[intensity],
        video=files.get("audio-video", files.get("video")),
        audio=files.get("audio"),
    )


def _with_features(clips: list[Clip], path: Path) -> list[Clip]:
    features = {clip.split("-", 1)[-1]: values for clip, values in _read_features(path).items()}
    if not any(clip.clip_id in features for clip in clips):
        raise CorpusError(f"{path} has no row for any clip; expected names such as 01-01-05-02-01-01-12 in `clip`")
    return [replace(clip, face_features=features.get(clip.clip_id)) for clip in clips]


def _read_features(path: Path) -> dict[str, tuple[float, ...]]:
    """By clip, (F,); CorpusError for a cell that is no number, a clip that stands in two rows, or no feature at all."""
    rows = read_table(path, [CLIP_COLUMN])
    names = [name for name in rows[0].cells if name != CLIP_COLUMN]
    if not names:
        raise CorpusError(f"{path} holds no feature; expected columns of numbers beside {CLIP_COLUMN}")
    features: dict[str, tuple[float, ...]] = {}

    def add(row: Row) -> None:
        clip = row.required(CLIP_COLUMN)
        if clip in features:
            raise row.problem(f"{CLIP_COLUMN} {clip} stands in an earlier row; expected each clip once")
        features[clip] = tuple(row.required_number(name) for name in names)

    build_all(rows, add)
    return features
