"""A mouth is measured on the face that is asked for."""

import math

import cv2
import numpy as np
import pytest

from emotion_perception.core.face_box import Box
from emotion_perception.core.face_detector import FaceDetector
from emotion_perception.core.mouth_opening import MouthMeter


@pytest.fixture(scope="module")
def meter():
    with MouthMeter() as meter:
        yield meter


def face_box(image):
    with FaceDetector(min_score=0.5) as detector:
        return detector.detect(image)[0].box


def test_smile_with_teeth_is_open_at_any_size(meter, astronaut):
    opening = meter.measure(astronaut, face_box(astronaut))
    assert 0.08 < opening < 0.2
    half = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    assert meter.measure(half, face_box(half)) == pytest.approx(opening, abs=0.02)


def test_lips_painted_shut_are_shut(meter, astronaut):
    shut = astronaut.copy()
    shut[138:160, 205:250] = astronaut[118:119, 205:250]  # skin of the cheeks where the teeth are
    cv2.line(shut, (208, 149), (246, 147), (120, 60, 60), 2)
    box = face_box(astronaut)
    assert meter.measure(shut, box) < 0.6 * meter.measure(astronaut, box)


def test_each_call_is_of_its_own_face(meter, astronaut):
    box = face_box(astronaut)
    alone = meter.measure(astronaut, box)
    meter.measure(np.ascontiguousarray(astronaut[:, ::-1]), Box(512 - box.x_px - box.width_px, box.y_px, 104, 104))
    assert meter.measure(astronaut, box) == alone


def test_no_face_gives_nan(meter):
    assert math.isnan(meter.measure(np.full((200, 200, 3), 90, np.uint8), Box(50.0, 50.0, 100.0, 100.0)))


def test_face_that_leaves_the_image_is_measured_or_nan(meter, astronaut):
    box = face_box(astronaut)
    opening = meter.measure(np.ascontiguousarray(astronaut[:, 226:]), Box(box.x_px - 226, box.y_px, 104, 104))
    assert math.isnan(opening) or opening >= 0.0


def test_box_outside_the_image_is_refused(meter, astronaut):
    with pytest.raises(ValueError, match="lies outside"):
        meter.measure(astronaut, Box(900.0, 0.0, 50.0, 50.0))
