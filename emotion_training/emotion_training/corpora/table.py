"""CSV and Parquet tables as rows that know their file and line, for errors that can be found."""

import csv
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow
import pyarrow.parquet

from ..labels import KNOWN_LABELS

MAX_PROBLEMS_SHOWN = 10

Item = TypeVar("Item")


class CorpusError(Exception):
    """A corpus that cannot be used; the message names the file, the line where there is one, and the remedy."""


@dataclass(frozen=True)
class Row:
    """One row of a table; an empty cell counts as absent."""

    path: Path
    line: int  # of the file, counted from 1 with the header; in Parquet the row, counted from 1
    cells: Mapping[str, str]

    def problem(self, message: str) -> CorpusError:
        return CorpusError(f"{self.path}:{self.line}: {message}")

    def text(self, column: str) -> str | None:
        """The text of a cell; an accent that is a character of its own is made one with its letter, as two spellings of
        a name would be two people.
        """
        return unicodedata.normalize("NFC", self.cells.get(column, "")) or None

    def required(self, column: str) -> str:
        """The text of a cell; CorpusError for an empty one."""
        text = self.text(column)
        if text is None:
            raise self.problem(f"{column} is empty; give a value")
        return text

    def number(self, column: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """The number in a cell; CorpusError for one that is none or lies outside [low, high]."""
        text = self.text(column)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            point = " with a decimal point" if "," in text else ""
            raise self.problem(f"{column} is {text!r}; expected a number{point}") from None
        if not math.isfinite(value) or not low <= value <= high:
            expected = "a finite number" if math.isinf(high) else f"a number in [{low:g}, {high:g}]"
            expected = f"{low:g} or more" if math.isinf(high) and not math.isinf(low) else expected
            raise self.problem(f"{column} is {text}; expected {expected}")
        return value

    def required_number(self, column: str) -> float:
        self.required(column)
        return self.number(column)

    def label(self, column: str) -> str | None:
        """The label in a cell; CorpusError for one that `labels` does not know."""
        text = self.text(column)
        if text is not None and text not in KNOWN_LABELS:
            raise self.problem(f"{column} is {text!r}; expected one of {', '.join(KNOWN_LABELS)}")
        return text

    def span_s(self) -> tuple[float | None, float | None]:
        """`start_s` and `end_s`; CorpusError unless the start is 0 or more and before the end."""
        start_s, end_s = self.number("start_s", low=0.0), self.number("end_s", low=0.0)
        if end_s is not None and end_s <= (start_s or 0.0):
            raise self.problem(f"end_s is {end_s:g}; expected more than start_s, which is {start_s or 0.0:g}")
        return start_s, end_s

    def file(self, column: str) -> Path | None:
        """The file that a cell names, relative to the table's folder; CorpusError if it does not exist."""
        text = self.cells.get(column)
        if not text:
            return None
        path = self.path.parent / text
        # A table and its files that come from two systems may have an accent as one character and as two.
        spellings = (path, *(self.path.parent / unicodedata.normalize(form, text) for form in ("NFC", "NFD")))
        try:
            found = next((spelling for spelling in spellings if spelling.is_file()), None)
        except OSError as error:
            message = f"{column} is {text}, which cannot be read ({error.strerror}); correct the path"
            raise self.problem(message) from None
        if found is None:
            raise self.problem(f"{column} is {text}, but {path} does not exist; correct the path")
        return found


def read_table(path: Path, required: Collection[str]) -> list[Row]:
    """The rows of a CSV or, by its suffix, Parquet file; spaces around names and cells are dropped.

    Raises:
        CorpusError: no such file, not such a table, a `required` column is missing, or there is no row.
    """
    if not path.is_file():
        raise CorpusError(f"{path} does not exist; check the path")
    columns, rows = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    missing = sorted(set(required) - set(columns))
    if missing:
        raise CorpusError(
            f"{path}:1: the columns {missing} are missing; expected {', '.join(sorted(required))}, "
            f"found {', '.join(columns)}"
        )
    if not rows:
        raise CorpusError(f"{path} has no row; expected one or more below the header")
    return rows


def refuse_unknown_columns(path: Path, rows: Sequence[Row], known: Collection[str], expected: str) -> None:
    """CorpusError for a column that nobody reads, as what was meant by it would be lost; expected: in words."""
    unknown = sorted(set(filter(None, rows[0].cells)) - set(known))  # one without a name is a comma too many
    if unknown:
        raise CorpusError(f"{path}:1: the columns {unknown} are unknown; expected {expected}")


def build_all(rows: Iterable[Row], build: Callable[[Row], Item]) -> list[Item]:
    """`build` of every row; CorpusError with the problems of all rows, so that one run shows them."""
    items, problems = [], []
    for row in rows:
        try:
            items.append(build(row))
        except CorpusError as error:
            problems.append(str(error))
    if problems:
        more = len(problems) - MAX_PROBLEMS_SHOWN
        shown = problems[:MAX_PROBLEMS_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise CorpusError("\n".join(shown))
    return items


def _read_csv(path: Path) -> tuple[list[str], list[Row]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = [name.strip() for name in next(reader, [])]
            _check_header(path, columns)
            rows = []
            for cells in reader:
                if not any(cells):
                    continue
                if len(cells) != len(columns):
                    raise CorpusError(
                        f"{path}:{reader.line_num}: {len(cells)} cells; expected {len(columns)} as in the header"
                    )
                rows.append(
                    Row(path, reader.line_num, dict(zip(columns, (cell.strip() for cell in cells), strict=True)))
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path} is no CSV file in UTF-8 ({error}); save it as one") from None
    return columns, rows


def _check_header(path: Path, columns: Sequence[str]) -> None:
    """CorpusError for a header of which no row can be read, or not all of one; columns without a name do no harm."""
    if len(columns) == 1 and ";" in columns[0]:
        raise CorpusError(
            f"{path}:1: the columns {columns[0]} are separated by semicolons; expected commas, so save the table with "
            "commas"
        )
    for column, count in Counter(filter(None, columns)).items():
        if count > 1:
            times = "twice" if count == 2 else f"{count} times"
            raise CorpusError(
                f"{path}:1: the column {column} stands {times}; expected each once, so delete or rename one"
            )


def _read_parquet(path: Path) -> tuple[list[str], list[Row]]:
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise CorpusError(f"{path} cannot be read as Parquet ({error}); write it again") from None
    # Not a number is what some libraries write for a missing one.
    rows = [
        Row(
            path,
            number,
            {name: "" if value is None or value != value else str(value).strip() for name, value in cells.items()},
        )
        for number, cells in enumerate(table.to_pylist(), start=1)
    ]
    return table.column_names, rows
