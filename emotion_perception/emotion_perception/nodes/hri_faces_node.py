"""The faces that hri_face_detect finds, in place of those of our own detector."""

import math
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_msgs.msg import FaceCrop, FaceCropArray
from emotion_perception.core.image_messages import ImageError, image_to_rgb
from emotion_perception.nodes import topics
from emotion_perception.nodes.arrivals import Arrivals, Diagnosis, TopicArrivals
from emotion_perception.nodes.conversions import rgb_to_image
from emotion_perception.nodes.hri_messages import face_topic, hri_messages
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode
from emotion_perception.nodes.starting import run

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# For how long an image waits for those whom the image before had missed: hri_face_detect tracks a face for a while
# without a crop.
PATIENCE_S = 0.03


class HriFacesNode(PerceptionNode):
    """Gathers the crops of one image from their topics, one a face, into one message.

    ROS4HRI tells boxes as parts of the image and not its size, so the image is said to be 1x1 pixels large.
    """

    PARAMETERS = (Parameter("hri_faces_topic", "Topic below which ROS4HRI publishes faces"),)

    def __init__(self) -> None:
        super().__init__("hri_faces_node")

    def configure(self) -> None:
        self._messages = hri_messages()
        self._topic = self.value("hri_faces_topic")
        self._publisher = self.add_publisher(FaceCropArray, topics.FACES, topics.QUEUE)

    def activate(self) -> None:
        self._arrivals = TopicArrivals(self, self._messages.IdsList, f"{self._topic}/tracked", "hri_faces_topic")
        self._crops: Arrivals | None = None  # while there are faces
        self._subscriptions_of: dict[str, list[Subscription]] = {}
        self._regions: dict[str, Any] = {}  # the newest of each face
        self._gathered: dict[str, FaceCrop] = {}  # of one image
        self._header = Header()  # of that image
        self._shown: set[str] = set()  # of whom it had a crop so far
        self._missed: set[str] = set()  # of whom the image before had none
        self._patience = self.add_timer(PATIENCE_S, self._lose_patience, is_steady=True)
        self._patience.cancel()
        self.add_subscription(self._messages.IdsList, f"{self._topic}/tracked", self._on_tracked, NEWEST)

    def diagnose(self) -> Diagnosis:
        diagnosis = self._arrivals.diagnose(faces=len(self._subscriptions_of))
        crops = self._crops.diagnose() if self._crops else Diagnosis()
        if diagnosis.level == DiagnosticStatus.OK != crops.level:
            return Diagnosis(crops.level, crops.message, diagnosis.values)
        return diagnosis

    def _on_tracked(self, message: Any) -> None:
        self._arrivals.receive()
        for face_id in self._subscriptions_of.keys() - set(message.ids):
            self._regions.pop(face_id, None)
            for subscription in self._subscriptions_of.pop(face_id):
                self.remove_subscription(subscription)
        for face_id in set(message.ids) - self._subscriptions_of.keys():
            try:
                self._subscriptions_of[face_id] = self._subscribe(face_id)
            except ValueError as error:
                self._arrivals.refuse(str(error))
        if not self._subscriptions_of:
            self._crops = None
        elif self._crops is None:
            topics = f"{self._topic}/<id>/roi and {self._topic}/<id>/cropped of the tracked faces"
            self._crops = Arrivals(topics, "does hri_face_detect publish both?")
        if not message.ids:
            self._publish()
            self._publisher.publish(FaceCropArray(header=message.header, image_width_px=1, image_height_px=1))

    def _subscribe(self, face_id: str) -> list[Subscription]:
        topic = face_topic(self._topic, face_id)
        region_type = self._messages.NormalizedRegionOfInterest2D
        # The region first: where both of an image wait, rclpy takes them in the order of their subscriptions.
        region = self.add_subscription(region_type, f"{topic}/roi", partial(self._on_region, face_id), NEWEST)
        try:
            crop = self.add_subscription(Image, f"{topic}/cropped", partial(self._on_cropped, face_id), NEWEST)
        except ValueError:  # a longer name
            self.remove_subscription(region)
            raise
        return [region, crop]

    def _on_region(self, face_id: str, region: Any) -> None:
        self._regions[face_id] = region

    def _on_cropped(self, face_id: str, image: Image) -> None:
        region = self._regions.get(face_id)
        if region is not None and self._crops:
            self._crops.receive()
        if not self._publisher.get_subscription_count():
            self._gathered.clear()
            return
        if region is None:
            return
        try:
            crop = rgb_to_image(image_to_rgb(image), image.header)
        except ImageError as error:
            # In quotes, as the next face's is the same complaint, which the log need not hear again.
            self._arrivals.refuse(f"'{self._topic}/{face_id}/cropped': {error}")
            return
        if image.header.stamp != self._header.stamp:
            self._publish()
            self._missed, self._shown = self._lacking(), set()
            self._patience.reset()
        self._header = image.header
        self._shown.add(face_id)
        self._gathered[face_id] = FaceCrop(
            track_id=face_id,
            score=region.c,
            x_px=region.xmin,
            y_px=region.ymin,
            width_px=region.xmax - region.xmin,
            height_px=region.ymax - region.ymin,
            crop=crop,
            mouth_opening=math.nan,
        )
        if not self._lacking():
            self._publish()
        elif self._patience.is_canceled():
            self._lose_patience()

    def _lacking(self) -> set[str]:
        """Of whom the image has no crop yet."""
        return self._subscriptions_of.keys() - self._shown

    def _lose_patience(self) -> None:
        """Wait no more for those whom the image before had missed."""
        self._patience.cancel()
        if self._lacking() <= self._missed:
            self._publish()

    def _publish(self) -> None:
        """Give what was gathered of one image."""
        if self._gathered:
            faces = list(self._gathered.values())
            self._publisher.publish(
                FaceCropArray(header=self._header, image_width_px=1, image_height_px=1, faces=faces)
            )
        self._gathered.clear()


def main() -> None:
    run(HriFacesNode)
