"""The figures of a bundle on people and pictures that it never learnt from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .audio_training import AudioClassifier, predict_voices, window_samples
from .calibration import fit_temperature
from .config import BundleConfig
from .face_set import FaceSet
from .face_training import FaceClassifier, predict_faces
from .fusion_training import run_fusion
from .judgements import (
    LATE_FUSION,
    STATES,
    JudgedPairs,
    JudgedVoices,
    Judgements,
    Measure,
    pair_figures,
    recalls,
    voice_figures,
)
from .labels import LABELS
from .metrics import accuracy, expected_calibration_error, softmax, unweighted_average_recall
from .models.fusion import IntermediateFusion
from .pairs import FaceEmbeddings, Pairs, PairSampler, VoiceEmbeddings
from .speech_clips import SpeechClip

CLEAR_MAJORITY = 0.5  # of the votes for the seven classes; where no class has more, FER+'s authors leave a face out
SMALL_FACE_PX = 30
NOISE_SNR_DB = 0.0


@dataclass(frozen=True)
class TestData:
    """degraded: samplers whose faces, or voices, are worse than those of `sampler`, by what is wrong with them."""

    faces: FaceSet
    clips: Sequence[SpeechClip]
    face_embeddings: FaceEmbeddings
    voice_embeddings: VoiceEmbeddings
    sampler: PairSampler
    degraded: Mapping[str, PairSampler]


def evaluate_bundle(
    config: BundleConfig,
    face: FaceClassifier,
    audio: AudioClassifier,
    fusion: IntermediateFusion,
    calibration: dict[str, dict[str, float]],
    test: TestData,
    validation: dict[str, Pairs],
) -> tuple[dict, Judgements]:
    """All figures as plain values for model.json, and what they come from. Nothing was chosen by what is measured
    here.
    """
    measure = Measure(config)
    rng = np.random.default_rng(config.seed)
    labels = np.repeat(np.arange(len(LABELS)), config.fusion_training.test_pairs_per_class)
    late_fusion = LateFusion(fusion, validation)
    pairs = {
        "plain": test.sampler.both(labels, rng, plain=True),
        "perturbed": test.sampler.both(labels, rng),
    } | {name: sampler.both(labels, rng, plain=True) for name, sampler in test.degraded.items()}
    judgements = Judgements(
        _judge_voices(config, audio, fusion, test),
        {name: _judge_pairs(fusion, late_fusion, drawn, test.clips) for name, drawn in pairs.items()},
    )
    figures = {
        "face": _face_figures(measure, face, fusion, test),
        "audio": voice_figures(measure, judgements.voices),
        "synthetic label-matched pairs": {
            name: pair_figures(measure, judged) for name, judged in judgements.pairs.items()
        },
        "calibration": _calibration_figures(fusion, calibration, test.sampler, len(labels), rng),
    }
    return figures, judgements


class LateFusion:
    """The comparison: product of the calibrated opinions of the heads per modality, each seen alone."""

    def __init__(self, fusion: IntermediateFusion, validation: dict[str, Pairs]):
        self.fusion = fusion
        self.temperatures = {
            state: fit_temperature(run_fusion(fusion, validation["both"].only(state))[0], validation["both"].labels)
            for state in ("face", "audio")
        }

    def __call__(self, pairs: Pairs) -> np.ndarray:
        """Logits (B, C)."""
        return sum(run_fusion(self.fusion, pairs.only(state))[0] / t for state, t in self.temperatures.items())


def small_pictures(images: np.ndarray, side_px: int = SMALL_FACE_PX) -> np.ndarray:
    """uint8 (N, S, S) -> the same shape: faces of `side_px` in a camera's image, brought to size as the robot does."""
    size = images.shape[1:]
    return np.stack(
        [cv2.resize(cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA), size) for image in images]
    )


def _face_figures(measure: Measure, face: FaceClassifier, fusion: IntermediateFusion, test: TestData) -> dict:
    """One picture at a time: by both heads of the encoder, and by the bundle in its state `face`."""
    ferplus, fer2013 = predict_faces(face, test.faces.images)
    majority, folder = test.faces.majority_labels, test.faces.folder_labels
    bundle = run_fusion(fusion, _single_faces(test))[0]
    clear = test.faces.soft_labels.max(axis=1) > CLEAR_MAJORITY
    return {
        "encoder, head of FER+": _opinion(measure, "ferplus_majority", majority, ferplus),
        "encoder, head of FER2013": _opinion(measure, "fer2013_folder", folder, fer2013),
        "bundle": _opinion(measure, "ferplus_majority", majority, bundle)
        | _opinion(measure, "ferplus_clear_majority", majority[clear], bundle[clear])
        | _opinion(measure, "fer2013_folder", folder, bundle),
    }


