"""Fills up small classes: by copies, by SMOTE, and at the perceptual border.

The perceptual borderline is the idea of Ben Letaifa and Torres, "Perceptual Borderline for Balancing Multi-Class
Spontaneous Emotional Data", IEEE Access 9, 2021: where two emotions meet is decided in the space of how they are
perceived, arousal and valence, instead of the acoustic one, and the oversampling of the minority classes is
bound to that border; once by copies (perceptual borderline oversampling), once by SMOTE (PB-SMOTE). What its
abstract leaves open is settled here as in Borderline-SMOTE (Han et al. 2005), with these choices of ours:

- Border: the samples of a class of whose `border_neighbours` nearest samples in (valence, arousal), those as
  near as the last one included, at least half are of other classes, but not all: one amidst others is taken for
  a slip of the annotation.
- Copies are drawn from the border samples alone.
- PB-SMOTE starts from a border sample and goes a random part of the way to one of its nearest samples of the
  same class, near in the space of the embeddings, on the border or not.
- Every class is brought to the size of the largest one. A class without a border is drawn from as a whole.

`vote_border` is ours, for corpora with annotators' votes and no arousal and valence: the border of a class are the
samples that the annotators disagreed on most.

Where all samples count as border, `oversampled` is random oversampling and `smote` is SMOTE (Chawla et al. 2002).

All functions are pure and depend on the seed alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

ROWS_AT_ONCE = 512  # of the matrix of distances


class BalancingError(Exception):
    """Data that cannot be balanced this way; the message has {} for the class or the sample that it is about."""

    def __init__(self, message: str, label: int | None = None, sample: int | None = None):
        super().__init__(message)
        self.label, self.sample = label, sample
        self.name = f"class {label}" if sample is None else f"sample {sample}"

    def __str__(self) -> str:
        return str(self.args[0]).replace("{}", self.name)

    def named(self, labels: Sequence[str], clip_ids: Sequence[str]) -> "BalancingError":
        """The same, with the name of the class or the id of the clip instead of its number."""
        if self.label is not None:
            self.name = f"class {labels[self.label]}"
        if self.sample is not None:
            self.name = f"clip {clip_ids[self.sample]}"
        return self


@dataclass(frozen=True)
class SyntheticSamples:
    """Made samples: embeddings float (S, D), labels int (S,)."""

    embeddings: np.ndarray
    labels: np.ndarray


def perceptual_border(
    labels: np.ndarray, valence: np.ndarray, arousal: np.ndarray, border_neighbours: int = 10
) -> np.ndarray:
    """Bool (N,): the samples at the border of their class in (valence, arousal), as said above."""
    perceived = np.stack([valence, arousal], axis=1).astype(np.float64)  # (N, 2)
    _check(perceived, labels)
    if len(labels) <= border_neighbours:
        raise BalancingError(
            f"there are {len(labels)} samples; expected more than border_neighbours, {border_neighbours}, so take "
            "random_oversampling"
        )
    others = [
        _others_nearby(perceived, labels, rows, border_neighbours)
        for rows in np.array_split(np.arange(len(labels)), -(-len(labels) // ROWS_AT_ONCE))
    ]
    share = np.concatenate(others)  # (N,)
    return (share >= 0.5) & (share < 1.0)


def vote_border(labels: np.ndarray, votes: np.ndarray, border_share: float = 0.5) -> np.ndarray:
    """Bool (N,): the share of each class with the largest entropy of its votes (N, C), ties included.

    A sample that all annotators agree on is never at the border.
    """
    _check(votes, labels)
    if (votes < 0.0).any() or not (votes.sum(axis=1) > 0.0).all():
        raise BalancingError("votes are negative or all 0 in a sample; expected counts or shares")
    if not 0.0 < border_share <= 1.0:
        raise BalancingError(f"border_share is {border_share}; expected a share in (0, 1]")
    shares = votes / votes.sum(axis=1, keepdims=True)
    entropy = -(shares * np.log2(np.where(shares > 0.0, shares, 1.0))).sum(axis=1)  # (N,), bits
    border = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = labels == label
        least = np.quantile(entropy[members], 1.0 - border_share)
        border |= members & (entropy >= least) & (entropy > 0.0)
    return border


def _others_nearby(points: np.ndarray, labels: np.ndarray, rows: np.ndarray, neighbours: int) -> np.ndarray:
    """Share of other classes among the nearest points of each of the rows, (rows,)."""
    distances = np.linalg.norm(points[rows][:, None] - points[None], axis=2)  # (rows, N)
    distances[np.arange(len(rows)), rows] = np.inf
    # Annotations come in steps, so many samples are equally near: all of them count, in no order.
    farthest = np.partition(distances, neighbours - 1, axis=1)[:, neighbours - 1]  # (rows,)
    near = distances <= farthest[:, None] + 1e-9
    return (near & (labels[rows][:, None] != labels[None])).sum(axis=1) / near.sum(axis=1)


def _missing(labels: np.ndarray) -> dict[int, int]:
    """How many samples each class lacks to be as large as the largest, where any."""
    names, counts = np.unique(labels, return_counts=True)
    return {
        int(name): int(counts.max() - count) for name, count in zip(names, counts, strict=True) if count < counts.max()
    }


def _sources(labels: np.ndarray, border: np.ndarray, label: int) -> np.ndarray:
    """Indices that a class is filled up from: its border, or all of it where it has none."""
    members = np.flatnonzero(labels == label)
    at_border = members[border[members]]
    return at_border if len(at_border) else members


def oversampled(labels: np.ndarray, border: np.ndarray, seed: int) -> np.ndarray:
    """Indices (M,): every sample once, in order, then copies until all classes are as large as the largest.

    Args:
        labels: int (N,).
        border: bool (N,): which samples are copied; of a class that has none, all.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    copies = [rng.choice(_sources(labels, border, label), count) for label, count in _missing(labels).items()]
    return np.concatenate([np.arange(len(labels)), *copies])


