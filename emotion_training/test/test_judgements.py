"""What is made of judgements of new people."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import f1_score, recall_score

from emotion_perception.core.model_bundle import STATES
from emotion_training.calibration import calibrate, fit_pool, fit_temperature
from emotion_training.evaluation import LateFusion
from emotion_training.judgements import (
    GAIN,
    LATE_FUSION,
    JudgedPairs,
    JudgedVoices,
    Judgements,
    Measure,
    Opinions,
    StateLogits,
    calibration_figures,
    pair_figures,
    pooled,
    voice_figures,
)
from emotion_training.labels import LABELS
from emotion_training.metrics import (
    bootstrap_interval,
    expected_calibration_error,
    sign_flip_test,
    unweighted_average_recall,
)
from emotion_training.models.fusion import IntermediateFusion
from emotion_training.pairs import Pairs


def state_logits(sharpness, seed, count=2000):
    """Logits that are right as often as they say, times `sharpness`: the temperature that fits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0, (count, len(LABELS)))
    labels = np.array([rng.choice(len(LABELS), p=row) for row in softmax(logits, axis=1)])
    return StateLogits(logits * sharpness, labels)


def judgements(speaker, right, sharpness=1.0, seed=0):
    """Two pairs of a speaker; late fusion is wrong on both, the fusion where it is not `right`."""
    labels = np.array([0, 1])
    predicted = {**dict.fromkeys(STATES, labels if right else 1 - labels), LATE_FUSION: 1 - labels}
    speakers = np.array([speaker, speaker])
    pairs = JudgedPairs(labels, predicted, np.zeros(2), np.array([f"{speaker}-0", f"{speaker}-1"]), speakers)
    return Judgements(
        JudgedVoices(labels, {"bundle": labels}, np.array(["tones", "tones"]), speakers),
        {"plain": pairs},
        dict.fromkeys(STATES, state_logits(sharpness, seed)),
        Opinions(np.zeros((2, len(LABELS), 3)), labels),
        np.eye(len(LABELS), dtype=np.int64),
    )


def test_pooled_judgements_keep_who_said_what_of_whom():
    everyone = pooled([judgements("anna", True), judgements("ben", False)])
    pairs = everyone.pairs["plain"]
    assert pairs.speaker_ids.tolist() == everyone.voices.speaker_ids.tolist() == ["anna", "anna", "ben", "ben"]
    assert pairs.predicted["both"].tolist() == [0, 1, 1, 0] and pairs.predicted[LATE_FUSION].tolist() == [1, 0, 1, 0]
    assert pairs.gains.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert len(everyone.states["both"].labels) == 4000
    assert everyone.opinions.logits.shape == (4, len(LABELS), 3) and everyone.opinions.labels.tolist() == [0, 1, 0, 1]
    assert everyone.taken_for.tolist() == (2 * np.eye(len(LABELS))).tolist()


def test_a_pool_weighs_opinions_by_what_they_are_worth_and_nobody_below_zero():
    rng = np.random.default_rng(0)
    truth = rng.normal(0.0, 2.0, (4000, len(LABELS)))  # logits
    labels = np.array([rng.choice(len(LABELS), p=row) for row in softmax(truth, axis=1)])
    half = rng.normal(0.0, 2.0, truth.shape)
    opinions = np.stack([truth - 0.5 * half, half, -truth], axis=2)  # two that make up the truth, one that denies it
    assert fit_pool(opinions, labels) == pytest.approx([1.0, 0.5, 0.0], abs=0.08)


def test_late_fusion_multiplies_calibrated_opinions_and_leaves_out_what_a_face_alone_expects():
    torch.manual_seed(0)
    fusion = IntermediateFusion(6, 2, 5, 3, len(LABELS), width=8, heads=2, dropout=0.0).eval()
    fusion.face_prior.copy_(torch.linspace(-9.0, 9.0, len(LABELS)))
    rng = np.random.default_rng(0)
    count = 400
    pairs = Pairs(
        rng.normal(size=(count, 2, 6)).astype(np.float32),
        np.ones((count, 2), bool),
        rng.normal(size=(count, 3, 5)).astype(np.float32),
        np.ones(count, bool),
        np.zeros((count, len(LABELS)), np.float32),
        rng.integers(0, len(LABELS), count),
        np.arange(count),
        np.full(count, "anna"),
    )
    with torch.inference_mode():
        face, voice = (
            logits.numpy() for logits in fusion.unimodal_logits(*(torch.from_numpy(value) for value in pairs.inputs))
        )
    expected = sum(logits / fit_temperature(logits, pairs.labels) for logits in (face, voice))
    np.testing.assert_allclose(LateFusion(fusion, pairs)(pairs), expected, rtol=1e-4, atol=1e-5)


