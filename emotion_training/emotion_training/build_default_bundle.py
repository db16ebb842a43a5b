"""Rebuilds the bundle that emotion_perception ships: python -m emotion_training.build_default_bundle."""

import argparse
import dataclasses
import subprocess
import sys
from pathlib import Path

from .config import BundleConfig, ConfigError, load_config
from .export import ParityError, export_bundle
from .fer2013 import FaceDataError, load_fer2013, split_faces, without_duplicates
from .latency import measure_latency
from .model_card import LICENCE, TRAINING_DATA, render_model_card
from .speech_corpora import (
    SpeechDataError,
    SpeechSplits,
    join_splits,
    load_emodb,
    load_ravdess,
    split_by_speaker,
)
from .stage_cache import StageCache
from .train_bundle import FaceSplits, TrainedBundle, train_bundle

DEFAULT_CONFIG = Path(__file__).parents[1] / "config" / "default_bundle.yaml"
DEFAULT_CACHE = Path.home() / ".cache" / "emotion_training"


def build(data: Path, out: Path, config: BundleConfig, cache: StageCache) -> TrainedBundle:
    """Reads the corpora in `data`, trains, measures and writes the bundle into `out`."""
    faces, clips = load_faces(data, config), load_clips(data, config)
    bundle = train_bundle(config, faces, clips, cache)
    training = {
        "data": TRAINING_DATA,
        "counts": {
            "faces": {part: len(getattr(faces, part)) for part in ("train", "validation", "test")},
            "clips": {part: len(getattr(clips, part)) for part in ("train", "validation", "test")},
        },
        "configuration": dataclasses.asdict(config),
        "commit": code_commit(),
        "seed": config.seed,
        "seconds": {stage: round(seconds, 1) for stage, seconds in bundle.durations_s.items()},
        "metrics": bundle.metrics | {"latency": measure_latency(bundle.models, config)},
    }
    card = render_model_card(config, training, bundle.calibration)
    export_bundle(out, bundle.models, config, bundle.calibration, training, LICENCE, card)
    return bundle


def load_faces(data: Path, config: BundleConfig) -> FaceSplits:
    """FER2013's PublicTest for the figures; its training part without copies, split again for choosing."""
    size_px = config.face_encoder.size_px
    archive, votes = data / "fer2013.zip", data / "fer2013new.csv"
    test = load_fer2013(archive, votes, "valid", size_px)
    unique = without_duplicates(load_fer2013(archive, votes, "train", size_px), test)
    train, validation = split_faces(unique, config.face_training.validation_share, config.seed)
    return FaceSplits(train, validation, test)


def load_clips(data: Path, config: BundleConfig) -> SpeechSplits:
    """RAVDESS and EmoDB, split by the speakers of the configuration."""
    rate_hz = config.audio_encoder.sample_rate_hz
    return join_splits(
        split_by_speaker(load_ravdess(data / "ravdess", rate_hz), config.audio_training.ravdess),
        split_by_speaker(load_emodb(data / "emodb", rate_hz), config.audio_training.emodb),
    )


def code_commit() -> str:
    """Hash of the commit of this code; "-changed" is added where files differ; "uncommitted" without one."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return f"{commit}-changed" if _git(folder, "status", "--porcelain", "--", str(folder)) else commit
    except (subprocess.CalledProcessError, FileNotFoundError):
        return "uncommitted"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 1 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with fer2013.zip, fer2013new.csv, ravdess/, emodb/"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; its files are replaced")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="default: %(default)s")
    parser.add_argument("--seed", type=int, help="instead of the configuration's")
    parser.add_argument(
        "--cache",
        type=Path,
        default=DEFAULT_CACHE,
        help="finished stages, to go on from (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        config = load_config(options.config)
        if options.seed is not None:
            config = dataclasses.replace(config, seed=options.seed)
        bundle = build(options.data, options.out, config, StageCache(options.cache))
    except (ConfigError, FaceDataError, SpeechDataError, ParityError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    uar = bundle.metrics["synthetic label-matched pairs"]["plain"]["both"]["uar"]
    card = options.out / "MODEL_CARD.md"
    print(f"{options.out}: UAR {uar['value']} on synthetic label-matched pairs; all figures are in {card}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
