"""A report as a list of parts, written as Markdown and as one HTML file that holds its pictures."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .configuration import ConfigurationError, load_yaml

NOTES = "notes.yaml"
STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; font-size: 14px; }
th, td { border-bottom: 1px solid #ccc; padding: 0.25em 0.7em; text-align: left; }
pre { background: #f4f4f4; padding: 0.7em; overflow-x: auto; }
img { max-width: 100%; }
"""


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Points:
    points: Sequence[str]


@dataclass(frozen=True)
class Table:
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """path: of a PNG, relative to the report."""

    path: str
    description: str


@dataclass(frozen=True)
class Commands:
    text: str


Part = Heading | Text | Points | Table | Picture | Commands


def load_notes(out: Path) -> tuple[str, ...]:
    """What its author says of a report, from `notes.yaml` beside it; nothing where there is none.

    It is of the figures of one run, so it stands with them and not in the configuration, which others run too.

    Raises:
        ConfigurationError: the file is no YAML, or no list of texts.
    """
    path = out / NOTES
    if not path.is_file():
        return ()
    notes = load_yaml(path)
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ConfigurationError(f"{path} holds {type(notes).__name__}; expected a list of texts, each after a dash")
    return tuple(notes)


def markdown(parts: Sequence[Part]) -> str:
    return "\n\n".join(_markdown(part) for part in parts) + "\n"


def html_page(title: str, parts: Sequence[Part], folder: Path) -> str:
    """One page without any other file; pictures are read from `folder`."""
    body = "\n".join(_html(part, folder) for part in parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _markdown(part: Part) -> str:
    if isinstance(part, Heading):
        return f"{'#' * part.level} {part.text}"
    if isinstance(part, Points):
        return "\n".join(f"- {point}" for point in part.points)
    if isinstance(part, Table):
        lines = [part.head, ["---"] * len(part.head), *part.rows]
        return "\n".join(f"| {' | '.join(map(_markdown_cell, cells))} |" for cells in lines)
    if isinstance(part, Picture):
        return f"![{part.description}]({part.path})"
    if isinstance(part, Commands):
        return f"```\n{part.text}\n```"
    return part.text


def _markdown_cell(text: str) -> str:
    """On one line, and without the sign that ends a cell."""
    return " ".join(text.splitlines()).replace("|", "\\|")


def _html(part: Part, folder: Path) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{html.escape(part.text)}</h{part.level}>"
    if isinstance(part, Points):
        return "<ul>\n" + "\n".join(f"<li>{html.escape(point)}</li>" for point in part.points) + "\n</ul>"
    if isinstance(part, Table):
        rows = [_html_row("th", part.head), *(_html_row("td", row) for row in part.rows)]
        return "<table>\n" + "\n".join(rows) + "\n</table>"
    if isinstance(part, Picture):
        data = base64.b64encode((folder / part.path).read_bytes()).decode()
        return f'<img alt="{html.escape(part.description)}" src="data:image/png;base64,{data}">'
    if isinstance(part, Commands):
        return f"<pre>{html.escape(part.text)}</pre>"
    return f"<p>{html.escape(part.text)}</p>"


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
