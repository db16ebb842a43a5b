"""The figures of a bundle on people and pictures that it never learnt from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emotion_perception.core.model_bundle import STATES

from .audio_training import AudioClassifier, predict_voices
from .calibration import fit_temperature
from .config import BundleConfig
from .face_set import FaceSet
from .face_training import FaceClassifier, predict_faces
from .fusion_training import opinions_of, run_fusion, taken_for
from .judgements import (
    BUNDLE,
    ENCODER,
    EXACT_ENCODER,
    LATE_FUSION,
    JudgedPairs,
    JudgedVoices,
    Judgements,
    Measure,
    StateLogits,
    recalls,
)
from .labels import LABELS
from .metrics import accuracy, unweighted_average_recall
from .models.fusion import IntermediateFusion
from .pairs import Pairs, PairSampler
from .speech_clips import SpeechClip
from .voice_windows import window_samples

CLEAR_MAJORITY = 0.5  # of the votes for the seven classes; where no class has more, FER+'s authors leave a face out
SMALL_FACE_PX = 30
NOISE_SNR_DB = 0.0


@dataclass(frozen=True)
class TestVoices:
    """Of people whom the networks do not know.

    sampler: of pairs with the `clips`; degraded: such whose faces, or voices, are worse, by what is wrong with them.
    """

    clips: Sequence[SpeechClip]
    sampler: PairSampler
    degraded: Mapping[str, PairSampler]


def judge(
    config: BundleConfig,
    exact: AudioClassifier,
    shipped: AudioClassifier,
    fusion: IntermediateFusion,
    test: TestVoices,
    validation: Pairs,
) -> Judgements:
    """What the networks say of new people.

    exact, shipped: the voice encoder in float32, and as it ships; validation: pairs of a face and a voice that late
    fusion is calibrated by.
    """
    rng = np.random.default_rng(config.seed)
    labels = np.repeat(np.arange(len(LABELS)), config.fusion_training.test_pairs_per_class)
    late_fusion = LateFusion(fusion, validation)
    pairs = {
        "plain": test.sampler.both(labels, rng, plain=True),
        "perturbed": test.sampler.both(labels, rng),
    } | {name: sampler.both(labels, rng, plain=True) for name, sampler in test.degraded.items()}
    states = test.sampler.in_every_state(len(labels), rng)
    return Judgements(
        _judge_voices(config, exact, shipped, fusion, test),
        {name: _judge_pairs(fusion, late_fusion, drawn, test.clips) for name, drawn in pairs.items()},
        {state: StateLogits(run_fusion(fusion, drawn)[0], drawn.labels) for state, drawn in states.items()},
        opinions_of(fusion, states["both"]),
        taken_for(fusion, test.sampler.voices),
    )


class LateFusion:
    """The comparison: product of the calibrated opinions of the heads per modality, each seen alone.

    Neither expects one class more than another, as those of the pairs are equally frequent: with what the face's head
    expects of its corpus left in, late fusion lost 0.03 to 0.06 UAR by that alone.
    """

    def __init__(self, fusion: IntermediateFusion, validation: Pairs):
        self.fusion = fusion
        opinions = self._opinions(validation)
        self.temperatures = [fit_temperature(opinions[:, :, k], validation.labels) for k in range(opinions.shape[2])]

    def __call__(self, pairs: Pairs) -> np.ndarray:
        """Logits (B, C)."""
        return (self._opinions(pairs) / self.temperatures).sum(axis=2)

    def _opinions(self, pairs: Pairs) -> np.ndarray:
        """Logits (B, C, 2) of the face and of the voice."""
        return opinions_of(self.fusion, pairs).logits[:, :, 1:]


def small_pictures(images: np.ndarray, side_px: int = SMALL_FACE_PX) -> np.ndarray:
    """uint8 (N, S, S) -> the same shape: faces of `side_px` in a camera's image, brought to size as the robot does."""
    size = images.shape[1:]
    return np.stack(
        [cv2.resize(cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA), size) for image in images]
    )


def face_figures(
    measure: Measure, face: FaceClassifier, fusion: IntermediateFusion, faces: FaceSet, every_face: Pairs
) -> dict:
    """One picture at a time: by both heads of the encoder, and by the bundle in its state `face`, as `every_face`."""
    ferplus, fer2013 = predict_faces(face, faces.images)
    majority, folder = faces.majority_labels, faces.folder_labels
    bundle = run_fusion(fusion, every_face)[0]
    clear = faces.soft_labels.max(axis=1) > CLEAR_MAJORITY
    return {
        "encoder, head of FER+": _against(measure, "ferplus_majority", majority, ferplus),
        "encoder, head of FER2013": _against(measure, "fer2013_folder", folder, fer2013),
        "bundle": _against(measure, "ferplus_majority", majority, bundle)
        | _against(measure, "ferplus_clear_majority", majority[clear], bundle[clear])
        | _against(measure, "fer2013_folder", folder, bundle),
    }


def _against(measure: Measure, name: str, labels: np.ndarray, logits: np.ndarray) -> dict:
    """Accuracy, UAR and recalls of logits (N, C) against one set of labels int (N,), by picture."""
    predicted, every = logits.argmax(axis=1), np.arange(len(labels))
    return {
        f"{name}_accuracy": measure(accuracy, labels, predicted, every),
        f"{name}_uar": measure(unweighted_average_recall, labels, predicted, every),
        f"{name}_recall": recalls(labels, predicted),
    }


def _judge_voices(
    config: BundleConfig,
    exact: AudioClassifier,
    shipped: AudioClassifier,
    fusion: IntermediateFusion,
    test: TestVoices,
) -> JudgedVoices:
    """One window a clip: by the head that the encoder was trained with, and by the bundle in its state `audio`."""
    samples = window_samples(config.audio_encoder)
    logits = {
        EXACT_ENCODER: predict_voices(exact, test.clips, samples),
        ENCODER: predict_voices(shipped, test.clips, samples),
        BUNDLE: run_fusion(fusion, test.sampler.every_voice())[0],
    }
    return JudgedVoices(
        test.sampler.voices.labels,
        {name: values.argmax(axis=1) for name, values in logits.items()},
        np.array([clip.corpus for clip in test.clips]),
        test.sampler.voices.speaker_ids,
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
