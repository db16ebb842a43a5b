"""The overlay shows what is known about each face, and is no work when nobody watches."""

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_msgs.msg import EmotionState, FaceCrop, FaceCropArray
from emotion_perception.nodes.conversions import image_to_rgb, rgb_to_image
from emotion_perception.nodes.overlay_node import OverlayNode, draw

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
