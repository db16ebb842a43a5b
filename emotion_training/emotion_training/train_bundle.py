"""All stages of a model bundle and of its folds, from corpora in memory to calibrated models with their figures."""

import copy
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .audio_training import AudioClassifier, train_audio_classifier
from .bundle_writer import BundleModels
from .calibration import calibrate, fit_pool
from .config import BundleConfig, FaceMemberConfig, configuration_hash
from .distillation import STEPS_AT_ONCE
from .embedding_views import FaceViews, VoiceViews, learnt_voices
from .evaluation import NOISE_SNR_DB, SMALL_FACE_PX, TestVoices, face_figures, judge
from .face_distillation import distil_face, reduced
from .face_set import FaceSet, fingerprint_faces
from .face_training import FaceClassifier, LabelledFaceEncoder, joined, make_member, start_member, train_face_classifier
from .fusion_training import make_fusion, opinions_of, pool_of, taken_for, train_fusion, voice_confusion
from .judgements import (
    ENCODER,
    EXACT_ENCODER,
    PAIRS,
    Judgements,
    Measure,
    Opinions,
    calibration_figures,
    pair_figures,
    pooled,
    voice_figures,
)
from .labels import LABELS
from .machine import make_reproducible
from .models.fusion import IntermediateFusion
from .pairs import FaceEmbeddings, PairSampler, VoiceEmbeddings
from .quantisation import cost_of_integers
from .quantised_face import face_as_shipped, face_cost, quantise_face
from .quantised_voice import quantise_voice, voice_as_shipped
from .speech_clips import SpeechClip, SpeechSplits, fingerprint_clips
from .stage_cache import StageCache
from .voice_features import VoiceFeatures
from .voice_windows import window_samples

VALIDATION_PAIRS = 1400  # per modality state
NO_CONFUSION = np.eye(len(LABELS))


@dataclass(frozen=True)
class FaceSplits:
    train: FaceSet
    validation: FaceSet
    test: FaceSet


@dataclass(frozen=True)
class Networks:
    """In evaluation mode; and how they were trained."""

    face: FaceClassifier
    face_graph: bytes  # of its encoder, in 8-bit integers
    audio: AudioClassifier
    audio_graph: bytes
    fusion: IntermediateFusion
    history: dict[str, list[dict[str, float]]]
    durations_s: dict[str, float]

    @property
    def models(self) -> BundleModels:
        quantised = {"face_encoder.onnx": self.face_graph, "audio_encoder.onnx": self.audio_graph}
        return BundleModels(LabelledFaceEncoder(self.face), self.audio.encoder, self.fusion, quantised)


@dataclass(frozen=True)
class JudgedFold:
    """What the networks of one fold said of the people whom it left out; seconds: that they took."""

    people: dict[str, list[str]]  # speakers by their use
    judgements: Judgements
    seconds: float


@dataclass(frozen=True)
class TrainedBundle:
    """Calibration and metrics as they go into the bundle."""

    networks: Networks
    calibration: dict[str, dict[str, float]]
    metrics: dict


def judge_fold(
    config: BundleConfig,
    faces: FaceSplits,
    clips: SpeechSplits,
    features: VoiceFeatures,
    weights: Path,
    cache: StageCache,
) -> JudgedFold:
    """Trains on the training people and judges the test people, whom nothing in it knows.

    Raises:
        WeightsError: as `train_bundle`.
    """
    senses = _train_senses(config, faces, clips.train, clips.validation, features, weights, cache)
    face_views, voice_views = senses.face_views, senses.voice_views
    held_out = _HeldOut(
        config, face_views.of("validation", faces.validation), voice_views.of("validation", clips.validation)
    )
    networks = _train_fusion(config, senses, faces, held_out)
    test_faces, test_voices = face_views.of("test", faces.test), voice_views.of("test", clips.test)
    test = TestVoices(
        clips.test,
        _sampler(config, test_faces, test_voices),
        {
            f"face at {SMALL_FACE_PX} px": _sampler(config, face_views.small(faces.test), test_voices),
            f"voice at {NOISE_SNR_DB:.0f} dB SNR": _sampler(config, test_faces, voice_views.noisy(clips.test)),
        },
    )
    judgements = judge(config, networks.audio, senses.shipped_audio, networks.fusion, test, held_out.pairs["both"])
    people = {part: sorted({clip.speaker_id for clip in getattr(clips, part)}) for part in ("validation", "test")}
    return JudgedFold(people, judgements, networks.durations_s["audio"] + networks.durations_s["fusion"])


