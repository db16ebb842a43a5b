"""FER2013: 35 887 pictures of faces found on the web, 48x48 grey, in seven classes (Goodfellow et al. 2013,
doi:10.1007/978-3-642-42051-1_16), with the ten annotators' votes of FER+ (Barsoum et al. 2016,
doi:10.1145/2993148.2993165).
"""

import itertools
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..clip import Clip
from ..face_images import load_images
from ..labels import FER2013_FOLDERS, FER2013_NUMBERS, FERPLUS_COLUMNS
from .table import CorpusError, Row, read_table

CORPUS = "fer2013"
PARTS = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}  # by their official names
TABLES = ("fer2013.csv", "icml_face_data.csv")
ARCHIVE = "fer2013.zip"
SUFFIXES = (".png", ".jpg")
SIDE_PX = 48


def read(root: Path, part: str | None = None, votes: Path | None = None, copies: bool = True) -> list[Clip]:
    """Reads one of the forms in which FER2013 is passed around; `face_images.load_images` reads the pixels.

    Who is on a picture is not known, so that every clip has a speaker of its own: use the official parts. Many
    pictures stand in it twice, hundreds of them in two parts.

    Args:
        root: the official `fer2013.csv` or `icml_face_data.csv`, whose row N, counted from 0, becomes clip
            `fer<N, 7 digits>` as FER+ names it; or a zip with `<part>/<class>/<name>.png` (or .jpg); or a folder
            with such folders or with one of these files.
        part: only this one of train (Training), valid (PublicTest) and test (PrivateTest).
        votes: FER+'s `fer2013new.csv`. Its votes for contempt, unknown and "not a face" are dropped, and so are the
            pictures that are left without votes.
        copies: whether a picture is read of which another one with the same pixels is in a part that is more for
            testing, or stands before it in its own.
    """
    if part is not None and part not in PARTS.values():
        raise CorpusError(f"part is {part!r}; expected one of {', '.join(PARTS.values())}")
    source = _source(root)
    pictures = _table_pictures(source) if source.suffix == ".csv" else _named_pictures(source)
    if not copies:
        pictures = _without_copies(pictures)
    clips = sorted((clip for found_part, clip in pictures if part in (None, found_part)), key=lambda clip: clip.clip_id)
    if not clips:
        raise CorpusError(f"{source} holds no picture of the part {part or 'train, valid or test'}; check the path")
    for clip, next_clip in itertools.pairwise(clips):
        if clip.clip_id == next_clip.clip_id:
            raise CorpusError(f"{clip.image} and {next_clip.image} have the same name; expected each picture once")
    return clips if votes is None else _with_votes(clips, votes)


def _source(root: Path) -> Path:
    if root.suffix in (".csv", ".zip"):
        return root
    found = [root / name for name in (*TABLES, ARCHIVE) if (root / name).is_file()]
    return found[0] if found else root


def _table_pictures(path: Path) -> Iterator[tuple[str, Clip]]:
    """The part and the clip of each row."""
    for number, row in enumerate(read_table(path, ["emotion", "pixels", "Usage"])):
        if row.cells["emotion"] not in FER2013_NUMBERS:
            raise row.problem(f"emotion is {row.cells['emotion']!r}; expected a number from 0 to 6")
        if row.cells["Usage"] not in PARTS:
            raise row.problem(f"Usage is {row.cells['Usage']!r}; expected one of {', '.join(PARTS)}")
        name = f"fer{number:07d}"
        yield PARTS[row.cells["Usage"]], _clip(name, FER2013_NUMBERS[row.cells["emotion"]], path / name)


def _named_pictures(source: Path) -> Iterator[tuple[str, Clip]]:
    """The part and the clip of each picture in an archive or a folder."""
    for member in _members(source):
        if len(member.parts) != 3 or member.parts[0] not in PARTS.values() or member.suffix not in SUFFIXES:
            continue
        part, folder, _ = member.parts
        if folder not in FER2013_FOLDERS:
            raise CorpusError(
                f"{source / member} is in an unknown class; expected one of {', '.join(sorted(FER2013_FOLDERS))}"
            )
        yield part, _clip(member.stem, FER2013_FOLDERS[folder], source / member)


def _without_copies(pictures: Iterable[tuple[str, Clip]]) -> Iterator[tuple[str, Clip]]:
    for_testing = list(reversed(PARTS.values()))
    ordered = sorted(pictures, key=lambda picture: (for_testing.index(picture[0]), picture[1].clip_id))
    seen: set[bytes] = set()
    for picture, image in zip(ordered, load_images([clip for _, clip in ordered], SIDE_PX), strict=True):
        if (pixels := image.tobytes()) not in seen:
            seen.add(pixels)
            yield picture


def _members(source: Path) -> set[Path]:
    """A name that an archive holds twice counts once, as unpacking has it."""
    if source.is_dir():
        return {path.relative_to(source) for path in source.glob("*/*/*")}
    try:
        with zipfile.ZipFile(source) as archive:
            return {Path(name) for name in archive.namelist()}
    except (FileNotFoundError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{source} is neither a folder nor a zip archive ({error}); check the path") from None


def _clip(name: str, label: str, image: Path) -> Clip:
    return Clip(clip_id=name, corpus=CORPUS, speaker_id=f"{CORPUS}-{name}", label=label, image=image)


def _with_votes(clips: list[Clip], path: Path) -> list[Clip]:
    rows = {
        Path(row.cells["Image name"]).stem: row
        for row in read_table(path, ["Image name", *FERPLUS_COLUMNS])
        if row.cells["Image name"]
    }
    kept = []
    for clip in clips:
        counts = _votes(rows[clip.clip_id]) if clip.clip_id in rows else {}
        if sum(counts.values()) > 0:
            kept.append(replace(clip, votes=counts))
    if not kept:
        raise CorpusError(f"{path} has no votes for any picture; expected names such as fer0000000.png")
    return kept


def _votes(row: Row) -> dict[str, float]:
    return {label: row.required_number(column) for column, label in FERPLUS_COLUMNS.items()}
