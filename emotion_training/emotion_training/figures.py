"""The pictures of a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from .comparison import ModelResult

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = {"none": "#9aa0a6", "early": "#c58b00", "late": "#3b78c2", "intermediate": "#2e8b57"}
DOTS_PER_INCH = 110


def draw_bars(results: Sequence[ModelResult], path: Path) -> None:
    """UAR of every model with its 95 % interval over the speakers, where there are several."""
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(results) + 1.2))
    places = np.arange(len(results))[::-1]
    for place, result in zip(places, results, strict=True):
        low, high = result.uar_interval or (result.uar, result.uar)
        axes.barh(place, result.uar, color=COLOURS[result.fusion], height=0.7)
        axes.plot([low, high], [place, place], color="black", linewidth=1.5)
        axes.text(high + 0.01, place, f"{result.uar:.3f}", va="center", fontsize=9)
    axes.set_yticks(places, [result.name for result in results])
    axes.axvline(1.0 / len(results[0].labels), color="grey", linestyle=":", linewidth=1)
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("unweighted average recall; line: 95 % interval over speakers; dotted: chance")
    kinds = dict.fromkeys(result.fusion for result in results)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=COLOURS[kind]) for kind in kinds]
    names = ["one modality" if kind == "none" else f"{kind} fusion" for kind in kinds]
    axes.legend(
        handles, names, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names), frameon=False
    )
    _save(figure, path)


def draw_confusions(results: Sequence[ModelResult], path: Path) -> None:
    """Recall of each class, all speakers and seeds together."""
    figure, row = pyplot.subplots(1, len(results), figsize=(4.6 * len(results), 5.2), squeeze=False)
    for axes, result in zip(row[0], results, strict=True):
        counts = result.counts.sum(axis=(0, 1))  # (C, C)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        for (i, j), share in np.ndenumerate(shares):
            colour = "white" if share > 0.55 else "black"
            axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(range(len(result.labels)), result.labels, rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(len(result.labels)), result.labels, fontsize=8)
        axes.set_title(f"{result.name}, UAR {result.uar:.3f}", fontsize=10)
    row[0][0].set_ylabel("true class")
    figure.supxlabel("predicted class, % of the true one", fontsize=9)
    _save(figure, path)


def draw_speakers(results: Sequence[ModelResult], path: Path) -> None:
    """UAR of every speaker, mean over the seeds; a dot a speaker, a line at the median."""
    figure, axes = pyplot.subplots(figsize=(0.75 * len(results) + 1.5, 4.4))
    for place, result in enumerate(results):
        values = np.sort(result.uar_by_speaker)
        spread = 0.5 * (np.arange(len(values)) % 5 - 2) / 5
        axes.scatter(place + spread, values, s=14, color=COLOURS[result.fusion], alpha=0.8)
        axes.plot([place - 0.3, place + 0.3], [np.median(values)] * 2, color="black", linewidth=1.5)
    axes.set_xticks(range(len(results)), [result.name for result in results], rotation=60, ha="right", fontsize=8)
    axes.set_ylabel("UAR of a speaker")
    axes.set_ylim(0.0, 1.0)
    _save(figure, path)


def draw_reliability(results: Sequence[ModelResult], path: Path) -> None:
    """Accuracy by confidence after calibration; the size of a dot is the share of the clips."""
    figure, axes = pyplot.subplots(figsize=(4.8, 4.6))
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    for result in results:
        confidence, accuracy, share = result.reliability.T
        axes.plot(confidence, accuracy, color=COLOURS[result.fusion], linewidth=1)
        axes.scatter(confidence, accuracy, s=20 + 400 * share, color=COLOURS[result.fusion], alpha=0.6)
        axes.plot([], [], color=COLOURS[result.fusion], label=f"{result.name}, ECE {result.ece[1]:.3f}")
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.legend(fontsize=8)
    _save(figure, path)


def draw_learning_curves(history: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Of each stage its loss and, on another axis, what it reaches on validation people, at the epochs that tell."""
    figure, row = pyplot.subplots(1, len(history), figsize=(4.6 * len(history), 3.6), squeeze=False)
    for axes, (stage, epochs) in zip(row[0], history.items(), strict=True):
        numbers = np.arange(1, len(epochs) + 1)
        axes.plot(numbers, [epoch["loss"] for epoch in epochs], color="grey", linestyle=":", label="loss")
        axes.set_title(stage)
        axes.set_xlabel("epoch")
        lines, front = [*axes.get_lines()], axes
        names = [name for name in epochs[0] if name != "loss"]
        if names:  # else nothing was measured on validation people
            front = axes.twinx()
            for name in names:
                told = [(number, epoch[name]) for number, epoch in zip(numbers, epochs, strict=True) if name in epoch]
                lines += front.plot(*zip(*told, strict=True), label=name.removeprefix("validation_"))
            front.set_ylim(0.0, 1.0)
        front.legend(lines, [line.get_label() for line in lines], fontsize=8, loc="center right")
    _save(figure, path)


def _save(figure: "pyplot.Figure", path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    # Without the date and the version, the same figures give the same file.
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    pyplot.close(figure)
