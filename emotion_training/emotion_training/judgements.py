"""What networks said of new people, and the figures of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from scipy.special import softmax

from emotion_perception.core.model_bundle import STATES

from .calibration import calibrate
from .config import BundleConfig
from .labels import LABELS
from .metrics import (
    accuracy,
    bootstrap_interval,
    expected_calibration_error,
    macro_f1,
    paired_bootstrap_difference,
    sign_flip_test,
    unweighted_average_recall,
)

OPINIONS = ("joint", "face", "audio")  # of the fusion, where both are there
BUNDLE, ENCODER, EXACT_ENCODER = "bundle", "encoder", "encoder in float32"  # who may have said something of a voice
LATE_FUSION = "late fusion of the same encoders"
PAIRS = "synthetic label-matched pairs"
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


@dataclass(frozen=True)
class StateLogits:
    """Of pairs in one modality state. logits: float32 (B, C), not calibrated; labels: int (B,)."""

    logits: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Opinions:
    """Of pairs of a face and a voice. logits: float32 (B, C, 3), of the OPINIONS; labels: int (B,)."""

    logits: np.ndarray
    labels: np.ndarray


Judged = TypeVar("Judged", JudgedVoices, JudgedPairs, StateLogits, Opinions)


@dataclass(frozen=True)
class Judgements:
    """Of new people: of the voices alone, of pairs by what they are like, and of perturbed pairs by state; and what
    each part of the fusion said of those of both.

    taken_for: how often the encoder takes augmented voices of a class (rows) for one (columns), int (C, C).
    """

    voices: JudgedVoices
    pairs: Mapping[str, JudgedPairs]
    states: Mapping[str, StateLogits]
    opinions: Opinions
    taken_for: np.ndarray


def pooled(parts: Sequence[Judgements]) -> Judgements:
    """As one, of networks that were each judged on other people."""
    return Judgements(
        _concatenated([part.voices for part in parts]),
        {name: _concatenated([part.pairs[name] for part in parts]) for name in parts[0].pairs},
        {state: _concatenated([part.states[state] for part in parts]) for state in parts[0].states},
        _concatenated([part.opinions for part in parts]),
        np.sum([part.taken_for for part in parts], axis=0),
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


def calibration_figures(folds: Sequence[Judgements]) -> dict:
    """What the temperatures and thresholds are worth: of each fold, those found by all others.

    By state the expected calibration error before and after, its mean and extremes over the folds, and what is certain.
    """
    figures = {}
    for state in STATES:
        errors: list[list[float]] = [[], []]
        right, certain = [], []
        for number, fold in enumerate(folds):
            others = _concatenated([other.states[state] for other in (*folds[:number], *folds[number + 1 :])])
            found, judged = calibrate(others.logits, others.labels), fold.states[state]
            calibrated = softmax(judged.logits / found["temperature"], axis=1)  # (B, C)
            for values, probabilities in zip(errors, (softmax(judged.logits, axis=1), calibrated), strict=True):
                values.append(expected_calibration_error(judged.labels, probabilities))
            right.append(calibrated.argmax(axis=1) == judged.labels)
            certain.append(calibrated.max(axis=1) >= found["uncertain_below"])
        rights, certains = np.concatenate(right), np.concatenate(certain)
        before, after = errors
        figures[state] = {
            "ece_before": round(float(np.mean(before)), 4),
            "ece_after": round(float(np.mean(after)), 4),
            "ece_after_of_folds": [round(min(after), 4), round(max(after), 4)],
            "accuracy": round(float(rights.mean()), 4),
            "certain_share": round(float(certains.mean()), 4),
            "accuracy_of_certain": round(float(rights[certains].mean()), 4) if certains.any() else None,
            "n": len(rights),
        }
    return figures


def recalls(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Of the classes that occur in `labels`, by name."""
    return {LABELS[c]: round(float((predicted[labels == c] == c).mean()), 4) for c in np.unique(labels)}


def _sum_by(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of float (N,) within each of the groups (N,): with classes in equal numbers all sums make the gain in UAR."""
    return np.bincount(np.unique(groups, return_inverse=True)[1], values)
