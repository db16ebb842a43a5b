"""What the launch files ask for and what they say about it; that they work is tested in tests/test_launch.py."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

launch = pytest.importorskip(
    "launch", reason="launch and launch_ros are not installed: they come with ROS, not from PyPI"
)
pytest.importorskip("launch_ros")
from launch.launch_description_sources import get_launch_description_from_python_launch_file  # noqa: E402

from emotion_bringup.launching import FAST_DDS_PROFILES, discovery_environment  # noqa: E402

FOLDER = Path(__file__).parents[1] / "launch"
FILES = sorted(FOLDER.glob("*.launch.py"))


def arguments(path):
    description = get_launch_description_from_python_launch_file(str(path))
    return {argument.name: argument for argument in description.get_launch_arguments()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_argument_has_a_description(path):
    for argument in arguments(path).values():
        assert argument.description and argument.description != "no description given"


def test_tiago_takes_what_a_robot_needs():
    assert arguments(FOLDER / "tiago.launch.py").keys() >= {
        *("camera", "image_topic", "image_transport", "audio_source", "audio_topic", "model", "params"),
        *("composed", "use_sim_time", "namespace", "log_level", "faces", "hri", "overlay"),
    }


def test_unknown_preset_is_named_with_the_known_ones():
    argument = arguments(FOLDER / "tiago.launch.py")["camera"]
    context = launch.LaunchContext()
    context.launch_configurations["camera"] = "kinect"
    with pytest.raises(RuntimeError, match="\"camera\".*\"kinect\".*'classic', 'compressed', 'gz', 'realsense'"):
        argument.execute(context)


def test_fast_dds_profile_is_the_default_of_every_participant(monkeypatch):
    monkeypatch.delenv(FAST_DDS_PROFILES, raising=False)
    (participant,) = ElementTree.parse(discovery_environment()[FAST_DDS_PROFILES]).getroot()
    assert participant.get("is_default_profile") == "true"


def test_profiles_of_the_user_prevail(monkeypatch):
    monkeypatch.setenv(FAST_DDS_PROFILES, "mine.xml")
    assert discovery_environment() == {}
