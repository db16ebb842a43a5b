"""The cells of a comparison, put together: figures over all folds, intervals over speakers, paired tests."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import softmax
from scipy.stats import wilcoxon

from .metrics import (
    confusion_counts,
    expected_calibration_error,
    holm,
    recall_average,
    reliability,
    sign_flip_test,
    speaker_bootstrap_interval,
)
from .training_module import MONITORED

BOOTSTRAP_SAMPLES = 2000
SEED = 0  # of the bootstrap


@dataclass(frozen=True)
class ModelResult:
    """The cells of one model: every seed has tested the same speakers."""

    name: str
    cells: Sequence[Mapping[str, Any]]

    def of(self, seeds: Collection[int]) -> "ModelResult":
        """The same model with the cells of these seeds only."""
        return ModelResult(self.name, [cell for cell in self.cells if cell["row"]["seed"] in seeds])

    @property
    def fusion(self) -> str:
        return self.cells[0]["row"]["fusion"]

    @property
    def modalities(self) -> str:
        return self.cells[0]["row"]["modalities"]

    @property
    def labels(self) -> list[str]:
        return self.cells[0]["labels_in_order"]

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({cell["row"]["seed"] for cell in self.cells})

    @cached_property
    def speakers(self) -> list[str]:
        return sorted({speaker for cell in self.cells for speaker in cell["row"]["speakers_tested"]})

    @cached_property
    def counts(self) -> np.ndarray:
        """Confusion counts of each seed and speaker, int (R, S, C, C)."""
        classes = len(self.labels)
        counts = np.zeros((len(self.seeds), len(self.speakers), classes, classes), np.int64)
        for cell in self.cells:
            run = self.seeds.index(cell["row"]["seed"])
            labels, predicted = np.array(cell["labels"]), np.array(cell["logits"]).argmax(axis=1)
            speakers = np.array(cell["speaker_ids"])
            for speaker in set(cell["speaker_ids"]):
                of = speakers == speaker
                counts[run, self.speakers.index(speaker)] += confusion_counts(labels[of], predicted[of], classes)
        return counts

    @cached_property
    def uar_by_seed(self) -> np.ndarray:
        """Over all test speakers together, (R,)."""
        return recall_average(self.counts.sum(axis=1))

    @property
    def uar(self) -> float:
        return float(self.uar_by_seed.mean())

    @cached_property
    def uar_interval(self) -> tuple[float, float] | None:
        """None where there is one speaker, who says nothing of others."""
        if len(self.speakers) < 2:
            return None
        return speaker_bootstrap_interval(self.counts, BOOTSTRAP_SAMPLES, SEED)

    @cached_property
    def uar_by_speaker(self) -> np.ndarray:
        """Mean over the seeds, (S,)."""
        return recall_average(self.counts).mean(axis=0)

    def mean(self, figure: str) -> float:
        """Of a figure of the rows over all cells."""
        return float(np.mean([cell["row"][figure] for cell in self.cells]))

    def mean_uar_in(self, state: str) -> float | None:
        """With only one modality shown; None for a model of one."""
        found = [cell["uar_by_state"][state] for cell in self.cells if state in cell["uar_by_state"]]
        return float(np.mean(found)) if found else None

    @cached_property
    def calibrated(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels (N,) and probabilities (N, C) of all cells, each with its own temperature."""
        labels = np.concatenate([cell["labels"] for cell in self.cells])
        return labels, np.concatenate([softmax(np.array(c["logits"]) / c["temperature"], axis=1) for c in self.cells])

    @property
    def reliability(self) -> np.ndarray:
        return reliability(*self.calibrated)

    @property
    def ece(self) -> tuple[float, float]:
        """Before and after calibration, over all cells together."""
        labels, after = self.calibrated
        before = np.concatenate([softmax(np.array(cell["logits"]), axis=1) for cell in self.cells])
        return expected_calibration_error(labels, before), expected_calibration_error(labels, after)


@dataclass(frozen=True)
class PairedTest:
    """One model against another on the same speakers, whose UAR is averaged over the seeds first.

    difference: mean over the speakers; better: speakers for whom it is positive; p_holm: p_sign_flip adjusted for all
    tests made together.
    """

    model: str
    other: str
    difference: float
    better: int
    speakers: int
    p_sign_flip: float
    p_wilcoxon: float
    p_holm: float


def whole_runs(contents: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The cells of every model and seed that have all folds that any of them has."""
    rows = [content["row"] for content in contents]
    folds = {row["fold"] for row in rows}
    found = Counter((row["model"], row["seed"]) for row in rows)
    return [
        content for content, row in zip(contents, rows, strict=True) if found[row["model"], row["seed"]] == len(folds)
    ]


def model_results(contents: Sequence[Mapping[str, Any]]) -> list[ModelResult]:
    """The cells by model, in the order of their first cell."""
    names = list(dict.fromkeys(content["row"]["model"] for content in contents))
    return [ModelResult(name, [c for c in contents if c["row"]["model"] == name]) for name in names]


def best(results: Sequence[ModelResult], fusion: str) -> ModelResult | None:
    """The model of a kind of fusion with the highest UAR; None where the comparison has none."""
    return max((result for result in results if result.fusion == fusion), key=lambda result: result.uar, default=None)


def chosen_in_every_fold(name: str, candidates: Sequence[ModelResult]) -> ModelResult:
    """In each fold the cells of the candidate with the highest UAR on the validation speakers, averaged over the seeds;
    the first of equals. The rows of its cells name it as `chosen`. Only seeds that all candidates have count.
    """
    seeds = set.intersection(*(set(candidate.seeds) for candidate in candidates))
    candidates = [candidate.of(seeds) for candidate in candidates]
    cells = []
    for fold in sorted({cell["row"]["fold"] for cell in candidates[0].cells}):
        of_fold = [[cell for cell in candidate.cells if cell["row"]["fold"] == fold] for candidate in candidates]
        winner = max(of_fold, key=lambda runs: np.mean([_validation_uar(cell) for cell in runs]) if runs else 0.0)
        cells += [cell | {"row": cell["row"] | {"model": name, "chosen": cell["row"]["model"]}} for cell in winner]
    return ModelResult(name, cells)


def paired_tests(pairs: Sequence[tuple[ModelResult, ModelResult]]) -> list[PairedTest]:
    """The first of every pair against the second on the seeds of both, where these have tested the same speakers."""
    shared = [(a.of(b.seeds), b.of(a.seeds)) for a, b in pairs]
    pairs = [(a, b) for a, b in shared if a.cells and a.speakers == b.speakers]
    differences = [a.uar_by_speaker - b.uar_by_speaker for a, b in pairs]
    p_values = np.array([sign_flip_test(difference, SEED) for difference in differences])
    return [
        PairedTest(a.name, b.name, float(d.mean()), int((d > 0).sum()), len(d), float(p), _wilcoxon(d), float(adjusted))
        for (a, b), d, p, adjusted in zip(pairs, differences, p_values, holm(p_values), strict=True)
    ]


def _validation_uar(cell: Mapping[str, Any]) -> float:
    """Of the epoch whose weights were kept."""
    selection, history = cell["configuration"]["selection"], cell["history"]
    if selection["keep"] == "last":
        return history[-1]["validation_uar"]
    best = {"max": max, "min": min}[MONITORED[selection["monitor"]]]
    return best(history, key=lambda epoch: epoch[selection["monitor"]])["validation_uar"]


def _wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p-value of the signed-rank test; 1 where nothing differs."""
    return float(wilcoxon(differences).pvalue) if np.any(differences) else 1.0
