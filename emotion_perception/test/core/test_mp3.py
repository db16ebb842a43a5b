"""Every frame that LAME writes is known as one; what is no frame is not."""

import av
import numpy as np
import pytest

from emotion_perception.core.mp3 import is_mp3_frame


def encode(sample_rate_hz, layout="mono", bit_rate=128_000):
    """Half a second of noise that swells, one packet a frame."""
    encoder = av.CodecContext.create("libmp3lame", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = sample_rate_hz, layout, "s16p", bit_rate
    noise = np.random.default_rng(0).normal(size=(encoder.layout.nb_channels, sample_rate_hz // 2))
    samples = (noise * np.linspace(0.0, 2**13, noise.shape[1])).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format="s16p", layout=layout)
    frame.sample_rate = sample_rate_hz
    return [bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode())]


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("sample_rate_hz", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_every_frame_at_every_rate_is_known(sample_rate_hz, layout):
    frames = encode(sample_rate_hz, layout)
    assert len(frames) > 5 and all(map(is_mp3_frame, frames))


@pytest.mark.parametrize("kbps", [32, 64, 160, 320])
def test_every_bit_rate_is_known(kbps):
    assert all(map(is_mp3_frame, encode(48_000, bit_rate=kbps * 1000)))


def test_padded_frames_are_known():
    frames = encode(44_100)
    assert {len(frame) for frame in frames} == {417, 418}
    assert all(map(is_mp3_frame, frames))


def test_frame_that_is_cut_or_continued_is_none():
    frame = encode(16_000)[0]
    assert not is_mp3_frame(frame[:-2]) and not is_mp3_frame(frame + b"\0\0") and not is_mp3_frame(frame[:3])
    assert not is_mp3_frame(b"")


@pytest.mark.parametrize(("byte", "bits"), [(0, 0x80), (1, 0x20), (1, 0x04), (1, 0x01), (3, 0x01), (3, 0x04)])
def test_header_that_lame_does_not_write_begins_none(byte, bits):
    frame = bytearray(encode(16_000)[0])
    frame[byte] ^= bits
    assert not is_mp3_frame(frame)


@pytest.mark.parametrize(
    "header",
    [b"\xff\xeb\x90\x04", b"\xff\xfb\x00\x04", b"\xff\xfb\xf0\x04", b"\xff\xfb\x9c\x04", b"\xff\xff\xff\xff"],
    ids=["no version", "no bit rate", "bit rate 15", "no sample rate", "samples of -1"],
)
def test_header_that_no_encoder_writes_begins_no_frame(header):
    assert not any(is_mp3_frame(header + bytes(n_bytes)) for n_bytes in range(2000))


def test_noise_is_none():
    noise = np.random.default_rng(0).integers(0, 256, 960 + 2 * 50_000, dtype=np.uint8).tobytes()
    assert not any(is_mp3_frame(noise[start : start + 960]) for start in range(0, 2 * 50_000, 2))
