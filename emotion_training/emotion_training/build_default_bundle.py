"""Rebuilds the bundle that emotion_perception ships: python -m emotion_training.build_default_bundle."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .bundle_report import fold_figures, write_bundle_report
from .bundle_writer import BundleShape, ParityError, write_bundle
from .command import run_command
from .committed_splits import FOLDER as SPLITS
from .config import BundleConfig, load_config
from .configuration import CONFIG_FOLDER, ConfigurationError
from .corpora import CorpusError, read_corpus
from .face_set import load_faces, split_faces, without_duplicates
from .fusion_training import fusion_network
from .latency import measure_latency
from .machine import code_commit
from .model_card import licence, render_model_card, training_data
from .models import ModelError
from .models.start_weights import WeightsError
from .report_pages import load_notes
from .robot_voice_augmentation import BackgroundError
from .speech_clips import SpeechClip, load_voices, speech_folds
from .splits import PARTS, SplitError, load_split
from .stage_cache import StageCache
from .train_bundle import FaceSplits, TrainedBundle, judge_fold, train_bundle, try_face_weights
from .voice_features import voice_features

DEFAULT_CONFIG = CONFIG_FOLDER / "default_bundle.yaml"
DEFAULT_CACHE = Path.home() / ".cache" / "emotion_training"
BUILD_ERRORS = (
    BackgroundError,
    ConfigurationError,
    CorpusError,
    FloatingPointError,
    ModelError,
    ParityError,
    SplitError,
    WeightsError,
)
INTERRUPTED = "interrupted; finished stages are kept, run the same command again to go on"


def build(data: Path, out: Path, report: Path, config: BundleConfig, cache: StageCache) -> TrainedBundle:
    """Reads the corpora in `data`, trains, measures, writes the bundle into `out` and its training into `report`.

    Voice and fusion are trained in every fold of the speakers first, for the figures and the calibration, and then for
    the bundle on all of them. The face encoder is one for all: its corpus has no speakers.
    """
    # Rather than find after hours that the one cannot be made or the other not be read:
    report.mkdir(parents=True, exist_ok=True)
    notes = load_notes(report)
    splits = {corpus: load_split(SPLITS / f"{name}.json") for corpus, name in config.splits.items()}
    faces, clips = read_faces(data, config), read_voices(data, config)
    parts = speech_folds(splits, clips)
    try_face_weights(config, faces, data)  # before voices are heard for half an hour
    features = voice_features(config, clips, parts, data, cache)
    folds = [judge_fold(config, faces, fold, features, data, cache) for fold in parts]
    bundle = train_bundle(config, faces, clips, features, [fold.judgements for fold in folds], data, cache)
    networks = bundle.networks
    speakers = sorted({clip.speaker_id for clip in clips})
    training = {
        "data": training_data(config, speakers),
        "speakers": {"train": speakers, "validation": []},
        "counts": {
            "faces": {part: len(getattr(faces, part)) for part in PARTS},
            "voices": {corpus: _voice_counts(clips, corpus) for corpus in dict.fromkeys(clip.corpus for clip in clips)},
        },
        "configuration": json.loads(json.dumps(dataclasses.asdict(config), default=str)),
        "networks": {"fusion": fusion_network(config.fusion)},
        "commit": code_commit(),
        "seed": config.seed,
        "seconds": {stage: round(seconds, 1) for stage, seconds in networks.durations_s.items()},
        "metrics": bundle.metrics
        | {
            "folds": [fold_figures(config, fold) for fold in folds],
            "latency": measure_latency(networks.models, config),
        },
    }
    card = render_model_card(config, training, bundle.calibration)
    write_bundle(out, networks.models, BundleShape.of(config), bundle.calibration, training, licence(config), card)
    write_bundle_report(report, config, training, networks.history, notes)
    return bundle


def read_faces(data: Path, config: BundleConfig) -> FaceSplits:
    """FER2013's PublicTest for the figures; its training part without copies, split again for choosing."""
    archive, votes, size_px = data / "fer2013.zip", data / "fer2013new.csv", config.face_encoder.size_px
    learning, test = (
        load_faces(read_corpus("fer2013", archive, part=part, votes=votes), size_px) for part in ("train", "valid")
    )
    unique = without_duplicates(learning, test)
    return FaceSplits(*split_faces(unique, config.face_training.validation_share, config.seed), test)


def read_voices(data: Path, config: BundleConfig) -> tuple[SpeechClip, ...]:
    """Of the corpora that are judged, and of those that are only learnt from."""
    options = {"ravdess": {"classes": 7}, "emodb": {"boredom": config.audio_training.emodb_boredom}}
    corpora = [*config.splits, *config.audio_training.shares]
    clips = [clip for name in corpora for clip in read_corpus(name, data / name, **options.get(name, {}))]
    return load_voices(clips, config.audio_encoder.sample_rate_hz)


def _voice_counts(clips: Sequence[SpeechClip], corpus: str) -> dict[str, int]:
    speakers = [clip.speaker_id for clip in clips if clip.corpus == corpus]
    return {"clips": len(speakers), "speakers": len(set(speakers))}


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with fer2013.zip, fer2013new.csv, ravdess/, emodb/, nemo/ and what the networks start from",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="default: %(default)s")
    parser.add_argument(
        "--cache", type=Path, default=DEFAULT_CACHE, help="finished stages, to go on from (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; its files are replaced")
    parser.add_argument("--report", type=Path, required=True, help="folder for the training log and its report")
    parser.add_argument("--seed", type=int, help="instead of the configuration's")
    options = parser.parse_args(arguments)
    return run_command(lambda: _run(options), BUILD_ERRORS, INTERRUPTED)


def _run(options: argparse.Namespace) -> str:
    config = load_config(options.config)
    if options.seed is not None:
        config = dataclasses.replace(config, seed=options.seed)
    bundle = build(options.data, options.out, options.report, config, StageCache(options.cache))
    uar = bundle.metrics["synthetic label-matched pairs"]["plain"]["both"]["uar"]
    card = options.out / "MODEL_CARD.md"
    return f"{options.out}: UAR {uar['value']} on synthetic label-matched pairs; all figures are in {card}"


if __name__ == "__main__":
    sys.exit(main())
