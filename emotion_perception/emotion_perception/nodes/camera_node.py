"""A webcam as a ROS camera."""

import time

import cv2
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.nodes.arrivals import Arrivals, Diagnosis
from emotion_perception.nodes.conversions import rgb_to_image
from emotion_perception.nodes.perception_node import Parameter, PerceptionNode
from emotion_perception.nodes.starting import run

RETRY_S = 0.2  # before a camera that gave no image is asked again
# Without an image for so long it is opened anew: one that was unplugged gives none any more when it is back. By time,
# as one that hangs lets each look for an image wait, ten seconds with V4L2.
REOPEN_S = 2.0


class CameraNode(PerceptionNode):
    """Reads a webcam in a thread of its own and publishes each image with the time at which it came."""

    PARAMETERS = (
        Parameter("device", "Number of the camera: 0 is /dev/video0", 0, 63),
        Parameter("width_px", "Wanted width of the images; the camera gives the nearest that it has", 16, 7680),
        Parameter("height_px", "Wanted height of the images", 16, 4320),
        Parameter("rate_hz", "Wanted images per second", 1.0, 240.0),
        Parameter("image_topic", "Topic of the images"),
        Parameter("frame_id", "Frame of the images"),
    )

    def __init__(self) -> None:
        super().__init__("camera_node")
        self._camera: cv2.VideoCapture | None = None

    def configure(self) -> None:
        device = self.value("device")
        self._camera = cv2.VideoCapture(device)
        if not self._camera.isOpened():
            raise ValueError(f"Camera {device} does not open; is /dev/video{device} there, readable and not in use?")
        self._set_up()
        self._publisher = self.add_publisher(Image, self.value("image_topic"), QoSProfile(depth=2))

    def cleanup(self) -> None:
        if self._camera is not None:
            self._camera.release()
            self._camera = None

    def activate(self) -> None:
        self._arrivals = Arrivals(f"camera {self.value('device')}", "is it still plugged in?")
        self.start_thread(self._publish_images, "read the camera")

    def diagnose(self) -> Diagnosis:
        return self._arrivals.diagnose()

    def _set_up(self) -> None:
        self._camera.set(cv2.CAP_PROP_FRAME_WIDTH, self.value("width_px"))
        self._camera.set(cv2.CAP_PROP_FRAME_HEIGHT, self.value("height_px"))
        self._camera.set(cv2.CAP_PROP_FPS, self.value("rate_hz"))
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # an image that waits is an image that is late

    def _publish_images(self) -> None:
        since_s = time.monotonic()
        while not self.stopping.is_set():
            is_there, pixels = self._camera.read()
            if not is_there:
                self.stopping.wait(RETRY_S)
                if time.monotonic() - since_s >= REOPEN_S:
                    since_s = time.monotonic()
                    if self._camera.open(self.value("device")):
                        self._set_up()
                continue
            since_s = time.monotonic()
            header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.value("frame_id"))
            self._arrivals.receive()
            if self._publisher.get_subscription_count():
                self._publisher.publish(rgb_to_image(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), header))


def main() -> None:
    run(CameraNode)
