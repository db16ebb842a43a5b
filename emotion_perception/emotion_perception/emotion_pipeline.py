"""The whole chain in one process and one executor, configured and activated.

For machines without `ros2 launch`, and for the robot, where every further process copies the images once more. The
nodes, topics and parameter files are those of the one-node-a-process form.
"""

import argparse
import sys
import threading
from collections.abc import Sequence

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

# After the end of a file, for its last frames to become states.
DRAIN_S = 0.2


def bring_to_active(nodes: Sequence[PerceptionNode]) -> bool:
    """Configure all nodes, then activate them in order; false when one refuses, which has said why."""
    return all(
        transition(node) == TransitionCallbackReturn.SUCCESS
        for transition in (PerceptionNode.trigger_configure, PerceptionNode.trigger_activate)
        for node in nodes
    )


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
    if not spin([FaceCropNode, AudioWindowNode, EmotionFusionNode, *sources], bring_to_active, stop):
        sys.exit(1)


if __name__ == "__main__":
    main()
