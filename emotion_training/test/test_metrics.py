"""Figures of merit on cases that can be counted by hand."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binom

from emotion_training.calibration import CERTAIN_ACCURACY, FEWEST, calibrate, fit_temperature, uncertain_below
from emotion_training.metrics import (
    accuracy,
    bootstrap_interval,
    expected_calibration_error,
    macro_f1,
    paired_bootstrap_difference,
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


def test_calibration_error_is_weighted_over_fifteen_bins():
    confidence, right = np.array([0.51, 0.55, 0.95, 0.95]), np.array([True, False, True, True])
    probabilities = np.stack([confidence, 1.0 - confidence], axis=1)
    error = expected_calibration_error(np.where(right, 0, 1), probabilities)
    assert error == pytest.approx((0.49 + 0.55 + 2 * 0.05) / 4)


def test_full_confidence_is_in_the_last_bin():
    probabilities, labels = np.array([[0.96, 0.04], [1.0, 0.0]]), np.array([0, 1])
    assert expected_calibration_error(labels, probabilities) == pytest.approx(0.98 - 0.5)


def test_temperature_of_overconfident_logits_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, (4000, 7))
    labels = np.array([rng.choice(7, p=p) for p in softmax(logits, axis=1)])
    assert fit_temperature(2.5 * logits, labels) == pytest.approx(2.5, rel=0.05)


def test_intervals_draw_whole_groups():
    groups = np.array(["a", "a", "a", "b"])
    labels, predicted = np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])
    assert bootstrap_interval(accuracy, labels, predicted, groups, 500, 0) == (0.0, 1.0)


def test_an_interval_leaves_out_a_fortieth_at_either_side():
    labels, predicted = np.zeros(40, np.int64), np.arange(40) % 2
    interval = bootstrap_interval(accuracy, labels, predicted, np.arange(40), 2000, 0)
    assert interval == tuple(binom.ppf([0.025, 0.975], 40, 0.5) / 40)


def test_a_difference_is_ours_minus_theirs():
    labels, wrong = np.zeros(4, np.int64), np.ones(4, np.int64)
    assert paired_bootstrap_difference(accuracy, labels, labels, wrong, np.arange(4), 50, 0) == (1.0, 1.0)


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


def test_fewer_clips_than_a_figure_needs_make_nothing_certain():
    for confident, threshold in ((FEWEST - 1, 1.0), (FEWEST, 0.9)):
        confidence = np.repeat([0.9, 0.6], [confident, 100])
        labels = np.repeat([0, 1], [confident, 100])  # the others are all wrong
        assert uncertain_below(probabilities_of(confidence), labels) == threshold


def probabilities_of(confidence):
    """(N, 3) with class 0 foremost; confidence: above 1/3, (N,)."""
    rest = (1.0 - confidence) / 2.0
    return np.stack([confidence, rest, rest], axis=1)


def test_what_is_more_likely_wrong_than_right_is_uncertain():
    confidence = np.repeat([0.6, 0.4], [60, 100])
    assert uncertain_below(probabilities_of(confidence), np.zeros(160, np.int64)) == 0.6


def test_what_is_right_below_a_half_makes_nothing_above_it_certain():
    confidence = np.repeat([0.6, 0.4], [60, 300])
    labels = np.repeat([1, 0], [60, 300])  # the confident ones are all wrong
    assert uncertain_below(probabilities_of(confidence), labels) == 1.0
    assert uncertain_below(probabilities_of(confidence[60:]), labels[60:]) == 1.0  # nothing above was measured


def test_equal_confidences_are_certain_together_or_not_at_all():
    confidence, labels = np.full(100, 0.9), np.repeat([0, 1], [60, 40])
    assert uncertain_below(probabilities_of(confidence), labels) == 1.0


def test_too_few_clips_to_measure_leave_the_usual_calibration():
    usual = {"temperature": 0.8, "uncertain_below": 0.6}
    logits, labels = np.tile([2.0, 0.0], (FEWEST - 1, 1)), np.zeros(FEWEST - 1, np.int64)
    assert calibrate(logits, labels, usual) == usual
    assert calibrate(logits, labels) == {"temperature": 1.0, "uncertain_below": 1.0}
    more = np.vstack([logits, logits[:1]]), np.append(labels, 0)
    assert calibrate(*more, usual)["temperature"] < 0.8  # all are right, with more confidence
