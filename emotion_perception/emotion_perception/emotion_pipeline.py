"""The whole chain in one process and one executor, configured and activated.

For machines without `ros2 launch`, and for the robot, where every further process copies the images once more. The
nodes, topics and parameter files are those of the one-node-a-process form.
"""

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.utilities import remove_ros_args

from emotion_perception.nodes.audio_window_node import AudioWindowNode
from emotion_perception.nodes.camera_node import CameraNode
from emotion_perception.nodes.emotion_fusion_node import EmotionFusionNode
from emotion_perception.nodes.face_crop_node import FaceCropNode
from emotion_perception.nodes.media_player_node import MediaPlayerNode
from emotion_perception.nodes.microphone_node import MicrophoneNode
from emotion_perception.nodes.perception_node import PerceptionNode
from emotion_perception.nodes.spinning import spin

# A file is played once: its first states would be lost while those who want them are still being discovered.
LISTENER_WAIT_S = 3.0
# After the end of a file, for its last frames to become states.
DRAIN_S = 0.2


def bring_to_active(nodes: Sequence[PerceptionNode], stop: threading.Event) -> bool:
    """Configure all nodes, then activate them in order; false when one refuses, which has said why."""
    if not all(node.trigger_configure() == TransitionCallbackReturn.SUCCESS for node in nodes):
        return False
    for node in nodes:
        if isinstance(node, MediaPlayerNode):
            wait_for_listener(nodes, stop)
        if node.trigger_activate() != TransitionCallbackReturn.SUCCESS:
            return False
    return True


def wait_for_listener(nodes: Sequence[PerceptionNode], stop: threading.Event) -> None:
    """Wait a while until somebody listens to the states."""
    (fusion_node,) = (node for node in nodes if isinstance(node, EmotionFusionNode))
    end_s = time.monotonic() + LISTENER_WAIT_S
    while not fusion_node.is_wanted() and time.monotonic() < end_s:
        if stop.wait(0.01):
            return


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="emotion_pipeline", description=__doc__, epilog="Parameters: --ros-args --params-file FILE"
    )
    parser.add_argument(
        "--source",
        choices=("topics", "live", "file"),
        default="topics",
        help="topics: those of a robot; live: this computer's camera and microphone; "
        "file: media_player_node's path, whose end is the end of the process (default: %(default)s)",
    )
    source = parser.parse_args(remove_ros_args(sys.argv)[1:]).source
    stop = threading.Event()

    def end() -> None:
        stop.wait(DRAIN_S)
        stop.set()

    sources = {
        "topics": [],
        "live": [CameraNode, MicrophoneNode],
        "file": [lambda: MediaPlayerNode(on_end=end)],
    }[source]
    # The sources stand last, so that they start when everybody listens.
    nodes = [FaceCropNode, AudioWindowNode, EmotionFusionNode, *sources]
    if not spin(nodes, partial(bring_to_active, stop=stop), stop):
        sys.exit(1)


if __name__ == "__main__":
    main()
