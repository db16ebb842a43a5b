"""Each default stands once, in the parameter file; each parameter says what it means."""

import pytest
import yaml
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
    expected = content[node.get_name()]["ros__parameters"]
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
