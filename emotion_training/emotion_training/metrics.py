"""Figures of merit, with bootstrap confidence intervals over speakers or items."""

from collections.abc import Callable

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray], float]
ENOUGH_SPEAKERS = 15  # with 10 the intervals hold the true figure 88 times of 100, with 4 of them 79 times
EXACT_UP_TO = 20  # pairs: a million ways to flip their signs


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


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> np.ndarray:
    """Per bin of equal width of confidence: mean confidence, accuracy, share of the items; float64 (bins, 3), NaN
    where a bin is empty.
    """
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    rows = np.full((bins, 3), np.nan)
    for number in np.unique(which):
        of = which == number
        rows[number] = confidence[of].mean(), hit[of].mean(), of.mean()
    return rows


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean gap between confidence and accuracy over 15 bins of confidence, weighted by how many items they hold."""
    confidence, right, share = reliability(labels, probabilities, bins=15).T
    gaps = np.abs(right - confidence) * share
    return float(gaps[np.isfinite(gaps)].sum())


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


def coverage(speakers: int) -> str:
    """What a report adds to an interval over so few speakers, as a clause; nothing where they are enough."""
    if speakers >= ENOUGH_SPEAKERS:
        return ""
    return f"; over fewer than {ENOUGH_SPEAKERS} speakers such an interval is narrower than 95 %"


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


def confusion_counts(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Int (C, C): how many items of each class (rows) were taken for which (columns)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def recall_average(counts: np.ndarray) -> np.ndarray:
    """Unweighted average recall (...,) of confusion counts (..., C, C), over the classes that occur."""
    items = counts.sum(axis=-1)  # (..., C)
    recall = np.diagonal(counts, axis1=-2, axis2=-1) / np.maximum(items, 1)
    return recall.sum(axis=-1) / (items > 0).sum(axis=-1)


def speaker_bootstrap_interval(counts: np.ndarray, samples: int, seed: int) -> tuple[float, float]:
    """95 % interval of the UAR, averaged over R runs, when whole speakers are drawn anew.

    counts: confusion counts (R, S, C, C) of each run and speaker; the same speakers are drawn for all runs.
    """
    rng = np.random.default_rng(seed)
    speakers = counts.shape[1]
    drawn = rng.multinomial(speakers, np.full(speakers, 1.0 / speakers), samples)  # (draws, S), how often each
    pooled = np.tensordot(drawn, counts, axes=(1, 1))  # (draws, R, C, C)
    low, high = np.percentile(recall_average(pooled).mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def sign_flip_test(differences: np.ndarray, seed: int, samples: int = 200_000) -> float:
    """Two-sided p-value of the paired permutation test on differences (S,), one a speaker.

    Under the null hypothesis each difference could as well have the other sign. All ways are counted for up to 20
    speakers; beyond, random ones (Phipson & Smyth 2010: plus one in both counts).
    """
    differences = np.asarray(differences, np.float64)
    observed = abs(differences.sum()) - 1e-12  # sums in another order differ in their last bits
    if len(differences) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for difference in differences:
            sums = np.concatenate([sums + difference, sums - difference])
        return float((np.abs(sums) >= observed).mean())
    rng = np.random.default_rng(seed)
    hits = 0
    for part in np.array_split(np.arange(samples), max(1, samples // 10_000)):
        signs = rng.integers(0, 2, (len(part), len(differences))) * 2 - 1
        hits += int((np.abs(signs @ differences) >= observed).sum())
    return (hits + 1) / (samples + 1)


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values (M,) adjusted for M tests (Holm 1979)."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.maximum.accumulate(np.asarray(p_values)[order] * factors)
    result = np.empty(len(p_values))
    result[order] = np.minimum(adjusted, 1.0)
    return result
