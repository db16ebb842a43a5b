"""A bundle trained in seconds on generated faces and voices: the whole way from training to robot, for tests.

Faces are stripes of a width per class, voices a tone with a pitch per class. It says nothing about emotions.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from .bundle_report import fold_figures
from .bundle_writer import BundleShape, write_bundle
from .config import (
    AudioEncoderConfig,
    AudioTrainingConfig,
    BundleConfig,
    FaceCycle,
    FaceEncoderConfig,
    FaceMemberConfig,
    FaceTrainingConfig,
    FusionConfig,
    FusionTrainingConfig,
)
from .face_augmentation import FaceAugmentation
from .face_set import FaceSet
from .fusion_training import fusion_network
from .labels import LABELS
from .robot_face_augmentation import RobotFaceAugmentation
from .robot_voice_augmentation import RobotVoiceAugmentation
from .speech_clips import SpeechClip, speech_folds, voiced_span
from .splits import PARTS, Fold, Split
from .stage_cache import StageCache
from .train_bundle import FaceSplits, JudgedFold, TrainedBundle, judge_fold, train_bundle
from .voice_augmentation import VoiceAugmentation
from .voice_features import voice_features

SPEAKERS = ("tone-0", "tone-1", "tone-2", "tone-3")
SPLIT = Split(
    "tones_2fold",
    "tones",
    "two of four speakers",
    None,
    (Fold(SPEAKERS[:2], ("tone-2",), ("tone-3",)), Fold(SPEAKERS[:2], ("tone-3",), ("tone-2",))),
)


def make_tiny_bundle(directory: Path, seed: int = 0) -> tuple[TrainedBundle, list[JudgedFold]]:
    """Trains on generated data and exports into `directory`; the modules returned are those of the files."""
    config = replace(tiny_config(), seed=seed)
    faces, clips = generated_faces(config, seed), generated_clips(config, seed)
    with TemporaryDirectory() as stages:  # the face encoder is trained once for all
        cache = StageCache(Path(stages))
        parts = speech_folds({"tones": SPLIT}, clips)
        features = voice_features(config, clips, parts, Path(), cache)
        folds = [judge_fold(config, faces, fold, features, Path(), cache) for fold in parts]
        bundle = train_bundle(config, faces, clips, features, [fold.judgements for fold in folds], Path(), cache)
    training = {
        "data": ["generated stripes and tones"],
        "configuration": {},
        "networks": {"fusion": fusion_network(config.fusion)},
        "commit": "uncommitted",
        "seed": seed,
        "metrics": bundle.metrics | {"folds": [fold_figures(config, fold) for fold in folds]},
    }
    card = "# A tiny bundle for tests\n\nTrained on generated stripes and tones; knows nothing of emotions.\n"
    models = bundle.networks.models
    write_bundle(
        directory, models, BundleShape.of(config), bundle.calibration, training, "Apache-2.0, for tests only", card
    )
    return bundle, folds


def tiny_config() -> BundleConfig:
    """Networks and schedules as small as they can be with every part in them."""
    face_augmentation = FaceAugmentation(
        rotation_deg=5.0,
        scale=0.05,
        shift=0.02,
        brightness=0.1,
        contrast=0.1,
        gamma=0.1,
        low_resolution_probability=0.1,
        low_resolution_min_px=24,
        noise=0.02,
        erasing_probability=0.1,
        erasing_max=0.2,
    )
    voice_augmentation = VoiceAugmentation(
        speed=0.01,
        least_voice=0.6,
        padding_probability=0.25,
        level_dbfs=(-45.0, -10.0),
        equaliser_db=2.0,
        noise_probability=0.5,
        noise_snr_db=(10.0, 30.0),
        babble_probability=0.0,
        babble_snr_db=(10.0, 20.0),
    )
    return BundleConfig(
        model_id="emotion-av-tiny",
        seed=0,
        threads=1,
        hop_s=0.1,
        bootstrap_samples=20,
        splits={},
        face_encoder=FaceEncoderConfig(
            size_px=48,
            members=(
                FaceMemberConfig(
                    name="compact_cnn",
                    options={"stem_channels": 8, "stages": [[16, 1], [16, 1]], "embedding": 24, "dropout": 0.0},
                    start_from=None,
                    cycles=(FaceCycle(epochs=8, teacher_share=0.0),),
                    learning_rate=0.05,
                    ema_decay=0.5,
                    bfloat16=False,
                    ships=True,
                ),
                FaceMemberConfig(
                    name="mobilenet",
                    options={"input_px": 32, "blocks": 3, "frozen_blocks": 2, "embedding": 16, "dropout": 0.0},
                    start_from=None,
                    cycles=(FaceCycle(epochs=2, teacher_share=0.0), FaceCycle(epochs=2, teacher_share=0.5)),
                    learning_rate=0.05,
                    ema_decay=0.5,
                    bfloat16=False,
                    ships=True,
                ),
            ),
            distillation=None,
        ),
        face_training=FaceTrainingConfig(
            validation_share=0.25,
            batch=14,
            weight_decay=1e-4,
            fer2013_weight=0.5,
            augmentation=face_augmentation,
            robot_share=0.1,
            robot_augmentation=RobotFaceAugmentation(turn_deg=5.0, tilt_deg=5.0),
        ),
        audio_encoder=AudioEncoderConfig(
            sample_rate_hz=16000,
            window_s=3.0,
            name="log_mel_cnn",
            options={"mels": 64, "channels": [8, 8, 8, 16], "embedding": 32, "dropout": 0.0},
            start_from=None,
            distillation=None,
        ),
        audio_training=AudioTrainingConfig(
            emodb_boredom=False,
            balance=0.5,
            shares={},
            epochs=6,
            batch=14,
            learning_rate=0.01,
            weight_decay=1e-4,
            ema_decay=0.5,
            head_dropout=0.0,
            label_smoothing=0.05,
            views=3,
            bfloat16=False,
            augmentation=voice_augmentation,
            robot_augmentation=RobotVoiceAugmentation(reverberation_probability=0.1, background_probability=0.0),
        ),
        fusion=FusionConfig(bins=8, bin_s=0.25, width=16, heads=2, dropout=0.0, face_prior=0.5),
        fusion_training=FusionTrainingConfig(
            face_views=2,
            voice_views=2,
            pairs_per_epoch=256,
            epochs=2,
            batch=32,
            learning_rate=0.003,
            weight_decay=0.01,
            other_face_probability=0.1,
            neutral_face_probability=0.05,
            masked_bin_probability=0.2,
            voice_confusion=1.0,
            label_smoothing=0.05,
            test_pairs_per_class=4,
        ),
    )


def generated_faces(config: BundleConfig, seed: int, per_class: int = 12) -> FaceSplits:
    """Level stripes whose width is the class."""
    rng = np.random.default_rng(seed)
    parts = [_face_set(config, per_class, part, rng) for part in PARTS]
    return FaceSplits(*parts)


def generated_clips(config: BundleConfig, seed: int, per_speaker: int = 2) -> tuple[SpeechClip, ...]:
    """Tones of 1.5 s between silences, whose pitch is the class and a little the one of SPEAKERS."""
    rng = np.random.default_rng(seed)
    return tuple(
        _tone(config, speaker, label, take, rng)
        for speaker in range(len(SPEAKERS))
        for label in range(len(LABELS))
        for take in range(per_speaker)
    )


def _face_set(config: BundleConfig, per_class: int, part: str, rng: np.random.Generator) -> FaceSet:
    size_px = config.face_encoder.size_px
    labels = np.repeat(np.arange(len(LABELS)), per_class)
    cycles = 1.5 * 1.45 ** labels[:, None, None]  # (N, 1, 1), stripes in the picture
    phase = rng.uniform(0.0, 2.0 * np.pi, (len(labels), 1, 1))
    rows = np.arange(size_px)[None, :, None] / size_px  # (1, S, 1)
    stripes = 128.0 + 80.0 * np.sin(2.0 * np.pi * cycles * rows + phase)  # (N, S, 1)
    images = (stripes + rng.normal(0.0, 8.0, (len(labels), size_px, size_px))).astype(np.uint8)
    soft_labels = np.full((len(labels), len(LABELS)), 0.02, np.float32)
    soft_labels[np.arange(len(labels)), labels] = 1.0 - 0.02 * (len(LABELS) - 1)
    names = tuple(f"{part}-{i:04d}" for i in range(len(labels)))
    return FaceSet(names, images, soft_labels, labels)


def _tone(config: BundleConfig, speaker: int, label: int, take: int, rng: np.random.Generator) -> SpeechClip:
    rate_hz = config.audio_encoder.sample_rate_hz
    time_s = np.arange(round(1.5 * rate_hz)) / rate_hz
    pitch_hz = 150.0 * 1.6**label * (1.0 + 0.02 * speaker)
    tone = 6000.0 * np.sin(2.0 * np.pi * pitch_hz * time_s)
    silence = np.zeros(round(0.5 * rate_hz))
    samples = np.concatenate([silence, tone, silence])
    samples = (samples + rng.normal(0.0, 20.0, len(samples))).astype(np.int16)
    clip_id = f"tone-{speaker}-{label}-{take}"
    return SpeechClip(clip_id, "tones", SPEAKERS[speaker], label, samples, *voiced_span(samples, rate_hz))