def train_bundle(
    config: BundleConfig,
    faces: FaceSplits,
    clips: Sequence[SpeechClip],
    features: VoiceFeatures,
    folds: Sequence[Judgements],
    weights: Path,
    cache: StageCache,
) -> TrainedBundle:
    """Trains the encoders, then the fusion on their embeddings, with the voices of all people at hand.

    What takes new people, the calibration, how far the fusion may trust a voice and how much each of its opinions
    counts, comes from the folds: networks of the same configuration, each judged on people whom it did not know. So do
    the figures of voices and of pairs.

    features: of all clips. weights: folder of the files that encoders start from.

    Raises:
        WeightsError: one of them is missing or does not fit; `try_face_weights` finds it before hours of training.

    The result depends on the configuration and the data alone (same machine, versions and number of threads).
    """
    new_people, measure = pooled(folds), Measure(config)
    senses = _train_senses(config, faces, clips, (), features, weights, cache)
    networks = _train_fusion(config, senses, faces, _OfTheFolds(new_people))
    states = new_people.states.items()
    every_face = _sampler(config, senses.face_views.of("test", faces.test), senses.voices).every_face()
    metrics = {
        "face": face_figures(measure, senses.shipped_face, networks.fusion, faces.test, every_face)
        | {"encoder in 8-bit integers": face_cost(networks.face, senses.shipped_face, faces.test)},
        "audio": voice_figures(measure, new_people.voices)
        | {
            "encoder in 8-bit integers": cost_of_integers(
                new_people.voices.labels,
                new_people.voices.predicted[EXACT_ENCODER],
                new_people.voices.predicted[ENCODER],
            )
        },
        PAIRS: {name: pair_figures(measure, pairs) for name, pairs in new_people.pairs.items()},
        "calibration": calibration_figures(folds),
        "pool": pool_of(networks.fusion),
    }
    return TrainedBundle(
        networks, {state: calibrate(judged.logits, judged.labels) for state, judged in states}, metrics
    )


class _HeldOut:
    """Validation people, to whom neither encoder nor fusion has listened: they tell the fusion how far to trust a
    voice, and how much each of its opinions counts.
    """

    def __init__(self, config: BundleConfig, faces: FaceEmbeddings, voices: VoiceEmbeddings):
        rng = np.random.default_rng(config.seed)
        self.voices, self.pairs = voices, _sampler(config, faces, voices).in_every_state(VALIDATION_PAIRS, rng)

    def taken_for(self, fusion: IntermediateFusion) -> np.ndarray:
        return taken_for(fusion, self.voices)

    def opinions(self, fusion: IntermediateFusion) -> Opinions:
        return opinions_of(fusion, self.pairs["both"])


class _OfTheFolds:
    """The same of a fusion that learns from everybody: what the folds found, each of people whom it had left out."""

    def __init__(self, judgements: Judgements):
        self.judgements, self.pairs = judgements, {}

    def taken_for(self, fusion: IntermediateFusion) -> np.ndarray:
        return self.judgements.taken_for

    def opinions(self, fusion: IntermediateFusion) -> Opinions:
        return self.judgements.opinions


