"""A webcam that is unplugged and comes back, and one whose images nobody can use."""

import numpy as np
import pytest
from sensor_msgs.msg import Image

from emotion_perception.nodes import camera_node
from emotion_perception.nodes.camera_node import CameraNode


class Webcam:
    """Gives three images whenever it is opened, then none."""

    def __init__(self, device):
        self.width_px = 0
        self.open(device)

    def open(self, device):
        self.left, self.width_px = 3, 0
        return True

    def isOpened(self):  # noqa: N802
        return True

    def set(self, what, value):
        if what == camera_node.cv2.CAP_PROP_FRAME_WIDTH:
            self.width_px = int(value)

    def read(self):
        self.left -= 1
        return (True, np.zeros((4, self.width_px, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        pass


@pytest.fixture
def plugged_in(monkeypatch):
    def plug(kind):
        monkeypatch.setattr(camera_node, "RETRY_S", 0.001)
        monkeypatch.setattr(camera_node.cv2, "VideoCapture", kind)

    return plug


def test_camera_that_was_unplugged_is_opened_anew_as_it_was(plugged_in, graph):
    plugged_in(Webcam)
    images = graph.listen(Image, "/emotion/camera/image")
    graph.start(CameraNode, width_px=32)
    graph.wait_for(lambda: len(images) > 3, "images after the third")
    assert {image.width for image in images} == {32}


def test_error_that_nobody_expected_does_not_end_the_images_in_silence(plugged_in, graph, monkeypatch, capfd):
    class Strange(Webcam):
        def read(self):
            raise KeyError("of a bug")

    errors = []
    monkeypatch.setattr(CameraNode, "fail", lambda node, error: errors.append(error))
    plugged_in(Strange)
    graph.start(CameraNode)
    graph.wait_for(lambda: errors, "the error")
    assert "Cannot read the camera, which is a bug of ours: KeyError('of a bug')" in capfd.readouterr().err
