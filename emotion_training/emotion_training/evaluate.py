"""Figures of a trained model on the test speakers of its fold, and what it stands.

    python -m emotion_training.evaluate --checkpoint OUT/best.ckpt --data PREPARED --out EVALUATION

Writes evaluation.md, evaluation.html and evaluation.json into --out.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .clip_tensors import ClipTensors
from .command import run_command
from .corpus_tensors import load_corpus
from .data_module import EmotionDataModule
from .experiment import EXPERIMENT_ERRORS, Experiment, restore_experiment
from .metrics import bootstrap_interval, confusion_counts, unweighted_average_recall
from .predictions import Predictions, calibrated_temperature, figures, predict, states_of
from .report_pages import Heading, Part, Table, Text, html_page, markdown
from .robustness import (
    DROPPED_SHARES,
    OCCLUDED_SHARES,
    SNR_DB,
    with_dropped_frames,
    with_occluded_faces,
)

BOOTSTRAP_SAMPLES = 2000
SEED = 0  # of the bootstrap, and of what is done to the clips
STATE_NAMES = {"both": "as recorded", "face": "voice missing", "audio": "face missing"}


def evaluate(experiment: Experiment, robustness: bool) -> dict[str, Any]:
    """All figures as plain values: of the test part, by speaker, by class, and in every condition."""
    model, data = experiment.module.evaluated, experiment.data
    states = states_of(data.test)
    temperatures = {state: calibrated_temperature(predict(model, data.validation, state)) for state in states}
    tests = {state: predict(model, data.test, state) for state in states}
    test, temperature = tests["both"], temperatures["both"]
    interval = bootstrap_interval(
        unweighted_average_recall, test.labels, test.predicted, test.speaker_ids, BOOTSTRAP_SAMPLES, SEED
    )
    # Each state by its own temperature, as a bundle has them.
    conditions = {STATE_NAMES[state]: _rounded(figures(tests[state], temperatures[state])) for state in states}
    if robustness:
        conditions |= {name: _rounded(figures(predict(model, clips), temperature)) for name, clips in spoilt(data)}
    return {
        "split": data.split.name,
        "fold": data.fold_number,
        "speakers": sorted(set(test.speaker_ids.tolist())),
        "clips": len(test.labels),
        "temperature": temperature,
        "figures": _rounded(figures(test, temperature)),
        "uar_interval": [round(bound, 4) for bound in interval],
        "uar_by_speaker": _by_speaker(test),
        "labels": list(data.shape.labels),
        "confusion": confusion_counts(test.labels, test.predicted, len(data.shape.labels)).tolist(),
        "conditions": conditions,
    }


def spoilt(data: EmotionDataModule) -> Iterator[tuple[str, ClipTensors]]:
    """The test clips in every condition that their kind allows, with its name."""
    if data.test.audio is not None:
        for snr_db in SNR_DB:
            config = dataclasses.replace(data.corpus, snr_db=snr_db, speakers=data.fold.test, views=1)
            yield f"noise at {snr_db:g} dB", load_corpus(config)
    if data.test.face is not None and data.test.face.ndim == 5:
        for share in OCCLUDED_SHARES:
            yield f"{100 * share:g} % of the face's side covered", with_occluded_faces(data.test, share, SEED)
        for share in DROPPED_SHARES:
            yield f"{100 * share:g} % of the pictures dropped", with_dropped_frames(data.test, share, SEED)


def report(found: dict[str, Any], title: str) -> list[Part]:
    """The figures as pages."""
    low, high = found["uar_interval"]
    names = ("uar", "accuracy", "macro_f1", "ece_before", "ece")
    rows = [[name, *(f"{values[figure]:.3f}" for figure in names)] for name, values in found["conditions"].items()]
    counts = np.array(found["confusion"])
    return [
        Heading(title, 1),
        Text(
            f"Fold {found['fold']} of {found['split']}, {found['clips']} clips of {len(found['speakers'])} speakers "
            f"that were neither learnt from nor chosen by: UAR {found['figures']['uar']:.3f}, 95 % interval {low:.3f} "
            f"to {high:.3f} (bootstrap over the speakers). Temperature {found['temperature']}, and another where "
            "a modality is missing, from the validation speakers."
        ),
        Heading("Conditions"),
        Table(["condition", "UAR", "accuracy", "macro-F1", "ECE", "calibrated ECE"], rows),
        Heading("Speakers"),
        Table(["speaker", "UAR"], [[name, f"{value:.3f}"] for name, value in found["uar_by_speaker"].items()]),
        Heading("Confusion: clips of each class (rows) by the predicted one"),
        Table(
            ["", *found["labels"]],
            [[label, *map(str, row)] for label, row in zip(found["labels"], counts, strict=True)],
        ),
    ]


def _by_speaker(test: Predictions) -> dict[str, float]:
    speakers = sorted(set(test.speaker_ids.tolist()))
    of = {speaker: test.speaker_ids == speaker for speaker in speakers}
    return {
        speaker: round(unweighted_average_recall(test.labels[of[speaker]], test.predicted[of[speaker]]), 4)
        for speaker in speakers
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = argparse.ArgumentParser(
        prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="of `train`")
    parser.add_argument("--data", type=Path, required=True, help="folder that `prepare` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--robustness", action="store_true", help="noise, covered faces and dropped pictures too")
    given = parser.parse_args(arguments)
    return run_command(lambda: _write(given), EXPERIMENT_ERRORS)


def _write(given: argparse.Namespace) -> str:
    experiment = restore_experiment(given.checkpoint, {"data.corpus.root": str(given.data)})
    found = evaluate(experiment, given.robustness)
    title = f"Figures of {given.checkpoint.name}"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "evaluation.json").write_text(json.dumps(found, indent=1) + "\n")
    parts = report(found, title)
    (given.out / "evaluation.md").write_text(markdown(parts))
    (given.out / "evaluation.html").write_text(html_page(title, parts, given.out))
    return f"{given.out / 'evaluation.md'}: UAR {found['figures']['uar']:.3f}"


if __name__ == "__main__":
    sys.exit(main())
