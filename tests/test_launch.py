"""The launch files as a user starts them: real processes that come, go, and come back."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Writer
from rosbags.typesys import get_types_from_msg
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_msgs.msg import AudioChunk, EmotionState
from emotion_perception.core.media_reader import MediaReader, VideoFrame
from emotion_perception.nodes.conversions import rgb_to_image, to_float_array, to_stamp
from emotion_training.bag_messages import message_types

pytest.importorskip("launch", reason="launch and launch_ros are not installed: they come with ROS, not from PyPI")
pytest.importorskip("launch_ros")

FOLDER = Path(__file__).parents[1] / "emotion_bringup" / "launch"
# A shell lets what it starts in its background ignore SIGINT, and some releases of launch do not set that right.
RUN = """
import signal, sys
from launch import LaunchDescription, LaunchService
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

signal.signal(signal.SIGINT, signal.default_int_handler)
path, *arguments = sys.argv[1:]
source = PythonLaunchDescriptionSource(path)
values = [argument.split(":=", 1) for argument in arguments]
service = LaunchService()
ours = IncludeLaunchDescription(source, launch_arguments=values)
service.include_launch_description(LaunchDescription([GroupAction([ours])]))  # a scope, as of a lab's launch file
sys.exit(service.run())
"""
BOTH = EmotionState.FACE | EmotionState.AUDIO
BAG_START_NS = 1_700_000_000 * 10**9
BAG_IMAGES, BAG_SOUND = "/camera/image", "/microphone/audio"
NODES = ("face_crop_node", "audio_window_node", "emotion_fusion_node")


class Launch:
    """A launch under test, in a session of its own: its number is on all that it started."""

    def __init__(self, process):
        self.process = process

    def pid_of(self, executable):
        """Its newest process of an executable, or None."""
        command = ["pgrep", "--newest", "--parent", str(self.process.pid), "--full", f"/{executable} "]
        found = subprocess.run(command, capture_output=True, text=True).stdout.split()
        return int(found[0]) if found else None

    def has_processes(self):
        listing = ["pgrep", "--session", str(self.process.pid)]
        return subprocess.run(listing, capture_output=True).returncode == 0


@pytest.fixture
def launch(start, tiny_bundle):
    launches = []

    def start_launch(file, *arguments):
        process = start("-c", RUN, str(FOLDER / file), *arguments, start_new_session=True)
        launches.append(Launch(process))
        return launches[-1]

    yield start_launch
    for started in launches:
        if started.has_processes():
            os.killpg(started.process.pid, signal.SIGKILL)


def judged(states):
    return [state for state in states if state.modalities]


@pytest.mark.parametrize("composed", ["true", "false"])
def test_file_becomes_states_and_its_end_ends_the_launch(graph, launch, generated_clip, tiny_bundle, composed):
    states = graph.listen(EmotionState, "/robot/emotion/state")
    media = launch(
        *("media.launch.py", f"path:={generated_clip}", f"model:={tiny_bundle}"),
        *(f"composed:={composed}", "namespace:=robot"),
    )
    graph.wait_for(media.process.has_ended, "the end of the clip")
    assert media.process.end() == 0, media.process.output
    assert not media.has_processes()
    assert any(state.modalities == BOTH for state in states)


def test_an_argument_prevails_over_every_section_of_the_users_file(
    graph, launch, generated_clip, tiny_bundle, tmp_path
):
    params = tmp_path / "robot.yaml"
    sections = {"/**": {"mute_tail_s": 0.7}, "/**/emotion_fusion_node": {"model": "/nowhere"}}
    params.write_text(yaml.safe_dump({name: {"ros__parameters": values} for name, values in sections.items()}))
    states = graph.listen(EmotionState, "/robot/emotion/state")
    arguments = (f"path:={generated_clip}", f"params:={params}", "namespace:=robot")
    refused = launch("media.launch.py", *arguments)
    graph.wait_for(refused.process.has_ended, "the end of the launch")
    assert "/nowhere" in refused.process.output and refused.process.end() == 1
    media = launch("media.launch.py", *arguments, f"model:={tiny_bundle}")
    graph.wait_for(media.process.has_ended, "the end of the clip")
    assert media.process.end() == 0, media.process.output
    assert judged(states)


def write_bag(folder, clip):
    """What a robot would have recorded of a clip, on its camera's and its microphone's topic, with a state of then."""
    messages = [(BAG_START_NS, EmotionState(label="recorded"))]
    with MediaReader(clip) as reader:
        for item in reader:
            header = Header(stamp=to_stamp(BAG_START_NS + round(item.time_s * 1e9)), frame_id="robot")
            if isinstance(item, VideoFrame):
                message = rgb_to_image(item.image_rgb, header)
            else:
                message = AudioChunk(
                    header=header,
                    sample_rate_hz=item.sample_rate_hz,
                    channels=item.samples.shape[1],
                    samples=to_float_array(item.samples),
                )
            messages.append((BAG_START_NS + round(item.captured_s * 1e9), message))
    types = message_types(None)
    definition = Path(get_package_share_directory("emotion_msgs")) / "msg" / "EmotionState.msg"
    types.register(get_types_from_msg(definition.read_text(), "emotion_msgs/msg/EmotionState"))
    with Writer(folder, version=9) as writer:
        connections = {
            kind: writer.add_connection(topic, f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}", typestore=types)
            for kind, topic in ((Image, BAG_IMAGES), (AudioChunk, BAG_SOUND), (EmotionState, "/emotion/state"))
        }
        for received_ns, message in sorted(messages, key=lambda pair: pair[0]):
            writer.write(connections[type(message)], received_ns, serialize_message(message))
    return folder


def put_ros2_in_path(folder, monkeypatch, command):
    """A `ros2` that runs a command of the shell, as rosbag2 is on ROS machines only."""
    ros2 = folder / "ros2"
    ros2.write_text(f"#!/bin/sh\n{command}\n")
    ros2.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("composed", ["true", "false"])
def test_bag_becomes_states_in_its_own_time_and_its_end_ends_the_launch(
    graph, launch, generated_clip, tiny_bundle, tmp_path, monkeypatch, composed
):
    bag_player = Path(__file__).with_name("bag_player.py")
    put_ros2_in_path(tmp_path, monkeypatch, f'exec {sys.executable} {bag_player} "$@"')
    states = graph.listen(EmotionState, "/emotion/state")
    recorded = graph.listen(EmotionState, "/recorded/emotion/state")
    bag = launch(
        *("bag.launch.py", f"bag:={write_bag(tmp_path / 'talk', generated_clip)}", f"model:={tiny_bundle}"),
        *("camera:=topic", f"image_topic:={BAG_IMAGES}", "audio_source:=topic", f"audio_topic:={BAG_SOUND}"),
        f"composed:={composed}",
    )
    graph.wait_for(bag.process.has_ended, "the end of the bag")
    assert bag.process.end() == 0, bag.process.output
    assert not bag.has_processes()
    assert any(state.modalities == BOTH for state in states)
    assert [state.label for state in recorded] == ["recorded"] and "recorded" not in {state.label for state in states}
    assert all(0 <= state.header.stamp.sec - BAG_START_NS // 10**9 <= 3 for state in states)


@pytest.mark.parametrize(
    ("ros2", "said"),
    [
        ("echo no such bag; exit 2", "ros2 bag play failed with status 2"),
        ('[ "$1" = bag ] && exec sleep 60; echo no such service >&2; exit 3', "ros2 service call failed with status 3"),
    ],
    ids=["no player", "a player that cannot be resumed"],
)
def test_a_bag_that_cannot_be_played_fails_the_launch(graph, launch, tiny_bundle, tmp_path, monkeypatch, ros2, said):
    put_ros2_in_path(tmp_path, monkeypatch, ros2)
    bag = launch("bag.launch.py", "bag:=/nowhere", f"model:={tiny_bundle}")
    graph.wait_for(bag.process.has_ended, "the end of the launch")
    assert bag.process.end() == 1
    assert not bag.has_processes()
    assert "no such" in bag.process.output
    assert said in bag.process.output and "the lines that it wrote say why." in bag.process.output


@pytest.mark.parametrize("composed", ["true", "false"])
def test_killed_process_comes_back_and_ctrl_c_leaves_none(graph, start, launch, generated_clip, tiny_bundle, composed):
    topics = {"image_topic": "/head_front_camera/rgb/image_raw", "audio_topic": "/audio_in/raw"}
    parameters = {"path": generated_clip, "loop": "true", **topics}
    player = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
    start("-c", "from emotion_perception.nodes.media_player_node import main; main()", "--start", "--ros-args", *player)
    states = graph.listen(EmotionState, "/emotion/state")
    tiago = launch(
        *("tiago.launch.py", "audio_source:=topic", f"audio_topic:={topics['audio_topic']}"),
        *(f"model:={tiny_bundle}", f"composed:={composed}"),
    )
    graph.wait_for(lambda: judged(states), "a state")
    for executable in ["emotion_pipeline"] if composed == "true" else NODES:
        killed = tiago.pid_of(executable)
        os.kill(killed, signal.SIGKILL)
        graph.wait_for(lambda: tiago.pid_of(executable) not in (None, killed), f"another {executable}")  # noqa: B023
        states.clear()
        graph.wait_for(lambda: any(s.modalities == BOTH for s in states), "states of face and voice")
    os.killpg(tiago.process.pid, signal.SIGINT)
    assert tiago.process.end() == 0
    assert not tiago.has_processes()


@pytest.mark.parametrize("composed", ["true", "false"])
def test_node_that_refuses_ends_the_launch_with_its_reason(graph, launch, tmp_path, composed):
    diagnostics = graph.listen_to_diagnostics()
    tiago = launch(
        *("tiago.launch.py", "audio_source:=topic", f"model:={tmp_path / 'nowhere'}", f"composed:={composed}")
    )
    graph.wait_for(tiago.process.has_ended, "the end of the launch")
    assert tiago.process.end() == 1
    assert not tiago.has_processes()
    assert "model.json does not exist" in tiago.process.output and "refused to start" in tiago.process.output
    errors = [status.message for status in diagnostics if status.level == DiagnosticStatus.ERROR]
    assert errors and all("model.json does not exist" in error for error in errors)


def test_whoever_waits_in_vain_ends_the_launch_with_a_reason(graph, launch, generated_clip, tiny_bundle):
    media = launch("media.launch.py", f"path:={generated_clip}", f"model:={tiny_bundle}", "composed:=false")
    os.kill(graph.wait_for(lambda: media.pid_of("wait_until_active"), "the gate"), signal.SIGKILL)
    graph.wait_for(media.process.has_ended, "the end of the launch")
    assert media.process.end() == 1
    assert not media.has_processes()
    assert "ended with status -9 before all nodes were active" in media.process.output


TIAGO_GAZEBO = """
from launch import LaunchDescription
from launch.actions import ExecuteProcess, GroupAction

