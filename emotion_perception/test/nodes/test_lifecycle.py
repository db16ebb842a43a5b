"""Nodes go round their life cycle; what is wrong stops them at configure, with one sentence."""

import re
import threading
from functools import partialmethod
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import String

from emotion_perception.nodes.arrivals import Diagnosis
from emotion_perception.nodes.audio_window_node import AudioWindowNode
from emotion_perception.nodes.camera_node import CameraNode
from emotion_perception.nodes.emotion_fusion_node import EmotionFusionNode
from emotion_perception.nodes.face_crop_node import FaceCropNode
from emotion_perception.nodes.media_player_node import MediaPlayerNode
from emotion_perception.nodes.starting import bring_to_active
from emotion_perception.testing.tiny_bundle import write_tiny_bundle


def entities(node):
    """How many there are of each kind."""
    kinds = (node.publishers, node.subscriptions, node.services, node.timers, node.guards)
    return [len(list(kind)) for kind in kinds]


@pytest.mark.parametrize("node_class", [FaceCropNode, AudioWindowNode, EmotionFusionNode])
def test_life_cycle_can_be_gone_round_twice_and_leaves_nothing_behind(graph, node_class, tmp_path):
    parameters = {"model": str(write_tiny_bundle(tmp_path))} if node_class is EmotionFusionNode else {}
    node = graph.add(node_class, **parameters)
    before = entities(node)
    for _ in range(2):
        for transition in (
            node.trigger_configure,
            node.trigger_activate,
            node.trigger_deactivate,
            node.trigger_cleanup,
        ):
            assert transition() == TransitionCallbackReturn.SUCCESS
        assert entities(node) == before


def test_node_that_is_shut_down_while_it_works_leaves_nothing_behind(graph, tmp_path):
    node = graph.add(EmotionFusionNode, model=str(write_tiny_bundle(tmp_path)))
    before = entities(node)
    assert node.trigger_configure() == node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert entities(node) != before
    assert node.trigger_shutdown() == TransitionCallbackReturn.SUCCESS
    assert entities(node) == before


@pytest.mark.parametrize(("is_simulated", "clock_type"), [(False, ClockType.STEADY_TIME), (True, ClockType.ROS_TIME)])
def test_timers_stand_still_with_a_simulation_but_not_when_the_clock_of_the_system_is_set_back(
    graph, tmp_path, is_simulated, clock_type
):
    node = graph.start(EmotionFusionNode, model=str(write_tiny_bundle(tmp_path)), use_sim_time=is_simulated)
    (timer,) = node._added_timers
    assert timer.clock.clock_type == clock_type


@pytest.mark.parametrize(
    ("told_by", "begun"), [("configure", ["configure"]), ("activate", ["configure"] * 2 + ["activate"])]
)
def test_nodes_that_are_told_to_end_while_they_start_begin_no_further_transition(graph, monkeypatch, told_by, begun):
    stop, transitions = threading.Event(), []

    def step(node, name):
        transitions.append(name)
        if name == told_by:
            stop.set()

    for name in ("configure", "activate"):
        monkeypatch.setattr(AudioWindowNode, name, partialmethod(step, name))
    assert bring_to_active([graph.add(AudioWindowNode), graph.add(AudioWindowNode)], stop)
    assert transitions == begun


def test_refused_transition_leaves_nothing_behind(graph, monkeypatch, tmp_path):
    fusion = graph.add(EmotionFusionNode, model=str(tmp_path / "nowhere"))
    before = entities(fusion)
    assert fusion.trigger_configure() == TransitionCallbackReturn.FAILURE, "when it had a publisher"
    assert entities(fusion) == before

    ears = graph.add(AudioWindowNode, tts_status_topic="/head/tts")
    ears.trigger_configure()
    before, create = entities(ears), ears.create_subscription

    def refuse(message_type, topic, *others):
        if topic == "/head/tts":
            raise rclpy_implementation.RCLError("another type has the topic")
        return create(message_type, topic, *others)

    monkeypatch.setattr(ears, "create_subscription", refuse)
    assert ears.trigger_activate() == TransitionCallbackReturn.FAILURE, "when it had two subscriptions"
    assert entities(ears) == before


@pytest.mark.parametrize("transition, state", [("configure", "unconfigured"), ("activate", "inactive")])
def test_bug_in_a_transition_is_a_refusal_that_says_so(graph, capfd, monkeypatch, transition, state):
    monkeypatch.setattr(AudioWindowNode, transition, lambda node: {}["of a bug"])
    node = graph.add(AudioWindowNode)
    if transition == "activate":
        node.trigger_configure()
    assert getattr(node, f"trigger_{transition}")() == TransitionCallbackReturn.FAILURE
    assert node._state_machine.current_state[1] == state
    said = capfd.readouterr().err
    assert f"Cannot {transition}, which is a bug of ours:\nTraceback" in said and "KeyError: 'of a bug'" in said
    assert "which is a bug of ours" in node._diagnose_inactive().message


