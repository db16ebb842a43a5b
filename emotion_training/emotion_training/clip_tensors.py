"""A corpus in memory, as tensors with one row a clip: what training draws its batches from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .clip import Clip

# Clips that are judged or encoded at once: of eight crops each, a network of 160 px takes 1 GB for them.
AT_ONCE = 32


class DataError(Exception):
    """Clips that cannot be trained or tested on; the message names the clip or class and the remedy."""


@dataclass(frozen=True)
class ClipTensors:
    """N clips; a modality that nobody asked for is None.

    Attributes:
        clip_ids: str (N,).
        speaker_ids: str (N,).
        labels: int64 (N,), the most probable class of `target`; of a tie, see `class_targets`.
        target: float32 (N, C), class probabilities.
        voted: bool (N,): the target is of the annotators' votes, not of the label.
        face: float32 (N, F) features of the whole clip, uint8 (N, Tf, S, S, 3) crops, or float32 (N, Tf, D) embeddings
            of these.
        face_mask: bool (N, Tf); Tf is 1 with features.
        audio: (V, N, ...): V views of the same voice, the first one unchanged, the others augmented; float32 samples
            (V, N, samples) in [-1, 1], features (V, N, Fa), or embeddings of samples (V, N, Ta, D).
        audio_mask: bool (N,).
        perceived: float64 (N, 2), valence and arousal; NaN where unknown.
        sound: audio holds samples.
        facts: another text where `prepare` made another face or sound of a clip, or more than `judgements` is known
            of it now; empty where nothing was prepared.
    """

    clip_ids: np.ndarray
    speaker_ids: np.ndarray
    labels: Tensor
    target: Tensor
    voted: np.ndarray
    face: Tensor | None
    face_mask: Tensor | None
    audio: Tensor | None
    audio_mask: Tensor | None
    perceived: np.ndarray
    sound: bool
    facts: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def judgements(self) -> str:
        """Another text where the clips, their speakers or what they are taken to show are others."""
        names = json.dumps([self.clip_ids.tolist(), self.speaker_ids.tolist()]).encode()
        return hashlib.sha256(names + self.target.numpy().tobytes() + self.labels.numpy().tobytes()).hexdigest()[:16]

    @property
    def has_crops(self) -> bool:
        return self.face is not None and self.face.ndim == 5

    @property
    def has_samples(self) -> bool:
        return self.audio is not None and self.sound

    @property
    def seen_or_heard(self) -> np.ndarray:
        """Bool (N,): the clip has a face or a voice."""
        there = np.zeros(len(self), bool)
        if self.face_mask is not None:
            there |= self.face_mask.any(dim=1).numpy()
        if self.audio_mask is not None:
            there |= self.audio_mask.numpy()
        return there

    def of(self, indices: np.ndarray) -> "ClipTensors":
        """The clips of these indices, in that order; an index may occur more than once."""
        chosen = {
            name: value[:, indices] if name == "audio" else value[indices]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray | Tensor)
        }
        return replace(self, **chosen)

    def of_speakers(self, speakers: Sequence[str]) -> "ClipTensors":
        return self.of(np.flatnonzero(np.isin(self.speaker_ids, speakers)))

    def batch(self, rows: "Rows") -> dict[str, Tensor]:
        """A batch as every model takes it."""
        batch = {"target": self.target[rows.clips], "label": self.labels[rows.clips]}
        if self.face is not None:
            batch |= {"face": self.face[rows.faces], "face_mask": self.face_mask[rows.faces]}
        if self.audio is not None:
            batch |= {"audio": self.audio[rows.views, rows.clips], "audio_mask": self.audio_mask[rows.clips]}
        return batch


@dataclass(frozen=True)
class Rows:
    """Where the clips of a batch come from, int64 (B,) each: the clip with target and voice, the view of its voice, and
    the clip of its face, another one of the same class where faces and voices are paired anew. seed: of what is done to
    the batch.
    """

    clips: Tensor
    views: Tensor
    faces: Tensor
    seed: int = 0

    @classmethod
    def plain(cls, clips: Tensor) -> "Rows":
        """Clips as they are."""
        return cls(clips, torch.zeros_like(clips), clips)


def class_targets(clips: Sequence[Clip], labels: Sequence[str], votes: bool) -> tuple[Tensor, Tensor, np.ndarray]:
    """What the clips are taken to show.

    Returns:
        The most probable class int64 (N,), in a tie the clip's own label where it is among them, else the first of
        them; class probabilities float32 (N, C), the shares of the votes where asked for and given, else the label
        alone; whether they are of votes, bool (N,).

    Raises:
        DataError: a clip with a label out of `labels`, whatever its votes, or without one and with most votes for
            such a label, or with neither label nor votes.
    """
    shares = [_vote_shares(clip, labels) if votes else None for clip in clips]
    rows = [_of_label(clip, labels) if share is None else share for clip, share in zip(clips, shares, strict=True)]
    target = torch.stack(rows)
    own = torch.tensor([[float(label == clip.label) for label in labels] for clip in clips])  # (N, C)
    tied = target == target.amax(dim=1, keepdim=True)
    return (tied * (1.0 + own)).argmax(dim=1), target, np.array([share is not None for share in shares])


def label_of(clip: Clip, labels: Sequence[str]) -> str | None:
    """The clip's own label; without one that of most votes, in a tie one of `labels`; None without votes."""
    if clip.label is not None or not clip.votes:
        return clip.label
    return max(clip.votes, key=lambda label: (clip.votes[label], label in labels))


def _vote_shares(clip: Clip, labels: Sequence[str]) -> Tensor | None:
    """Float32 (C,), None where no vote counts."""
    if not clip.votes or label_of(clip, labels) not in labels:
        return None
    counts = torch.tensor([float(clip.votes.get(label, 0.0)) for label in labels])
    return counts / counts.sum() if counts.sum() > 0.0 else None


def _of_label(clip: Clip, labels: Sequence[str]) -> Tensor:
    if clip.label not in labels:
        raise DataError(
            f"clip {clip.clip_id} of {clip.corpus} has the label {label_of(clip, labels)!r}; expected one of "
            f"{', '.join(labels)}, so correct it or leave the clip out"
        )
    return torch.tensor([float(label == clip.label) for label in labels])


def perceived(clips: Sequence[Clip]) -> np.ndarray:
    """Valence and arousal, float64 (N, 2), NaN where unknown."""
    rows = [(clip.valence, clip.arousal) for clip in clips]
    return np.array([[np.nan if value is None else value for value in row] for row in rows], np.float64).reshape(-1, 2)


def feature_rows(clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
    """Clip-level facial features float32 (N, F), zeros where there are none, and bool (N, 1).

    Raises:
        DataError: no clip has features, clips have different numbers of them, or one is not finite.
    """
    widths: Mapping[int, str] = {len(clip.face_features): clip.clip_id for clip in clips if clip.face_features}
    if len(widths) != 1:
        found = ", ".join(f"{width} in {clip_id}" for width, clip_id in widths.items()) or "none"
        raise DataError(f"clip-level facial features: found {found}; expected the same number in all clips")
    width = next(iter(widths))
    rows = np.zeros((len(clips), width), np.float32)
    for row, clip in zip(rows, clips, strict=True):
        if clip.face_features:
            row[:] = clip.face_features
            if not np.isfinite(row).all():
                raise DataError(f"clip {clip.clip_id} has facial features that are not finite; correct the table")
    mask = torch.tensor([bool(clip.face_features) for clip in clips])
    return torch.from_numpy(rows), mask.unsqueeze(1)