def generate_launch_description():
    # So PAL's launch files include each other: what was set in this launch does not reach the simulator.
    command = "env > 'ENVIRONMENT.part'; mv 'ENVIRONMENT.part' 'ENVIRONMENT'; exec sleep 60"
    gzserver = ExecuteProcess(cmd=["sh", "-c", command])
    return LaunchDescription([GroupAction([gzserver], forwarding=False)])
"""


@pytest.fixture
def simulation(launch, tmp_path, monkeypatch):
    """Start simulation.launch.py where `ros2` runs a command of the shell, as tiago_gazebo is not here."""

    def start_simulation(command, *arguments):
        package = tmp_path / "share/ament_index/resource_index/packages/tiago_gazebo"
        package.parent.mkdir(parents=True)
        package.touch()
        (tmp_path / "share/tiago_gazebo").mkdir()
        monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path), prepend=os.pathsep)
        put_ros2_in_path(tmp_path, monkeypatch, command)
        return launch("simulation.launch.py", "gazebo_version:=classic", *arguments)

    return start_simulation


def test_simulator_sees_our_models_and_ends_with_a_launch_that_is_interrupted_alone(
    graph, simulation, tiny_bundle, tmp_path, monkeypatch
):
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    environment = tmp_path / "environment"
    (tmp_path / "run.py").write_text(RUN)
    tiago_gazebo = tmp_path / "tiago_gazebo.launch.py"
    tiago_gazebo.write_text(TIAGO_GAZEBO.replace("ENVIRONMENT", str(environment)))
    command = f'shift 3; exec {sys.executable} {tmp_path / "run.py"} {tiago_gazebo} "$@"'
    # So long a launch waits, interrupted alone and not with its whole session as by Ctrl-C, before it ends the others.
    simulated = simulation(command, f"model:={tiny_bundle}", "sigterm_timeout:=0.5")
    graph.wait_for(environment.exists, "the simulator")
    variables = dict(line.split("=", 1) for line in environment.read_text().splitlines() if "=" in line)
    assert variables["GAZEBO_MODEL_PATH"].endswith("emotion_bringup/models")
    assert variables["FASTRTPS_DEFAULT_PROFILES_FILE"].endswith("emotion_bringup/config/fastdds.xml")
    os.kill(simulated.process.pid, signal.SIGINT)
    assert simulated.process.end() == 0, simulated.process.output
    assert not simulated.has_processes()


def test_a_simulation_that_cannot_start_fails_the_launch(graph, simulation, tiny_bundle):
    failing = simulation("echo no such argument; exit 1", f"model:={tiny_bundle}")
    graph.wait_for(failing.process.has_ended, "the end of the launch")
    assert failing.process.end() == 1
    assert "no such argument" in failing.process.output
    assert "tiago_gazebo failed with status 1; the lines that it wrote say why." in failing.process.output
