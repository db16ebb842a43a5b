"""The recipe of the default bundle on every speaker at hand: python -m emotion_training.cross_validate."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from .build_default_bundle import BUILD_ERRORS, INTERRUPTED, add_inputs, code_commit, read_faces, read_voices
from .command import run_command
from .committed_splits import FOLDER as SPLITS
from .config import BundleConfig, load_config
from .corpora import read_corpus
from .cross_validation_report import write_cross_validation_report
from .judgements import Judgements, Measure, pair_figures, pooled, voice_figures
from .machine import machine
from .speech_clips import SpeakerSplit
from .splits import load_split
from .stage_cache import StageCache
from .train_bundle import TrainedBundle, train_bundle

SPLIT_OF = {"ravdess": "ravdess_5fold_20actors", "emodb": "emodb_5fold"}


def cross_validate(data: Path, report: Path, config: BundleConfig, cache: StageCache) -> dict:
    """Trains voice and fusion anew in each fold of the speakers in `data`, and judges those that it left out.

    The face encoder is that of the bundle: its corpus has no speakers. Returns what is in `results.json`.
    """
    report.mkdir(parents=True, exist_ok=True)  # rather than find after hours that it cannot be made
    faces = read_faces(data, config)
    folds, judged = [], []
    for fold_config in fold_configs(config, data):
        bundle = train_bundle(fold_config, faces, read_voices(data, fold_config), data, cache)
        folds.append(_fold_result(fold_config, bundle))
        judged.append(bundle.judgements)
    results = _pooled_results(config, judged) | {"folds": folds, "machine": machine(), "commit": code_commit()}
    write_cross_validation_report(report, config, results)
    return results


def fold_configs(config: BundleConfig, data: Path) -> list[BundleConfig]:
    """The configuration with the speakers of each fold, as far as they are at hand; others of the corpora learn in all
    of them.

    Raises:
        SplitError: a corpus has lost a fold that the other has, for want of its speakers.
    """
    splits = {}
    for corpus, name in SPLIT_OF.items():
        split = load_split(SPLITS / f"{name}.json")
        splits[corpus] = split.among(split.speakers & {clip.speaker_id for clip in read_corpus(corpus, data / corpus)})
    configs = []
    for number in sorted({number for split in splits.values() for number in split.numbers}):
        folds = {corpus: split.fold(number) for corpus, split in splits.items()}
        speakers = {corpus: SpeakerSplit(fold.validation, fold.test) for corpus, fold in folds.items()}
        configs.append(
            dataclasses.replace(config, audio_training=dataclasses.replace(config.audio_training, **speakers))
        )
    return configs


def _fold_result(config: BundleConfig, bundle: TrainedBundle) -> dict:
    return {
        part: [*getattr(config.audio_training.ravdess, part), *getattr(config.audio_training.emodb, part)]
        for part in ("validation", "test")
    } | {
        "pairs": bundle.metrics["synthetic label-matched pairs"],
        "ece": {state: figure["ece_after"] for state, figure in bundle.metrics["calibration"].items()},
        "seconds": {stage: round(seconds, 1) for stage, seconds in bundle.durations_s.items()},
    }


def _pooled_results(config: BundleConfig, judged: Sequence[Judgements]) -> dict:
    measure, everyone = Measure(config), pooled(judged)
    return {
        "model_id": config.model_id,
        "pairs": {name: pair_figures(measure, pairs) for name, pairs in everyone.pairs.items()},
        "voices": voice_figures(measure, everyone.voices)["bundle"],
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_inputs(parser)
    parser.add_argument("--report", type=Path, required=True, help="folder of the report")
    options = parser.parse_args(arguments)
    return run_command(lambda: _run(options), BUILD_ERRORS, INTERRUPTED)


def _run(options: argparse.Namespace) -> str:
    cross_validate(options.data, options.report, load_config(options.config), StageCache(options.cache))
    return f"{options.report / 'report.md'} is written"


if __name__ == "__main__":
    sys.exit(main())
