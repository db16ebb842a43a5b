"""The report of a cross-validation of the default bundle's recipe."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .config import BundleConfig
from .judgements import GAIN, LATE_FUSION, STATES
from .report_pages import Commands, Heading, Table, Text, markdown


def write_cross_validation_report(folder: Path, config: BundleConfig, results: Mapping[str, Any]) -> None:
    """Writes report.md, and `results` as results.json.

    Args:
        folder: of the report; made where it does not exist.
        config: that was trained in every fold, with the bundle's own speakers.
        results: as `cross_validate` makes them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    folds, voices = results["folds"], results["voices"]
    speakers = [speaker for fold in folds for speaker in fold["test"]]
    used = {*config.audio_training.ravdess.test, *config.audio_training.emodb.test}
    minutes = sum(sum(fold["seconds"][stage] for stage in ("audio", "fusion")) for fold in folds) / 60.0
    parts = [
        Heading(f"The recipe of {results['model_id']} on every speaker", 1),
        Text(
            f"The bundle that ships is measured on {len(used)} speakers, too few to tell it from late fusion where "
            f"both are good. Here its configuration trains the voice encoder and the fusion anew in {len(folds)} folds "
            f"of {len(speakers)} speakers, and every speaker is judged by the fold that neither learnt from nor was "
            "calibrated by that person. Faces are those of FER2013's PublicTest, which no fold learnt from, seen by "
            "the face encoder that ships."
        ),
        Heading("Label-matched pairs"),
        Text(
            "UAR of the pairs of all folds, classes in equal numbers, with 95 % intervals over the speakers. Late "
            "fusion is the product of the calibrated opinions of the same two encoders. The signs of the gains are "
            f"flipped over the voice clips and over the {len(speakers)} speakers."
        ),
        Table(["pairs", "both", "late fusion", "face", "voice"], [_uars(*item) for item in results["pairs"].items()]),
        Table(
            ["pairs", "both minus late", "95 % interval", "p, clips", "p, speakers", "better for"],
            [_gain(name, figures, len(speakers)) for name, figures in results["pairs"].items()],
        ),
        Heading("Voices alone"),
        Table(
            ["corpus", "UAR", "accuracy", "speakers"],
            [
                [corpus, _interval(figure["uar"]), _interval(figure["accuracy"]), str(len(figure["speakers"]))]
                for corpus, figure in voices.items()
            ],
        ),
        Heading("Calibration"),
        Text("Expected calibration error (15 bins) of perturbed pairs, fold by fold."),
        Table(["state", "mean", "smallest", "largest"], [_calibration(state, folds) for state in STATES]),
        Heading("Folds"),
        Table(
            ["test", "validation", *(f"{name}: both, late" for name in results["pairs"])],
            [[", ".join(fold["test"]), ", ".join(fold["validation"]), *_fold(fold)] for fold in folds],
        ),
        Heading("How to read it"),
        Text(
            "This judges the recipe, not the file that ships, which learnt from other speakers. Two folds share most "
            "of the speakers that they learnt from, and the pairs of all folds show the same pictures, so the folds "
            "are not independent, and the intervals leave the choice of faces out. Options that the configuration says "
            "were chosen in folds of the training speakers were chosen by people who are tested here, though by other "
            "networks."
        ),
        Text(f"{results['machine']}; {minutes:.0f} minutes for all folds; commit `{results['commit']}`."),
        Commands("python -m emotion_training.cross_validate --data DATA --report REPORT"),
    ]
    (folder / "report.md").write_text(markdown(parts))


def _uars(name: str, figures: Mapping[str, Any]) -> list[str]:
    return [name, *(_interval(figures[who]["uar"]) for who in ("both", LATE_FUSION, "face", "audio"))]


def _gain(name: str, figures: Mapping[str, Any], speakers: int) -> list[str]:
    gain, (low, high) = figures[GAIN], figures[GAIN]["uar_ci95"]
    return [
        name,
        f"{figures['both']['uar']['value'] - figures[LATE_FUSION]['uar']['value']:+.3f}",
        f"{low:+.3f} to {high:+.3f}",
        f"{gain['p_clips']:.2g}",
        f"{gain['p_speakers']:.2g}",
        f"{gain['speakers_better']} of {speakers}",
    ]


def _calibration(state: str, folds: Sequence[Mapping[str, Any]]) -> list[str]:
    errors = [fold["ece"][state] for fold in folds]
    return [state, *(f"{value:.3f}" for value in (sum(errors) / len(errors), min(errors), max(errors)))]


def _fold(fold: Mapping[str, Any]) -> list[str]:
    return [
        ", ".join(f"{figures[who]['uar']['value']:.3f}" for who in ("both", LATE_FUSION))
        for figures in fold["pairs"].values()
    ]


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = figure["ci95"]
    return f"{figure['value']:.3f} ({low:.3f} to {high:.3f})"
