"""The whole chain in one process, configured and activated.

For machines without `ros2 launch`, and for the robot, where every further process copies the images once more. Nodes,
topics and parameter files are the same as with one process per node.
"""

import argparse
from functools import partial
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
    """The class of a node; its module is imported only now, as a process that died must be back soon."""
    node: type[PerceptionNode] = getattr(import_module(f"emotion_perception.nodes.{name}"), NODES[name])
    return node


def make_node(name: str) -> PerceptionNode:
    """Import and make a node: when the process already heeds signals, as that may take a while."""
    return node_class(name)()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="emotion_pipeline", description=__doc__, epilog="Parameters: --ros-args --params-file FILE"
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--source",
        choices=SOURCES,
        default="topics",
        help="topics: those of a robot; live: this computer's camera and microphone; "
        "file: media_player_node's path, whose end is the end of the process (default: %(default)s)",
    )
    chosen.add_argument(
        "--nodes",
        nargs="+",
        choices=NODES,
        metavar="NODE",
        help=f"these nodes instead, sources last: {', '.join(NODES)}",
    )
    arguments = own_arguments(parser)
    names = arguments.nodes or [*CHAIN, *SOURCES[arguments.source]]
    run_active([partial(make_node, name) for name in names])


if __name__ == "__main__":
    main()
