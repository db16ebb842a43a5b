"""Figures of merit on cases that can be counted by hand."""

import numpy as np
import pytest

from emotion_training.calibration import CERTAIN_ACCURACY, FEWEST, calibrate, fit_temperature, uncertain_below
from emotion_training.metrics import (
    accuracy,
    bootstrap_interval,
    expected_calibration_error,
    macro_f1,
    paired_bootstrap_difference,
    softmax,
    unweighted_average_recall,
)

LABELS = np.array([0, 0, 0, 1])
PREDICTED = np.array([0, 0, 1, 1])


def test_recall_f1_and_accuracy_by_hand():
    assert accuracy(LABELS, PREDICTED) == 0.75
    assert unweighted_average_recall(LABELS, PREDICTED) == pytest.approx((2 / 3 + 1) / 2)
    assert macro_f1(LABELS, PREDICTED) == pytest.approx((0.8 + 2 / 3) / 2)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    probabilities = np.tile([0.9, 0.1], (10, 1))
    labels = np.array([0] * 6 + [1] * 4)
    assert expected_calibration_error(labels, probabilities) == pytest.approx(0.3)


def test_temperature_of_overconfident_logits_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, (4000, 7))
    labels = np.array([rng.choice(7, p=p) for p in softmax(logits)])
    assert fit_temperature(2.5 * logits, labels) == pytest.approx(2.5, rel=0.05)


def test_intervals_draw_whole_groups():
    groups = np.array(["a", "a", "a", "b"])
    labels, predicted = np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])
    assert bootstrap_interval(accuracy, labels, predicted, groups, 500, 0) == (0.0, 1.0)


def test_the_interval_of_a_difference_with_itself_is_zero():
    groups = np.arange(4)
    interval = paired_bootstrap_difference(accuracy, LABELS, PREDICTED, PREDICTED, groups, 50, 0)
    assert interval == (0.0, 0.0)


def test_what_is_not_uncertain_is_right_as_often_as_promised():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, 5000)
    probabilities = np.stack([confidence, 1.0 - confidence], axis=1)
    labels = (rng.random(5000) > confidence).astype(np.int64)  # calibrated: right as often as it is confident
    threshold = uncertain_below(probabilities, labels)
    certain = confidence >= threshold
    assert (labels[certain] == 0).mean() == pytest.approx(CERTAIN_ACCURACY, abs=0.01)
    assert 0.5 < threshold < 0.7


def test_without_enough_that_is_right_everything_is_uncertain():
    probabilities = np.tile([0.9, 0.1], (100, 1))
    assert uncertain_below(probabilities, np.ones(100, np.int64)) == 1.0


def test_what_is_more_likely_wrong_than_right_is_uncertain():
    probabilities = np.tile([0.4, 0.3, 0.3], (100, 1))
    assert uncertain_below(probabilities, np.zeros(100, np.int64)) == 0.5


def test_too_few_clips_to_measure_leave_the_usual_calibration():
    usual = {"temperature": 0.8, "uncertain_below": 0.6}
    logits, labels = np.tile([2.0, 0.0], (FEWEST - 1, 1)), np.zeros(FEWEST - 1, np.int64)
    assert calibrate(logits, labels, usual) == usual
    assert calibrate(logits, labels) == {"temperature": 1.0, "uncertain_below": 1.0}
    more = np.vstack([logits, logits[:1]]), np.append(labels, 0)
    assert calibrate(*more, usual)["temperature"] < 0.8  # all are right, with more confidence
