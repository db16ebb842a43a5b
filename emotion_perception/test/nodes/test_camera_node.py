"""A webcam that is unplugged and comes back, and one whose images nobody can use."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image

from emotion_perception.core.image_messages import image_to_rgb
from emotion_perception.nodes import camera_node
from emotion_perception.nodes.camera_node import CameraNode

BLUE_FIRST = (30, 20, 10)  # as OpenCV gives the colours of a pixel


class Webcam:
    """Gives three images whenever it is opened, then none."""

    def __init__(self, device):
        self.width_px = 0
        self.wanted = {}
        self.is_released = False
        self.open(device)

    def open(self, device):
        self.device, self.left, self.width_px = device, 3, 0
        return True

    def isOpened(self):  # noqa: N802
        return True

    def set(self, what, value):
        self.wanted[what] = value
        if what == camera_node.cv2.CAP_PROP_FRAME_WIDTH:
            self.width_px = int(value)

    def read(self):
        self.left -= 1
        return (True, np.full((4, self.width_px, 3), BLUE_FIRST, np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        self.is_released = True


@pytest.fixture
def plugged_in(monkeypatch):
    def plug(kind):
        monkeypatch.setattr(camera_node, "RETRY_S", 0.001)
        monkeypatch.setattr(camera_node, "REOPEN_S", 0.01)
        monkeypatch.setattr(camera_node.cv2, "VideoCapture", kind)

    return plug


def test_image_is_what_the_webcam_was_asked_for_with_red_first(plugged_in, graph):
    plugged_in(Webcam)
    images = graph.listen(Image, "/head/image")
    wanted = {"device": 2, "width_px": 32, "height_px": 24, "rate_hz": 15.0}
    node = graph.start(CameraNode, **wanted, frame_id="head", image_topic="/head/image")
    image = graph.wait_for(lambda: images, "an image")[0]
    assert image.header.frame_id == "head"
    np.testing.assert_array_equal(image_to_rgb(image), np.full((4, 32, 3), BLUE_FIRST[::-1]))
    diagnosis, webcam = node.diagnose(), node._camera
    assert diagnosis.level == DiagnosticStatus.OK and diagnosis.values["received"] > 0
    assert diagnosis.values["source"] == "camera 2" and webcam.device == 2
    assert webcam.wanted == {
        camera_node.cv2.CAP_PROP_FRAME_WIDTH: 32,
        camera_node.cv2.CAP_PROP_FRAME_HEIGHT: 24,
        camera_node.cv2.CAP_PROP_FPS: 15.0,
        camera_node.cv2.CAP_PROP_BUFFERSIZE: 1,
    }
    node.trigger_deactivate()
    assert not webcam.is_released
    node.trigger_cleanup()
    assert webcam.is_released


def test_camera_that_was_unplugged_is_opened_anew_as_it_was(plugged_in, graph):
    plugged_in(Webcam)
    images = graph.listen(Image, "/emotion/camera/image")
    graph.start(CameraNode, width_px=32)
    graph.wait_for(lambda: len(images) > 3, "images after the third")
    assert {image.width for image in images} == {32}


def test_camera_that_hangs_whenever_it_is_looked_at_is_opened_anew_at_once(plugged_in, graph, monkeypatch):
    now_s, looks = [0.0], []

    class Hanging(Webcam):
        def read(self):
            there = super().read()
            if not there[0]:
                now_s[0] += 10.0  # as V4L2 waits
                looks.append(self.left)
            return there

    plugged_in(Hanging)
    monkeypatch.setattr(camera_node, "REOPEN_S", 2.0)
    monkeypatch.setattr(camera_node, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    images = graph.listen(Image, "/emotion/camera/image")
    graph.start(CameraNode)
    graph.wait_for(lambda: len(images) > 6, "images after two hangs")
    assert set(looks) == {-1}, "one look in vain, then anew"


def test_camera_that_is_activated_again_gives_images_again(plugged_in, graph):
    plugged_in(Webcam)
    images = graph.listen(Image, "/emotion/camera/image")
    node = graph.start(CameraNode)
    graph.wait_for(lambda: images, "an image")
    node.trigger_deactivate()
    node.trigger_activate()
    before = len(images)
    graph.wait_for(lambda: len(images) > before + 3, "more images than were on their way")


@pytest.mark.parametrize("end", [CameraNode.trigger_shutdown, CameraNode.destroy_node])
def test_camera_is_released_at_the_end_when_nobody_reads_it_any_more(plugged_in, graph, end):
    class Read(Webcam):
        def release(self):
            assert "read the camera" not in [thread.name for thread in threading.enumerate()]
            super().release()

    plugged_in(Read)
    node = graph.start(CameraNode)
    webcam = node._camera
    end(node)
    assert webcam.is_released


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
