"""What is missing is said in the log and in /diagnostics, with what was expected."""

import re
from itertools import count

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from emotion_msgs.msg import AudioChunk, AudioWindow, EmotionState, FaceCropArray
from emotion_perception.nodes import arrivals, perception_node
from emotion_perception.nodes.arrivals import Arrivals, Diagnosis
from emotion_perception.nodes.audio_window_node import AudioWindowNode
from emotion_perception.nodes.emotion_fusion_node import EmotionFusionNode
from emotion_perception.nodes.face_crop_node import FaceCropNode
from emotion_perception.testing.tiny_bundle import write_tiny_bundle


@pytest.fixture
def diagnosis(graph, monkeypatch):
    """Wait for the first diagnosis that is not ok, and give its level and message."""
    monkeypatch.setattr(arrivals, "SILENCE_LIMIT_S", 0.3)
    monkeypatch.setattr(perception_node, "DIAGNOSTICS_PERIOD_S", 0.2)
    statuses = graph.listen_to_diagnostics()

    def wait():
        def bad():
            return [status for status in statuses if status.level != DiagnosticStatus.OK]

        (status, *_) = graph.wait_for(bad, "a diagnosis")
        return status.level, status.message

    return wait


@pytest.fixture
def other_process():
    """A node in a DDS participant of its own: within one, a topic has one type."""
    context = Context()
    rclpy.init(context=context)
    node = Node("sensor", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def test_silence_is_noticed_within_5_s(graph):
    node = graph.start(AudioWindowNode)
    latest_s = 5.0 - 2e-9 * node._diagnostics_timer.timer_period_ns
    node._arrivals.receive()
    assert node.diagnose().level == DiagnosticStatus.OK
    node._arrivals._last_s -= latest_s
    assert node.diagnose().level == DiagnosticStatus.WARN


def test_refusal_is_said_once():
    sensor = Arrivals("a sensor", "is it on?")
    sensor.receive()
    sensor.refuse("It is bent.")
    assert (said := sensor.diagnose()).level == DiagnosticStatus.ERROR and said.message == "It is bent."
    sensor.receive()
    assert (well := sensor.diagnose()).level == DiagnosticStatus.OK
    assert (well.values["received"], well.values["refused"]) == (2, 1)


def test_camera_that_nobody_publishes_is_named_with_the_type_and_the_parameters(graph, diagnosis, capfd):
    graph.start(FaceCropNode, image_topic="/head/image")
    level, message = diagnosis()
    assert level == DiagnosticStatus.WARN
    assert message == (
        "Nothing publishes /head/image, expected sensor_msgs/msg/Image; no topic carries that type: "
        "check image_topic and image_transport, and that the sensor is running."
    )
    assert f"[face_crop_node]: {message}" in capfd.readouterr().err


def test_topic_on_which_such_images_are_published_is_named(graph, diagnosis):
    graph.node.create_publisher(Image, "/other/image", 1)
    graph.start(FaceCropNode, image_topic="/head/image")
    assert "Nothing publishes /head/image" in (message := diagnosis()[1])
    assert "it is published on /other/image: " in message


def test_the_overlay_is_not_offered_for_a_camera(graph, diagnosis):
    graph.node.create_publisher(Image, "/emotion/image", 1)
    graph.start(FaceCropNode, image_topic="/head/image")
    assert "no topic carries that type: " in diagnosis()[1]


def test_publisher_that_is_silent_is_told_from_one_that_is_missing(graph, diagnosis):
    graph.node.create_publisher(Image, "/head/image", 1)
    graph.start(FaceCropNode, image_topic="/head/image")
    assert diagnosis()[1].startswith("Nothing came from /head/image for more than")


@pytest.mark.parametrize("topic", ["/head/sound", "head/sound"])
def test_publisher_that_a_reliable_subscription_never_hears_is_named(graph, diagnosis, topic):
    graph.node.create_publisher(AudioChunk, "/head/sound", qos_profile_sensor_data)
    graph.start(AudioWindowNode, audio_topic=topic)
    level, message = diagnosis()
    assert level == DiagnosticStatus.WARN
    assert message == (
        "/head/sound is published best effort; expected reliable, else nothing of it comes here: "
        "give the publisher of /test a reliable QoS."
    )


def test_publisher_of_another_type_on_the_topic_is_not_the_one_to_mend(graph, diagnosis, other_process):
    other_process.create_publisher(String, "/head/sound", qos_profile_sensor_data)
    graph.node.create_publisher(AudioChunk, "/head/sound", 1)
    graph.start(AudioWindowNode, audio_topic="/head/sound")
    graph.wait_for(lambda: graph.node.count_publishers("/head/sound") == 2, "both publishers")
    assert diagnosis()[1].startswith("Nothing came from /head/sound for more than")


def test_best_effort_is_no_fault_where_it_is_asked_for(graph, diagnosis):
    graph.node.create_publisher(Image, "/head/image", qos_profile_sensor_data)
    node = graph.start(FaceCropNode, image_topic="/head/image")
    node.create_subscription(String, "/head/text", lambda _: None, 1)  # reliable
    assert diagnosis()[1].startswith("Nothing came from /head/image for more than")


@pytest.mark.parametrize("is_wanted", [False, True])
def test_fusion_that_gets_neither_faces_nor_sound_says_what_to_look_at(graph, diagnosis, tmp_path, is_wanted):
    if is_wanted:
        graph.listen(EmotionState, "/emotion/state")
    graph.start(EmotionFusionNode, model=str(write_tiny_bundle(tmp_path)))
    level, message = diagnosis()
    assert level == DiagnosticStatus.WARN
    assert message.startswith("Nothing came from emotion/faces and emotion/audio_window for more than")
    assert "check that face_crop_node (or hri_faces_node) and audio_window_node are active" in message


def test_a_node_that_was_started_twice_is_named(graph, diagnosis, monkeypatch, tmp_path):
    model = str(write_tiny_bundle(tmp_path))
    monkeypatch.setattr(arrivals, "SILENCE_LIMIT_S", 60.0)
    monkeypatch.setattr(perception_node, "RIVAL_LIMIT_S", 0.5)
    node = graph.start(EmotionFusionNode, model=model)
    assert node._diagnose_rivals(Diagnosis()).level == DiagnosticStatus.OK
    graph.start(EmotionFusionNode, model=model)
    level, message = diagnosis()
    assert level == DiagnosticStatus.WARN
    assert message == (
        "'/emotion/model_info' is published by /emotion_fusion_node, too, expected this node alone; end what was "
        "started twice or is played from a bag, or give it a namespace of its own."
    )


def test_a_simulated_time_that_stands_still_is_said_rather_than_the_silence_of_the_sensors(
    graph, diagnosis, monkeypatch
):
    monkeypatch.setattr(perception_node, "CLOCK_LIMIT_S", 1.0)
    statuses = graph.listen_to_diagnostics()
    node = graph.start(FaceCropNode, image_topic="/head/image", use_sim_time=True)
    level, message = diagnosis()
    assert level == DiagnosticStatus.WARN
    assert message.startswith("The time on /clock has stood still at 0.0 s for more than 1 s; start the simulation")
    assert "waits for the time on /clock" in [status.message for status in statuses]
    clock, time_s = graph.speak(Clock, "/clock", 1), count(1)

    def moves():
        clock.publish(Clock(clock=Time(seconds=next(time_s)).to_msg()))
        return statuses[-1].message.startswith("Nothing publishes /head/image")

    graph.wait_for(moves, "the silence of the camera")
    assert node.get_clock().now().nanoseconds > 0


def test_what_could_not_be_used_is_said_while_a_simulated_time_stands_still(graph, monkeypatch):
    monkeypatch.setattr(perception_node, "CLOCK_LIMIT_S", 0.0)
    node = graph.start(FaceCropNode, use_sim_time=True)
    said = [
        node._diagnose_clock(Diagnosis(level, "dim")).message
        for level in (DiagnosticStatus.WARN, DiagnosticStatus.ERROR)
    ]
    assert said[0].startswith("The time on /clock has stood still") and said[1] == "dim"


def test_nothing_is_said_to_be_well_while_a_simulated_time_stands_still(graph, capfd):
    node = graph.start(FaceCropNode, use_sim_time=True)
    silence = Diagnosis(DiagnosticStatus.WARN, "nothing came")
    node._log(node._diagnose_clock(silence))  # this time, or the next, nobody knows yet
    node._log(silence)
    for _ in range(2 * perception_node.WELL_AFTER):
        node._log(node._diagnose_clock(silence))
    node._log(silence)
    assert re.findall(r"\[face_crop_node\]: (.*)", capfd.readouterr().err) == ["nothing came"]


@pytest.mark.parametrize("message_type, topic", [(FaceCropArray, "faces"), (AudioWindow, "audio_window")])
def test_fusion_that_gets_one_of_the_two_is_well_until_that_falls_silent_as_well(
    graph, diagnosis, tmp_path, message_type, topic
):
    node = graph.start(EmotionFusionNode, model=str(write_tiny_bundle(tmp_path)))
    source = graph.speak(message_type, f"/emotion/{topic}", 10)
    statuses = graph.listen_to_diagnostics()

    def is_well():
        source.publish(message_type())
        levels = [status.level for status in statuses[-3:]]
        return node._arrivals._received and levels == 3 * [DiagnosticStatus.OK]

    graph.wait_for(is_well, "some diagnoses")
    graph.wait_for(lambda: statuses[-1].level == DiagnosticStatus.WARN, "the silence")


def test_diagnosis_says_when_of_which_node_of_the_graph_and_in_what_figures(graph, monkeypatch):
    monkeypatch.setattr(perception_node, "DIAGNOSTICS_PERIOD_S", 0.1)
    arrays = graph.listen(DiagnosticArray, "/diagnostics")
    node = graph.start(AudioWindowNode)
    before = node.get_clock().now()
    graph.wait_for(lambda: arrays, "a diagnosis")
    (status,) = arrays[0].status
    assert status.name == "/audio_window_node" and Time.from_msg(arrays[0].header.stamp) >= before
    figures = {value.key: value.value for value in status.values}
    assert figures == {"source": "/emotion/microphone/audio", "received": "0", "refused": "0", "muted": "False"}


def test_complaint_is_logged_once_until_all_has_been_well_for_a_while(graph, capfd):
    node = graph.start(AudioWindowNode)
    capfd.readouterr()

    def logged(*messages):
        for message in messages:
            level = DiagnosticStatus.ERROR if message else DiagnosticStatus.OK
            node._log(Diagnosis(level, message))
        return re.findall(r"\[audio_window_node\]: (.*)", capfd.readouterr().err)

    well = perception_node.WELL_AFTER * [""]
    assert logged(
        "5 bytes are too few", "", "7 bytes are too few", "", "no face", *well[1:], "9 bytes are too few"
    ) == [
        "5 bytes are too few",
        "no face",
    ], "in turn with what is well, and in other numbers, a complaint is no news"
    assert logged(*well, *well) == ["All is well again."]
    assert logged("9 bytes are too few") == ["9 bytes are too few"]


def test_node_that_is_deactivated_is_not_said_to_be_well(graph, capfd):
    node = graph.start(AudioWindowNode)
    complaint = Diagnosis(DiagnosticStatus.ERROR, "deaf")
    node._log(complaint)
    node.trigger_deactivate()
    for _ in range(2 * perception_node.WELL_AFTER):
        node._log(Diagnosis(message="inactive"))
    node.trigger_activate()
    node._log(complaint)
    assert re.findall(r"\[audio_window_node\]: (.*)", capfd.readouterr().err) == 2 * ["deaf"]


@pytest.mark.parametrize(
    "node_class, parameter, published, expected",
    [
        (AudioWindowNode, "audio_topic", String, AudioChunk),
        (FaceCropNode, "image_topic", CompressedImage, Image),
    ],
)
def test_topic_of_another_type_is_named_with_both_types(
    graph, diagnosis, other_process, node_class, parameter, published, expected
):
    other_process.create_publisher(published, "/head/sensor", 1)
    graph.start(node_class, **{parameter: "/head/sensor"})

    def name(message_type):
        return f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"

    level, message = diagnosis()
    assert level == DiagnosticStatus.WARN
    assert message.startswith(f"/head/sensor carries {name(published)}, expected {name(expected)}; no topic carries")
    assert parameter in message


def test_refusal_to_configure_is_said_in_diagnostics_until_it_is_mended(graph, diagnosis, tmp_path):
    node = graph.add(EmotionFusionNode, model=str(tmp_path / "nowhere"))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    level, message = diagnosis()
    assert level == DiagnosticStatus.ERROR
    assert message.startswith("Cannot configure: ") and "model.json does not exist" in message
