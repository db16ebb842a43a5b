"""Every encoding that a robot's camera has becomes the same pixels, and anything else one clear error."""

import array
import zlib

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from emotion_msgs.msg import FaceCrop, FaceCropArray
from emotion_perception.core.image_messages import ENCODINGS, ImageError, compressed_to_rgb, image_to_rgb
from emotion_perception.core.stamps import to_nanoseconds
from emotion_perception.nodes.conversions import check_image_size, rgb_to_image, to_stamp
from emotion_perception.nodes.emotion_messages import to_sample

RGB = np.dstack([np.full((16, 20), value, np.uint8) for value in (200, 100, 50)])  # (16, 20, 3), one colour


def image(pixels, encoding, padding=0):
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    data = array.array("B", rows.tobytes())
    return Image(height=16, width=20, encoding=encoding, step=rows.shape[1], data=data)


ENCODED = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "rgba8": np.dstack([RGB, np.full((16, 20), 9, np.uint8)]),
    "bgra8": np.dstack([RGB[..., ::-1], np.full((16, 20), 9, np.uint8)]),
}


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("encoding", ENCODED)
def test_colour_encodings_give_the_same_pixels_with_and_without_padded_rows(encoding, padding):
    np.testing.assert_array_equal(image_to_rgb(image(ENCODED[encoding], encoding, padding)), RGB)


@pytest.mark.parametrize("padding", [0, 12])
def test_grey_becomes_three_equal_channels(padding):
    grey = np.arange(320, dtype=np.int64).reshape(16, 20).astype(np.uint8)
    np.testing.assert_array_equal(image_to_rgb(image(grey, "mono8", padding)), np.dstack([grey] * 3))


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "UYVY"), ("yuv422_yuy2", "YUYV")])
def test_yuv_of_webcams_and_realsense_is_understood(encoding, order):
    # ITU-R BT.601, video range
    matrix = np.array([[0.257, 0.504, 0.098], [-0.148, -0.291, 0.439], [0.439, -0.368, -0.071]])
    y, u, v = matrix @ RGB[0, 0] + (16, 128, 128)
    pair = [{"Y": y, "U": u, "V": v}[letter] for letter in order]
    pixels = image_to_rgb(image(np.tile(np.array(pair, np.uint8), (16, 10)), encoding))
    assert np.abs(pixels.astype(int) - RGB).max() <= 3  # rounding


@pytest.mark.parametrize("encoding", ["yuv422", "yuv422_yuy2"])
def test_two_pixels_of_one_colour_need_an_even_width(encoding):
    with pytest.raises(ImageError, match=f"encoding {encoding} is 3 wide; expected an even width"):
        image_to_rgb(Image(height=1, width=3, encoding=encoding, step=6, data=array.array("B", bytes(6))))


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_give_the_colours_that_their_names_say(pattern, padding):
    values = dict(zip("rgb", RGB[0, 0], strict=True))
    tile = np.array([values[colour] for colour in pattern], np.uint8).reshape(2, 2)
    pixels = image_to_rgb(image(np.tile(tile, (8, 10)), f"bayer_{pattern}8", padding))
    np.testing.assert_array_equal(pixels, RGB)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_every_encoding_that_is_said_to_be_known_is_understood(encoding):
    pixels = image_to_rgb(image(np.zeros((16, 20 * ENCODINGS[encoding][0]), np.uint8), encoding))
    assert pixels.shape == RGB.shape and pixels.dtype == np.uint8


def test_unknown_encoding_is_named_with_the_known_ones():
    with pytest.raises(ImageError, match="'32FC1'; expected one of .*rgb8"):
        image_to_rgb(image(RGB, "32FC1"))


@pytest.mark.parametrize("change", [dict(height=17), dict(width=21), dict(step=59), dict(width=0), dict(height=0)])
def test_data_that_do_not_fit_the_size_are_refused_with_the_numbers(change):
    wrong = image(RGB, "rgb8")
    for name, value in change.items():
        setattr(wrong, name, value)
    with pytest.raises(ImageError, match="holds 960 bytes; expected"):
        image_to_rgb(wrong)


def test_compressed_image_is_decoded():
    data = array.array("B", cv2.imencode(".png", RGB[..., ::-1])[1].tobytes())
    np.testing.assert_array_equal(compressed_to_rgb(CompressedImage(format="png", data=data)), RGB)


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_compressed_image_that_is_none_is_refused(data):
    with pytest.raises(ImageError, match="cannot be decoded"):
        compressed_to_rgb(CompressedImage(format="jpeg", data=array.array("B", data)))


def test_picture_whose_damaged_header_claims_a_gigapixel_is_refused():
    damaged = bytearray(cv2.imencode(".png", RGB)[1].tobytes())
    damaged[16:24] = (60000).to_bytes(4, "big") * 2  # width and height in its IHDR
    damaged[29:33] = zlib.crc32(damaged[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match="cannot be decoded"):
        compressed_to_rgb(CompressedImage(format="png", data=array.array("B", bytes(damaged))))


def test_face_without_a_track_id_is_refused():
    crop = FaceCrop(crop=rgb_to_image(RGB, Header()), width_px=10.0, height_px=10.0)
    with pytest.raises(ValueError, match="The face has no track_id; expected one"):
        to_sample(crop, FaceCropArray(image_width_px=640, image_height_px=480))


def test_pixels_survive_the_message():
    np.testing.assert_array_equal(image_to_rgb(rgb_to_image(RGB, Header())), RGB)


@pytest.mark.parametrize("size", [(0, 480), (640, 0)])
def test_faces_of_an_image_without_size_are_refused(size):
    with pytest.raises(ImageError, match=f"{size[0]}x{size[1]}; expected its size"):
        check_image_size(FaceCropArray(image_width_px=size[0], image_height_px=size[1], faces=[FaceCrop()]))


def test_stamps_survive_the_conversion_to_the_nanosecond():
    stamp = Time(sec=1_795_496_536, nanosec=999_999_999)
    assert to_stamp(to_nanoseconds(stamp)) == stamp