def _opinion(measure: Measure, name: str, labels: np.ndarray, logits: np.ndarray) -> dict:
    """Accuracy, UAR and recalls of logits (N, C) against one set of labels int (N,), by picture."""
    predicted, every = logits.argmax(axis=1), np.arange(len(labels))
    return {
        f"{name}_accuracy": measure(accuracy, labels, predicted, every),
        f"{name}_uar": measure(unweighted_average_recall, labels, predicted, every),
        f"{name}_recall": recalls(labels, predicted),
    }


def _judge_voices(
    config: BundleConfig, audio: AudioClassifier, fusion: IntermediateFusion, test: TestData
) -> JudgedVoices:
    """One window a clip: by the head that the encoder was trained with, and by the bundle in its state `audio`."""
    logits = {
        "encoder": predict_voices(audio, test.clips, window_samples(config.audio_encoder)),
        "bundle": run_fusion(fusion, _single_voices(test))[0],
    }
    return JudgedVoices(
        test.voice_embeddings.labels,
        {name: values.argmax(axis=1) for name, values in logits.items()},
        np.array([clip.corpus for clip in test.clips]),
        test.voice_embeddings.speaker_ids,
    )


def _judge_pairs(
    fusion: IntermediateFusion, late_fusion: LateFusion, pairs: Pairs, clips: Sequence[SpeechClip]
) -> JudgedPairs:
    """The same pairs in each state, and by late fusion. clips: that the voices are of."""
    outputs = {state: run_fusion(fusion, pairs.only(state)) for state in STATES}
    predicted = {state: logits.argmax(axis=1) for state, (logits, _) in outputs.items()}
    return JudgedPairs(
        pairs.labels,
        predicted | {LATE_FUSION: late_fusion(pairs).argmax(axis=1)},
        outputs["both"][1][:, 0],
        np.array([clips[voice].clip_id for voice in pairs.voices]),
        pairs.speaker_ids,
    )


def _calibration_figures(
    fusion: IntermediateFusion, calibration: dict, sampler: PairSampler, count: int, rng: np.random.Generator
) -> dict:
    """ECE on perturbed test pairs of each state before and after the temperature, and what is certain of them."""
    labels = np.arange(count) % len(LABELS)
    states = (sampler.both(labels, rng), sampler.face_only(count, rng), sampler.audio_only(count, rng))
    figures = {}
    for state, pairs in zip(STATES, states, strict=True):
        logits, _ = run_fusion(fusion, pairs)
        probabilities = softmax(logits / calibration[state]["temperature"])
        right = probabilities.argmax(axis=1) == pairs.labels
        certain = probabilities.max(axis=1) >= calibration[state]["uncertain_below"]
        figures[state] = {
            "ece_before": round(expected_calibration_error(pairs.labels, softmax(logits)), 4),
            "ece_after": round(expected_calibration_error(pairs.labels, probabilities), 4),
            "accuracy": round(float(right.mean()), 4),
            "certain_share": round(float(certain.mean()), 4),
            "accuracy_of_certain": round(float(right[certain].mean()), 4) if certain.any() else None,
            "n": count,
        }
    return figures


def _single_faces(test: TestData) -> Pairs:
    """Every test picture once, in all bins, without a voice."""
    count, bins = len(test.faces), test.sampler.bins
    embeddings = np.repeat(test.face_embeddings.views[0][:, None], bins, axis=1)  # (N, Tf, D)
    audio = np.zeros((count, *test.voice_embeddings.views.shape[2:]), np.float32)
    soft_labels, labels = test.face_embeddings.soft_labels, test.face_embeddings.labels
    speakers = np.full(count, "")
    there, nobody = np.ones((count, bins), bool), np.zeros(count, bool)
    return Pairs(embeddings, there, audio, nobody, soft_labels, labels, np.zeros(count, np.int64), speakers)


def _single_voices(test: TestData) -> Pairs:
    """Every test clip once, by its plain window, without a face."""
    voices, bins = test.voice_embeddings, test.sampler.bins
    count = len(voices.labels)
    faces = np.zeros((count, bins, test.face_embeddings.views.shape[2]), np.float32)
    targets = np.eye(len(LABELS), dtype=np.float32)[voices.labels]
    no_face, voice = np.zeros((count, bins), bool), np.ones(count, bool)
    clips = np.arange(count)
    return Pairs(faces, no_face, voices.views[0], voice, targets, voices.labels, clips, voices.speaker_ids)
