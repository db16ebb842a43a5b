"""The messages of ROS4HRI (REP-155), which need not be installed: they are imported when they are asked for."""

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
