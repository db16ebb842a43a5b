"""The crop: framing, borders, and what cannot be cropped."""

import numpy as np
import pytest

from emotion_perception.core.face_box import Box
from emotion_perception.core.face_crop import SIDE_PER_BOX_SIDE, UPWARD_SHIFT_PER_BOX_SIDE, crop_face


@pytest.fixture(scope="module")
def ramps():
    """(200, 250, 3): red is the column, green the row."""
    image = np.zeros((200, 250, 3), np.uint8)
    image[..., 0] = np.arange(250)
    image[..., 1] = np.arange(200)[:, None]
    return image


def test_frames_the_face_as_measured(ramps):
    crop = crop_face(ramps, Box(75, 50, 100, 100), size_px=56)
    side_px = 100 * SIDE_PER_BOX_SIDE
    left_px, top_px = 125 - side_px / 2, 100 - 100 * UPWARD_SHIFT_PER_BOX_SIDE - side_px / 2
    assert crop.shape == (56, 56, 3)
    assert crop.dtype == np.uint8
    assert crop[0, 0, :2] == pytest.approx((left_px, top_px), abs=2)
    assert crop[-1, -1, :2] == pytest.approx((left_px + side_px, top_px + side_px), abs=2)


@pytest.mark.parametrize(
    "box", [Box(-40, 60, 80, 80), Box(210, 60, 80, 80), Box(80, -40, 80, 80), Box(80, 160, 80, 80)]
)
def test_repeats_the_border_beyond_the_image(ramps, box):
    crop = crop_face(ramps, box, size_px=89)
    columns = np.clip(np.arange(89) + round(box.x_px + 40 - 89.6 / 2), 0, 249)
    rows = np.clip(np.arange(89) + round(box.y_px + 40 - 0.06 * 80 - 89.6 / 2), 0, 199)
    assert crop[40, :, 0] == pytest.approx(columns, abs=1.5)
    assert crop[:, 40, 1] == pytest.approx(rows, abs=1.5)


def test_a_face_larger_than_the_image_fits(ramps):
    assert crop_face(ramps, Box(-100, -100, 450, 400), size_px=48).shape == (48, 48, 3)


def test_shrinking_averages_and_does_not_alias():
    noise = np.random.default_rng(0).integers(0, 2, (300, 300)).astype(np.uint8) * 255
    assert crop_face(np.dstack([noise] * 3), Box(50, 50, 200, 200), size_px=28).std() < 25


def test_enlarging_keeps_the_range(ramps):
    crop = crop_face(ramps, Box(100, 100, 20, 20), size_px=96)
    assert 98 <= crop[..., 0].min() <= crop[..., 0].max() <= 122


def test_leaves_the_image_alone(ramps):
    before = ramps.copy()
    crop_face(ramps, Box(100, 100, 43, 43), size_px=48)[:] = 0
    assert np.array_equal(ramps, before)


@pytest.mark.parametrize(
    "box", [Box(251, 50, 100, 100), Box(-100, 50, 100, 100), Box(50, 200, 100, 100), Box(50, -101, 100, 100)]
)
def test_refuses_a_box_outside_the_image(ramps, box):
    with pytest.raises(ValueError, match="lies outside the 250x200 image"):
        crop_face(ramps, box, size_px=48)


@pytest.mark.parametrize(
    "box",
    [Box(50, -99.9, 100, 100), Box(50, 199.5, 60, 100), Box(-105, 3, 107, 60), Box(249.5, 50, 100, 60)],
)
def test_refuses_a_box_of_which_only_the_rim_is_in_the_image(ramps, box):
    with pytest.raises(ValueError, match="lies outside the 250x200 image"):
        crop_face(ramps, box, size_px=48)


def test_one_row_of_the_image_is_enough(ramps):
    crop = crop_face(ramps, Box(50, -99, 100, 100), size_px=112)
    assert crop.shape == (112, 112, 3) and not crop[..., 1].any()


@pytest.mark.parametrize("box", [Box(50, 50, 0.1, 0.1), Box(-5e5, -5e5, 1e6, 1e6)])
def test_refuses_a_degenerate_box(ramps, box):
    with pytest.raises(ValueError, match="cannot be a face in a 250x200 image"):
        crop_face(ramps, box, size_px=48)


def test_refuses_what_is_no_image_and_no_size(ramps):
    with pytest.raises(ValueError, match="expected uint8"):
        crop_face(ramps.astype(np.float32), Box(50, 50, 50, 50), size_px=48)
    with pytest.raises(ValueError, match="size_px is 0"):
        crop_face(ramps, Box(50, 50, 50, 50), size_px=0)
