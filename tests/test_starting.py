"""Processes that start their nodes themselves, as the launch files use them."""

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rosgraph_msgs.msg import Clock

from emotion_msgs.msg import EmotionState
from emotion_perception.nodes.starting import REFUSED


def program(module, *arguments):
    return ("-c", f"from emotion_perception.{module} import main; main()", *arguments)


def state_of(graph, name):
    """The label of a node's state, once it answers."""
    client = graph.node.create_client(GetState, f"{name}/get_state")
    answers = []

    def ask():
        if client.service_is_ready():
            client.call_async(GetState.Request()).add_done_callback(lambda future: answers.append(future.result()))
        return answers

    graph.wait_for(ask, f"an answer of {name}")
    return answers[0].current_state.label


def test_node_stays_unconfigured_unless_it_is_told_to_start(graph, start):
    start(*program("nodes.audio_window_node"))
    assert state_of(graph, "/audio_window_node") == "unconfigured"


def test_who_waits_for_active_nodes_is_released_by_the_last_one(graph, start):
    waiting = start(*program("wait_until_active", "audio_window_node", "--ros-args", "-r", "__ns:=/robot"))
    start(*program("nodes.audio_window_node", "--start", "--ros-args", "-r", "__ns:=/robot"))
    graph.wait_for(waiting.has_ended, "the release")
    assert waiting.end() == 0
    assert state_of(graph, "/robot/audio_window_node") == "active"


@pytest.mark.parametrize(
    "parameter, sentence",
    [
        ("audio_type:=std_msgs/String", "audio_type is 'std_msgs/String'; expected one of"),
        ("hop_s:=100.0", "out of range"),
        ("hop_s:=1", "/audio_window_node cannot have that value of hop_s"),
        ("hop_s:=1", "expected one like its default, 0.1; ros2 param"),
        ("audio_topic:=[]", "/audio_window_node cannot have that value of audio_topic"),
        ("use_sim_time:='true'", "audio_window_node cannot start: "),
    ],
)
def test_refusal_is_one_sentence_and_an_exit_status_of_its_own(start, parameter, sentence):
    process = start(*program("nodes.audio_window_node", "--start", "--ros-args", "-p", parameter))
    assert process.end() == REFUSED
    (line,) = process.output.strip().splitlines()
    assert line.startswith("[FATAL]") and sentence in line


def test_refusal_is_the_same_where_others_would_start_the_node(start):
    process = start(*program("nodes.audio_window_node", "--ros-args", "-p", "hop_s:=1"))
    assert process.end() == REFUSED
    assert "Traceback" not in process.output and "cannot have that value of hop_s" in process.output


def test_bug_in_a_callback_ends_the_process_with_its_traceback(start):
    activate = "AudioWindowNode.activate = lambda node: node.add_timer(0.01, lambda: {}['of a bug'])"
    main = "from emotion_perception.nodes.audio_window_node import AudioWindowNode, main"
    process = start("-c", f"{main}; {activate}; main()", "--start")
    assert process.end() not in (0, REFUSED)
    assert "Traceback" in process.output and process.output.strip().endswith("KeyError: 'of a bug'")


def test_signal_while_nodes_are_configured_ends_the_process_in_order(start):
    main = "import os, signal; from emotion_perception.nodes.media_player_node import MediaPlayerNode, main"
    configure = "MediaPlayerNode.configure = lambda node: os.kill(os.getpid(), signal.SIGINT)"
    process = start("-c", f"{main}; {configure}; main()", "--start")
    assert process.end() == 0
    assert process.output == ""


def test_signal_while_nodes_are_imported_ends_the_process_in_order(start):
    main = "import os, signal; from emotion_perception import emotion_pipeline"
    node_class = "lambda name, own=emotion_pipeline.node_class: os.kill(os.getpid(), signal.SIGINT) or own(name)"
    process = start("-c", f"{main}; emotion_pipeline.node_class = {node_class}; emotion_pipeline.main()")
    assert process.end() == 0
    assert process.output == ""


