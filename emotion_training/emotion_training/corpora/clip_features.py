"""Facial features of whole clips, such as action units, in a table with one row a clip."""

from dataclasses import dataclass
from pathlib import Path

from .table import CorpusError, Row, build_all, read_table

CLIP_COLUMN = "clip"


@dataclass(frozen=True)
class ClipFeatures:
    """names: of the features, in the table's order; values: those of each clip by its name, (F,)."""

    names: tuple[str, ...]
    values: dict[str, tuple[float, ...]]


def read_clip_features(path: Path) -> ClipFeatures:
    """Reads a table with the column `clip` and any number of columns of finite numbers.

    Raises:
        CorpusError: a cell that is no number, a clip that stands in two rows, or no feature at all.
    """
    rows = read_table(path, [CLIP_COLUMN])
    names = tuple(name for name in (rows[0].cells if rows else ()) if name != CLIP_COLUMN)
    if not names:
        raise CorpusError(f"{path} holds no feature; expected columns of numbers beside {CLIP_COLUMN}")
    values: dict[str, tuple[float, ...]] = {}

    def add(row: Row) -> None:
        clip = row.required(CLIP_COLUMN)
        if clip in values:
            raise row.problem(f"{CLIP_COLUMN} {clip} stands in an earlier row; expected each clip once")
        values[clip] = tuple(row.required_number(name) for name in names)

    build_all(rows, add)
    return ClipFeatures(names, values)
