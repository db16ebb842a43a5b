"""Where the files of the suite's packages lie, and what the robot's parameters say."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

try:
    from ament_index_python.packages import get_package_share_directory
except ModuleNotFoundError:  # no ROS

    def get_package_share_directory(package_name: str) -> str:
        raise LookupError(package_name)


def package_share(package: str) -> Path:
    """The folder with config/, msg/ and the like of an installed package; where it is not, of its sources."""
    try:
        return Path(get_package_share_directory(package))
    except LookupError:  # then this is the source tree, where the packages lie side by side
        return Path(__file__).resolve().parents[2] / package


@cache
def robot_parameters(node: str) -> dict[str, Any]:
    """Those of one of the robot's nodes, from its own file, so that training sees and hears what the robot does."""
    path = package_share("emotion_perception") / "config" / "emotion_perception.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))[f"/**/{node}"]["ros__parameters"]
