"""Every microphone message becomes the same chunk; a package that is not there is named."""

import array
import sys
from types import ModuleType, SimpleNamespace

import av
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from emotion_msgs.msg import AudioChunk
from emotion_perception.core.audio_chunk import MAX_DELAY_S, MAX_JITTER_S, AudioError
from emotion_perception.core.audio_messages import Unstamped
from emotion_perception.nodes.audio_formats import audio_format

NOW = Unstamped(now_ns=10_000_000_000, sample_rate_hz=8000, channels=2)
STEREO = np.array([[0.5, -0.5], [0.25, -0.25]], np.float32)  # (N, channels)
S16 = (STEREO * 2**15).astype("<i2").tobytes()
HEADER = Header(stamp=Time(sec=5), frame_id="head")


@pytest.fixture
def installed(monkeypatch):
    """Install a package audio_common_msgs with the messages of that name."""

    def install(*names):
        module = ModuleType("audio_common_msgs.msg")
        for name in names:
            setattr(module, name, type(name, (), {"data": None}))
        monkeypatch.setitem(sys.modules, "audio_common_msgs", ModuleType("audio_common_msgs"))
        monkeypatch.setitem(sys.modules, "audio_common_msgs.msg", module)

    return install


def read(name, message):
    return audio_format(name)[1](message, NOW)


def mp3_frames(rate_hz):
    """What audio_capture publishes with its default format, one frame a message."""
    encoder = av.CodecContext.create("libmp3lame", "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate_hz, "mono", "s16p"
    noise = np.random.default_rng(0).integers(-(2**12), 2**12, (1, rate_hz // 2), dtype=np.int16)
    frame = av.AudioFrame.from_ndarray(noise, format="s16p", layout="mono")
    frame.sample_rate = rate_hz
    return [bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode())]


def check(chunk, rate_hz, stamp_ns, frame_id):
    np.testing.assert_allclose(chunk.samples, STEREO, atol=1e-4)
    assert (chunk.sample_rate_hz, chunk.stamp_ns, chunk.frame_id) == (rate_hz, stamp_ns, frame_id)


def test_our_own_chunk_says_everything_itself():
    message = AudioChunk(header=HEADER, sample_rate_hz=44100, channels=2, samples=array.array("f", STEREO.ravel()))
    check(read("emotion_msgs/AudioChunk", message), 44100, 5_000_000_000, "head")


def test_audio_data_of_ros_drivers_ends_when_it_is_received(installed):
    installed("AudioData")
    chunk = read("audio_common_msgs/AudioData", SimpleNamespace(data=S16))
    check(chunk, 8000, NOW.now_ns - 2 * 125_000, "")
    assert chunk.is_assumed and chunk.jitter_s == MAX_DELAY_S


def test_stamped_audio_data_of_ros_drivers_keeps_its_stamp(installed):
    installed("AudioDataStamped")
    message = SimpleNamespace(header=HEADER, audio=SimpleNamespace(data=S16))
    chunk = read("audio_common_msgs/AudioDataStamped", message)
    check(chunk, 8000, 5_000_000_000, "head")
    assert chunk.is_assumed and chunk.jitter_s == MAX_JITTER_S


@pytest.mark.parametrize(
    ("number", "field", "values"),
    [
        (1, "float32_data", STEREO),
        (2, "int32_data", STEREO * 2**31),
        (8, "int16_data", STEREO * 2**15),
        (16, "int8_data", STEREO * 2**7),
    ],
)
def test_audio_of_mgonzs13_is_stamped_when_it_is_waited_for(installed, number, field, values):
    installed("AudioStamped")
    info = SimpleNamespace(format=number, channels=2, rate=16000, chunk=2)
    audio = SimpleNamespace(audio_data=SimpleNamespace(**{field: values.ravel().tolist()}), info=info)
    chunk = read("audio_common_msgs/AudioStamped", SimpleNamespace(header=HEADER, audio=audio))
    check(chunk, 16000, 5_000_000_000, "head")
    assert not chunk.is_assumed and chunk.jitter_s == MAX_DELAY_S


def test_unknown_portaudio_format_is_refused(installed):
    installed("AudioStamped")
    audio = SimpleNamespace(audio_data=None, info=SimpleNamespace(format=7, channels=1, rate=16000))
    with pytest.raises(AudioError, match="PortAudio format 7"):
        read("audio_common_msgs/AudioStamped", SimpleNamespace(header=HEADER, audio=audio))


def test_unknown_type_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'std_msgs/String'; expected one of emotion_msgs/AudioChunk"):
        audio_format("std_msgs/String")


def test_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "audio_common_msgs", None)
    with pytest.raises(ValueError, match="audio_common_msgs is not installed"):
        audio_format("audio_common_msgs/AudioData")


def test_other_package_of_the_same_name_is_told_apart(installed):
    installed("AudioStamped")
    with pytest.raises(ValueError, match="has no such AudioDataStamped; it is the other of the two"):
        audio_format("audio_common_msgs/AudioDataStamped")


def test_audio_data_of_the_other_package_is_told_apart(installed):
    installed("AudioData", "AudioStamped")
    del sys.modules["audio_common_msgs.msg"].AudioData.data
    with pytest.raises(ValueError, match="has no such AudioData; it is the other of the two"):
        audio_format("audio_common_msgs/AudioData")


@pytest.mark.parametrize(("samples", "channels"), [([0.1, 0.2, 0.3], 2), ([0.1], 0)])
def test_samples_that_are_no_whole_number_of_instants_are_refused(samples, channels):
    message = AudioChunk(sample_rate_hz=16000, channels=channels, samples=samples)
    with pytest.raises(AudioError, match="expected a whole number"):
        read("emotion_msgs/AudioChunk", message)


def test_negative_number_of_channels_is_refused(installed):
    installed("AudioStamped")
    info = SimpleNamespace(format=1, channels=-1, rate=16000)
    audio = SimpleNamespace(audio_data=SimpleNamespace(float32_data=[0.1, 0.2]), info=info)
    with pytest.raises(AudioError, match="2 samples of -1 channels; expected a whole number"):
        read("audio_common_msgs/AudioStamped", SimpleNamespace(header=HEADER, audio=audio))


def test_half_a_sample_is_refused(installed):
    installed("AudioData")
    with pytest.raises(AudioError, match="even number of bytes"):
        read("audio_common_msgs/AudioData", SimpleNamespace(data=b"\x01\x02\x03"))


@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_mp3_is_refused_with_the_setting_that_gives_samples(installed, rate_hz):
    installed("AudioData", "AudioDataStamped")
    for frame in mp3_frames(rate_hz):
        audio = SimpleNamespace(data=array.array("B", frame))
        said = f"an MP3 frame of {len(frame)} bytes, expected 16-bit samples; set format:=wave"
        with pytest.raises(AudioError, match=said):
            read("audio_common_msgs/AudioData", audio)
        with pytest.raises(AudioError, match=said):
            read("audio_common_msgs/AudioDataStamped", SimpleNamespace(header=HEADER, audio=audio))
