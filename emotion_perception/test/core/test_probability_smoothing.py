"""A label holds until there is a reason to change it."""

import numpy as np
import pytest

from emotion_perception.core.probability_smoothing import ProbabilitySmoother, SmoothingSettings


def smoother(time_constant_s=0.0, enter=0.6, leave=0.3):
    return ProbabilitySmoother(SmoothingSettings(time_constant_s, enter, leave))


def labels(smoother, *distributions):
    return [smoother.update(np.array(p, np.float32), 0.1 * i)[1] for i, p in enumerate(distributions)]


def test_first_distribution_gives_its_likeliest_label():
    assert labels(smoother(), [0.2, 0.45, 0.35]) == [1]


def test_label_holds_while_another_is_likelier_but_below_enter():
    assert labels(smoother(), [0.7, 0.3], [0.45, 0.55], [0.45, 0.55]) == [0, 0, 0]


def test_label_changes_when_another_reaches_enter():
    assert labels(smoother(), [0.7, 0.3], [0.35, 0.65]) == [0, 1]


def test_label_changes_when_its_own_probability_falls_below_leave():
    assert labels(smoother(), [0.7, 0.2, 0.1], [0.25, 0.4, 0.35]) == [0, 1]


def test_average_covers_63_percent_of_a_step_in_one_time_constant_at_any_rate():
    for rate_hz in (5, 10, 100):
        smooth = smoother(time_constant_s=1.0)
        smooth.update(np.array([1, 0], np.float32), 0.0)
        for tick in range(1, rate_hz + 1):
            probabilities, _ = smooth.update(np.array([0, 1], np.float32), tick / rate_hz)
        assert probabilities[1] == pytest.approx(1 - np.exp(-1), abs=1e-4)


def test_distribution_from_before_the_last_one_does_not_move_the_average():
    smooth = smoother(time_constant_s=1.0)
    before, _ = smooth.update(np.array([1, 0], np.float32), 5.0)
    probabilities, label = smooth.update(np.array([0, 1], np.float32), 3.0)
    assert np.array_equal(probabilities, before) and label == 0


def test_smoothed_probabilities_still_sum_to_one():
    smooth = smoother(time_constant_s=0.5)
    for tick, distribution in enumerate(np.random.default_rng(0).dirichlet(np.ones(7), 50).astype(np.float32)):
        probabilities, _ = smooth.update(distribution, 0.1 * tick)
        assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(enter=0.3, leave=0.6), "label_enter is 0.3 and label_leave is 0.6; they must hold"),
        (dict(enter=1.2), "label_enter is 1.2"),
        (dict(leave=-0.1), "label_leave is -0.1"),
        (dict(time_constant_s=-1), "smoothing_time_constant_s is -1; it must be 0 or more"),
    ],
)
def test_impossible_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        smoother(**bad)
