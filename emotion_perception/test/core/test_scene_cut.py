"""A cut is another picture, not another light, a gesture, a covered lens or a camera that moves."""

import numpy as np
import pytest

from emotion_perception.core.scene_cut import SceneCuts


class Film(SceneCuts):
    """Looked at image by image."""

    def __init__(self, rate_hz=30.0):
        super().__init__()
        self.rate_hz, self.images = rate_hz, 0

    def is_cut(self, image_rgb):
        self.images += 1
        return super().is_cut(image_rgb, self.images / self.rate_hz)


@pytest.fixture
def cuts(astronaut) -> Film:
    cuts = Film()
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


def test_after_a_covered_lens_another_scene_is_a_cut(cuts, astronaut):
    assert not cuts.is_cut(np.full_like(astronaut, 3))
    assert cuts.is_cut(np.ascontiguousarray(astronaut[::-1, :, ::-1]))


@pytest.mark.parametrize("is_backwards", [False, True])
def test_what_is_at_the_edge_of_one_scene_and_in_the_middle_of_another_hides_no_cut(is_backwards):
    random, scenes = np.random.default_rng(0), []
    for left in (0, 4):  # of a bright pillar, in pixels of the thumbnail
        thumbnail = random.integers(90, 110, (24, 32), np.uint8)
        thumbnail[:, left : left + 4] = 250
        scenes.append(np.repeat(np.kron(thumbnail, np.ones((10, 10), np.uint8))[..., np.newaxis], 3, axis=2))
    cuts = Film()
    first, second = reversed(scenes) if is_backwards else scenes
    assert not cuts.is_cut(first)
    assert cuts.is_cut(second)


def test_after_a_covered_lens_the_same_scene_goes_on(cuts, astronaut):
    assert not cuts.is_cut(np.full_like(astronaut, 3))
    assert not cuts.is_cut(astronaut)
    cuts.reset()
    assert not cuts.is_cut(np.ascontiguousarray(astronaut[::-1, :, ::-1]))


def test_of_a_slow_camera_nothing_tells_a_cut_from_somebody_who_walks_past(astronaut):
    passer_by = astronaut.copy()
    passer_by[:, 100:350] = 20
    for rate_hz, is_cut in ((30.0, True), (7.5, False)):
        film = Film(rate_hz)
        assert not film.is_cut(astronaut)
        assert film.is_cut(passer_by) is is_cut


def test_the_first_scene_after_the_dark_is_no_cut():
    cuts = SceneCuts()
    assert not cuts.is_cut(np.zeros((48, 64, 3), np.uint8), 1.0)
    assert not cuts.is_cut(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), 1.04)
