"""Reads what `prepare` wrote: the clips of a corpus with face crops and 16 kHz sound ready to use."""

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from .clip import Clip
from .corpora.table import CorpusError

CLIPS_FILE = "clips.parquet"
FULL_SCALE = 2**15  # of the stored int16 sound
PATHS = ("video", "audio", "image")
MEDIA = ("faces.npy", "times_s.npy", "audio.npy")  # of a clip's file, beside what `prepare` says of itself
SCHEMA = pyarrow.schema(
    [
        ("clip_id", pyarrow.string()),
        ("corpus", pyarrow.string()),
        ("speaker_id", pyarrow.string()),
        ("session_id", pyarrow.string()),
        ("label", pyarrow.string()),
        ("votes", pyarrow.string()),  # JSON: a Parquet struct would give every clip every label
        ("valence", pyarrow.float64()),
        ("arousal", pyarrow.float64()),
        ("intensity", pyarrow.string()),
        ("video", pyarrow.string()),
        ("audio", pyarrow.string()),
        ("image", pyarrow.string()),
        ("start_s", pyarrow.float64()),
        ("end_s", pyarrow.float64()),
        ("face_features", pyarrow.list_(pyarrow.float64())),
    ]
)


class PreparedCorpus:
    """A folder that `prepare` wrote.

    Attributes:
        clips: the usable ones, ordered by clip_id. `video` is the prepared file where it holds a face, and `audio` is
            it where it holds sound; otherwise they are None. The files hold nothing but the clip, so `start_s` and
            `end_s` are None.
    """

    def __init__(self, directory: Path) -> None:
        """Reads the list of clips; CorpusError if there is none."""
        path = directory / CLIPS_FILE
        if not path.is_file():
            raise CorpusError(f"{path} does not exist; run `prepare` with --out {directory}")
        try:
            rows = pyarrow.parquet.read_table(path, schema=SCHEMA).to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise CorpusError(f"{path} cannot be read ({error}); run `prepare` again") from None
        self.clips: tuple[Clip, ...] = tuple(_clip(row, directory) for row in rows)

    def load_audio(self, clip: Clip) -> np.ndarray:
        """The sound, float32 (N,) at 16 kHz in [-1, 1]; N is 0 for a clip without sound."""
        if clip.audio is None:
            return np.zeros(0, np.float32)
        return _load(clip.audio, "audio").astype(np.float32) / np.float32(FULL_SCALE)

    def load_faces(self, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        """The face crops, uint8 (T, S, S, 3) RGB, and their times since the clip's beginning, float64 (T,), in
        seconds; T is 0 for a clip without a face.
        """
        if clip.video is None:
            return np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0)
        return _load(clip.video, "faces"), _load(clip.video, "times_s")

    def checksums(self, clip: Clip) -> dict[str, int]:
        """CRC of each array that the clip's file holds. The file itself lists them, so nothing else of it is read, and
        a copy of the corpus has the same.
        """
        path = clip.video or clip.audio
        if path is None:
            return {}
        try:
            with zipfile.ZipFile(path) as file:
                return {item.filename: item.CRC for item in file.infolist() if item.filename in MEDIA}
        except (OSError, zipfile.BadZipFile) as error:
            raise _broken(path, error) from None

    def facts(self, clip: Clip) -> list[Any]:
        """Other ones where the clip, its face or sound, or what is known of it is another."""
        return [
            *(clip.clip_id, clip.speaker_id, clip.label, clip.votes, clip.valence, clip.arousal, clip.face_features),
            *(clip.video is not None, clip.audio is not None, self.checksums(clip)),
        ]


def save_clips(clips: Sequence[Clip], directory: Path) -> None:
    """Writes the list of prepared clips, with paths relative to `directory`; at no moment is it half written."""
    table = pyarrow.Table.from_pylist([_row(clip, directory) for clip in clips], SCHEMA)
    unfinished = directory / f"{CLIPS_FILE}.part"
    pyarrow.parquet.write_table(table, unfinished)
    unfinished.replace(directory / CLIPS_FILE)


def _row(clip: Clip, directory: Path) -> dict[str, Any]:
    row = {name: getattr(clip, name) for name in SCHEMA.names}
    row["votes"] = clip.votes and json.dumps(dict(clip.votes))
    return row | {name: row[name] and row[name].relative_to(directory).as_posix() for name in PATHS}


def _clip(row: dict[str, Any], directory: Path) -> Clip:
    row["votes"] = row["votes"] and json.loads(row["votes"])
    row["face_features"] = row["face_features"] and tuple(row["face_features"])
    return Clip(**row | {name: row[name] and directory / row[name] for name in PATHS})


def _load(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path) as arrays:
            return arrays[name]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> CorpusError:
    return CorpusError(f"{path} cannot be read ({error}); delete it and run `prepare` again")
