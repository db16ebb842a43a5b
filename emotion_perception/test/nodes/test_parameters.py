"""Each default stands once, in the parameter file; each parameter says what it means."""

from functools import partial
from inspect import signature

import numpy as np
import pytest
import yaml
from rclpy.parameter import Parameter

from emotion_msgs.msg import AudioChunk, AudioWindow
from emotion_perception import emotion_pipeline
from emotion_perception.core import face_detector, face_tracker
from emotion_perception.core.active_speaker import SpeakerSettings
from emotion_perception.core.audio_messages import Chunk
from emotion_perception.core.emotion_stream import StreamSettings
from emotion_perception.core.moments import Source
from emotion_perception.core.person_in_focus import FocusSettings
from emotion_perception.core.probability_smoothing import SmoothingSettings
from emotion_perception.nodes import audio_window_node
from emotion_perception.nodes.audio_window_node import AudioWindowNode
from emotion_perception.nodes.emotion_fusion_node import EmotionFusionNode
from emotion_perception.nodes.face_crop_node import FaceCropNode
from emotion_perception.nodes.perception_node import share_directory
from emotion_perception.testing.tiny_bundle import write_tiny_bundle

NODES = [emotion_pipeline.node_class(name) for name in emotion_pipeline.NODES]


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


CHUNK = Chunk(np.zeros((160, 1), np.float32), sample_rate_hz=16_000, stamp_ns=10**9, frame_id="head")
TOPICS = [
    (node_class, parameter.name)
    for node_class in NODES
    for parameter in node_class.PARAMETERS
    if "topic" in parameter.name
]


@pytest.mark.parametrize(
    "node_class, parameter, topic",
    [
        (*each, topic)
        for each in TOPICS
        for topic in ("", "a b", "/head camera/image", "/head//image", "/head/", "/1/image", "x" * 300)
        if topic or each[1] != "tts_status_topic"  # where it stands for none
    ],
)
def test_name_that_no_topic_can_have_is_refused_in_one_sentence(graph, refusal, node_class, parameter, topic):
    assert refusal(graph.add(node_class, **{parameter: topic})).endswith(
        f"Cannot configure: {parameter} is {topic!r}; expected the name of a topic, of letters, digits, _ and /."
    )


@pytest.mark.parametrize("topic", ["image", "/head/image", "~/image", "{node}/image_2"])
def test_every_form_of_a_topic_name_is_taken(graph, topic):
    graph.start(FaceCropNode, image_topic=topic)


@pytest.fixture
def made_with(monkeypatch):
    """The arguments with which a node makes the parts of its core, by name."""
    arguments = {}

    def watch(module, *names):
        for name in names:
            monkeypatch.setattr(module, name, partial(make, getattr(module, name)))
        return arguments

    def make(part, *args, **kwargs):
        arguments.update(signature(part).bind(*args, **kwargs).arguments)
        return part(*args, **kwargs)

    return watch


def test_every_parameter_of_the_fusion_reaches_its_setting(graph, tmp_path):
    values = {
        "face_limit_s": 0.1,
        "audio_limit_s": 0.2,
        "min_contrast": 3.0,
        "min_voice_activity": 0.4,
        "uncertain_below": 0.45,
    }
    node = graph.start(
        EmotionFusionNode,
        model=str(write_tiny_bundle(tmp_path)),
        rate_hz=4.0,
        mouth_movement_enter=0.6,
        mouth_movement_leave=0.55,
        focus_takeover_ratio=7.0,
        focus_speaking_ratio=8.0,
        focus_center_ratio=9.0,
        smoothing_time_constant_s=1.1,
        label_enter=0.9,
        label_leave=0.8,
        **values,
    )
    assert node._stream._settings == StreamSettings(
        speaker=SpeakerSettings(movement_enter=0.6, movement_leave=0.55),
        focus=FocusSettings(takeover_ratio=7.0, speaking_ratio=8.0, center_ratio=9.0),
        smoothing=SmoothingSettings(time_constant_s=1.1, enter=0.9, leave=0.8),
        **values,
    )
    assert [timer.timer_period_ns for timer in node._added_timers] == [125_000_000], "twice for each state"
    for source, limit_s in ((Source.FACE, 0.1), (Source.AUDIO, 0.2)):
        assert not node._complain_of_stamps({source: 0.99 * limit_s})
        assert f"expected at most {limit_s} s" in node._complain_of_stamps({source: 1.01 * limit_s})


def test_every_parameter_of_the_audio_windows_reaches_its_setting(graph, made_with, monkeypatch):
    arguments = made_with(audio_window_node, "AudioWindower", "VoiceActivity", "RobotSpeech")
    unstamped = []
    monkeypatch.setattr(
        audio_window_node, "audio_format", lambda _: (AudioChunk, lambda message, said: unstamped.append(said) or CHUNK)
    )
    graph.start(
        AudioWindowNode,
        unstamped_sample_rate_hz=44100,
        unstamped_channels=3,
        window_s=2.5,
        hop_s=0.2,
        voice_enter=0.7,
        voice_leave=0.6,
        voice_min_silence_s=0.3,
        mute_tail_s=0.9,
        mute_limit_s=12.0,
        audio_topic="/head/sound",
    )
    assert (arguments["window_s"], arguments["hop_s"]) == (2.5, 0.2)
    assert (arguments["enter_threshold"], arguments["leave_threshold"], arguments["min_silence_s"]) == (0.7, 0.6, 0.3)
    assert (arguments["tail_s"], arguments["limit_s"]) == (0.9, 12.0)
    graph.listen(AudioWindow, "/emotion/audio_window")
    microphone = graph.speak(AudioChunk, "/head/sound")
    graph.wait_for(lambda: microphone.publish(AudioChunk()) or unstamped, "a chunk")
    assert (unstamped[0].sample_rate_hz, unstamped[0].channels) == (44100, 3)


def test_every_parameter_of_the_face_crops_reaches_its_setting(graph, made_with):
    made_with(face_detector, "FaceDetector")
    arguments = made_with(face_tracker, "FaceTracker")
    values = {"min_score": 0.3, "max_lost_s": 4.0, "max_center_distance": 2.0, "duplicate_overlap": 0.7}
    graph.start(FaceCropNode, **values)
    assert {name: arguments[name] for name in values} == values


@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_both_ends_of_each_range_are_values_that_the_tracker_takes(end):
    known = signature(face_tracker.FaceTracker).parameters
    ends = {it.name: getattr(it, end) for it in FaceCropNode.PARAMETERS if it.name in known}
    assert ends.keys() == {"max_lost_s", "max_center_distance", "duplicate_overlap"}
    assert face_tracker.FaceTracker(**ends).update([], 0.0) == []


def test_status_of_speech_may_have_no_topic(graph):
    node = graph.start(AudioWindowNode, tts_status_topic="")
    assert not [s for s in node.subscriptions if s.topic_name.endswith("status")]


def test_value_out_of_range_is_refused(graph):
    node = graph.add(EmotionFusionNode)
    (result,) = node.set_parameters([Parameter("rate_hz", value=1000.0)])
    assert not result.successful and "range" in result.reason


def test_parameter_that_a_running_node_would_ignore_is_refused_with_the_remedy(graph):
    node = graph.start(AudioWindowNode)
    for leave in (node.trigger_deactivate, node.trigger_cleanup):
        (result,) = node.set_parameters([Parameter("window_s", value=2.0)])
        assert not result.successful
        assert "ros2 lifecycle set /audio_window_node cleanup" in result.reason
        leave()
    (result,) = node.set_parameters([Parameter("window_s", value=2.0)])
    assert result.successful
