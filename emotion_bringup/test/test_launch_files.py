"""What the launch files ask for and what they say about it; that they work is tested in tests/test_launch.py."""

import json
import os
import runpy
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest
import yaml

launch = pytest.importorskip(
    "launch", reason="launch and launch_ros are not installed: they come with ROS, not from PyPI"
)
pytest.importorskip("launch_ros")
from launch.actions import IncludeLaunchDescription, LogInfo, SetEnvironmentVariable  # noqa: E402
from launch.launch_description_sources import get_launch_description_from_python_launch_file  # noqa: E402
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions  # noqa: E402

from emotion_bringup import launching  # noqa: E402
from emotion_bringup.launching import FAST_DDS_PROFILES, fast_dds_environment  # noqa: E402

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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_argument_offers_a_value_that_cannot_be_given(path):
    """`name:=` is refused by ros2 launch, so that only a default may be empty."""
    for argument in arguments(path).values():
        default = perform_substitutions(launch.LaunchContext(), argument.default_value or [])
        assert default == "" or not ("" in (argument.choices or ()) or "empty:" in argument.description), argument.name


def test_fast_dds_profile_is_the_default_of_every_participant(monkeypatch):
    monkeypatch.delenv(FAST_DDS_PROFILES, raising=False)
    root = ElementTree.parse(fast_dds_environment()[FAST_DDS_PROFILES]).getroot()
    participants = [element for element in root if element.tag.endswith("participant")]
    assert [participant.get("is_default_profile") for participant in participants] == ["true"]


@pytest.mark.parametrize(
    "fields, said",
    [
        (None, "install ros-$ROS_DISTRO-audio-common-msgs."),
        ({"data": []}, ""),
        ({"int16_data": []}, "the other of the two packages"),  # mgonzs13's
    ],
)
def test_a_robot_that_cannot_be_heard_starts_with_its_face_and_says_why(monkeypatch, fields, said):
    for name in ("audio_common_msgs", "audio_common_msgs.msg"):
        monkeypatch.setitem(sys.modules, name, fields and ModuleType(name))
    if fields:
        sys.modules["audio_common_msgs.msg"].AudioData = type("AudioData", (), fields)
    description = get_launch_description_from_python_launch_file(str(FOLDER / "tiago.launch.py"))
    context = launch.LaunchContext()
    for argument in description.get_launch_arguments():
        argument.execute(context)
    assert context.launch_configurations["audio_source"] == ("topic" if said else "audio_in")
    started = description.entities[-1].execute(context)
    lines = [perform_substitutions(context, line.msg) for line in started if isinstance(line, LogInfo)]
    assert len(lines) == bool(said) and all(said in line for line in lines)


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What the nodes of media.launch.py are told by its arguments alone, by whole name."""
    monkeypatch.setattr(launching.launch_config, "_log_dir", str(tmp_path))

    def tell(**values):
        context = launch.LaunchContext()
        context.launch_configurations.update(values)
        for argument in arguments(FOLDER / "media.launch.py").values():
            argument.execute(context)
        nodes = ["face_crop_node", "media_player_node"]
        given = launching._ros_arguments(context.launch_configurations, "topic", "topic", nodes)
        files = given[given.index("--params-file") + 1 :: 2] if "--params-file" in given else []
        return [yaml.safe_load(Path(file).read_text()) for file in files]

    return tell


def test_what_an_argument_leaves_open_is_left_to_the_parameters(told):
    assert told(path="") == []
    assert told(path="", faces="hri") == []


def test_each_node_is_told_what_it_has_a_parameter_for(told):
    (sections,) = told(path="talk.mp4", use_sim_time="true")
    assert sections == {
        "/face_crop_node": {"ros__parameters": {"use_sim_time": True}},
        "/media_player_node": {"ros__parameters": {"path": "talk.mp4", "use_sim_time": True}},
    }


@pytest.mark.parametrize(
    ("pushed", "own", "name"),
    [
        ("", "robot", "/robot/media_player_node"),
        ("/lab", "robot", "/lab/robot/media_player_node"),
        ("/lab", "", "/lab/media_player_node"),
    ],
)
def test_arguments_reach_nodes_in_every_namespace(told, pushed, own, name):
    (sections,) = told(path="talk.mp4", namespace=own, **({"ros_namespace": pushed} if pushed else {}))
    assert list(sections) == [name]


def test_profiles_of_the_user_prevail(monkeypatch):
    monkeypatch.setenv(FAST_DDS_PROFILES, "mine.xml")
    assert fast_dds_environment() == {}


@pytest.fixture
def simulation(monkeypatch, tmp_path):
    """Execute simulation.launch.py's start with arguments, in a context where tiago_gazebo may be installed."""

    def start(is_installed, **values):
        if is_installed:
            (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
            (tmp_path / "share/ament_index/resource_index/packages/tiago_gazebo").touch()
            (tmp_path / "share/tiago_gazebo").mkdir()
            monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path), prepend=os.pathsep)
        context = launch.LaunchContext()
        context.launch_configurations.update(values)
        return context, runpy.run_path(str(FOLDER / "simulation.launch.py"))["_start"](context, Path("/models"))

    return start


