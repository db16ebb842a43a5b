"""Figures of merit, with bootstrap confidence intervals over speakers or items."""

from collections.abc import Callable

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray], float]


def unweighted_average_recall(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean recall over the classes that occur in `labels`; both int (N,)."""
    classes = np.unique(labels)
    return float(np.mean([(predicted[labels == c] == c).mean() for c in classes]))


def accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    return float((labels == predicted).mean())


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that occur in `labels`."""
    scores = []
    for c in np.unique(labels):
        hits = np.sum((labels == c) & (predicted == c))
        scores.append(2.0 * hits / (np.sum(labels == c) + np.sum(predicted == c)))
    return float(np.mean(scores))


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) -> (N, C)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, weighted by how many items they
    hold.
    """
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    hit = (predicted == labels).astype(np.float64)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = [
        abs(hit[which == b].mean() - confidence[which == b].mean()) * (which == b).mean()
        for b in np.unique(which)
    ]
    return float(np.sum(gaps))


def bootstrap_interval(
    metric: Metric, labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray, samples: int, seed: int
) -> tuple[float, float]:
    """95 % interval of `metric(labels, predicted)` when whole groups (speakers, or items) are drawn anew.

    groups: int or str (N,). Returns (low, high).
    """
    rng = np.random.default_rng(seed)
    names, inverse = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(inverse == g) for g in range(len(names))]
    values = []
    for _ in range(samples):
        drawn = np.concatenate([members[g] for g in rng.integers(0, len(names), len(names))])
        values.append(metric(labels[drawn], predicted[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def paired_bootstrap_difference(
    metric: Metric,
    labels: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    groups: np.ndarray,
    samples: int,
    seed: int,
) -> tuple[float, float]:
    """95 % interval of metric(labels, ours) - metric(labels, theirs), the same groups drawn for both."""
    both = np.stack([ours, theirs], axis=1)  # (N, 2)
    return bootstrap_interval(
        lambda drawn, pair: metric(drawn, pair[:, 0]) - metric(drawn, pair[:, 1]),
        labels,
        both,
        groups,
        samples,
        seed,
    )
