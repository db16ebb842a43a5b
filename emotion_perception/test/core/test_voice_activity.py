"""Voice is heard where there is some; speech begins at once and ends after silence."""

import numpy as np
import pytest
from onnx import TensorProto, save
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor, make_tensor_value_info

from emotion_perception.core.voice_activity import (
    CONTEXT_SAMPLES,
    FRAME_SAMPLES,
    STATE_SHAPE,
    SpeechGate,
    VoiceActivity,
    VoiceModelError,
)
from emotion_perception.testing.media import voice
from emotion_perception.testing.tiny_bundle import write_tiny_bundle

FRAMES_PER_S = 16_000 / FRAME_SAMPLES


@pytest.fixture
def activity(voice_model_path):
    return VoiceActivity(voice_model_path, enter_threshold=0.5, leave_threshold=0.35, min_silence_s=0.1)


def tell_the_context(path):
    """A model that takes for voice what comes before the frame."""
    shapes = {"input": (1, CONTEXT_SAMPLES + FRAME_SAMPLES), "state": STATE_SHAPE}
    inputs = [make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [
        make_tensor_value_info("probability", TensorProto.FLOAT, (1, 1)),
        make_tensor_value_info("new_state", TensorProto.FLOAT, STATE_SHAPE),
    ]
    nodes = [
        make_node("Split", ["input", "sizes"], ["context", "frame"], axis=1),
        make_node("ReduceMean", ["context"], ["probability"], axes=[1]),
        make_node("Identity", ["state"], ["new_state"]),
    ]
    sizes = make_tensor("sizes", TensorProto.INT64, [2], [CONTEXT_SAMPLES, FRAME_SAMPLES])
    graph = make_graph(
        nodes, "context", [*inputs, make_tensor_value_info("sr", TensorProto.INT64, ())], outputs, [sizes]
    )
    save(make_model(graph, opset_imports=[make_opsetid("", 13)], ir_version=8), path)
    return path


def advance(gate, probabilities):
    return "".join("x" if gate.advance(probability) else "." for probability in probabilities)


def test_speech_begins_at_the_enter_threshold():
    assert advance(SpeechGate(0.5, 0.3, 2), [0.1, 0.49, 0.5, 0.9]) == "..xx"


def test_speech_goes_on_between_the_thresholds():
    assert advance(SpeechGate(0.5, 0.3, 1), [0.9, 0.4, 0.4, 0.31]) == "xxxx"


def test_speech_ends_after_the_silence():
    assert advance(SpeechGate(0.5, 0.3, 3), [0.9, 0.1, 0.1, 0.1, 0.1]) == "xxx.."


def test_short_silence_does_not_end_speech():
    assert advance(SpeechGate(0.5, 0.3, 3), [0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.9]) == "xxxxxxx"


def test_only_probable_speech_interrupts_a_silence():
    assert advance(SpeechGate(0.5, 0.3, 3), [0.9, 0.1, 0.4, 0.4, 0.4, 0.9]) == "xxx..x"


def test_without_minimal_silence_speech_ends_at_once():
    assert advance(SpeechGate(0.5, 0.3, 0), [0.9, 0.1, 0.9]) == "x.x"


def test_hears_the_voice_in_the_middle_only(activity):
    silence = np.zeros(16_000, np.float32)
    flags = activity.add(np.concatenate([silence, voice(1.2, 16_000), silence]))
    begin, end = round(1.0 * FRAMES_PER_S), round(2.2 * FRAMES_PER_S)
    assert not any(flags[:begin])
    assert np.mean(flags[begin:end]) > 0.9
    assert not any(flags[end + 8 :])
    assert not activity.speaking


def test_noise_is_no_voice(activity):
    noise = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    assert not any(activity.add(noise))


def test_each_frame_is_scored_once_whatever_the_chunks(activity):
    samples = voice(1.0, 16_000)
    at_once = activity.add(samples)
    activity.reset()
    in_chunks = [flag for start in range(0, len(samples), 37) for flag in activity.add(samples[start : start + 37])]
    assert in_chunks == at_once
    assert len(at_once) == len(samples) // FRAME_SAMPLES


def test_frame_is_scored_with_the_end_of_the_frame_before(tmp_path):
    activity = VoiceActivity(tell_the_context(tmp_path / "context.onnx"), 0.5, 0.35, 0.0)
    samples = np.zeros(4 * FRAME_SAMPLES, np.float32)
    samples[2 * FRAME_SAMPLES - CONTEXT_SAMPLES : 2 * FRAME_SAMPLES] = 1.0
    assert activity.add(samples) == [False, False, True, False]


def test_reset_forgets_the_voice(activity):
    activity.add(voice(0.5, 16_000))
    assert activity.speaking
    activity.reset()
    assert not activity.speaking
    assert not any(activity.add(np.zeros(4_000, np.float32)))


def test_refuses_a_missing_model(tmp_path):
    with pytest.raises(VoiceModelError, match=r"missing\.onnx does not exist; put silero_vad"):
        VoiceActivity(tmp_path / "missing.onnx", 0.5, 0.35, 0.1)


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_refuses_a_file_that_is_no_model(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(VoiceModelError, match=r"broken\.onnx"):
        VoiceActivity(path, 0.5, 0.35, 0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0.3, 0.5, 0.1), "voice_leave is 0.5"),
        ((1.5, 0.5, 0.1), "1.5"),
        ((0.5, 0.3, -1.0), "voice_min_silence_s is -1"),
    ],
)
def test_refuses_impossible_settings(voice_model_path, settings, message):
    with pytest.raises(ValueError, match=message):
        VoiceActivity(voice_model_path, *settings)


def test_a_graph_of_another_kind_is_no_voice_model(tmp_path):
    write_tiny_bundle(tmp_path)
    with pytest.raises(VoiceModelError, match="takes .'audio'., expected"):
        VoiceActivity(tmp_path / "audio_encoder.onnx", 0.5, 0.35, 0.1)
