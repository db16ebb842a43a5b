"""Reads the pictures of clips that are single images: files, members of a zip, rows of FER2013's table."""

import csv
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from emotion_perception.core.face_crop import scale_crop

from .clip import Clip
from .corpora.table import CorpusError

TABLE_SIDE_PX = 48  # of the pictures in FER2013's table


def load_images(clips: Sequence[Clip], size_px: int) -> np.ndarray:
    """Reads the pictures of `clips`, uint8 (N, S, S, 3) RGB; those of another size are scaled.

    `Clip.image` is a file; or a zip followed by a member, `fer2013.zip/train/happy/fer0000001.png`; or FER2013's
    table followed by the row as FER+ names it, `fer2013.csv/fer0000001`. Each archive and table is read once.

    Raises:
        CorpusError: a clip without a picture, or a picture that does not exist or cannot be decoded.
    """
    members: dict[Path, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, clip in enumerate(clips):
        if clip.image is None:
            raise CorpusError(f"clip {clip.clip_id} has no picture; expected clips with `image`")
        container = next((path for path in (clip.image, *clip.image.parents) if path.is_file()), None)
        if container is None:
            raise CorpusError(f"{clip.image} does not exist; check the path")
        members[container][clip.image.relative_to(container).as_posix()].append(index)
    images = np.empty((len(clips), size_px, size_px, 3), np.uint8)
    for container, indices in members.items():
        for member, image in _read(container, indices):
            images[indices[member]] = scale_crop(image, size_px)
    return images


def _read(container: Path, members: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
    """The wanted members of a file and their pictures, uint8 (H, W, 3) RGB."""
    if container.suffix == ".zip":
        yield from _read_archive(container, members)
    elif container.suffix == ".csv":
        yield from _read_table(container, members)
    else:
        yield ".", _decoded(container.read_bytes(), container)


def _read_archive(path: Path, members: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        for member in members:
            try:
                content = archive.read(member)
            except (KeyError, zipfile.BadZipFile) as error:
                raise CorpusError(f"{path / member} cannot be read ({error}); fetch the archive again") from None
            yield member, _decoded(content, path / member)


def _read_table(path: Path, members: Collection[str]) -> Iterator[tuple[str, np.ndarray]]:
    wanted = set(members)
    with path.open(newline="") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        for number, row in enumerate(rows):
            name = f"fer{number:07d}"
            if name not in wanted:
                continue
            values = row["pixels"].split()
            if len(values) != TABLE_SIDE_PX**2:
                raise CorpusError(
                    f"{path}:{rows.line_num}: {len(values)} pixels; expected {TABLE_SIDE_PX}x{TABLE_SIDE_PX}"
                )
            try:
                grey = np.array([int(value) for value in values])
            except ValueError as error:
                raise CorpusError(f"{path}:{rows.line_num}: {error}; expected whole numbers from 0 to 255") from None
            if grey.min() < 0 or grey.max() > 255:
                found = f"{grey.min()} to {grey.max()}"
                raise CorpusError(f"{path}:{rows.line_num}: pixels are {found}; expected whole numbers from 0 to 255")
            grey = grey.astype(np.uint8).reshape(TABLE_SIDE_PX, TABLE_SIDE_PX)
            yield name, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
            wanted.remove(name)
    if wanted:
        raise CorpusError(f"{path} has no row {min(wanted)}; it was shortened after the clips were read")


def _decoded(content: bytes, path: Path) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise CorpusError(f"{path} is no picture that can be decoded; fetch it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
