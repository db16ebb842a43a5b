"""The microphone node without a microphone: what PortAudio says becomes a sentence, what it gives a chunk."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn

from emotion_msgs.msg import AudioChunk
from emotion_perception.core.stamps import to_nanoseconds
from emotion_perception.nodes import microphone_node
from emotion_perception.nodes.microphone_node import MicrophoneNode


class FakeStream:
    """PortAudio's stream, that gives what the test wants."""

    def __init__(self, start_error, **options):
        self.options = options
        self.active = self.has_ended = self.is_closed = False
        self.time = 100.0
        self.start_error = start_error

    def start(self):
        assert not self.has_ended, "PortAudio would hang"
        if self.start_error:
            raise self.start_error
        self.active = True

    def end(self):
        """What PortAudio does when the microphone is unplugged."""
        self.active, self.has_ended = False, True

    def stop(self):
        self.end()

    def close(self):
        assert not self.active, "PortAudio would cancel its thread amid a callback"
        self.is_closed = True

    def give(self, samples, age_s, overflow=False, waited_s=0.0):
        time = SimpleNamespace(currentTime=self.time, inputBufferAdcTime=self.time - age_s)
        self.time += waited_s
        self.options["callback"](samples, len(samples), time, SimpleNamespace(input_overflow=overflow))


class FakePortAudio:
    """The module sounddevice, with one microphone of 48 kHz."""

    class PortAudioError(Exception):
        pass

    def __init__(self):
        self.stream = None
        self.start_error = None

    def query_devices(self, device, kind):
        if device not in (None, "webcam"):
            raise ValueError(f"No {kind} device matching {device!r}")
        return {"default_samplerate": 48000.0}

    def check_input_settings(self, device, channels, dtype, samplerate):
        self.checked = {"device": device, "channels": channels, "dtype": dtype, "samplerate": samplerate}
        if channels > 2:
            raise self.PortAudioError("Invalid number of channels [PaErrorCode -9998]")

    def InputStream(self, **options):  # noqa: N802  sounddevice's name
        self.stream = FakeStream(self.start_error, **options)
        return self.stream

    def unplug(self):
        self.start_error = self.PortAudioError("Device unavailable [PaErrorCode -9985]")
        self.stream.end()


@pytest.fixture
def port_audio(monkeypatch):
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def test_microphone_that_does_not_exist_is_named(graph, port_audio, refusal):
    message = refusal(graph.add(MicrophoneNode, device="no such thing"))
    assert "'no such thing' does not open" in message and "python -m sounddevice" in message


def test_channels_that_the_microphone_lacks_are_refused(graph, port_audio, refusal):
    assert "does not open with 6 channels" in refusal(graph.add(MicrophoneNode, channels=6))


def test_missing_portaudio_is_named_with_the_command_that_installs_it(graph, monkeypatch, refusal):
    class WithoutPortAudio:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [WithoutPortAudio(), *sys.meta_path])
    assert "apt-get install libportaudio2" in refusal(graph.add(MicrophoneNode))


def test_chunk_of_a_stream_that_has_no_time_yet_has_just_ended(graph, port_audio, monkeypatch):
    def no_time(_):
        raise port_audio.PortAudioError("Error getting stream time: stream is invalid")

    node = graph.start(MicrophoneNode)
    chunks = graph.listen(AudioChunk, "/emotion/microphone/audio")
    graph.wait_for(node._publisher.get_subscription_count, "the listener")
    stream = port_audio.stream
    monkeypatch.setattr(FakeStream, "time", property(no_time, lambda *_: None), raising=False)
    stream.options["callback"](
        np.zeros((480, 1), np.float32),
        480,
        SimpleNamespace(currentTime=0.0, inputBufferAdcTime=0.0),
        SimpleNamespace(input_overflow=False),
    )
    stamp_ns = to_nanoseconds(graph.wait_for(lambda: chunks, "a chunk")[0].header.stamp)
    assert 0 <= node.get_clock().now().nanoseconds - stamp_ns < 10**9


