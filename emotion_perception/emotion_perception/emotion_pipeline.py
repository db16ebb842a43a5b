"""The whole chain in one process, configured and activated.

For machines without `ros2 launch`, and for the robot, where every further process copies the images once more. The
nodes, topics and parameter files are those of the one-node-a-process form.
"""

import argparse
from importlib import import_module

from emotion_perception.nodes.perception_node import PerceptionNode
from emotion_perception.nodes.starting import own_arguments, run_active

NODES = {
    "audio_window_node": "AudioWindowNode",
    "camera_node": "CameraNode",
    "emotion_fusion_node": "EmotionFusionNode",
    "face_crop_node": "FaceCropNode",
    "hri_bridge_node": "HriBridgeNode",
    "hri_faces_node": "HriFacesNode",
    "media_player_node": "MediaPlayerNode",
    "microphone_node": "MicrophoneNode",
    "overlay_node": "OverlayNode",
}
CHAIN = ("face_crop_node", "audio_window_node", "emotion_fusion_node")
SOURCES = {"topics": (), "live": ("camera_node", "microphone_node"), "file": ("media_player_node",)}


def node_class(name: str) -> type[PerceptionNode]:
    """The class of a node; its module is not imported before, for a process that died must be back soon."""
    node: type[PerceptionNode] = getattr(import_module(f"emotion_perception.nodes.{name}"), NODES[name])
    return node


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="emotion_pipeline", description=__doc__, epilog="Parameters: --ros-args --params-file FILE"
    )
    parser.add_argument(
        "--source",
        choices=SOURCES,
        default="topics",
        help="topics: those of a robot; live: this computer's camera and microphone; "
        "file: media_player_node's path, whose end is the end of the process (default: %(default)s)",
    )
    parser.add_argument(
        "--nodes",
        nargs="+",
        choices=NODES,
        metavar="NODE",
        help=f"the nodes instead, sources last: {', '.join(NODES)}",
    )
    arguments = own_arguments(parser)
    names = arguments.nodes or [*CHAIN, *SOURCES[arguments.source]]
    run_active([node_class(name) for name in names])


if __name__ == "__main__":
    main()
