"""Grey faces in memory, with both opinions of them: the votes of FER+ and the label of FER2013."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .clip import Clip
from .face_images import load_images
from .labels import LABELS, label_index


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


def load_faces(clips: Sequence[Clip], size_px: int) -> FaceSet:
    """The pictures of clips that have `image`, `label` and `votes`, as the corpus fer2013 gives them.

    Raises:
        CorpusError: a picture that cannot be read.
    """
    images = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in load_images(clips, size_px)])  # (N, S, S)
    votes = np.array([[clip.votes.get(label, 0.0) for label in LABELS] for clip in clips], np.float32)  # (N, C)
    folder_labels = np.array([label_index(clip.label) for clip in clips], np.int64)
    names = tuple(clip.clip_id for clip in clips)
    return FaceSet(names, images, votes / votes.sum(axis=1, keepdims=True), folder_labels)


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


def fingerprint_faces(*sets: FaceSet) -> str:
    """Hash of pictures and labels."""
    digest = hashlib.sha256()
    for faces in sets:
        digest.update(faces.images.tobytes())
        digest.update(faces.soft_labels.tobytes())
        digest.update(faces.folder_labels.tobytes())
    return digest.hexdigest()
