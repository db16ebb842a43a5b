"""FER2013 faces with the FER+ votes as soft labels."""

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from .labels import FER2013_FOLDERS, FERPLUS_COLUMNS, LABELS, label_index


class FaceDataError(Exception):
    """A face corpus that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class FaceSet:
    """Grey faces with their labels.

    images: uint8 (N, S, S); soft_labels: float32 (N, C), rows sum to 1; folder_labels: int64 (N,), the class
    of FER2013's own folder. Rows are ordered by image name.
    """

    names: tuple[str, ...]
    images: np.ndarray
    soft_labels: np.ndarray
    folder_labels: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: np.ndarray) -> "FaceSet":
        """The faces at `indices`, int (M,)."""
        names = tuple(self.names[i] for i in indices)
        return FaceSet(names, self.images[indices], self.soft_labels[indices], self.folder_labels[indices])

    @property
    def majority_labels(self) -> np.ndarray:
        """Class with the most FER+ votes, int64 (N,); the first in label order where votes tie."""
        return self.soft_labels.argmax(axis=1)


def read_ferplus_votes(path: Path) -> dict[str, np.ndarray]:
    """Votes of the FER+ annotators for the seven classes by image name, each float32 (C,)."""
    votes = {}
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        missing = {"Image name", *FERPLUS_COLUMNS} - set(rows.fieldnames or ())
        if missing:
            raise FaceDataError(f"{path} lacks the columns {sorted(missing)}; expected the FER+ file fer2013new.csv")
        for row in rows:
            counts = np.zeros(len(LABELS), np.float32)
            for column, label in FERPLUS_COLUMNS.items():
                counts[label_index(label)] = float(row[column])
            votes[row["Image name"]] = counts
    return votes


def load_fer2013(zip_path: Path, votes_path: Path, split: str, size_px: int) -> FaceSet:
    """Faces of one folder (`train` or `valid`) of the archive that have votes for one of the seven classes.

    Votes for contempt, unknown and "not a face" are dropped and the rest renormalised; a face left without
    votes is dropped.
    """
    for path in (zip_path, votes_path):
        if not path.is_file():
            raise FaceDataError(f"{path} does not exist; give the folder that holds {path.name} with --data")
    votes = read_ferplus_votes(votes_path)
    names, images, soft_labels, folder_labels = [], [], [], []
    with zipfile.ZipFile(zip_path) as archive:
        entries = sorted(name for name in archive.namelist() if name.startswith(f"{split}/") and name.endswith(".png"))
        if not entries:
            raise FaceDataError(f"{zip_path} has no picture under {split}/; expected {split}/<class>/<name>.png")
        for entry in tqdm(sorted(entries, key=lambda name: Path(name).name), desc=f"FER2013 {split}", unit="face"):
            folder, name = Path(entry).parts[-2:]
            if folder not in FER2013_FOLDERS:
                raise FaceDataError(f"{zip_path}: {entry} is in an unknown class; expected {sorted(FER2013_FOLDERS)}")
            counts = votes.get(name)
            if counts is None or counts.sum() == 0:
                continue
            image = cv2.imdecode(np.frombuffer(archive.read(entry), np.uint8), cv2.IMREAD_GRAYSCALE)
            if image is None or image.shape != (size_px, size_px):
                shape = None if image is None else image.shape
                raise FaceDataError(f"{zip_path}: {entry} has shape {shape}; expected {(size_px, size_px)}")
            names.append(name)
            images.append(image)
            soft_labels.append(counts / counts.sum())
            folder_labels.append(label_index(FER2013_FOLDERS[folder]))
    return FaceSet(tuple(names), np.stack(images), np.stack(soft_labels), np.array(folder_labels, np.int64))


def without_duplicates(faces: FaceSet, held_out: FaceSet) -> FaceSet:
    """The faces whose pixels are not in `held_out`, each once.

    FER2013 holds some 1500 pictures twice or more, many across its official parts, so that a split by name
    would test on faces that were learnt. Copies are merged: soft labels averaged, name and folder of the
    first one.
    """
    held_out_pixels = {image.tobytes() for image in held_out.images}
    copies: dict[bytes, list[int]] = {}
    for i, image in enumerate(faces.images):
        if image.tobytes() not in held_out_pixels:
            copies.setdefault(image.tobytes(), []).append(i)
    unique = faces.subset(np.array([indices[0] for indices in copies.values()], np.int64))
    soft_labels = np.stack([faces.soft_labels[indices].mean(axis=0) for indices in copies.values()])
    return FaceSet(unique.names, unique.images, soft_labels, unique.folder_labels)


def split_faces(faces: FaceSet, validation_share: float, seed: int) -> tuple[FaceSet, FaceSet]:
    """Faces to learn from and faces to choose by, drawn once from the order of the names."""
    order = np.random.default_rng(seed).permutation(len(faces))
    validation_count = round(len(faces) * validation_share)
    return faces.subset(np.sort(order[validation_count:])), faces.subset(np.sort(order[:validation_count]))
