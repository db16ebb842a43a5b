"""Pictures and sound as their files mean them."""

import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from emotion_perception.core.media_reader import AudioBlock, MediaReader
from emotion_perception.testing.media import write_media

HEIGHT_PX, WIDTH_PX = 64, 96
QUARTERS = {(-1, -1): 60, (1, -1): 110, (-1, 1): 160, (1, 1): 210}  # grey by the signs of x, to the right, and y, down


def turned_file(path, a, b, c, d):
    """A picture of four grey quarters, to be shown with x * a + y * c as its x, and x * b + y * d as its y."""
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    for signs, grey in QUARTERS.items():
        quarter(image, *signs)[:] = grey
    write_media(path, [image])
    data = bytearray(path.read_bytes())
    matrix = data.index(struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30), data.index(b"tkhd"))
    struct.pack_into(">5i", data, matrix, a << 16, b << 16, 0, c << 16, d << 16)
    path.write_bytes(data)


def quarter(image, x, y):
    half_height_px, half_width_px = image.shape[0] // 2, image.shape[1] // 2
    rows = slice(half_height_px, None) if y > 0 else slice(half_height_px)
    return image[rows, slice(half_width_px, None) if x > 0 else slice(half_width_px)]


@pytest.mark.parametrize(
    ("a", "b", "c", "d"),
    [
        (1, 0, 0, 1),
        (0, 1, -1, 0),
        (-1, 0, 0, -1),
        (0, -1, 1, 0),
        (-1, 0, 0, 1),
        (0, -1, -1, 0),
        (1, 0, 0, -1),
        (0, 1, 1, 0),
    ],
)
def test_picture_is_turned_and_mirrored_as_its_file_says(tmp_path, a, b, c, d):
    turned_file(tmp_path / "clip.mp4", a, b, c, d)
    with MediaReader(tmp_path / "clip.mp4") as reader:
        image = next(iter(reader)).image_rgb
    assert image.shape == ((HEIGHT_PX, WIDTH_PX, 3) if a else (WIDTH_PX, HEIGHT_PX, 3))
    for (x, y), grey in QUARTERS.items():
        assert quarter(image, x * a + y * c, x * b + y * d).mean() == pytest.approx(grey, abs=5)


def test_photo_is_turned_as_its_exif_says(tmp_path):
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    image[:, WIDTH_PX // 2 :] = 200
    photo = cv2.imencode(".jpg", image)[1].tobytes()
    orientation, as_short, to_be_turned_clockwise = 0x0112, 3, 6
    directory = struct.pack(">HHHIHHI", 1, orientation, as_short, 1, to_be_turned_clockwise, 0, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">I", 8) + directory
    (tmp_path / "photo.jpg").write_bytes(photo[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + photo[2:])
    with MediaReader(tmp_path / "photo.jpg") as reader:
        turned = next(iter(reader)).image_rgb
    assert turned.shape == (WIDTH_PX, HEIGHT_PX, 3)
    assert quarter(turned, -1, -1).mean() < 5 and quarter(turned, -1, 1).mean() > 195


@pytest.mark.parametrize(
    ("codec", "sample_format", "dtype", "middle", "scale"),
    [
        ("pcm_u8", "u8", np.uint8, 128, 2**7),
        ("pcm_s16le", "s16", np.int16, 0, 2**15),
        ("pcm_s32le", "s32", np.int32, 0, 2**31),
        ("pcm_s64le", "s64", np.int64, 0, 2**63),
        ("pcm_f64le", "dbl", np.float64, 0, 1),
    ],
)
def test_sound_of_any_format_is_read_to_one_scale(tmp_path, codec, sample_format, dtype, middle, scale):
    samples = np.array([[0.5, -0.25], [-1.0, 0.75], [0.0, 0.25]])  # (N, channels)
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream(codec, rate=16_000, layout="stereo")
        frame = av.AudioFrame(format=sample_format, layout="stereo", samples=len(samples))
        frame.planes[0].update((samples * scale + middle).astype(dtype).tobytes())
        frame.rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with MediaReader(tmp_path / "sound.wav") as reader:
        assert np.concatenate([block.samples for block in reader]) == pytest.approx(samples)


def test_pictures_and_sound_come_in_the_order_of_their_capture(tmp_path):
    pictures, sound = np.zeros((25, HEIGHT_PX, WIDTH_PX, 3), np.uint8), np.zeros((16_000, 1), np.float32)
    write_media(tmp_path / "clip.mkv", pictures, samples=sound, sample_rate_hz=16_000)
    with MediaReader(tmp_path / "clip.mkv") as reader:
        items = list(reader)
    # A block is there with its last sample: 64 ms after its first one, when a picture more has come.
    ends_s = [item.time_s + (len(item.samples) / 16_000 if isinstance(item, AudioBlock) else 0.0) for item in items]
    assert len(items) == 25 + 16 and ends_s == sorted(ends_s)


def test_cover_of_a_record_is_no_video(tmp_path):
    samples = np.zeros((1, 1600), np.int16)
    with av.open(str(tmp_path / "record.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate = 16_000
        picture = av.VideoFrame.from_ndarray(np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8), format="rgb24")
        for stream, item in ((cover, picture), (sound, frame)):
            container.mux(stream.encode(item))
            container.mux(stream.encode(None))
    with MediaReader(tmp_path / "record.mp4") as reader:
        assert (reader.has_video, reader.has_audio) == (False, True)
        assert all(isinstance(item, AudioBlock) for item in reader)


def test_channels_of_compressed_sound_stay_apart(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    samples = np.stack([tone, np.zeros(16_000)], axis=1).astype(np.float32)
    write_media(tmp_path / "clip.mp4", samples=samples, sample_rate_hz=16_000)  # AAC, whose samples are planar
    with MediaReader(tmp_path / "clip.mp4") as reader:
        left, right = np.concatenate([block.samples for block in reader])[4000:12_000].T
    assert left.std() == pytest.approx(tone.std(), rel=0.05) and np.abs(right).max() < 0.01


def test_gaps_of_a_file_stay_gaps(tmp_path):
    times_s = [0.0, 0.04, 1.0, 1.04]
    pictures, sound = np.zeros((4, HEIGHT_PX, WIDTH_PX, 3), np.uint8), np.zeros((8000, 1), np.float32)
    write_media(tmp_path / "clip.mkv", pictures, times_s, samples=sound, sample_rate_hz=16_000, audio_start_s=0.5)
    with MediaReader(tmp_path / "clip.mkv") as reader:
        items = list(reader)
    assert [item.time_s for item in items if not isinstance(item, AudioBlock)] == pytest.approx(times_s, abs=1e-3)
    assert next(item.time_s for item in items if isinstance(item, AudioBlock)) == pytest.approx(0.5, abs=1e-3)


def test_pixels_that_are_wider_than_high_make_a_wider_picture(tmp_path):
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=72, height=64, pix_fmt="yuv420p")
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 72, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(picture), *stream.encode()])
    with MediaReader(tmp_path / "clip.mkv") as reader:
        assert {item.image_rgb.shape for item in reader} == {(64, 96, 3)}
