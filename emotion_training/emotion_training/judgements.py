"""What a bundle said of test people, and the figures of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from .config import BundleConfig
from .labels import LABELS
from .metrics import (
    accuracy,
    bootstrap_interval,
    macro_f1,
    paired_bootstrap_difference,
    sign_flip_test,
    unweighted_average_recall,
)

STATES = ("both", "face", "audio")
LATE_FUSION = "late fusion of the same encoders"
GAIN = "intermediate minus late fusion"


@dataclass(frozen=True)
class JudgedVoices:
    """One window of each clip. labels: int (M,); predicted: int (M,) each, by who said it; corpora, speaker_ids: str
    (M,).
    """

    labels: np.ndarray
    predicted: Mapping[str, np.ndarray]
    corpora: np.ndarray
    speaker_ids: np.ndarray


@dataclass(frozen=True)
class JudgedPairs:
    """labels: int (B,); predicted: int (B,) each, of the STATES and of LATE_FUSION; face_weights: float (B,) of the
    fusion of both; clip_ids, speaker_ids: str (B,), of the voices.
    """

    labels: np.ndarray
    predicted: Mapping[str, np.ndarray]
    face_weights: np.ndarray
    clip_ids: np.ndarray
    speaker_ids: np.ndarray

    @property
    def gains(self) -> np.ndarray:
        """1 where the fusion is right and late fusion wrong, -1 where it is the other way round, float (B,)."""
        right = {who: (self.predicted[who] == self.labels).astype(np.float64) for who in ("both", LATE_FUSION)}
        return right["both"] - right[LATE_FUSION]


Judged = TypeVar("Judged", JudgedVoices, JudgedPairs)


@dataclass(frozen=True)
class Judgements:
    """Of the voices alone, and of pairs by what they are like."""

    voices: JudgedVoices
    pairs: Mapping[str, JudgedPairs]


def pooled(parts: Sequence[Judgements]) -> Judgements:
    """As one, of bundles that were each judged on other people."""
    protocols = parts[0].pairs
    return Judgements(
        _concatenated([part.voices for part in parts]),
        {name: _concatenated([part.pairs[name] for part in parts]) for name in protocols},
    )


def _concatenated(parts: Sequence[Judged]) -> Judged:
    """One field after the other, and within `predicted` by name."""
    joined: dict[str, Any] = {}
    for field in fields(parts[0]):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], Mapping):
            joined[field.name] = {name: np.concatenate([value[name] for value in values]) for name in values[0]}
        else:
            joined[field.name] = np.concatenate(values)
    return type(parts[0])(**joined)


class Measure:
    """A figure with its 95 % interval: {"value", "ci95", "n"}."""

    def __init__(self, config: BundleConfig):
        self.samples, self.seed = config.bootstrap_samples, config.seed

    def __call__(
        self,
        metric: Callable[[np.ndarray, np.ndarray], float],
        labels: np.ndarray,
        predicted: np.ndarray,
        groups: np.ndarray,
    ) -> dict:
        interval = bootstrap_interval(metric, labels, predicted, groups, self.samples, self.seed)
        value = metric(labels, predicted)
        return {"value": round(value, 4), "ci95": [round(bound, 4) for bound in interval], "n": len(labels)}


def voice_figures(measure: Measure, judged: JudgedVoices) -> dict:
    """By who said it and by corpus; intervals over speakers."""
    figures: dict[str, dict] = {}
    for name, predicted in judged.predicted.items():
        figures[name] = {}
        for corpus in np.unique(judged.corpora).tolist():
            of = judged.corpora == corpus
            labels, speakers = judged.labels[of], judged.speaker_ids[of]
            figures[name][corpus] = {
                "uar": measure(unweighted_average_recall, labels, predicted[of], speakers),
                "accuracy": measure(accuracy, labels, predicted[of], speakers),
                "recall": recalls(labels, predicted[of]),
                "speakers": sorted(set(speakers.tolist())),
            }
    return figures


def pair_figures(measure: Measure, judged: JudgedPairs) -> dict:
    """UAR of the same pairs in each state, and of late fusion; intervals over the speakers of the voices."""
    labels, speakers = judged.labels, judged.speaker_ids
    figures: dict[str, dict] = {}
    for state in STATES:
        predicted = judged.predicted[state]
        figures[state] = {
            "uar": measure(unweighted_average_recall, labels, predicted, speakers),
            "macro_f1": round(macro_f1(labels, predicted), 4),
        }
    figures["both"]["mean_face_weight"] = round(float(judged.face_weights.mean()), 4)
    both, late = judged.predicted["both"], judged.predicted[LATE_FUSION]
    figures[LATE_FUSION] = {"uar": measure(unweighted_average_recall, labels, late, speakers)}
    low, high = paired_bootstrap_difference(
        unweighted_average_recall, labels, both, late, speakers, measure.samples, measure.seed
    )
    gains = judged.gains
    by_speaker = _sum_by(speakers, gains)
    figures[GAIN] = {
        "uar_ci95": [round(low, 4), round(high, 4)],
        "p_clips": sign_flip_test(_sum_by(judged.clip_ids, gains), measure.seed),
        "p_speakers": sign_flip_test(by_speaker, measure.seed),
        "speakers_better": int((by_speaker > 0).sum()),
    }
    return figures


def recalls(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Of the classes that occur in `labels`, by name."""
    return {LABELS[c]: round(float((predicted[labels == c] == c).mean()), 4) for c in np.unique(labels)}


def _sum_by(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of float (N,) within each of the groups (N,): with classes in equal numbers all sums make the gain in UAR."""
    return np.bincount(np.unique(groups, return_inverse=True)[1], values)