@dataclass(frozen=True)
class _Senses:
    """Trained encoders, in float32 and as they ship, what these see and hear, and the voices that were learnt from."""

    face: FaceClassifier
    face_graph: bytes
    shipped_face: FaceClassifier
    audio: AudioClassifier
    audio_graph: bytes
    shipped_audio: AudioClassifier
    face_views: FaceViews
    voice_views: VoiceViews
    voices: VoiceEmbeddings
    stages: dict[str, dict]


def _train_senses(
    config: BundleConfig,
    faces: FaceSplits,
    clips: Sequence[SpeechClip],
    validation: Sequence[SpeechClip],
    features: VoiceFeatures,
    weights: Path,
    cache: StageCache,
) -> _Senses:
    """Trains both encoders, the voice's on `clips`, and puts them into 8-bit integers."""
    make_reproducible(config.seed, config.threads)
    audio, audio_stage = _train_voice(config, clips, validation, features, cache)
    members, face_stages = _train_faces(config, faces, weights, cache)
    face = joined(members)
    face_graph = _face_graph(config, face, faces, cache)
    # A corpus of which nobody is judged teaches the voice encoder alone, as it may lack a class.
    paired = tuple(clip for clip in clips if clip.corpus not in config.audio_training.shares)
    audio_graph = quantise_voice(audio, window_samples(config.audio_encoder), validation or paired)
    shipped_face, shipped_audio = face_as_shipped(face, face_graph), voice_as_shipped(audio, audio_graph)
    return _Senses(
        face,
        face_graph,
        shipped_face,
        audio,
        audio_graph,
        shipped_audio,
        FaceViews(config, shipped_face, cache, hashlib.sha256(face_graph).hexdigest()),
        VoiceViews(config, shipped_audio, cache, hashlib.sha256(audio_graph).hexdigest()),
        learnt_voices(audio, features, paired),
        face_stages | features.stages | {"audio": audio_stage},
    )


def _train_fusion(
    config: BundleConfig, senses: _Senses, faces: FaceSplits, new_people: _HeldOut | _OfTheFolds
) -> Networks:
    started = time.perf_counter()
    torch.manual_seed(config.seed)
    fusion = make_fusion(config, senses.shipped_face, senses.shipped_audio, faces.train.soft_labels.mean(axis=0))
    known, new = taken_for(fusion, senses.voices), new_people.taken_for(fusion)
    confusion = voice_confusion(known, new, config.fusion_training.voice_confusion)
    sampler = _sampler(config, senses.face_views.of("train", faces.train), senses.voices, confusion)
    history = train_fusion(fusion, config.fusion_training, sampler, new_people.pairs, config.seed)
    opinions = new_people.opinions(fusion)
    fusion.pool.copy_(torch.from_numpy(fit_pool(opinions.logits, opinions.labels)))
    stages = senses.stages | {"fusion": {"history": history, "seconds": time.perf_counter() - started}}
    return Networks(
        senses.face,
        senses.face_graph,
        senses.audio,
        senses.audio_graph,
        fusion,
        {name: stage["history"] for name, stage in stages.items()},
        {name: stage["seconds"] for name, stage in stages.items()},
    )


def try_face_weights(config: BundleConfig, faces: FaceSplits, weights: Path) -> None:
    """Starts each member of the face encoder once, and reduces it if it is to be, as training takes hours.

    Raises:
        ConfigurationError: as `distil_face`.
        WeightsError: as `train_bundle`.
    """
    for member in config.face_encoder.members:
        started = start_member(member, config.face_training, faces.train, weights, torch.Generator())
        if member.ships and config.face_encoder.distillation is not None:
            reduced(config.face_encoder.distillation, started)


def _train_voice(
    config: BundleConfig,
    clips: Sequence[SpeechClip],
    validation: Sequence[SpeechClip],
    features: VoiceFeatures,
    cache: StageCache,
) -> tuple[AudioClassifier, dict]:
    """The voice encoder with its head, and its stage."""
    audio = AudioClassifier(copy.deepcopy(features.encoder), config.audio_training.head_dropout)
    key = configuration_hash(
        config.audio_encoder,
        config.audio_training,
        config.seed,
        config.threads,
        features.key,
        fingerprint_clips(clips, validation),
    )
    train = partial(train_audio_classifier, config.audio_training, clips, features, validation, audio, config.seed)
    return audio, cache.trained(audio, "audio", key, train)


