"""The capture clock against stamps that are exact, tremble, drift and jump."""

import numpy as np
import pytest

from emotion_perception.core.capture_clock import CaptureClock

CHUNK_S = 0.02
START_S = 1.7e9  # seconds since 1970, as ROS stamps them


def errors_s(n_chunks, jitter_s=0.0, drift=0.0, jump_at=10**9, jump_s=0.0):
    """(n_chunks,) how far the clock is off after each chunk."""
    jitters_s = np.random.default_rng(0).uniform(-jitter_s, jitter_s, n_chunks)
    errors = []
    for index, jitter in enumerate(jitters_s):
        stream_s = index * CHUNK_S
        captured_s = START_S + stream_s * (1.0 + drift) + jump_s * (index >= jump_at)
        if index == 0:
            clock = CaptureClock(stream_s, captured_s + jitter)
        else:
            clock.follow(stream_s, captured_s + jitter)
        errors.append(clock.stamp_s(stream_s) - captured_s)
    return np.array(errors)


def test_exact_stamps_stay_exact():
    assert np.abs(errors_s(5_000)).max() < 1e-6


@pytest.mark.parametrize("drift", [0.0, 1e-4, -1e-4])
def test_jitter_of_10_ms_shrinks_below_1_ms_nine_times_in_ten(drift):
    errors = np.abs(errors_s(3_000, jitter_s=0.01, drift=drift))
    assert errors[50:].max() < 3e-3
    assert errors[250:].max() < 1.5e-3
    assert np.mean(errors[250:] < 1e-3) > 0.9


def test_drift_is_followed_without_lag():
    assert np.abs(errors_s(3_000, drift=1e-4)[2_500:]).max() < 1e-4


@pytest.mark.parametrize("jump_s", [0.02, -0.02])
def test_lasting_jump_within_the_jitter_is_noticed(jump_s):
    errors = np.abs(errors_s(1_000, jitter_s=0.01, jump_at=500, jump_s=jump_s))
    assert errors[500:530].max() > 0.015
    assert errors[560:].max() < 5e-3
    assert errors[750:].max() < 1.5e-3


def test_shift_takes_the_new_stamp_and_keeps_the_drift():
    clock = CaptureClock(0.0, START_S)
    for index in range(1, 3_000):
        clock.follow(index * CHUNK_S, START_S + index * CHUNK_S * 1.0001)
    clock.shift(60.0, 500.0)
    assert clock.stamp_s(60.0) == 500.0
    assert clock.stamp_s(70.0) == pytest.approx(510.001, abs=1e-4)
