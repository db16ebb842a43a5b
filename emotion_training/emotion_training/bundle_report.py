"""How the default bundle was made: learning curves, seed, configuration, durations."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .command import write_whole
from .config import BundleConfig
from .figures import draw_learning_curves
from .judgements import GAIN, LATE_FUSION, PAIRS, Measure, pair_figures
from .metrics import coverage
from .report_pages import Commands, Heading, Picture, Points, Table, Text, markdown
from .train_bundle import JudgedFold

CURVES = "figures/learning_curves.png"
LOG = "training_log.json"


def write_bundle_report(
    folder: Path, config: BundleConfig, training: Mapping, history: Mapping, notes: Sequence[str] = ()
) -> None:
    """Writes report.md, the training log and its picture.

    Args:
        folder: of the report; made where it does not exist.
        config: that made the bundle.
        training: as `write_bundle` takes it.
        history: figures of each epoch of each stage.
        notes: what its author says beside it, see `load_notes`.
    """
    draw_learning_curves(history, folder / CURVES)
    write_whole(folder / LOG, json.dumps(history, indent=1) + "\n")
    stages = [
        [stage, str(len(epochs)), f"{training['seconds'][stage] / 60.0:.1f}", _last(epochs[-1])]
        for stage, epochs in history.items()
    ]
    counts, folds, pairs = training["counts"], training["metrics"]["folds"], training["metrics"][PAIRS]
    speakers = [speaker for fold in folds for speaker in fold["test"]]
    corpora = " and ".join(config.splits)
    voices = {corpus: of["clips"] for corpus, of in counts["voices"].items()}
    parts = [
        Heading(f"How {config.model_id} was made", 1),
        Text(
            f"The networks that ship learnt from the voices of all {len(speakers)} speakers of {corpora}, so that none "
            f"of these can tell how good they are. {len(folds)} folds tell it: the same configuration trains voice "
            "encoder and fusion anew, and each speaker is judged by the fold that neither learnt from that person nor "
            "was calibrated by that person. The face encoder is one for all, and the faces of the figures are those of "
            "FER2013's PublicTest, which nothing learnt from. All figures are in the bundle, in `MODEL_CARD.md` and "
            "`metrics.json`."
        ),
        Heading("Stages of the networks that ship"),
        Text(
            "Every stage ends where its schedule ends; nothing is chosen by the figures of its epochs. Temperatures "
            "and the confidence below which a state is uncertain are those that fit what the folds said of their "
            "speakers."
        ),
        Picture(CURVES, "Loss and validation figures of each stage, epoch by epoch"),
        Table(["stage", "epochs", "minutes", "at the end"], stages),
        Text(
            f"Faces: {_counts(counts['faces'])}. Voice clips: {_counts(voices)}. Seed {config.seed}, "
            f"{config.threads} threads, commit `{training['commit']}`; the configuration is "
            "`emotion_training/config/default_bundle.yaml` and, as it was, in `model.json`. Minutes are those of the "
            "machine as it was, with other work on it."
        ),
        Heading("Intermediate against late fusion"),
        Text(
            "UAR of the label-matched pairs of all folds, classes in equal numbers, with 95 % intervals over the "
            f"speakers{coverage(len(speakers))}. Late fusion is the product of the calibrated opinions of the same two "
            "encoders, neither of which expects one class more than another. The signs of the gains are flipped over "
            f"the voice clips and over the {len(speakers)} speakers."
        ),
        Table(
            ["pairs", "both", "late fusion", "both minus late", "p, clips", "p, speakers", "better for"],
            [_gain(name, figures, len(speakers)) for name, figures in pairs.items()],
        ),
        Heading("Folds"),
        Table(
            ["test", "validation", "minutes", *(f"{name}: both, late" for name in pairs)],
            [_fold(fold) for fold in folds],
        ),
        Text(
            "Two folds share most of the speakers that they learnt from, and the pairs of all folds show the same "
            "pictures, so the folds are not independent, and the intervals leave the choice of faces out. Options that "
            "the configuration says were chosen in folds of training speakers were chosen by some of the people who "
            "are judged here, though by other networks. The validation people of a fold calibrate its late fusion, and "
            "tell its fusion how far a voice is to be trusted."
        ),
        *([Heading("What the log does not show"), Points(notes)] if notes else []),
        Heading("Make it again"),
        Commands("python -m emotion_training.build_default_bundle --data DATA --out BUNDLE --report REPORT"),
    ]
    write_whole(folder / "report.md", markdown(parts))


def fold_figures(config: BundleConfig, fold: JudgedFold) -> dict:
    """Who was judged, and how; for metrics.json."""
    measure = Measure(config)
    return fold.people | {
        PAIRS: {name: pair_figures(measure, pairs) for name, pairs in fold.judgements.pairs.items()},
        "seconds": round(fold.seconds, 1),
    }


def _gain(name: str, figures: Mapping, speakers: int) -> list[str]:
    gain, (low, high) = figures[GAIN], figures[GAIN]["uar_ci95"]
    difference = figures["both"]["uar"]["value"] - figures[LATE_FUSION]["uar"]["value"]
    return [
        name,
        *(_interval(figures[who]["uar"]) for who in ("both", LATE_FUSION)),
        f"{difference:+.3f} ({low:+.3f} to {high:+.3f})",
        f"{gain['p_clips']:.2g}",
        f"{gain['p_speakers']:.2g}",
        f"{gain['speakers_better']} of {speakers}",
    ]


def _fold(fold: Mapping) -> list[str]:
    return [
        ", ".join(fold["test"]),
        ", ".join(fold["validation"]),
        f"{fold['seconds'] / 60.0:.0f}",
        *(
            ", ".join(f"{figures[who]['uar']['value']:.3f}" for who in ("both", LATE_FUSION))
            for figures in fold[PAIRS].values()
        ),
    ]


def _interval(figure: Mapping) -> str:
    low, high = figure["ci95"]
    return f"{figure['value']:.3f} ({low:.3f} to {high:.3f})"


def _last(epoch: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name.removeprefix('validation_').replace('_', ' ')} {value:.3f}" for name, value in epoch.items()
    )


def _counts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {part}" for part, count in parts.items())
