"""The messages of ROS4HRI (REP-155), which need not be installed: they are imported when they are asked for."""

import re
from importlib import import_module
from types import ModuleType


def hri_messages() -> ModuleType:
    """The module hri_msgs.msg.

    Raises:
        ValueError: the package is not installed.
    """
    try:
        return import_module("hri_msgs.msg")
    except ModuleNotFoundError:
        raise ValueError(
            "hri_msgs is not installed, expected the messages of ROS4HRI; install ros-$ROS_DISTRO-hri-msgs."
        ) from None


def face_topic(topic: str, face_id: str) -> str:
    """The topic below which ROS4HRI has a face.

    Raises:
        ValueError: an id that a topic's name cannot hold, or would not hold as it is: `{node}` is replaced by rclpy.
    """
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", face_id):
        raise ValueError(
            f"The face id {face_id[:80]!r} makes no topic name; expected letters, digits and _, no digit first."
        )
    return f"{topic}/{face_id}"
