"""The camera's image with the faces and what they seem to feel drawn over, for a person who watches."""

from collections import OrderedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from emotion_msgs.msg import EmotionState, EmotionStateArray, FaceCropArray
from emotion_perception.core.face_box import Box
from emotion_perception.core.image_messages import ImageError
from emotion_perception.core.stamps import NANOSECONDS_PER_S, to_nanoseconds
from emotion_perception.nodes import topics
from emotion_perception.nodes.arrivals import Diagnosis, TopicArrivals
from emotion_perception.nodes.conversions import check_image_size, image_format, rgb_to_image
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode
from emotion_perception.nodes.starting import run

LOOK_PERIOD_S = 0.5  # how often the node looks whether somebody watches
KEPT_NS = NANOSECONDS_PER_S // 2  # so long an image waits until its faces have been found
# A state so far from the image says nothing about it: the fusion is paused, has died or is of another clock.
STATE_LIMIT_NS = NANOSECONDS_PER_S
OUTSIDE_PX = 10  # where an edge is not seen any more; OpenCV draws nothing that is billions of pixels away
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
INK, FAINT = (255, 255, 255), (150, 150, 150)


class OverlayNode(PerceptionNode):
    """Draws while somebody watches; else it does not even listen, so that nobody works for it."""

    PARAMETERS = (
        Parameter("image_topic", "Topic of the camera images that face_crop_node sees"),
        Parameter("image_transport", "Form of the images, as for face_crop_node"),
    )

    def __init__(self) -> None:
        super().__init__("overlay_node")

    def configure(self) -> None:
        self._message_type, self._to_rgb = image_format(self.value("image_transport"))
        self._publisher = self.add_publisher(Image, topics.OVERLAY, QoSProfile(depth=1))

    def activate(self) -> None:
        self._subscriptions_of_watching: list[Subscription] = []
        self._images: OrderedDict[int, Image | CompressedImage] = OrderedDict()  # by stamp in nanoseconds
        self._states: dict[str, EmotionState] = {}  # the newest, by track id
        self._drawn = 0
        self._is_watched = False
        self._arrivals = self._expect_images()
        self.add_timer(LOOK_PERIOD_S, self._on_look)

    def diagnose(self) -> Diagnosis:
        values = {"images": self._drawn}
        return self._arrivals.diagnose(**values) if self._is_watched else Diagnosis(values=values)

    def _expect_images(self) -> TopicArrivals:
        """The images of the camera from now on."""
        parameters = "image_topic and image_transport of overlay_node"
        return TopicArrivals(self, self._message_type, self.value("image_topic"), parameters)

    def _on_look(self) -> None:
        is_watched = bool(self._publisher.get_subscription_count())
        if is_watched and not self._is_watched:
            self._arrivals = self._expect_images()
        self._is_watched = is_watched
        if is_watched and not self._subscriptions_of_watching:
            try:
                self._subscriptions_of_watching = [
                    self.add_subscription(self._message_type, self.value("image_topic"), self._on_image, NEWEST),
                    self.add_subscription(FaceCropArray, topics.FACES, self._on_faces, topics.QUEUE),
                    self.add_subscription(EmotionStateArray, topics.STATES, self._on_states, topics.QUEUE),
                ]
            except ValueError as error:  # the topic is another node's of this process, with another type
                self._arrivals.refuse(str(error))
        if not is_watched:
            while self._subscriptions_of_watching:
                self.remove_subscription(self._subscriptions_of_watching.pop())
            self._images.clear()
            self._states = {}

    def _on_image(self, image: Image | CompressedImage) -> None:
        self._arrivals.receive()
        stamp_ns = to_nanoseconds(image.header.stamp)
        self._images[stamp_ns] = image
        while abs(stamp_ns - next(iter(self._images))) > KEPT_NS:
            self._images.popitem(last=False)

    def _on_states(self, message: EmotionStateArray) -> None:
        self._states = {state.track_id: state for state in message.states}

    def _on_faces(self, faces: FaceCropArray) -> None:
        stamp_ns = to_nanoseconds(faces.header.stamp)
        image = self._images.pop(stamp_ns, None)
        if image is None:  # it was lost on the way, which is what best effort means
            return
        try:
            pixels = self._to_rgb(image).copy()
            check_image_size(faces)
        except ImageError as error:
            self._arrivals.refuse(str(error))
            return
        states = {
            track_id: state
            for track_id, state in self._states.items()
            if abs(to_nanoseconds(state.header.stamp) - stamp_ns) <= STATE_LIMIT_NS
        }
        for refusal in draw(pixels, faces, states):
            self._arrivals.refuse(refusal)
        self._publisher.publish(rgb_to_image(pixels, faces.header))
        self._drawn += 1


def draw(pixels: NDArray[np.uint8], faces: FaceCropArray, states: dict[str, EmotionState]) -> list[str]:
    """Draw boxes and labels over an image (H, W, 3); boxes may be of another resolution.

    Returns:
        Why faces were left out, whose box is none.
    """
    if not faces.faces:  # and then, perhaps, no size
        return []
    refusals = []
    size_px = np.array([pixels.shape[1], pixels.shape[0]])  # (width, height)
    scale = size_px / (faces.image_width_px, faces.image_height_px)
    for face in faces.faces:
        try:
            box = Box(face.x_px, face.y_px, face.width_px, face.height_px)
        except ValueError as error:
            refusals.append(str(error))
            continue
        corners_px = np.array([(box.x_px, box.y_px), (box.x_px + box.width_px, box.y_px + box.height_px)]) * scale
        inside_px = np.clip(corners_px, -OUTSIDE_PX, size_px + OUTSIDE_PX)  # (2, 2)
        (left, top), (right, bottom) = inside_px.round().astype(int).tolist()
        state = states.get(face.track_id)
        ink = FAINT if state is None or state.uncertain else INK
        text = face.track_id if state is None else f"{face.track_id} {state.label} {state.confidence:.0%}"
        cv2.rectangle(pixels, (left, top), (right, bottom), ink, 2, cv2.LINE_AA)
        (text_width_px, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        place = (max(min(left, pixels.shape[1] - text_width_px), 0), max(top - 6, 14))
        for colour, width_px in (((0, 0, 0), 3), (ink, 1)):  # an outline is readable on any ground
            cv2.putText(pixels, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width_px, cv2.LINE_AA)
    return refusals


def main() -> None:
    run(OverlayNode)