@pytest.mark.parametrize("text", ["not: [valid", "rate_hz: 10.0"])
def test_parameter_file_that_is_none_is_refused_in_the_same_way(start, tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    process = start(*program("nodes.audio_window_node", "--start", "--ros-args", "--params-file", str(path)))
    assert process.end() == REFUSED
    (line,) = process.output.strip().splitlines()
    assert line.startswith("[FATAL]") and "README's section Parameters" in line


def test_what_a_parameter_file_says_to_nobody_is_a_warning(graph, start, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("audio_window_node:\n  ros__parameters:\n    hop_s: 0.2\n")
    arguments = ("--ros-args", "-r", "__ns:=/robot", "--params-file", str(path))
    process = start(*program("nodes.audio_window_node", *arguments))
    assert state_of(graph, "/robot/audio_window_node") == "unconfigured"
    graph.wait_for(lambda: "write /**/audio_window_node: for any namespace." in process.output, "the warning")


def test_source_beside_named_nodes_is_refused_rather_than_ignored(start):
    process = start(*program("emotion_pipeline", "--source", "live", "--nodes", "audio_window_node"))
    assert process.end() == 2
    assert "argument --nodes: not allowed with argument --source" in process.output


@pytest.mark.parametrize("node", ["audio_window_node", "emotion_fusion_node"])
def test_help_of_a_node_says_what_it_does(start, node):
    process = start(*program(f"nodes.{node}", "--help"))
    assert process.end() == 0
    does = {"audio_window_node": "overlapping windows", "emotion_fusion_node": "what everybody seems to feel"}
    assert does[node] in " ".join(process.output.split())


def test_pipeline_of_named_nodes_follows_a_namespace_and_a_remapping(graph, start, tiny_bundle):
    states = graph.listen(EmotionState, "/robot/mood")
    remapping = ("--ros-args", "-r", "__ns:=/robot", "-r", "emotion/state:=mood", "-p", f"model:={tiny_bundle}")
    start(*program("emotion_pipeline", "--nodes", "audio_window_node", "emotion_fusion_node", *remapping))
    assert graph.wait_for(lambda: states, "a state")[0].label == EmotionState.NOBODY
    assert state_of(graph, "/robot/audio_window_node") == "active"


class SimulatedTime:
    """A clock under another name, for a process of two nodes."""

    NODES = ("audio_window_node", "face_crop_node")

    def __init__(self, graph, start):
        self._diagnostics = graph.listen(DiagnosticArray, "/diagnostics")
        remapping = ("-r", "/clock:=/simulation/clock")
        arguments = ("--nodes", *self.NODES, "--ros-args", *remapping, "-p", "use_sim_time:=true")
        self.process = start(*program("emotion_pipeline", *arguments))
        self.publisher = graph.speak(Clock, "/simulation/clock")

    def is_followed(self, seconds):
        """Tell the time; whether all nodes have it."""
        now = Time(sec=seconds)
        self.publisher.publish(Clock(clock=now))
        followers = {array.status[0].name for array in self._diagnostics if array.header.stamp == now}
        return followers == {f"/{node}" for node in self.NODES}


def test_nodes_of_a_process_hear_a_simulated_clock_once(graph, start):
    simulated = SimulatedTime(graph, start)
    graph.wait_for(lambda: simulated.is_followed(1000), "the time of each node")
    graph.wait_for(lambda: simulated.publisher.get_subscription_count() == 1, "a single subscription to the clock")


def test_time_before_zero_is_left_out_with_a_warning(graph, start):
    simulated = SimulatedTime(graph, start)
    graph.wait_for(lambda: simulated.is_followed(-5) or "-5 s, expected 0 s" in simulated.process.output, "a warning")
    graph.wait_for(lambda: simulated.is_followed(1000), "the time of each node")
