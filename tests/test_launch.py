"""The launch files as a user starts them: real processes that come, go, and come back."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from emotion_msgs.msg import EmotionState

pytest.importorskip("launch", reason="launch and launch_ros are not installed: they come with ROS, not from PyPI")
pytest.importorskip("launch_ros")

FOLDER = Path(__file__).parents[1] / "emotion_bringup" / "launch"
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

path, *arguments = sys.argv[1:]
source = PythonLaunchDescriptionSource(path)
values = [argument.split(":=", 1) for argument in arguments]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=values)]))
sys.exit(service.run())
"""
BOTH = EmotionState.FACE | EmotionState.AUDIO
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
    diagnostics = graph.listen(DiagnosticArray, "/diagnostics")
    tiago = launch(
        *("tiago.launch.py", "audio_source:=topic", f"model:={tmp_path / 'nowhere'}", f"composed:={composed}")
    )
    graph.wait_for(tiago.process.has_ended, "the end of the launch")
    assert tiago.process.end() == 1
    assert not tiago.has_processes()
    assert "model.json does not exist" in tiago.process.output and "refused to start" in tiago.process.output
    errors = [s.message for array in diagnostics for s in array.status if s.level == DiagnosticStatus.ERROR]
    assert errors and all("model.json does not exist" in error for error in errors)
