"""What is made of judgements of new people."""

from dataclasses import replace

import numpy as np
import pytest

from emotion_training.calibration import calibrate, fit_pool
from emotion_training.judgements import (
    LATE_FUSION,
    STATES,
    JudgedPairs,
    JudgedVoices,
    Judgements,
    Opinions,
    StateLogits,
    calibration_figures,
    pooled,
)
from emotion_training.labels import LABELS
from emotion_training.metrics import expected_calibration_error, softmax


def state_logits(sharpness, seed, count=2000):
    """Logits that are right as often as they say, times `sharpness`: the temperature that fits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0, (count, len(LABELS)))
    labels = np.array([rng.choice(len(LABELS), p=row) for row in softmax(logits)])
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
    labels = np.array([rng.choice(len(LABELS), p=row) for row in softmax(truth)])
    half = rng.normal(0.0, 2.0, truth.shape)
    opinions = np.stack([truth - 0.5 * half, half, -truth], axis=2)  # two that make up the truth, one that denies it
    assert fit_pool(opinions, labels) == pytest.approx([1.0, 0.5, 0.0], abs=0.08)


def test_people_are_calibrated_by_what_was_said_of_others_alone():
    # Two folds say too much of everything, and one too little: each gets the temperature of the other two.
    folds = [
        judgements(name, True, sharpness, seed)
        for seed, (name, sharpness) in enumerate([("a", 2), ("b", 2), ("c", 0.5)])
    ]
    figures = calibration_figures(folds)["audio"]
    errors = []
    for number, fold in enumerate(folds):
        others = pooled([other for place, other in enumerate(folds) if place != number]).states["audio"]
        temperature = calibrate(others.logits, others.labels)["temperature"]
        judged = fold.states["audio"]
        errors.append(expected_calibration_error(judged.labels, softmax(judged.logits / temperature)))
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
