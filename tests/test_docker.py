"""The services say what a shell without any of their variables makes of them, and with paths as their comments give."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

COMPOSE = Path(__file__).parents[1] / "docker" / "compose.yaml"
TEXT = COMPOSE.read_text(encoding="utf-8")
SERVICES = yaml.safe_load(TEXT)["services"]


def unset(value):
    """As compose fills in variables that nobody has set."""
    return re.sub(r"\$\{\w+(:-|:\+)([^}]*)\}", lambda found: found[2] if found[1] == ":-" else "", value)


@pytest.mark.parametrize("name", SERVICES)
def test_no_argument_of_a_launch_is_without_its_value(name):
    command = unset(" ".join(SERVICES[name]["command"]).replace("$$", "$"))
    assert command and not re.search(r":=(\s|$)", command)


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "training"])
def test_a_service_of_the_robot_starts_a_launch_file_that_is_there(name):
    (file,) = re.findall(r"ros2 launch emotion_bringup (\S+)", " ".join(SERVICES[name]["command"]))
    assert (COMPOSE.parents[1] / "emotion_bringup" / "launch" / file).is_file()


@pytest.mark.parametrize("name", SERVICES)
def test_a_path_from_outside_is_bound_and_never_a_named_volume(name):
    for volume in SERVICES[name].get("volumes", []):
        if isinstance(volume, str):
            assert volume.startswith("./")
        else:
            assert volume["type"] == "bind" and not volume["bind"]["create_host_path"]


def test_paths_in_the_comments_are_whole_ones():
    given = re.findall(r"VOICE=(\S+)", TEXT)
    assert given and all(path.startswith("$PWD/") for path in given)


def test_the_files_that_the_image_copies_are_there():
    dockerfile = (COMPOSE.parent / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"docker/[\w.]+", dockerfile)
    assert copied and [path for path in copied if not (COMPOSE.parents[1] / path).is_file()] == []


def test_what_trains_finds_the_parameters_and_messages_of_the_robot_without_ros():
    root, dockerfile = COMPOSE.parents[1], (COMPOSE.parent / "Dockerfile.training").read_text(encoding="utf-8")
    code = """
import sys
sys.modules.update(dict.fromkeys(("ament_index_python", "ament_index_python.packages", "rclpy")))  # not installed
from emotion_training.bag_messages import message_types
from emotion_training.package_share import robot_parameters
print(robot_parameters("face_crop_node")["crop_px"], "emotion_msgs/msg/AudioChunk" in message_types(None).types)
"""
    python_path = re.search(r"PYTHONPATH=(\S+)", dockerfile)[1].replace("/emotion/", f"{root}/")
    environment = os.environ | {"PYTHONPATH": python_path}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.stdout.split() == ["96", "True"], run.stderr
    assert all(f"COPY {package}/" in dockerfile for package in ("emotion_msgs", "emotion_perception"))