@pytest.mark.parametrize("reason", ["Permission denied", "File name too long"])
def test_file_that_may_not_be_looked_at_is_refused_with_a_remedy(graph, refusal, monkeypatch, reason):
    def is_file(path):
        raise OSError(13, reason)

    monkeypatch.setattr(Path, "is_file", is_file)
    line = refusal(graph.add(MediaPlayerNode, path="/locked/clip.mp4"))
    assert f"/locked/clip.mp4 cannot be looked at ({reason}); check the path, and who may enter its folders." in line


def test_transition_that_is_not_possible_now_is_refused_and_the_node_goes_on(graph):
    node = graph.add(AudioWindowNode)
    client = graph.node.create_client(ChangeState, "audio_window_node/change_state")

    def answer(transition_id):
        graph.wait_for(client.service_is_ready, "the service")
        answers = client.call_async(ChangeState.Request(transition=Transition(id=transition_id)))
        return graph.wait_for(answers.result, "an answer").success

    assert not answer(Transition.TRANSITION_ACTIVATE)
    assert answer(Transition.TRANSITION_CONFIGURE) and answer(Transition.TRANSITION_ACTIVATE)
    assert node._state_machine.current_state[1] == "active"


def test_destroyed_node_leaves_the_graph_without_the_garbage_collector(graph):
    node = graph.start(AudioWindowNode)
    graph.wait_for(lambda: "audio_window_node" in graph.node.get_node_names(), "the node")
    node.destroy_node()  # the test still holds it
    graph.wait_for(lambda: "audio_window_node" not in graph.node.get_node_names(), "its end")


def test_node_that_refused_can_be_configured_after_its_parameter_was_mended(graph, tmp_path, refusal):
    node = graph.add(EmotionFusionNode, model=str(tmp_path / "nowhere"))
    assert "model.json does not exist" in refusal(node)
    node.set_parameters([type(node.get_parameter("model"))("model", value=str(write_tiny_bundle(tmp_path)))])
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node._diagnose_inactive() == Diagnosis(message="inactive")


@pytest.mark.parametrize(
    "node_class, name",
    [(EmotionFusionNode, "label"), (EmotionFusionNode, "mouth_movement"), (AudioWindowNode, "voice")],
)
def test_thresholds_that_contradict_each_other_are_refused_by_their_names(graph, refusal, node_class, name):
    line = refusal(graph.add(node_class, **{f"{name}_enter": 0.2, f"{name}_leave": 0.6}))
    assert re.search(rf"\b{name}_leave (is )?0\.6\b", line) and re.search(rf"\b{name}_enter (is )?0\.2\b", line)
    assert f" 0 <= {name}_leave <= {name}_enter" in line


def test_file_that_does_not_exist_is_refused(graph, tmp_path, refusal):
    assert "clip.mp4 is not a file" in refusal(graph.add(MediaPlayerNode, path=str(tmp_path / "clip.mp4")))


def test_no_file_at_all_is_refused(graph, refusal):
    line = refusal(graph.add(MediaPlayerNode))
    assert line.endswith("Cannot configure: path is empty; expected the file to play, anything that FFmpeg reads.")


def test_file_that_is_no_media_is_refused(graph, tmp_path, refusal):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no media" * 1000)
    assert "clip.mp4" in refusal(graph.add(MediaPlayerNode, path=str(path)))


def test_camera_that_does_not_exist_is_refused(graph, capfd):
    capfd.readouterr()
    node = graph.add(CameraNode, device=63)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "Camera 63 does not open; is /dev/video63 there" in capfd.readouterr().err  # OpenCV may say more


def test_unknown_image_transport_is_refused(graph, refusal):
    assert "'theora'; expected one of raw, compressed" in refusal(graph.add(FaceCropNode, image_transport="theora"))


def test_unknown_audio_type_is_refused(graph, refusal):
    assert "'std_msgs/String'" in refusal(graph.add(AudioWindowNode, audio_type="std_msgs/String"))


@pytest.mark.usefixtures("one_type_a_topic")
def test_topic_that_the_process_has_with_another_type_is_refused_with_a_remedy(graph, capfd):
    graph.node.create_subscription(String, "/head/sound", lambda _: None, 1)
    node = graph.add(AudioWindowNode, audio_topic="/head/sound")
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    capfd.readouterr()
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    (line,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("[FATAL]"))
    assert "/head/sound cannot carry AudioChunk, as this process has it with another type; expected one type" in line
