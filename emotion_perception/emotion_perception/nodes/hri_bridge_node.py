"""Faces and their emotions in the form of ROS4HRI (REP-155)."""

from collections.abc import Sequence
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_msgs.msg import EmotionState, EmotionStateArray, FaceCrop, FaceCropArray
from emotion_perception.core.face_tracker import MAX_INTERVAL_S
from emotion_perception.core.image_messages import ImageError, image_to_rgb
from emotion_perception.core.stamps import NANOSECONDS_PER_S, to_nanoseconds
from emotion_perception.nodes import topics
from emotion_perception.nodes.arrivals import Diagnosis
from emotion_perception.nodes.conversions import check_image_size, rgb_to_image
from emotion_perception.nodes.hri_messages import face_topic, hri_messages
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode
from emotion_perception.nodes.starting import run

MAX_INTERVAL_NS = round(MAX_INTERVAL_S * NANOSECONDS_PER_S)
NEWEST = QoSProfile(depth=1)
LOOK_PERIOD_S = 0.2  # how often the node looks whether a face was lost while no image comes
# Labels for which hri_msgs/Expression has another word; for the others the word is the same, or there is none.
EXPRESSIONS = {
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "scared",
    "fearful": "scared",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}


@dataclass
class HriFace:
    """When a face was seen last, and what it is published by."""

    seen_ns: int
    publishers: dict[str, Publisher]  # by the last word of their topics