def _train_faces(
    config: BundleConfig, faces: FaceSplits, weights: Path, cache: StageCache
) -> tuple[list[FaceClassifier], dict[str, dict]]:
    """Trains the members of the face encoder one after the other, and distils what ships if that is to be; returns
    that, and all stages by number and name.

    Raises:
        WeightsError: as `train_bundle`.
    """
    options = config.face_encoder.distillation
    members, shipped, stages = [], [], {}
    for number, member in enumerate(config.face_encoder.members, 1):
        trained, key, stages[f"face {number}, {member.name}"] = _train_member(config, faces, members, weights, cache)
        members.append(trained)
        if not member.ships:
            continue
        if options is None:
            shipped.append(members[-1])
            continue
        shipped.append(reduced(options, members[-1]))
        train = partial(distil_face, options, config.face_training, faces.train.images, members[-1], config.seed)
        stages[f"face {number}, fewer places, {STEPS_AT_ONCE} steps"] = cache.trained(
            shipped[-1], "fewer-places", configuration_hash(key, options), train
        )
    return shipped, stages


def _train_member(
    config: BundleConfig, faces: FaceSplits, earlier: Sequence[FaceClassifier], weights: Path, cache: StageCache
) -> tuple[FaceClassifier, str, dict]:
    """The member after the `earlier` ones, its key, and history and seconds of its cycles.

    Each cycle is kept, as one may take an hour: an interrupted build goes on with the next one.
    """
    *teachers, whole = config.face_encoder.members[: len(earlier) + 1]
    fingerprint = fingerprint_faces(faces.train, faces.validation)
    networks: list[FaceClassifier] = []
    stages = []
    for cycles in range(1, len(whole.cycles) + 1):
        member = replace(whole, cycles=whole.cycles[:cycles])
        key = configuration_hash(
            *teachers,
            member,
            config.face_training,
            config.seed,
            config.threads,
            fingerprint,
            [_start_hash(each, weights) for each in (*teachers, member)],
        )
        train = partial(
            train_face_classifier,
            member,
            config.face_training,
            faces.train,
            faces.validation,
            weights,
            config.seed,
            tuple(earlier),
            networks[-1] if networks else None,
        )
        networks.append(make_member(member))
        stages.append(cache.trained(networks[-1], "face", key, train))
    history = [epoch for stage in stages for epoch in stage["history"]]
    return networks[-1], key, {"history": history, "seconds": sum(stage["seconds"] for stage in stages)}


def _start_hash(member: FaceMemberConfig, weights: Path) -> str:
    """Of the files that a member starts from: what their name begins with may lie in several."""
    digest = hashlib.sha256()
    for file in sorted(weights.glob(f"{Path(member.start_from).stem}.*")) if member.start_from else ():
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _hash(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


def _face_graph(config: BundleConfig, face: FaceClassifier, faces: FaceSplits, cache: StageCache) -> bytes:
    """face_encoder.onnx, which all folds share."""
    key = configuration_hash(
        config.face_encoder.size_px, config.seed, fingerprint_faces(faces.train, faces.validation), _hash(face)
    )

    def compute() -> dict:
        graph = quantise_face(face, config.face_encoder.size_px, faces.train, faces.validation, config.seed)
        return {"graph": torch.frombuffer(bytearray(graph), dtype=torch.uint8)}

    return cache.get("face-graph", key, compute)["graph"].numpy().tobytes()


def _sampler(
    config: BundleConfig, faces: FaceEmbeddings, voices: VoiceEmbeddings, confusion: np.ndarray = NO_CONFUSION
) -> PairSampler:
    return PairSampler(faces, voices, config.fusion.bins, config.fusion_training, confusion)
