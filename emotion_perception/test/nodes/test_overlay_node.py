"""The overlay shows what is known about each face, and is no work when nobody watches."""

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from emotion_msgs.msg import EmotionState, EmotionStateArray, FaceCrop, FaceCropArray
from emotion_perception.core.image_messages import image_to_rgb
from emotion_perception.nodes import arrivals
from emotion_perception.nodes.conversions import rgb_to_image
from emotion_perception.nodes.overlay_node import KEPT_NS, OverlayNode, draw

HEADER = Header(stamp=Time(sec=5), frame_id="head")
BLACK = np.zeros((100, 200, 3), np.uint8)


def faces(width_px, height_px):
    """A face in the right half of an image of some resolution."""
    face = FaceCrop(
        track_id="face_1", x_px=width_px / 2, y_px=height_px / 4, width_px=width_px / 4, height_px=height_px / 2
    )
    return FaceCropArray(header=HEADER, image_width_px=width_px, image_height_px=height_px, faces=[face])


def test_box_is_drawn_where_the_face_is_whatever_the_resolution_of_the_boxes():
    large, small = BLACK.copy(), BLACK.copy()
    draw(large, faces(200, 100), {})
    draw(small, faces(4, 4), {})
    np.testing.assert_array_equal(large, small)
    assert large[50, 100].any() and large[50, 150].any() and not large[50, 125].any() and not large[:, :80].any()


def test_sure_state_stands_out():
    states = [EmotionState(label="happy", confidence=0.9, uncertain=uncertain) for uncertain in (False, True)]
    pictures = [BLACK.copy(), BLACK.copy()]
    for picture, state in zip(pictures, states, strict=True):
        draw(picture, faces(200, 100), {"face_1": state})
    assert pictures[0].max() > pictures[1].max()


@pytest.mark.parametrize("x_px", [float("nan"), float("inf")])
def test_face_whose_box_is_none_is_left_out_and_the_others_are_drawn(x_px):
    message, picture, expected = faces(200, 100), BLACK.copy(), BLACK.copy()
    message.faces.insert(0, FaceCrop(track_id="bad", x_px=x_px, width_px=10.0, height_px=10.0))
    (refusal,) = draw(picture, message, {})
    draw(expected, faces(200, 100), {})
    np.testing.assert_array_equal(picture, expected)
    assert "expected finite edges and positive sides" in refusal


def test_nobody_is_drawn_where_no_size_is_told():
    with np.errstate(all="raise"):
        assert draw(BLACK.copy(), FaceCropArray(), {}) == []


def test_edges_far_outside_the_image_are_not_seen():
    message, picture = faces(200, 100), BLACK.copy()
    message.faces[0].x_px, message.faces[0].width_px = -1e12, 2e12
    assert draw(picture, message, {}) == []
    assert picture[25, 100].any() and picture[75, 100].any() and not picture[35:65].any()


def test_label_of_a_face_at_the_right_edge_is_whole():
    state = EmotionState(label="surprised", confidence=0.9)
    letters = []
    for x_px in (0, 380):
        message, picture = faces(400, 100), np.zeros((100, 400, 3), np.uint8)
        face = message.faces[0]
        face.x_px, face.y_px, face.width_px, face.height_px = float(x_px), 50.0, 20.0, 40.0
        draw(picture, message, {"face_1": state})
        letters.append(int((picture[30:48] > 100).sum()))
    assert letters[0] > 300 and letters[1] == pytest.approx(letters[0], rel=0.1)


def test_image_is_drawn_with_its_own_faces_while_somebody_watches(graph):
    node = graph.start(OverlayNode)
    assert not list(node.subscriptions), "nobody watches"
    images = graph.listen(Image, "/emotion/image", 1)
    camera = graph.speak(Image, "/emotion/camera/image")
    detector = graph.speak(FaceCropArray, "/emotion/faces")

    def has_come():
        camera.publish(rgb_to_image(BLACK, HEADER))
        detector.publish(faces(200, 100))
        return images

    graph.wait_for(has_come, "the overlay")
    assert images[0].header == HEADER
    assert image_to_rgb(images[0])[50, 100].any()
    (watching,) = (s for s in graph.node.subscriptions if s.topic_name == "/emotion/image")
    graph.node.destroy_subscription(watching)
    graph.wait_for(lambda: not list(node.subscriptions), "the end of all work")
    assert not node._images and not node._states


