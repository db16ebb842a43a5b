"""How the default bundle was made: learning curves, seed, configuration, durations."""

import json
from collections.abc import Mapping
from pathlib import Path

from .config import BundleConfig
from .figures import draw_learning_curves
from .report_pages import Commands, Heading, Picture, Table, Text, markdown

CURVES = "figures/learning_curves.png"
LOG = "training_log.json"


def write_bundle_report(folder: Path, config: BundleConfig, training: Mapping, history: Mapping) -> None:
    """Writes report.md, the training log and its picture.

    Args:
        folder: of the report; made where it does not exist.
        config: that made the bundle.
        training: as `export_bundle` takes it.
        history: figures of each epoch of each stage.
    """
    draw_learning_curves(history, folder / CURVES)
    (folder / LOG).write_text(json.dumps(history, indent=1) + "\n")
    stages = [
        [stage, str(len(epochs)), f"{training['seconds'][stage] / 60.0:.1f}", _last(epochs[-1])]
        for stage, epochs in history.items()
    ]
    counts = training["counts"]
    parts = [
        Heading(f"How {config.model_id} was made", 1),
        Text(
            "Its figures on people that it never saw are in the bundle, in `MODEL_CARD.md` and `metrics.json`. Nothing "
            "was chosen by them. Every stage ends where its schedule ends; the validation people tell how it goes, and "
            "set the temperatures and the confidence below which a state is uncertain."
        ),
        Picture(CURVES, "Loss and validation figures of each stage, epoch by epoch"),
        Table(["stage", "epochs", "minutes", "at the end"], stages),
        Text(
            f"Faces: {_counts(counts['faces'])}. Voice clips: {_counts(counts['clips'])}. Seed {config.seed}, "
            f"{config.threads} threads, commit `{training['commit']}`; the configuration is "
            "`emotion_training/config/default_bundle.yaml` and, as it was, in `model.json`. Minutes are those of the "
            "machine as it was, with other work on it."
        ),
        Heading("Make it again"),
        Commands("python -m emotion_training.build_default_bundle --data DATA --out BUNDLE --report REPORT"),
    ]
    (folder / "report.md").write_text(markdown(parts))


def _last(epoch: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name.removeprefix('validation_').replace('_', ' ')} {value:.3f}" for name, value in epoch.items()
    )


def _counts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {part}" for part, count in parts.items())
