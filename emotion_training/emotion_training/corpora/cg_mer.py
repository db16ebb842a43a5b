"""CG-MER: French card-game conversations of two people a session, each filmed and recorded (Farhat et al. 2023)."""

from collections import Counter
from pathlib import Path

from ..clip import Clip
from .table import CorpusError, Row, build_all, read_table, refuse_unknown_columns

CORPUS = "cg_mer"
PARTICIPANTS = 2  # of a session
TRACKS = ("session_id", "participant_id", "video", "audio")
SEGMENTS = ("session_id", "participant_id", "start_s", "end_s", "label")
PERCEIVED = ("valence", "arousal")


def read(root: Path) -> list[Clip]:
    """Reads a folder with two tables. The corpus is not public, so this layout is ours: write the tables for it.

    `tracks.csv`, one row a participant of a session, two participants each session:

    | column | meaning |
    |---|---|
    | `session_id` | the conversation, such as 07 |
    | `participant_id` | the person, the same in all sessions that he or she takes part in |
    | `video` | the film of this person, relative to `root` |
    | `audio` | the sound of this person's microphone, relative to `root`, on the film's time axis |

    `segments.csv`, one row a stretch of a participant's track; each becomes the clip
    `<session>-<participant>-<start in milliseconds, 8 digits>`:

    | column | meaning |
    |---|---|
    | `session_id`, `participant_id` | a row of `tracks.csv` |
    | `start_s`, `end_s` | in seconds from the beginning of the track |
    | `label` | one of `labels.KNOWN_LABELS`, or empty |
    | `valence`, `arousal` | in [-1, 1], or empty; the columns may be absent |

    Both tables may be Parquet (`tracks.parquet`, `segments.parquet`).

    Raises:
        CorpusError: among others, a session without exactly two participants, or a segment without a track.
    """
    tracks = _read_tracks(_table(root, "tracks"))
    seen: dict[str, int] = {}

    def build(row: Row) -> Clip:
        key = row.required("session_id"), row.required("participant_id")
        if key not in tracks:
            raise row.problem(f"participant {key[1]} of session {key[0]} has no row in tracks; add it there")
        start_s, end_s = row.required_number("start_s"), row.required_number("end_s")
        row.span_s()
        clip_id = f"{key[0]}-{key[1]}-{round(start_s * 1000):08d}"
        if clip_id in seen:
            raise row.problem(f"the segment begins like the one in line {seen[clip_id]}; expected each once")
        seen[clip_id] = row.line
        return Clip(
            clip_id=clip_id,
            corpus=CORPUS,
            speaker_id=f"{CORPUS}-{key[1]}",
            session_id=f"{CORPUS}-{key[0]}",
            label=row.label("label"),
            valence=row.number("valence", -1.0, 1.0),
            arousal=row.number("arousal", -1.0, 1.0),
            video=tracks[key].file("video"),
            audio=tracks[key].file("audio"),
            start_s=start_s,
            end_s=end_s,
        )

    path = _table(root, "segments")
    segments = read_table(path, SEGMENTS)
    columns = (*SEGMENTS, *PERCEIVED)
    refuse_unknown_columns(path, segments, columns, ", ".join(columns))
    return sorted(build_all(segments, build), key=lambda clip: clip.clip_id)


def _table(root: Path, name: str) -> Path:
    parquet = root / f"{name}.parquet"
    return parquet if parquet.is_file() else root / f"{name}.csv"


def _read_tracks(path: Path) -> dict[tuple[str, str], Row]:
    """The row of each session and participant."""
    tracks: dict[tuple[str, str], Row] = {}

    def add(row: Row) -> None:
        key = row.required("session_id"), row.required("participant_id")
        if key in tracks:
            raise row.problem(f"participant {key[1]} of session {key[0]} stands already in line {tracks[key].line}")
        for column in ("video", "audio"):
            row.required(column)
            row.file(column)
        tracks[key] = row

    build_all(read_table(path, TRACKS), add)
    for session, count in Counter(session for session, _ in tracks).items():
        if count != PARTICIPANTS:
            raise CorpusError(f"{path}: session {session} has {count} participants; expected {PARTICIPANTS}")
    return tracks
