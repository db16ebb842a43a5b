"""The detector on a real face, on none, on two, and on what is no image."""

import copy
import math
from collections.abc import Iterator
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from emotion_perception.core.face_box import Box
from emotion_perception.core.face_detector import FaceDetector


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector(min_score=0.5) as detector:
        yield detector


def center_px(box: Box) -> tuple[float, float]:
    return box.x_px + box.width_px / 2, box.y_px + box.height_px / 2


def test_finds_the_face_of_the_astronaut(detector, astronaut):
    (face,) = detector.detect(astronaut)
    assert center_px(face.box) == pytest.approx((226, 120), abs=10)
    assert face.box.width_px == pytest.approx(104, abs=12)
    assert face.box.height_px == pytest.approx(104, abs=12)
    assert 0.5 <= face.score <= 1.0


def test_box_is_in_pixels_of_an_image_that_is_not_square(detector, astronaut):
    wide = np.zeros((512, 900, 3), np.uint8)
    wide[:, 388:] = astronaut
    (face,) = detector.detect(wide)
    assert center_px(face.box) == pytest.approx((388 + 226, 120), abs=10)


def test_finds_a_far_face(detector, astronaut):
    image = np.full((480, 640, 3), 128, np.uint8)
    image[100:356, 200:456] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    (face,) = detector.detect(image)
    assert center_px(face.box) == pytest.approx((200 + 113, 100 + 60), abs=8)


def test_finds_two_faces(detector, astronaut):
    faces = detector.detect(np.concatenate([astronaut, astronaut], axis=1))
    assert sorted(center_px(face.box)[0] for face in faces) == pytest.approx([226, 738], abs=10)


def test_finds_nothing_in_black(detector):
    assert detector.detect(np.zeros((480, 640, 3), np.uint8)) == []


def test_a_finding_whose_box_is_none_does_not_hide_the_others(detector, astronaut, monkeypatch):
    found = detector._solution.process(astronaut)
    empty, broken = copy.deepcopy(found.detections[0]), copy.deepcopy(found.detections[0])
    empty.location_data.relative_bounding_box.width = 0.0
    broken.location_data.relative_bounding_box.xmin = math.nan
    all_of_them = SimpleNamespace(detections=[empty, broken, *found.detections])
    monkeypatch.setattr(detector, "_solution", SimpleNamespace(process=lambda image: all_of_them))
    assert len(detector.detect(astronaut)) == len(found.detections) == 1


def test_takes_a_view_of_an_image(detector, astronaut):
    assert len(detector.detect(astronaut[:, ::-1])) == 1


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 48, 3), np.float32),
        np.zeros((48, 48), np.uint8),
        np.zeros((48, 48, 4), np.uint8),
        np.zeros((0, 48, 3), np.uint8),
        None,
    ],
    ids=["float", "grey", "rgba", "empty", "none"],
)
def test_refuses_what_is_no_rgb_image(detector, image):
    with pytest.raises(ValueError, match="expected uint8"):
        detector.detect(image)


def test_refuses_an_impossible_score():
    with pytest.raises(ValueError, match="min_score is 1.5"):
        FaceDetector(min_score=1.5)


def test_says_nothing_on_stderr(capfd, astronaut):
    with FaceDetector(min_score=0.5) as detector:
        detector.detect(astronaut)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("values", [(0, 0, 0, 10), (0, 0, 10, -1), (float("nan"), 0, 10, 10), (0, 0, float("inf"), 1)])
def test_box_refuses_impossible_sides(values):
    with pytest.raises(ValueError, match="positive sides"):
        Box(*values)