def test_images_that_cannot_be_drawn_over_are_said_and_the_next_one_is_drawn(graph):
    graph.start(OverlayNode)
    images = graph.listen(Image, "/emotion/image", 1)
    diagnostics = graph.listen_to_diagnostics()
    camera = graph.speak(Image, "/emotion/camera/image")
    detector = graph.speak(FaceCropArray, "/emotion/faces")

    def show(image):
        camera.publish(image)
        detector.publish(faces(200, 100))

    def error():
        show(Image(header=HEADER, height=1, width=1, step=2, encoding="16UC1", data=[0, 0]))
        return [status.message for status in diagnostics if status.level == DiagnosticStatus.ERROR]

    assert "'16UC1'; expected one of" in graph.wait_for(error, "the diagnosis")[0]
    assert not images

    def has_come():
        show(rgb_to_image(BLACK, HEADER))
        return images

    graph.wait_for(has_come, "the overlay")


def test_of_images_that_wait_too_long_for_their_faces_the_newest_are_kept(graph):
    node = graph.start(OverlayNode, image_topic="/head/image", image_transport="compressed")
    images = graph.listen(Image, "/emotion/image", 1)
    graph.speak(CompressedImage, "/head/image")
    for number in range(31):
        node._on_image(CompressedImage(header=Header(stamp=Time(sec=100, nanosec=number * KEPT_NS // 20))))
    assert len(node._images) == 21
    node._on_image(CompressedImage(header=HEADER, format="png", data=cv2.imencode(".png", BLACK)[1].tobytes()))
    node._on_faces(faces(200, 100))
    assert graph.wait_for(lambda: images, "the overlay")[0].header == HEADER


@pytest.mark.parametrize(("state_s", "is_shown"), [(4, True), (3, False), (6, True), (7, False)])
def test_state_of_another_time_is_not_shown(graph, state_s, is_shown):
    node = graph.start(OverlayNode)
    images = graph.listen(Image, "/emotion/image", 1)
    graph.wait_for(node._publisher.get_subscription_count, "the subscription")
    state = EmotionState(header=Header(stamp=Time(sec=state_s)), track_id="face_1", label="happy", confidence=0.9)
    node._on_states(EmotionStateArray(states=[state]))
    node._on_image(rgb_to_image(BLACK, HEADER))
    node._on_faces(faces(200, 100))
    expected = BLACK.copy()
    draw(expected, faces(200, 100), {"face_1": state} if is_shown else {})
    np.testing.assert_array_equal(image_to_rgb(graph.wait_for(lambda: images, "the overlay")[0]), expected)


@pytest.mark.usefixtures("one_type_a_topic")
def test_camera_that_the_process_has_in_another_form_is_said_and_does_not_end_it(graph):
    graph.node.create_subscription(CompressedImage, "/emotion/camera/image", lambda _: None, 1)
    node = graph.start(OverlayNode)
    graph.listen(Image, "/emotion/image", 1)

    def error():
        return node.diagnose().message if node._is_watched else ""

    message = graph.wait_for(error, "the diagnosis")
    assert message.startswith("emotion/camera/image cannot carry Image, as this process has it with another type")


def test_watcher_who_sees_nothing_is_told_which_camera_is_awaited(graph, monkeypatch):
    monkeypatch.setattr(arrivals, "SILENCE_LIMIT_S", 0.3)
    node = graph.start(OverlayNode, image_topic="/head/image")

    def warning():
        return [diagnosis.message] if (diagnosis := node.diagnose()).level == DiagnosticStatus.WARN else []

    assert not warning(), "nobody watches"
    graph.listen(Image, "/emotion/image", 1)
    (message,) = graph.wait_for(warning, "the diagnosis")
    assert message.startswith("Nothing publishes /head/image, expected sensor_msgs/msg/Image")
    assert "check image_topic and image_transport of overlay_node" in message
