"""Each default stands once, in the parameter file; each parameter says what it means."""

import pytest
import yaml
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from emotion_perception.nodes.audio_window_node import AudioWindowNode
from emotion_perception.nodes.camera_node import CameraNode
from emotion_perception.nodes.emotion_fusion_node import EmotionFusionNode
from emotion_perception.nodes.face_crop_node import FaceCropNode
from emotion_perception.nodes.hri_bridge_node import HriBridgeNode
from emotion_perception.nodes.hri_faces_node import HriFacesNode
from emotion_perception.nodes.media_player_node import MediaPlayerNode
from emotion_perception.nodes.microphone_node import MicrophoneNode
from emotion_perception.nodes.overlay_node import OverlayNode
from emotion_perception.nodes.perception_node import share_directory

NODES = (
    AudioWindowNode,
    CameraNode,
    EmotionFusionNode,
    FaceCropNode,
    HriBridgeNode,
    HriFacesNode,
    MediaPlayerNode,
    MicrophoneNode,
    OverlayNode,
)


@pytest.mark.parametrize("node_class", NODES)
def test_declared_parameters_and_those_of_the_file_are_the_same_with_the_file_as_default(graph, node_class):
    node = graph.add(node_class)
    content = yaml.safe_load((share_directory() / "config" / "emotion_perception.yaml").read_text())
    expected = content[f"/**/{node.get_name()}"]["ros__parameters"]
    assert {name: node.value(name) for name in expected} == expected
    assert {parameter.name for parameter in node.PARAMETERS} == set(expected)


@pytest.mark.parametrize("node_class", NODES)
def test_every_parameter_has_a_description_and_every_number_a_range(graph, node_class):
    node = graph.add(node_class)
    for parameter in node.PARAMETERS:
        descriptor = node.describe_parameter(parameter.name)
        assert descriptor.description
        if type(node.value(parameter.name)) in (int, float):
            assert len(descriptor.integer_range) + len(descriptor.floating_point_range) == 1


TOPICS = [
    (node_class, parameter.name)
    for node_class in NODES
    for parameter in node_class.PARAMETERS
    if "topic" in parameter.name
]


def test_all_parameters_that_are_topics_are_known():
    assert len(TOPICS) == 10


@pytest.mark.parametrize(
    "node_class, parameter, topic",
    [
        (*each, topic)
        for each in TOPICS
        for topic in ("", "a b", "/head camera/image", "/head//image", "/head/", "/1/image", "x" * 300)
        if topic or each[1] != "tts_status_topic"  # where it stands for none
    ],
)
def test_name_that_no_topic_can_have_is_refused_in_one_sentence(graph, capfd, node_class, parameter, topic):
    node = graph.add(node_class, **{parameter: topic})
    capfd.readouterr()
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.endswith(
        f"Cannot configure: {parameter} is {topic!r}; expected the name of a topic, of letters, digits, _ and /."
    )


@pytest.mark.parametrize("topic", ["image", "/head/image", "~/image", "{node}/image_2"])
def test_every_form_of_a_topic_name_is_taken(graph, topic):
    graph.start(FaceCropNode, image_topic=topic)


def test_status_of_speech_may_have_no_topic(graph):
    node = graph.start(AudioWindowNode, tts_status_topic="")
    assert not [s for s in node.subscriptions if s.topic_name.endswith("status")]


def test_value_out_of_range_is_refused(graph):
    node = graph.add(EmotionFusionNode)
    (result,) = node.set_parameters([Parameter("rate_hz", value=1000.0)])
    assert not result.successful and "range" in result.reason


def test_parameter_that_a_running_node_would_ignore_is_refused_with_the_remedy(graph):
    node = graph.start(AudioWindowNode)
    (result,) = node.set_parameters([Parameter("window_s", value=2.0)])
    assert not result.successful
    assert "ros2 lifecycle set /audio_window_node cleanup" in result.reason
    node.trigger_deactivate()
    node.trigger_cleanup()
    (result,) = node.set_parameters([Parameter("window_s", value=2.0)])
    assert result.successful
