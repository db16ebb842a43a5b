"""What the launch files ask for and what they say about it; that they work is tested in tests/test_launch.py."""

import os
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

launch = pytest.importorskip(
    "launch", reason="launch and launch_ros are not installed: they come with ROS, not from PyPI"
)
pytest.importorskip("launch_ros")
from launch.actions import (  # noqa: E402
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.launch_description_sources import get_launch_description_from_python_launch_file  # noqa: E402
from launch.utilities import perform_substitutions  # noqa: E402

from emotion_bringup import launching  # noqa: E402
from emotion_bringup.fast_dds import FAST_DDS_PROFILES, fast_dds_environment  # noqa: E402
from emotion_perception.nodes import topics  # noqa: E402

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
        given = launching._ros_arguments(context.launch_configurations, [], nodes)
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


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What a launch file starts at once, and then when its nodes are active, each with what its process is given."""

    class Told(launching.Node):
        def __init__(self, **given):
            super().__init__(**given)
            self.given = given

    monkeypatch.setattr(launching, "Node", Told)
    monkeypatch.setattr(launching.launch_config, "_log_dir", str(tmp_path))

    def start(file, gate_status=0, is_shutdown=False, **values):
        description = get_launch_description_from_python_launch_file(str(FOLDER / file))
        context = launch.LaunchContext()
        context.launch_configurations.update(values)
        for argument in description.get_launch_arguments():
            argument.execute(context)
        entities = description.entities[-1].execute(context)
        handlers = [entity.event_handler for entity in entities if isinstance(entity, RegisterEventHandler)]
        now = [entity.given for entity in entities if not isinstance(entity, RegisterEventHandler)]
        context._set_is_shutdown(is_shutdown)
        gate_exit = SimpleNamespace(returncode=gate_status, process_name="wait_until_active-1")
        later = [entity for handler in handlers for entity in handler.handle(gate_exit, context) or []]
        return now, [getattr(entity, "given", entity) for entity in later[2:-1]]  # in a scope of their own

    return start


def end(given, status=0, is_shutdown=False):
    event = SimpleNamespace(returncode=status, process_name="node-1")
    return given["on_exit"](event, SimpleNamespace(is_shutdown=is_shutdown))


CHAIN = ["face_crop_node", "audio_window_node", "emotion_fusion_node"]
LIVE = {"camera": "local", "audio_source": "local"}
HEARD = {"audio_source": "audio_in"}


@pytest.mark.parametrize(
    ("file", "values", "nodes", "ends"),
    [
        ("media.launch.py", {"path": "talk.mp4"}, [*CHAIN, "media_player_node"], True),
        ("tiago.launch.py", LIVE, [*CHAIN, "camera_node", "microphone_node"], False),
        ("tiago.launch.py", HEARD | {"overlay": "true"}, [*CHAIN, "overlay_node"], False),
        ("tiago.launch.py", HEARD | {"hri": "true"}, [*CHAIN, "hri_bridge_node"], False),
        ("tiago.launch.py", HEARD | {"faces": "hri"}, ["hri_faces_node", *CHAIN[1:]], False),
    ],
)
def test_one_process_has_the_nodes_that_are_asked_for_and_ends_the_launch_if_a_file_is_played(
    started, file, values, nodes, ends
):
    (process,), later = started(file, **values)
    assert [process["executable"], *process["arguments"]] == ["emotion_pipeline", "--nodes", *nodes] and not later
    assert isinstance(end(process), Shutdown) is ends


def test_the_camera_and_microphone_of_a_launch_file_are_not_those_of_one_that_includes_it(started):
    others = {"camera": "gz", "audio_source": "local", "image_topic": "/front", "image_transport": "compressed"}
    (process,), _ = started("media.launch.py", path="talk.mp4", audio_topic="/ear", **others)
    assert process["arguments"] == ["--nodes", *CHAIN, "media_player_node"]
    (file,) = [Path(value) for value in process["ros_arguments"] if value.endswith(".yaml")]
    parameters = {"path": "talk.mp4"}
    assert yaml.safe_load(file.read_text()) == {"/media_player_node": {"ros__parameters": parameters}}


def test_processes_of_their_own_wait_with_the_file_until_the_others_are_active(started, monkeypatch):
    monkeypatch.delenv(FAST_DDS_PROFILES, raising=False)
    (*chain, gate), (player,) = started("media.launch.py", path="talk.mp4", composed="false", namespace="robot")
    assert [(given["executable"], given["arguments"]) for given in (*chain, player)] == [
        (name, ["--start"]) for name in (*CHAIN, "media_player_node")
    ]
    assert (gate["executable"], gate["arguments"]) == ("wait_until_active", CHAIN)
    assert all(given["respawn"] and given["respawn_delay"] > 0 for given in (*chain, player)) and "respawn" not in gate
    for given in (*chain, gate, player):
        assert given["namespace"] == "robot" and given["additional_env"] == fast_dds_environment() != {}
    assert [end(given) for given in chain] == [None] * 3 and isinstance(end(player), Shutdown)


def test_the_end_of_a_camera_or_microphone_ends_nothing(started):
    _, sources = started("tiago.launch.py", **LIVE, composed="false")
    assert [given["executable"] for given in sources] == ["camera_node", "microphone_node"]
    assert [end(given) for given in sources] == [None, None]


@pytest.mark.parametrize("composed", ["true", "false"])
def test_a_bag_is_played_when_the_nodes_are_active(started, composed):
    (*_, gate), (play,) = started("bag.launch.py", bag="talk", composed=composed, **HEARD)
    assert gate["arguments"] == CHAIN and isinstance(play, OpaqueFunction)


@pytest.mark.parametrize(("namespace", "topic"), [("", "/emotion/state"), ("robot", "/robot/emotion/state")])
def test_what_the_suite_said_when_a_bag_was_recorded_is_played_elsewhere(started, namespace, topic):
    _, (play,) = started("bag.launch.py", bag="talk", namespace=namespace, **HEARD)
    context = launch.LaunchContext()
    context.launch_configurations.update(bag="talk", namespace=namespace)
    player, wait = play.execute(context)
    assert isinstance(player, ExecuteProcess) and isinstance(wait, TimerAction)
    command = [perform_substitutions(context, part) for part in player.cmd]
    assert command[:7] == ["ros2", "bag", "play", "talk", "--clock", "--start-paused", "--remap"]
    assert {f"{topic}:=/recorded{topic}", "/diagnostics:=/recorded/diagnostics"} < set(command[7:])


def test_everything_that_the_suite_publishes_is_known_by_that():
    names = {name for name in vars(topics) if name.isupper()} - {"PUBLISHED", "QUEUE", "LATCHED"}
    assert set(topics.PUBLISHED) == {getattr(topics, name) for name in names}


def test_a_process_that_died_comes_back_unless_it_refused_to_start_or_the_launch_ends(started):
    (process,), _ = started("media.launch.py", path="talk.mp4")
    assert end(process, status=-11) is None
    with pytest.raises(RuntimeError, match="node-1 refused to start"):
        end(process, status=launching.REFUSED)
    assert end(process, status=launching.REFUSED, is_shutdown=True) is end(process, is_shutdown=True) is None


@pytest.mark.parametrize(("status", "said"), [(launching.REFUSED, "refused to start"), (-9, "status -9 before all")])
def test_nothing_is_played_to_nodes_that_are_not_active(started, status, said):
    given = {"path": "talk.mp4", "composed": "false", "gate_status": status}
    with pytest.raises(RuntimeError, match=f"wait_until_active-1 .*{said}"):
        started("media.launch.py", **given)
    assert started("media.launch.py", **given, is_shutdown=True)[1] == []


@pytest.mark.parametrize(
    ("faces", "told_of_faces"),
    [
        ("camera", {"/face_crop_node": {"image_topic": "/i", "image_transport": "raw"}}),
        ("hri", {"/hri_bridge_node": {"publish_faces": False}}),
    ],
)
def test_presets_come_before_the_users_file_and_that_before_the_arguments(started, tmp_path, faces, told_of_faces):
    mine = tmp_path / "mine.yaml"
    mine.touch()
    topics = {"image_topic": "/i", "image_transport": "raw", "audio_topic": "/a", "model": "m"}
    given = {"camera": "compressed", "params": str(mine), "log_level": "warn", "faces": faces, "hri": "true"}
    (process,), _ = started("tiago.launch.py", **HEARD, **topics, **given)
    *first, last = process["ros_arguments"]
    before = [launching.presets("cameras")["compressed"], launching.presets("microphones")["audio_in"], mine]
    files = [part for file in before for part in ("--params-file", str(file))]
    assert first == ["--log-level", "warn", *files, "--params-file"]
    sections = yaml.safe_load(Path(last).read_text())
    assert {name: section["ros__parameters"] for name, section in sections.items()} == {
        "/audio_window_node": {"audio_topic": "/a"},
        "/emotion_fusion_node": {"model": "m"},
        **told_of_faces,
    }


def test_an_argument_that_a_launch_file_does_not_declare_is_anothers(started):
    """As where a launch file with such an argument includes it."""
    (process, *_), _ = started("webcam.launch.py", camera="realsense", audio_source="audio_in")
    assert process["arguments"][-2:] == ["camera_node", "microphone_node"]
    assert "--params-file" not in process["ros_arguments"]


def test_a_file_of_parameters_that_is_not_there_is_named(started):
    with pytest.raises(RuntimeError, match="params is 'mine.yaml', expected a file"):
        started("tiago.launch.py", params="mine.yaml")


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
        return context, runpy.run_path(str(FOLDER / "simulation.launch.py"))["_start"](context, FOLDER.parent)

    return start


def test_simulation_without_tiago_gazebo_says_what_to_install(simulation):
    with pytest.raises(RuntimeError, match="tiago_gazebo is not installed.*install ros-humble-tiago-gazebo"):
        simulation(is_installed=False, gazebo_version="classic", path="")


def given_to(context, process):
    """The command of a process and the environment that it has beside that of the launch."""
    environment = [[perform_substitutions(context, part) for part in pair] for pair in process.additional_env]
    return [perform_substitutions(context, part) for part in process.cmd], dict(environment)


@pytest.mark.parametrize(
    ("version", "variable"), [("classic", "GAZEBO_MODEL_PATH"), ("gazebo", "GZ_SIM_RESOURCE_PATH")]
)
@pytest.mark.parametrize("others", [["/others"], []])
def test_tiago_has_our_world_and_models_and_the_transport_of_the_nodes_for_its_images(
    simulation, monkeypatch, version, variable, others
):
    monkeypatch.delenv(FAST_DDS_PROFILES, raising=False)
    monkeypatch.setenv(variable, os.pathsep.join(others))
    context, (tiago, *_) = simulation(is_installed=True, gazebo_version=version, path="", world_name="/worlds/w")
    command, environment = given_to(context, tiago)
    assert command[:4] == ["ros2", "launch", "tiago_gazebo", "tiago_gazebo.launch.py"]
    assert set(command[4:]) == {"is_public_sim:=True", "world_name:=/worlds/w", f"gazebo_version:={version}"}
    models = os.pathsep.join([*others, str(FOLDER.parent / "models")])
    assert environment == {variable: models, **fast_dds_environment()}
    assert environment[FAST_DDS_PROFILES].endswith("config/fastdds.xml")


def test_what_the_simulation_says_of_voice_and_mouth_is_over_the_camera_and_under_the_user(
    simulation, monkeypatch, tmp_path
):
    monkeypatch.setattr(launching, "Node", lambda **given: given)
    monkeypatch.setattr(launching.launch_config, "_log_dir", str(tmp_path))
    params = tmp_path / "mine.yaml"
    params.touch()
    context, (*_, nodes) = simulation(is_installed=True, gazebo_version="gazebo", path="voice.wav", params=str(params))
    for argument in arguments(FOLDER / "simulation.launch.py").values():
        argument.execute(context)
    (process,) = nodes.execute(context)
    given = process["ros_arguments"]
    *files, of_arguments = (Path(given[place + 1]) for place, name in enumerate(given) if name == "--params-file")
    assert [file.name for file in files] == ["gz.yaml", "simulation.yaml", "mine.yaml"]
    ours = yaml.safe_load(files[1].read_text())
    assert ours["/**/face_crop_node"] == {"ros__parameters": {"mouth_from_faces": 2}}  # else the voice is another's
    assert ours["/**/media_player_node"] == {"ros__parameters": {"loop": True}}
    sections = yaml.safe_load(of_arguments.read_text())
    assert sections["/media_player_node"] == {"ros__parameters": {"path": "voice.wav", "use_sim_time": True}}


def test_the_simulation_hears_its_own_arguments_and_none_of_ours(simulation):
    ours = arguments(FOLDER / "simulation.launch.py").keys() - {"gazebo_version", "world_name"}
    given = {**dict.fromkeys(ours, ""), "namespace": "robot1", "params": "mine.yaml", "use_sim_time": "true"}
    theirs = {"gazebo_version": "classic", "world_name": "/worlds/w", "moveit": "False"}
    of_an_including_launch = {"tts": "", "global_params": [("use_sim_time", True)]}
    context, (tiago, *_) = simulation(is_installed=True, **given, **theirs, **of_an_including_launch)
    command, _ = given_to(context, tiago)
    heard = dict(argument.split(":=") for argument in command[4:])
    assert heard == {**theirs, "is_public_sim": "True"}