def smote(
    embeddings: np.ndarray, labels: np.ndarray, border: np.ndarray, seed: int, neighbours: int = 5
) -> SyntheticSamples:
    """What the classes lack to be as large as the largest, each a random part of the way from a sample at the border
    to one of its nearest samples of the same class.

    Args:
        embeddings: float (N, D).
        labels: int (N,).
        border: bool (N,): which samples it begins from; of a class that has none, all.
        seed: of the draws.
        neighbours: how many are the nearest.

    Raises:
        BalancingError: for a class to be filled up with too few samples, or a value that is not finite.
    """
    _check(embeddings, labels)
    missing = _missing(labels)
    _check_neighbours(labels, missing, neighbours)
    rng = np.random.default_rng(seed)
    made = [embeddings[:0]]
    for label, count in missing.items():
        members = np.flatnonzero(labels == label)
        starts = rng.choice(_sources(labels, border, label), count)  # (S,)
        search = NearestNeighbors(n_neighbors=neighbours + 1).fit(embeddings[members])
        nearest = members[search.kneighbors(embeddings[starts], return_distance=False)]  # (S, K + 1)
        # The sample itself is among them, not always first where there are doubles: it is put last and left out.
        nearest = np.take_along_axis(nearest, np.argsort(nearest == starts[:, None], axis=1, kind="stable"), 1)
        ends = nearest[np.arange(count), rng.integers(0, neighbours, count)]  # (S,)
        way = rng.random((count, 1)).astype(embeddings.dtype)
        made.append(embeddings[starts] + way * (embeddings[ends] - embeddings[starts]))
    filled_labels = np.repeat(np.array(list(missing), labels.dtype), list(missing.values()))
    return SyntheticSamples(np.concatenate(made), filled_labels)


def _check(values: np.ndarray, labels: np.ndarray) -> None:
    if values.ndim != 2 or len(values) != len(labels):
        raise BalancingError(f"there are values {values.shape} for {len(labels)} labels; expected a row per label")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise BalancingError(
            "the values of {} are not finite; complete its features, valence and arousal, or take random_oversampling",
            sample=row,
        )


def _check_neighbours(labels: np.ndarray, missing: dict[int, int], neighbours: int) -> None:
    for label in missing:
        count = int((labels == label).sum())
        if count <= neighbours:
            raise BalancingError(
                f"{{}} has {count} samples and {neighbours} neighbours are asked for; expected at least "
                f"{neighbours + 1} samples, so take random_oversampling",
                label=label,
            )
