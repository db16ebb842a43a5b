"""A cut is another picture, not another light, a gesture, a covered lens or a camera that moves."""

import numpy as np
import pytest

from emotion_perception.core.scene_cut import SceneCuts


@pytest.fixture
def cuts(astronaut) -> SceneCuts:
    cuts = SceneCuts()
    assert not cuts.is_cut(astronaut)
    return cuts


def test_another_scene_is_a_cut_once(cuts, astronaut):
    other = np.ascontiguousarray(astronaut[::-1, :, ::-1])
    assert cuts.is_cut(other)
    assert not cuts.is_cut(other)
    assert cuts.is_cut(astronaut)


def test_less_light_is_no_cut(cuts, astronaut):
    assert not cuts.is_cut((astronaut * 0.3).astype(np.uint8))


def test_a_gesture_is_no_cut(cuts, astronaut):
    waving = astronaut.copy()
    waving[300:420, 60:180] = (200, 150, 120)
    assert not cuts.is_cut(waving)


def test_a_camera_that_turns_is_no_cut(cuts, astronaut):
    for shift_px in range(10, 200, 10):
        assert not cuts.is_cut(np.roll(astronaut, shift_px, axis=1))


@pytest.mark.parametrize("turn_px", [-60, -40, 40, 60])
def test_a_camera_that_turns_fast_is_no_cut(cuts, astronaut, turn_px):
    assert astronaut.shape[1] == 512
    assert not any(cuts.is_cut(np.roll(astronaut, turn_px * step, axis=1)) for step in range(1, 8))


def test_shadows_in_a_covered_lens_are_no_scene(cuts, astronaut):
    covered = np.full_like(astronaut, 3)
    covered[:, 256:] = 6
    assert not cuts.is_cut(covered)
    assert not cuts.is_cut(astronaut)


def test_after_a_covered_lens_the_same_scene_goes_on(cuts, astronaut):
    assert not cuts.is_cut(np.full_like(astronaut, 3))
    assert not cuts.is_cut(astronaut)
    cuts.reset()
    assert not cuts.is_cut(np.ascontiguousarray(astronaut[::-1, :, ::-1]))