class HriBridgeNode(PerceptionNode):
    """Publishes each face under its id as long as it is tracked, and what it seems to feel."""

    PARAMETERS = (
        Parameter("hri_faces_topic", "Topic below which ROS4HRI expects faces"),
        Parameter(
            "publish_faces",
            "Whether to publish tracked, roi and cropped; false where hri_face_detect does that already",
        ),
        Parameter("max_lost_s", "A face unseen for longer is no longer tracked, in seconds", 0.0, 60.0),
    )

    def __init__(self) -> None:
        super().__init__("hri_bridge_node")
        self._faces: dict[str, HriFace] = {}

    def configure(self) -> None:
        self._messages = hri_messages()
        self._topic = self.value("hri_faces_topic")
        self._max_lost_ns = round(self.value("max_lost_s") * NANOSECONDS_PER_S)
        # Of each face. The longest word first: where a topic of that name is possible the others are, and none is left
        # half made.
        self._types = {"expression": self._messages.Expression}
        self._tracked_publisher: Publisher | None = None
        if self.value("publish_faces"):
            self._types |= {"cropped": Image, "roi": self._messages.NormalizedRegionOfInterest2D}
            self._tracked_publisher = self.add_publisher(self._messages.IdsList, f"{self._topic}/tracked", NEWEST)

    def activate(self) -> None:
        self._expressions = 0
        self._scene = 0  # of the newest image
        self._newest_ns = 0  # its stamp
        self._refusal = ""
        self._ahead_ns = 0
        self.add_subscription(FaceCropArray, topics.FACES, self._on_faces, topics.QUEUE)
        self.add_subscription(EmotionStateArray, topics.STATES, self._on_states, topics.QUEUE)
        self.add_timer(LOOK_PERIOD_S, self._on_look)

    def deactivate(self) -> None:
        if self._faces:
            self._lose(list(self._faces))
            self._publish_tracked(Header(stamp=self.get_clock().now().to_msg()))

    def diagnose(self) -> Diagnosis:
        refusal, self._refusal = self._refusal, ""
        if refusal:
            return Diagnosis(DiagnosticStatus.ERROR, refusal)
        values = {"faces": len(self._faces), "expressions": self._expressions}
        if rival := self._find_rival():
            return Diagnosis(DiagnosticStatus.WARN, rival, values)
        return Diagnosis(values=values)

    def _find_rival(self) -> str:
        """Who else publishes what this node does; empty if nobody.

        To libhri a face is lost as soon as a message on `tracked` lacks it, so with two publishers all faces come and
        go with each message.
        """
        own = (self.get_name(), self.get_namespace())
        remedies = {}
        if self._tracked_publisher is not None:
            remedies[self._tracked_publisher.topic_name] = "end it, or take its faces (faces:=hri, publish_faces false)"
        remedies |= {face.publishers["expression"].topic_name: "end one of both" for face in self._faces.values()}
        for topic, remedy in remedies.items():
            for other in self.get_publishers_info_by_topic(topic):
                if (other.node_name, other.node_namespace) != own:
                    # In quotes, as the next face's is the same complaint, which the log need not hear again.
                    return f"{other.node_name} publishes '{topic}', too, expected this node alone; {remedy}."
        return ""

    def _on_faces(self, message: FaceCropArray) -> None:
        try:
            check_image_size(message)
        except ImageError as error:
            self._refusal = f"{topics.FACES}: {error}"
            return
        if self._tracked_publisher is not None and message.image_width_px == message.image_height_px == 1:
            # They would come back to hri_faces_node, and from there to here again, without an end.
            self._refusal = (
                f"{topics.FACES} holds the faces of ROS4HRI, which are there already; set publish_faces to false."
            )
            return
        self._newest_ns = stamp_ns = to_nanoseconds(message.header.stamp)
        # The clock of another computer's camera may be far from ours, and faces are unseen by the time of the images.
        self._ahead_ns = stamp_ns - self.get_clock().now().nanoseconds
        if message.scene != self._scene:
            self._scene = message.scene
            self._lose(list(self._faces))
        for face in message.faces:
            try:
                if face.track_id not in self._faces:
                    self._faces[face.track_id] = HriFace(stamp_ns, self._add_publishers(face.track_id))
                self._faces[face.track_id].seen_ns = stamp_ns
                if self._tracked_publisher is not None:
                    self._publish_face(face, message)
            except ValueError as error:  # an id that makes no topics, or an ImageError
                self._refusal = str(error)
        self._lose_unseen(stamp_ns)
        self._publish_tracked(message.header)

    def _on_states(self, message: EmotionStateArray) -> None:
        for state in message.states:
            if state.track_id in self._faces:
                self._faces[state.track_id].publishers["expression"].publish(self._to_expression(state))
                self._expressions += 1

    def _on_look(self) -> None:
        now = self.get_clock().now()
        if self._lose_unseen(now.nanoseconds + self._ahead_ns):
            self._publish_tracked(Header(stamp=now.to_msg()))

    def _add_publishers(self, track_id: str) -> dict[str, Publisher]:
        """Those of one face; ValueError where its id makes no topics."""
        topic = face_topic(self._topic, track_id)
        return {word: self.add_publisher(of_type, f"{topic}/{word}", NEWEST) for word, of_type in self._types.items()}

    def _publish_face(self, face: FaceCrop, image: FaceCropArray) -> None:
        publishers = self._faces[face.track_id].publishers
        width_px, height_px = image.image_width_px, image.image_height_px
        publishers["roi"].publish(
            self._messages.NormalizedRegionOfInterest2D(
                header=image.header,
                xmin=max(face.x_px / width_px, 0.0),
                ymin=max(face.y_px / height_px, 0.0),
                xmax=min((face.x_px + face.width_px) / width_px, 1.0),
                ymax=min((face.y_px + face.height_px) / height_px, 1.0),
                c=face.score,
            )
        )
        if publishers["cropped"].get_subscription_count():
            publishers["cropped"].publish(_to_bgr(face.crop))

    def _publish_tracked(self, header: Header) -> None:
        if self._tracked_publisher is not None:
            self._tracked_publisher.publish(self._messages.IdsList(header=header, ids=list(self._faces)))

    def _lose_unseen(self, now_ns: int) -> bool:
        """Forget faces that were seen too long ago, or in a future from which time was set back."""
        lost = [name for name, face in self._faces.items() if abs(now_ns - face.seen_ns) > self._limit_ns(face)]
        self._lose(lost)
        return bool(lost)

    def _limit_ns(self, face: HriFace) -> int:
        """For how long it may be unseen; one in the newest image has until the next one of a slow camera."""
        in_newest_image = face.seen_ns == self._newest_ns
        return max(self._max_lost_ns, MAX_INTERVAL_NS) if in_newest_image else self._max_lost_ns

    def _lose(self, track_ids: Sequence[str]) -> None:
        for track_id in track_ids:
            for publisher in self._faces.pop(track_id).publishers.values():
                self.remove_publisher(publisher)

    def _to_expression(self, state: EmotionState) -> object:
        word = EXPRESSIONS.get(state.label, state.label)
        is_known = getattr(self._messages.Expression, word.upper(), None) == word
        return self._messages.Expression(
            header=state.header,
            expression=word if is_known else "",  # calm, for example, is none of ROS4HRI's: the numbers say it
            valence=state.valence,
            arousal=state.arousal,
            confidence=state.confidence,
        )


def _to_bgr(crop: Image) -> Image:
    """The crop as hri_face_detect gives it: libhri hands on the bytes alone, which its readers take for BGR."""
    image = rgb_to_image(image_to_rgb(crop)[..., ::-1], crop.header)
    image.encoding = "bgr8"
    return image


def main() -> None:
    run(HriBridgeNode)
