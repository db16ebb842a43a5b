"""Anybody's own recordings, listed in a CSV or Parquet table."""

from pathlib import Path
from typing import Any

from ..clip import Clip
from ..labels import KNOWN_LABELS
from .table import CorpusError, Row, build_all, read_table, refuse_unknown_columns

REQUIRED = ("clip_id", "speaker_id")
OPTIONAL = (
    "session_id",
    "label",
    "valence",
    "arousal",
    "intensity",
    "video",
    "audio",
    "image",
    "start_s",
    "end_s",
)
VOTE, FEATURE = "vote_", "feature_"  # prefixes of columns
VOTES = tuple(VOTE + label for label in KNOWN_LABELS)
JUDGEMENT = ("valence", "arousal", "intensity", *VOTES)
TABLES = ("manifest.csv", "manifest.parquet")


def read(root: Path, corpus: str = "manifest") -> list[Clip]:
    """Reads a table with one row a clip; an empty cell counts as absent, a column of another name is an error.

    The sound is in the video unless `audio` is given.

    | column | meaning |
    |---|---|
    | `clip_id` | required, each once |
    | `speaker_id` | required; who speaks and is seen, the same in all recordings of that person |
    | `session_id` | recordings made together |
    | `label` | one of `labels.KNOWN_LABELS` |
    | `vote_<label>` | how many annotators chose that label, 0 or more |
    | `valence`, `arousal` | in [-1, 1] |
    | `intensity` | any word |
    | `video`, `audio`, `image` | files, relative to the table's folder; at least one |
    | `start_s`, `end_s` | the part of the files, in seconds; from the beginning, to the end if empty |
    | `feature_<name>` | facial features of the whole clip; all of them or none |

    Args:
        root: the table, or a folder that holds `manifest.csv` or `manifest.parquet`.
        corpus: the name of the corpus, which tells its speakers from those of other manifests.
    """
    path = _table(root)
    rows = read_table(path, REQUIRED)
    _check_columns(path, rows)
    seen: dict[str, int] = {}

    def build(row: Row) -> Clip:
        clip_id = row.required("clip_id")
        if clip_id in seen:
            raise row.problem(f"clip_id {clip_id} stands already in line {seen[clip_id]}; expected each once")
        seen[clip_id] = row.line
        return _clip(row, clip_id, corpus)

    return sorted(build_all(rows, build), key=lambda clip: clip.clip_id)


def _table(root: Path) -> Path:
    if root.is_file():
        return root
    for name in TABLES:
        if (root / name).is_file():
            return root / name
    raise CorpusError(f"{root} is no table and holds no {' or '.join(TABLES)}; give the manifest or its folder")


def _check_columns(path: Path, rows: list[Row]) -> None:
    features = (name for name in rows[0].cells if name.startswith(FEATURE))
    expected = (
        f"{', '.join(REQUIRED + OPTIONAL)}, {VOTE}<label> with a label of {', '.join(KNOWN_LABELS)}, or {FEATURE}<name>"
    )
    refuse_unknown_columns(path, rows, {*REQUIRED, *OPTIONAL, *VOTES, *features}, expected)


def _clip(row: Row, clip_id: str, corpus: str) -> Clip:
    video, audio, image = row.file("video"), row.file("audio"), row.file("image")
    if not (video or audio or image):
        raise row.problem("video, audio and image are empty; give at least one file")
    session = row.text("session_id")
    start_s, end_s = row.span_s()
    return Clip(
        clip_id=clip_id,
        corpus=corpus,
        speaker_id=f"{corpus}-{row.required('speaker_id')}",
        session_id=session and f"{corpus}-{session}",
        label=row.label("label"),
        video=video,
        audio=audio,
        image=image,
        start_s=start_s,
        end_s=end_s,
        face_features=_features(row),
        **judgement(row),
    )


def judgement(row: Row) -> dict[str, Any]:
    """What is said of a clip in the columns JUDGEMENT, as fields of `Clip`; CorpusError for what cannot be."""
    return {
        "valence": row.number("valence", -1.0, 1.0),
        "arousal": row.number("arousal", -1.0, 1.0),
        "intensity": row.text("intensity"),
        "votes": _votes(row),
    }


def _votes(row: Row) -> dict[str, float] | None:
    votes = {label: row.number(VOTE + label, low=0.0) for label in KNOWN_LABELS}
    given = {label: count for label, count in votes.items() if count is not None}
    if given and not any(given.values()):
        raise row.problem("all votes are 0; leave them empty where nobody voted")
    return given or None


def _features(row: Row) -> tuple[float, ...] | None:
    columns = [name for name in row.cells if name.startswith(FEATURE)]
    if not any(row.text(name) for name in columns):
        return None
    return tuple(row.required_number(name) for name in columns)
