"""A small generated corpus as `prepare` writes it, and an experiment on it."""

from pathlib import Path
from typing import Any

import numpy as np

from emotion_training.clip import Clip
from emotion_training.prepared_corpus import save_clips
from emotion_training.splits import Fold, Split, save_split

LABELS = ("neutral", "happy", "angry")
SPEAKERS = tuple(f"tone-{number}" for number in range(6))
FEATURES = 4
CROP_PX = 48


def write_corpus(folder: Path, clips_per_class: int = 3) -> list[Clip]:
    """Voices are tones with a pitch a class, facial features a direction a class, crops a grey value a class."""
    rng = np.random.default_rng(0)
    (folder / "clips").mkdir(parents=True)
    clips = [
        _write_clip(folder, speaker, label, take, rng)
        for speaker in SPEAKERS
        for label in range(len(LABELS))
        for take in range(clips_per_class)
    ]
    save_clips(clips, folder)
    return clips


def _write_clip(folder: Path, speaker: str, label: int, take: int, rng: np.random.Generator) -> Clip:
    clip_id = f"{speaker}-{label}-{take}"
    time_s = np.arange(4800) / 16000
    tone = 6000.0 * np.sin(2.0 * np.pi * 200.0 * 2.0**label * time_s) + rng.normal(0.0, 300.0, len(time_s))
    grey = np.full((4, CROP_PX, CROP_PX, 3), 60 + 60 * label) + rng.integers(-20, 20, (4, 1, 1, 1))
    path = folder / "clips" / f"{clip_id}.npz"
    np.savez(path, audio=tone.astype(np.int16), faces=grey.astype(np.uint8), times_s=np.arange(4) / 10.0)
    features = rng.normal(0.0, 0.5, FEATURES) + 2.0 * np.eye(FEATURES)[label]
    return Clip(
        clip_id,
        "tones",
        speaker,
        label=LABELS[label],
        valence=0.2 * label,
        arousal=0.1 * take,
        video=path,
        audio=path,
        face_features=tuple(features),
    )


def write_split(path: Path) -> Split:
    """Two folds over the six speakers."""
    folds = (Fold(SPEAKERS[:3], SPEAKERS[3:4], SPEAKERS[4:]), Fold(SPEAKERS[3:], SPEAKERS[2:3], SPEAKERS[:2]))
    split = Split("tones", "tones", "two folds", 0, folds)
    save_split(split, path)
    return split


def experiment_tree(folder: Path, **corpus: Any) -> dict[str, Any]:
    """A configuration of a training of a second; the corpus and the split of `folder`."""
    return {
        "seed_everything": 0,
        "trainer": {"max_epochs": 3, "accelerator": "cpu", "enable_progress_bar": False},
        "selection": {"keep": "best", "monitor": "validation_loss", "patience": None},
        "data": {
            "corpus": {"root": str(folder / "corpus"), "labels": list(LABELS), **corpus},
            "split": str(folder / "split.json"),
            "fold": 0,
            "batch": 8,
        },
        "model": {
            "fusion": {"name": "late_product"},
            "face_encoder": {"name": "action_units", "options": {"hidden": 8, "embedding": 8}},
            "audio_encoder": {"name": "functionals", "options": {"embedding": 8}},
            "optimiser": {"learning_rate": 0.01, "ema_decay": 0.5},
            "regularisation": {"modality_dropout": 0.2, "mix_up_alpha": 0.2, "face_noise": 0.1, "audio_noise": 0.1},
        },
    }