def test_people_are_calibrated_by_what_was_said_of_others_alone():
    # Two folds say too much of everything, and one too little: each gets the temperature of the other two.
    folds = [
        judgements(name, True, sharpness, seed)
        for seed, (name, sharpness) in enumerate([("a", 2), ("b", 2), ("c", 0.5)])
    ]
    figures = calibration_figures(folds)["audio"]
    errors, certain, right = [], [], []
    for number, fold in enumerate(folds):
        others = pooled([other for place, other in enumerate(folds) if place != number]).states["audio"]
        found = calibrate(others.logits, others.labels)
        judged = fold.states["audio"]
        probabilities = softmax(judged.logits / found["temperature"], axis=1)
        errors.append(expected_calibration_error(judged.labels, probabilities))
        certain.append(probabilities.max(axis=1) >= found["uncertain_below"])
        right.append(probabilities.argmax(axis=1) == judged.labels)
    assert figures["n"] == 6000 and figures["accuracy"] == pytest.approx(np.mean(right), abs=1e-4)
    assert figures["certain_share"] == pytest.approx(np.mean(certain), abs=1e-4)
    assert figures["ece_after"] == pytest.approx(np.mean(errors), abs=1e-4)
    assert figures["ece_after_of_folds"] == pytest.approx([min(errors), max(errors)], abs=1e-4)
    assert figures["ece_after_of_folds"][1] > 0.1  # the one who is unlike the others


def test_a_temperature_that_fits_everybody_leaves_little_error():
    figures = calibration_figures([judgements("a", True, 2.0, 0), judgements("b", True, 2.0, 1)])["both"]
    assert figures["ece_before"] > 0.1 and figures["ece_after"] < 0.04
    assert figures["certain_share"] > 0.2 and figures["accuracy_of_certain"] == pytest.approx(0.8, abs=0.05)


def test_nothing_is_certain_where_nobody_is_ever_right():
    folds = []
    for fold in (judgements("a", True), judgements("b", True)):
        wrong = {
            state: replace(said, labels=(said.logits.argmax(axis=1) + 1) % 7) for state, said in fold.states.items()
        }
        folds.append(replace(fold, states=wrong))
    assert calibration_figures(folds)["face"]["accuracy_of_certain"] is None


def test_voices_have_the_figures_of_their_corpus_and_of_who_judged_them():
    rng = np.random.default_rng(0)
    labels, corpora = np.repeat([0, 0, 1, 2], 15), np.tile(["hums", "tones", "tones"], 20)
    speakers = np.char.add(corpora, rng.integers(0, 4, 60).astype(str))
    predicted = {who: np.where(rng.random(60) < 0.6, labels, rng.integers(0, 3, 60)) for who in ("bundle", "encoder")}
    figures = voice_figures(
        Measure(SimpleNamespace(bootstrap_samples=50, seed=1)), JudgedVoices(labels, predicted, corpora, speakers)
    )
    for who, by_corpus in figures.items():
        for corpus, of in by_corpus.items():
            right, said = labels[corpora == corpus], predicted[who][corpora == corpus]
            recalls = recall_score(right, said, average=None, labels=[0, 1, 2])
            assert of["recall"] == pytest.approx(dict(zip(LABELS[:3], recalls, strict=True)), abs=1e-4)
            assert (of["uar"]["value"], of["uar"]["n"]) == (pytest.approx(recalls.mean(), abs=1e-4), len(right))
            of_speakers = (unweighted_average_recall, right, said, speakers[corpora == corpus])
            assert of["uar"]["ci95"] == pytest.approx(bootstrap_interval(*of_speakers, 50, 1), abs=1e-4)
            assert of["accuracy"]["value"] == pytest.approx((right == said).mean(), abs=1e-4)
            assert of["speakers"] == sorted(set(speakers[corpora == corpus]))


def test_pairs_have_the_figures_of_each_state_and_the_gain_over_late_fusion():
    labels = np.tile([0, 1], 6)
    speakers, clips = np.repeat(["anna", "ben", "cleo"], 4), np.repeat([f"clip {n}" for n in range(6)], 2)
    late, both = labels.copy(), labels.copy()
    late[[0, 1, 2, 5]] = 1 - late[[0, 1, 2, 5]]  # anna's and one of ben's; the fusion another one of ben's
    both[6] = 1 - both[6]
    face, voice = np.zeros(12, np.int64), labels.copy()
    predicted = {"both": both, "face": face, "audio": voice, LATE_FUSION: late}
    weights = np.linspace(0.0, 0.5, 12)
    measure = Measure(SimpleNamespace(bootstrap_samples=200, seed=0))
    figures = pair_figures(measure, JudgedPairs(labels, predicted, weights, clips, speakers))
    for who, said in predicted.items():
        recall = recall_score(labels, said, average="macro")
        assert figures[who]["uar"]["value"] == pytest.approx(recall, abs=1e-4), who
        if who != LATE_FUSION:
            assert figures[who]["macro_f1"] == pytest.approx(f1_score(labels, said, average="macro"), abs=1e-4), who
    assert figures["both"]["mean_face_weight"] == 0.25
    gain = figures[GAIN]
    assert gain["speakers_better"] == 1  # anna: ben gains one and loses one, cleo has nothing to gain
    assert gain["p_speakers"] == sign_flip_test(np.array([3.0, 0.0, 0.0]), 0) == 1.0
    assert gain["p_clips"] == sign_flip_test(np.array([2.0, 1.0, 1.0, -1.0, 0.0, 0.0]), 0) == 8 / 16
    low, high = gain["uar_ci95"]
    assert low == 0.0 < high