@pytest.mark.parametrize(
    ("told_age_s", "waited_s", "age_s"),
    [(0.05, 0.0, 0.05), (0.05, 5.0, 0.05), (0.0, 0.0, 0.032), (1.5, 0.0, 0.032), (0.05, 0.2, 0.25)],
)
def test_chunk_is_stamped_with_the_capture_of_its_first_sample(graph, port_audio, told_age_s, waited_s, age_s):
    node = graph.start(MicrophoneNode, device="webcam", channels=2)
    chunks = graph.listen(AudioChunk, "/emotion/microphone/audio")
    graph.wait_for(lambda: node._publisher.get_subscription_count(), "the subscription")
    samples = np.linspace(-1, 1, 2 * 1536, dtype=np.float32).reshape(1536, 2)
    before_ns = node.get_clock().now().nanoseconds
    port_audio.stream.give(samples, told_age_s, waited_s=waited_s)
    after_ns = node.get_clock().now().nanoseconds
    chunk = graph.wait_for(lambda: chunks, "a chunk")[0]
    stamp_ns = to_nanoseconds(chunk.header.stamp)
    assert before_ns - age_s * 1e9 <= stamp_ns + 1 and stamp_ns - 1 <= after_ns - age_s * 1e9
    assert (chunk.sample_rate_hz, chunk.channels) == (48000, 2)
    np.testing.assert_array_equal(np.array(chunk.samples).reshape(1536, 2), samples)


def test_stream_is_opened_as_the_parameters_say(graph, port_audio):
    chunks = graph.listen(AudioChunk, "/head/sound")
    wanted = {"device": "webcam", "channels": 2, "chunk_s": 0.01, "frame_id": "head", "audio_topic": "/head/sound"}
    node = graph.start(MicrophoneNode, **wanted)
    options = {"device": "webcam", "channels": 2, "samplerate": 48000, "dtype": "float32"}
    assert port_audio.checked == options
    assert port_audio.stream.options.items() >= {**options, "blocksize": 480, "latency": "low"}.items()
    graph.wait_for(node._publisher.get_subscription_count, "the listener")
    port_audio.stream.give(np.zeros((480, 2), np.float32), 0.05)
    assert graph.wait_for(lambda: chunks, "a chunk")[0].header.frame_id == "head"


def test_samples_that_were_lost_are_said_once_and_the_others_are_published(graph, port_audio):
    node = graph.start(MicrophoneNode)
    chunks = graph.listen(AudioChunk, "/emotion/microphone/audio")
    graph.wait_for(node._publisher.get_subscription_count, "the listener")
    port_audio.stream.give(np.zeros((480, 1), np.float32), 0.05, overflow=True)
    diagnosis = node.diagnose()
    assert diagnosis.level == DiagnosticStatus.ERROR and "The microphone lost samples" in diagnosis.message
    graph.wait_for(lambda: chunks, "the chunk")
    port_audio.stream.give(np.zeros((480, 1), np.float32), 0.05)
    assert (diagnosis := node.diagnose()).level == DiagnosticStatus.OK
    assert (diagnosis.values["received"], diagnosis.values["refused"]) == (2, 1)


def test_microphone_that_does_not_start_is_said_in_one_sentence(graph, port_audio, capfd):
    node = graph.add(MicrophoneNode, device="webcam")
    node.trigger_configure()
    port_audio.start_error = port_audio.PortAudioError("Device unavailable [PaErrorCode -9985]")
    capfd.readouterr()
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "'webcam' does not start (Device unavailable [PaErrorCode -9985]); expected one that" in line


def test_stream_runs_only_while_the_node_is_active(graph, port_audio):
    node = graph.start(MicrophoneNode)
    assert port_audio.stream.active and port_audio.stream.options["device"] is None, "the default"
    node.trigger_deactivate()
    assert not port_audio.stream.active and port_audio.stream.is_closed


def test_microphone_that_was_unplugged_is_opened_anew_when_it_is_back(graph, port_audio, monkeypatch):
    monkeypatch.setattr(microphone_node, "RETRY_S", 0.001)
    node = graph.start(MicrophoneNode, device="webcam")
    lost = port_audio.stream
    port_audio.unplug()
    graph.wait_for(lambda: node.diagnose().level == DiagnosticStatus.ERROR, "the diagnosis")
    assert "'webcam' does not start (Device unavailable" in node.diagnose().message and lost.is_closed
    port_audio.start_error = None
    graph.wait_for(lambda: port_audio.stream.active, "a new stream")
    assert node.diagnose().level == DiagnosticStatus.OK


def test_microphone_that_runs_is_left_alone(graph, port_audio, monkeypatch):
    monkeypatch.setattr(microphone_node, "RETRY_S", 0.001)
    looks = []
    look = MicrophoneNode._open_if_lost
    monkeypatch.setattr(MicrophoneNode, "_open_if_lost", lambda node: looks.append(look(node)))
    graph.start(MicrophoneNode)
    stream = port_audio.stream
    graph.wait_for(lambda: len(looks) > 2, "three looks")
    assert port_audio.stream is stream and stream.active


def test_activation_after_a_loss_opens_the_microphone_anew(graph, port_audio):
    node = graph.start(MicrophoneNode)
    port_audio.unplug()
    assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    port_audio.start_error = None
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    assert port_audio.stream.active