def test_simulation_without_tiago_gazebo_says_what_to_install(simulation):
    with pytest.raises(RuntimeError, match="tiago_gazebo is not installed.*install ros-humble-tiago-gazebo"):
        simulation(is_installed=False, gazebo_version="classic", path="")


@pytest.mark.parametrize(
    ("version", "variable"), [("classic", "GAZEBO_MODEL_PATH"), ("gazebo", "GZ_SIM_RESOURCE_PATH")]
)
def test_simulation_gives_tiago_our_world_and_models(simulation, monkeypatch, version, variable):
    monkeypatch.setenv(variable, "/others")
    context, (path, group, *_) = simulation(is_installed=True, gazebo_version=version, path="", world_name="/worlds/w")
    path.execute(context)
    assert os.environ[variable] == os.pathsep.join(["/others", "/models"])
    (include,) = (action for action in group.get_sub_entities() if isinstance(action, IncludeLaunchDescription))
    given = {
        name: perform_substitutions(context, normalize_to_list_of_substitutions(value))
        for name, value in include.launch_arguments
    }
    assert given == {"is_public_sim": "True", "world_name": "/worlds/w", "gazebo_version": version}


def test_a_face_whose_mouth_does_not_move_in_the_simulation_gets_the_voice_of_the_file(simulation, told):
    context, (*_, loop, mouth, _) = simulation(is_installed=True, gazebo_version="gazebo", path="voice.wav")
    visit(context, [loop, mouth])
    (sections,) = told(**context.launch_configurations)
    assert sections["/face_crop_node"] == {"ros__parameters": {"mouth_from_faces": 2}}
    assert sections["/media_player_node"] == {"ros__parameters": {"path": "voice.wav", "loop": True}}


def test_the_simulator_has_the_transport_of_the_nodes_for_its_images(simulation, monkeypatch):
    monkeypatch.delenv(FAST_DDS_PROFILES, raising=False)
    context, (_, group, *_) = simulation(is_installed=True, gazebo_version="classic", path="", world_name="/worlds/w")
    entities = group.get_sub_entities()
    (transport,) = (entity for entity in entities if isinstance(entity, SetEnvironmentVariable))
    (include,) = (entity for entity in entities if isinstance(entity, IncludeLaunchDescription))
    assert entities.index(transport) < entities.index(include)
    transport.execute(context)
    assert context.environment[FAST_DDS_PROFILES].endswith("config/fastdds.xml")


STUB = """
import json
from pathlib import Path
from launch import LaunchDescription
from launch.actions import OpaqueFunction

def generate_launch_description():
    def tell(context):
        Path(__file__).with_suffix(".json").write_text(json.dumps(context.launch_configurations))
    return LaunchDescription([OpaqueFunction(function=tell)])
"""


def visit(context, entities):
    for entity in entities:
        visit(context, entity.visit(context) or [])


def test_the_simulation_hears_its_own_arguments_and_none_of_ours(simulation, tmp_path):
    ours = arguments(FOLDER / "simulation.launch.py").keys() - {"gazebo_version", "world_name"}
    given = {**dict.fromkeys(ours, ""), "namespace": "robot1", "params": "mine.yaml", "use_sim_time": "true"}
    theirs = {"gazebo_version": "classic", "world_name": "/worlds/w", "moveit": "False"}
    context, (path, group, *_) = simulation(is_installed=True, **given, **theirs)
    launch_file = tmp_path / "share/tiago_gazebo/launch/tiago_gazebo.launch.py"
    launch_file.parent.mkdir()
    launch_file.write_text(STUB)
    visit(context, [path, group])
    heard = json.loads(launch_file.with_suffix(".json").read_text())
    assert heard == {**theirs, "is_public_sim": "True"}
    assert context.launch_configurations.items() >= given.items()
