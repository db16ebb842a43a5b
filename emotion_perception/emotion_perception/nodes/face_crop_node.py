"""Camera images in, tracked face crops out."""

import math
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from emotion_msgs.msg import FaceCrop, FaceCropArray
from emotion_perception.core.face_crop import crop_face
from emotion_perception.core.scene_cut import SceneCuts
from emotion_perception.core.stamps import NANOSECONDS_PER_S, to_nanoseconds
from emotion_perception.nodes import topics
from emotion_perception.nodes.arrivals import Diagnosis, TopicArrivals
from emotion_perception.nodes.conversions import image_format, rgb_to_image
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode
from emotion_perception.nodes.starting import run

if TYPE_CHECKING:
    from emotion_perception.core.face_tracker import TrackedFace

# A mouth that speaks opens and shuts some four times a second: every second image of a camera shows that.
MOUTH_INTERVAL_S = 0.06


class FaceCropNode(PerceptionNode):
    """Finds and follows the faces of every image that comes while somebody wants them."""

    PARAMETERS = (
        Parameter(
            "image_topic",
            "Topic of the camera images; with image_transport compressed, of the compressed images",
        ),
        Parameter(
            "image_transport",
            "Form of the images: raw (sensor_msgs/Image) or compressed (sensor_msgs/CompressedImage)",
        ),
        Parameter(
            "min_score",
            "Detector score from which a finding is a face; higher: fewer false faces, more missed ones",
            0.0,
            1.0,
        ),
        Parameter("max_lost_s", "A face unseen for longer gets a new track id, in seconds", 0.0, 60.0),
        Parameter(
            "max_center_distance",
            "A face keeps its track id if its centre is at most this many face sizes from where it is expected",
            0.01,
            10.0,
        ),
        Parameter(
            "duplicate_overlap",
            "Of two findings that share more than this part of the smaller one's area, the one with the "
            "lower score is dropped",
            0.01,
            1.0,
        ),
        Parameter(
            "crop_px", "Side of the published crops, in pixels; for the shipped model they are scaled to 48", 16, 512
        ),
        Parameter(
            "mouth_from_faces",
            "Number of faces in an image from which their mouths are measured, to tell who speaks; 1: always; "
            "2: a single face gets any voice",
            1,
            100,
        ),
    )

    def __init__(self) -> None:
        super().__init__("face_crop_node")
        self._opened = ExitStack()  # until cleanup

    def configure(self) -> None:
        self._message_type, self._to_rgb = image_format(self.value("image_transport"))
        self._publisher = self.add_publisher(FaceCropArray, topics.FACES, topics.QUEUE)
        # MediaPipe and SciPy are most of a start. They are loaded while the others already discover this node, which
        # takes as long: one that died is back the sooner.
        from emotion_perception.core.face_detector import FaceDetector
        from emotion_perception.core.face_tracker import FaceTracker
        from emotion_perception.core.mouth_opening import MouthMeter

        self._tracker = FaceTracker(
            max_lost_s=self.value("max_lost_s"),
            max_center_distance=self.value("max_center_distance"),
            duplicate_overlap=self.value("duplicate_overlap"),
            # A node that died and is back counts from 1 again, and must not call another person by a former name.
            name_prefix=f"face_{secrets.token_hex(2)}",
        )
        self._scene_cuts = SceneCuts()
        self._detector = self._opened.enter_context(FaceDetector(self.value("min_score")))
        self._mouth_meter = self._opened.enter_context(MouthMeter())

    def cleanup(self) -> None:
        self._opened.close()

    def activate(self) -> None:
        topic = self.value("image_topic")
        self._arrivals = TopicArrivals(self, self._message_type, topic, "image_topic and image_transport")
        self._faces_found = self._mouths_measured = self._late_images = 0
        self._scene = 0
        self._mouths_seen_s = -math.inf  # when the mouths were measured last
        self._tracker.reset()
        self._scene_cuts.reset()
        # Only the newest image counts: one that waited would be late.
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.add_subscription(self._message_type, topic, self._on_image, qos)

    def diagnose(self) -> Diagnosis:
        return self._arrivals.diagnose(
            faces=self._faces_found, mouths_measured=self._mouths_measured, late_images=self._late_images
        )

    def _on_image(self, image: Image | CompressedImage) -> None:
        self._arrivals.receive()
        stamp_s = to_nanoseconds(image.header.stamp) / NANOSECONDS_PER_S
        if not self._publisher.get_subscription_count():
            return
        if self._tracker.is_late(stamp_s):
            self._late_images += 1
            return
        try:
            pixels = self._to_rgb(image)
            if self._scene_cuts.is_cut(pixels, stamp_s):
                self._scene += 1
                self._tracker.reset()
            faces = self._find_faces(pixels, stamp_s, image.header)
        except ValueError as error:  # an ImageError, or what the detector refuses
            self._arrivals.refuse(str(error))
            return
        self._faces_found += len(faces)
        height_px, width_px = pixels.shape[:2]
        self._publisher.publish(
            FaceCropArray(
                header=image.header,
                image_height_px=height_px,
                image_width_px=width_px,
                scene=self._scene,
                faces=faces,
            )
        )

    def _find_faces(self, pixels: NDArray[np.uint8], stamp_s: float, header: Header) -> list[FaceCrop]:
        """The faces in an image (H, W, 3); those that cannot be cut out are refused."""
        tracked = self._tracker.update(self._detector.detect(pixels), stamp_s)
        is_wanted = len(tracked) >= self.value("mouth_from_faces")
        with_mouths = is_wanted and abs(stamp_s - self._mouths_seen_s) >= MOUTH_INTERVAL_S
        if with_mouths:
            self._mouths_seen_s = stamp_s
            self._mouths_measured += len(tracked)
        faces = []
        for face in tracked:
            try:
                faces.append(self._cut_out(face, pixels, header, with_mouths))
            except ValueError as error:
                self._arrivals.refuse(str(error))
        return faces

    def _cut_out(self, face: "TrackedFace", pixels: NDArray[np.uint8], header: Header, with_mouth: bool) -> FaceCrop:
        """A face of an image (H, W, 3); ValueError if it lies outside, or is of a size that no face has there."""
        return FaceCrop(
            track_id=face.track_id,
            score=face.score,
            x_px=face.box.x_px,
            y_px=face.box.y_px,
            width_px=face.box.width_px,
            height_px=face.box.height_px,
            crop=rgb_to_image(crop_face(pixels, face.box, self.value("crop_px")), header),
            mouth_opening=self._mouth_meter.measure(pixels, face.box) if with_mouth else math.nan,
        )


def main() -> None:
    run(FaceCropNode)
