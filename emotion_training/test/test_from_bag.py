"""Recordings of the robot become a corpus: written with rosbags, read back through the manifest."""

import csv
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import StoragePlugin, Writer

from emotion_perception.core.media_reader import AudioBlock, MediaReader, VideoFrame
from emotion_perception.testing.media import voice
from emotion_training import bag_messages
from emotion_training.bag_messages import image_rgb, message_types
from emotion_training.corpora import read_corpus
from emotion_training.from_bag import main

RATE_HZ = 16_000
START_NS = 1_700_000_000_123_456_789
IMAGES, SOUND = "/camera/image", "/microphone/audio"


def header(types, stamp_ns):
    stamp = types.types["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
    return types.types["std_msgs/msg/Header"](stamp, "robot")


def image(types, pixels, stamp_ns, encoding="rgb8"):
    height, width = pixels.shape[:2]
    data = pixels.reshape(-1)
    return types.types["sensor_msgs/msg/Image"](
        header(types, stamp_ns), height, width, encoding, 0, data.size // height, data
    )


def compressed(types, pixels, stamp_ns):
    data = cv2.imencode(".png", pixels[..., ::-1])[1].reshape(-1)
    return types.types["sensor_msgs/msg/CompressedImage"](header(types, stamp_ns), "png", data)


def audio_chunk(types, samples, stamp_ns):
    return types.types["emotion_msgs/msg/AudioChunk"](header(types, stamp_ns), RATE_HZ, 1, samples)


def int16_bytes(samples):
    return np.frombuffer((samples * 2**15).astype("<i2").tobytes(), np.uint8)


def audio_data(types, samples, _):
    return types.types["audio_common_msgs/msg/AudioData"](int16_bytes(samples))


def audio_data_stamped(types, samples, stamp_ns):
    return types.types["audio_common_msgs/msg/AudioDataStamped"](
        header(types, stamp_ns), audio_data(types, samples, stamp_ns)
    )


def audio_stamped(types, samples, stamp_ns):
    none = [np.zeros(0, kind) for kind in (np.float32, np.int32, np.int8, np.uint8)]
    named = {name: types.types[f"audio_common_msgs/msg/{name}"] for name in ("AudioData", "AudioInfo", "Audio")}
    data = named["AudioData"](none[0], none[1], (samples * 2**15).astype(np.int16), none[2], none[3])
    info = named["AudioInfo"](8, 1, RATE_HZ, len(samples))
    return types.types["audio_common_msgs/msg/AudioStamped"](header(types, stamp_ns), named["Audio"](data, info))


AUDIO = {
    "emotion_msgs/msg/AudioChunk": audio_chunk,
    "audio_common_msgs/msg/AudioData": audio_data,
    "audio_common_msgs/msg/AudioDataStamped": audio_data_stamped,
    "audio_common_msgs/msg/AudioStamped": audio_stamped,
}


def write_bag(path, messages, audio_type="emotion_msgs/msg/AudioChunk", storage=StoragePlugin.SQLITE3):
    """Writes (topic, type, message, received_ns) in the order given."""
    types = message_types(audio_type)
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections = {}
        for topic, kind, message, received_ns in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=types)
            writer.write(connections[topic], received_ns, types.serialize_cdr(message, kind))
    return path


def pictures(count=20, shape=(96, 128)):
    """Grey pictures, each a little lighter."""
    return [np.full((*shape, 3), 40 + 8 * index, np.uint8) for index in range(count)]


def conversation(
    duration_s=2.0, image_start_s=0.25, audio_type="emotion_msgs/msg/AudioChunk", image_type="Image", lost=()
):
    """Sound from the beginning, pictures from `image_start_s`; chunks with an index in `lost` are missing."""
    types = message_types(audio_type)
    samples = voice(duration_s, RATE_HZ)
    messages = []
    for index in range(round(duration_s * 10)):
        stamp_ns = START_NS + index * 10**8
        chunk = samples[index * 1600 : (index + 1) * 1600]
        if index not in lost:
            received_ns = stamp_ns + 10**8  # when its last sample was captured
            messages.append((SOUND, audio_type, AUDIO[audio_type](types, chunk, stamp_ns), received_ns))
    for index, pixels in enumerate(pictures()):
        stamp_ns = START_NS + round(image_start_s * 1e9) + index * 5 * 10**7
        make = {"Image": image, "CompressedImage": compressed}[image_type]
        messages.append((IMAGES, f"sensor_msgs/msg/{image_type}", make(types, pixels, stamp_ns), stamp_ns + 10**7))
    return sorted(messages, key=lambda message: message[3])


def read_media(path):
    """Pictures' times and brightness, and the sound (N,)."""
    with MediaReader(path) as reader:
        items = list(reader)
    frames = [item for item in items if isinstance(item, VideoFrame)]
    blocks = [item.samples[:, 0] for item in items if isinstance(item, AudioBlock)]
    return (
        np.array([frame.time_s for frame in frames]),
        np.array([frame.image_rgb.mean() for frame in frames]),
        np.concatenate(blocks) if blocks else np.zeros(0),
    )


@pytest.mark.parametrize("audio_type", AUDIO)
@pytest.mark.parametrize("image_type", ["Image", "CompressedImage"])
def test_pictures_and_sound_keep_their_capture_times(tmp_path, audio_type, image_type):
    bag = write_bag(tmp_path / "talk", conversation(audio_type=audio_type, image_type=image_type), audio_type)
    assert main([str(bag), "--out", str(tmp_path / "corpus")]) == 0
    times_s, brightness, sound = read_media(tmp_path / "corpus" / "talk.mkv")
    np.testing.assert_allclose(times_s, 0.25 + 0.05 * np.arange(20), atol=0.002)
    np.testing.assert_allclose(brightness, 40 + 8 * np.arange(20), atol=3)
    np.testing.assert_allclose(sound, voice(2.0, RATE_HZ), atol=3 / 2**15)


def without_definitions(bag):
    """The recording as Humble makes it, which does not write the types of its messages down."""
    with sqlite3.connect(next(bag.glob("*.db3"))) as database:
        database.execute("DELETE FROM message_definitions")
    return bag


@pytest.mark.parametrize("audio_type", AUDIO)
def test_recordings_that_do_not_bring_their_types_can_be_read(tmp_path, audio_type):
    bag = without_definitions(write_bag(tmp_path / "talk", conversation(audio_type=audio_type), audio_type))
    with AnyReader([bag], default_typestore=message_types(audio_type)) as reader:
        assert {connection.msgdef.format for connection in reader.connections} == {MessageDefinitionFormat.NONE}
    assert main([str(bag), "--out", str(tmp_path / "corpus")]) == 0
    np.testing.assert_allclose(read_media(tmp_path / "corpus" / "talk.mkv")[2], voice(2.0, RATE_HZ), atol=3 / 2**15)


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_segments_become_clips_of_the_manifest(tmp_path, storage):
    bag = write_bag(tmp_path / "talk", conversation(), storage=storage)
    segments = tmp_path / "segments.csv"
    rows = ["start_s,end_s,label,speaker_id,valence,vote_sad", "0.25,1.0,happy,anne,0.5,", "1.0,1.75,,luc,,3"]
    segments.write_text("\n".join(rows))
    assert main([str(bag), "--out", str(tmp_path / "corpus"), "--segments", str(segments)]) == 0
    anne, luc = read_corpus("manifest", tmp_path / "corpus", corpus="robot")
    assert (anne.clip_id, anne.speaker_id, anne.label, anne.start_s, anne.end_s) == (
        "talk-0001",
        "robot-anne",
        "happy",
        0.25,
        1.0,
    )
    assert (luc.speaker_id, luc.label, luc.session_id) == ("robot-luc", None, "robot-talk")
    assert (anne.valence, anne.votes, luc.valence, luc.votes) == (0.5, None, None, {"sad": 3.0})
    assert anne.video == luc.video == tmp_path / "corpus" / "talk.mkv" and anne.audio is None


def test_recordings_without_segments_are_clips_of_their_own(tmp_path):
    bags = [str(write_bag(tmp_path / name, conversation())) for name in ("monday", "tuesday")]
    assert main([*bags, "--out", str(tmp_path / "corpus")]) == 0
    found = [(clip.clip_id, clip.speaker_id, clip.label) for clip in read_corpus("manifest", tmp_path / "corpus")]
    assert found == [("monday", "manifest-monday", None), ("tuesday", "manifest-tuesday", None)]


def test_labels_that_somebody_wrote_into_the_manifest_stay_when_more_recordings_come(tmp_path):
    bags = [str(write_bag(tmp_path / name, conversation())) for name in ("monday", "tuesday")]
    manifest = tmp_path / "corpus" / "manifest.csv"
    assert main([bags[0], "--out", str(tmp_path / "corpus")]) == 0
    with manifest.open(newline="") as file:
        (row,) = csv.DictReader(file)
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*row, "arousal"])
        writer.writeheader()
        writer.writerow(row | {"speaker_id": "anne", "label": "happy", "arousal": "0.5"})
    assert main([*bags, "--out", str(tmp_path / "corpus")]) == 0
    clips = read_corpus("manifest", tmp_path / "corpus")
    found = [(clip.clip_id, clip.speaker_id, clip.label, clip.arousal) for clip in clips]
    assert found == [
        ("monday", "manifest-anne", "happy", 0.5),
        ("tuesday", "manifest-tuesday", None, None),
    ]
    segments = tmp_path / "segments.csv"
    segments.write_text("start_s,end_s,label,speaker_id\n0,1,sad,luc\n")
    assert main([bags[1], "--out", str(tmp_path / "corpus"), "--segments", str(segments)]) == 0
    found = [(clip.clip_id, clip.label) for clip in read_corpus("manifest", tmp_path / "corpus")]
    assert found == [("monday", "happy"), ("tuesday-0001", "sad")]


def test_segments_name_the_recording_that_they_are_of(tmp_path, capsys):
    bags = [str(write_bag(tmp_path / name, conversation())) for name in ("monday", "tuesday")]
    segments = tmp_path / "segments.csv"
    rows = ["0,1,happy,anne,tuesday", "0,1,sad,luc,monday", "1,2,,anne,tuesday"]
    command = [*bags, "--out", str(tmp_path / "corpus"), "--segments", str(segments)]
    segments.write_text("\n".join(["start_s,end_s,label,speaker_id,recording", *rows]))
    assert main(command) == 0
    found = [(clip.clip_id, clip.video.stem, clip.label) for clip in read_corpus("manifest", tmp_path / "corpus")]
    assert found == [
        ("monday-0001", "monday", "sad"),
        ("tuesday-0001", "tuesday", "happy"),
        ("tuesday-0002", "tuesday", None),
    ]
    segments.write_text("start_s,end_s,label,speaker_id,recording\n0,1,happy,anne,sunday\n")
    assert main(command) == 1
    assert "segments.csv:2: recording is 'sunday'; expected one of monday, tuesday" in capsys.readouterr().err


def test_recordings_of_one_name_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "a" / "talk"), str(tmp_path / "b" / "talk"), "--out", str(tmp_path)])
    assert "the recordings talk, talk have the same name; rename one" in capsys.readouterr().err


def test_stereo_sound_that_comes_again_or_late_is_dropped(tmp_path, capsys):
    kind, types = "emotion_msgs/msg/AudioChunk", message_types(None)
    duration_s = 20.0
    ramp = np.linspace(-0.5, 0.5, round(duration_s * RATE_HZ), dtype=np.float32)
    both = np.stack([voice(duration_s, RATE_HZ), ramp], axis=1)
    messages = []
    for start_s, end_s in ((0.0, 0.8), (0.8, 1.2), (1.0, 1.2), (0.8, 1.6), (1.6, 20.0), (19.8, 20.0)):
        samples = both[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)].reshape(-1)
        stamp = header(types, START_NS + round(start_s * 1e9))
        messages.append((SOUND, kind, types.types[kind](stamp, RATE_HZ, 2, samples), START_NS + len(messages)))
    bag = write_bag(tmp_path / "talk", messages)
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    with MediaReader(tmp_path / "talk.mkv") as reader:
        np.testing.assert_allclose(np.concatenate([block.samples for block in reader]), both, atol=3 / 2**15)
    assert "talk.mkv: 0.80 s of sound for which the stamps leave no time are left out" in capsys.readouterr().out


def of_microphone(chunks, audio_type="emotion_msgs/msg/AudioChunk"):
    """Messages of (samples, stamp and reception in seconds)."""
    types = message_types(audio_type)
    messages = []
    for samples, stamp_s, received_s in chunks:
        stamp_ns, received_ns = (START_NS + round(time_s * 1e9) for time_s in (stamp_s, received_s))
        messages.append((SOUND, audio_type, AUDIO[audio_type](types, samples, stamp_ns), received_ns))
    return messages


def tenths(duration_s=4.0):
    """A voice in chunks, each with when it was captured."""
    samples = voice(duration_s, RATE_HZ)
    return samples, [(samples[at : at + 1600], at / RATE_HZ) for at in range(0, len(samples), 1600)]


@pytest.mark.parametrize("audio_type", ["audio_common_msgs/msg/AudioData", "audio_common_msgs/msg/AudioStamped"])
def test_sound_that_is_received_late_is_whole(tmp_path, capsys, audio_type):
    """As on the robot: the stamp is of the reception, and a busy computer takes its time."""
    samples, chunks = tenths(10.0)
    late_s = np.random.default_rng(0).uniform(0.0, 0.2, len(chunks))
    late_s[[0, 15]] = 1.0, 2.0  # stalls, which hold up what follows
    received_s = np.maximum.accumulate(np.arange(len(chunks)) / 10 + late_s)
    received = [(chunk, time_s, time_s + 0.1) for (chunk, _), time_s in zip(chunks, received_s, strict=True)]
    bag = write_bag(tmp_path / "talk", of_microphone(received, audio_type), audio_type)
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    _, _, sound = read_media(tmp_path / "talk.mkv")
    np.testing.assert_allclose(sound[-len(samples) :], samples, atol=3 / 2**15)
    assert len(sound) - len(samples) < 0.05 * RATE_HZ and "of sound" not in capsys.readouterr().out


def test_sound_that_begins_a_little_after_the_pictures_stays_in_step(tmp_path):
    samples, chunks = tenths(2.0)
    pictures_of = [message for message in conversation(image_start_s=0.0) if message[0] == IMAGES]
    sound_of = of_microphone([(chunk, start_s + 0.02, start_s + 0.12) for chunk, start_s in chunks])
    bag = write_bag(tmp_path / "talk", sorted([*pictures_of, *sound_of], key=lambda message: message[3]))
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    _, _, sound = read_media(tmp_path / "talk.mkv")
    assert not sound[:320].any()
    np.testing.assert_allclose(sound[320:], samples, atol=3 / 2**15)


def set_back(start_s):
    return start_s - 3.0 * (start_s >= 2.0)


def never_stamped(start_s):
    return -START_NS / 1e9


@pytest.mark.parametrize("stamp_s", [set_back, never_stamped])
def test_sound_whose_stamps_do_not_go_on_is_refused(tmp_path, capsys, stamp_s):
    _, chunks = tenths()
    bag = write_bag(tmp_path / "talk", of_microphone([(chunk, stamp_s(at_s), at_s) for chunk, at_s in chunks]))
    assert main([str(bag), "--out", str(tmp_path)]) == 1
    assert "of 4.0 s of sound have stamps at which there is sound already; expected stamps" in capsys.readouterr().err
    assert not (tmp_path / "talk.mkv").exists()


@pytest.mark.parametrize("audio_type", ["emotion_msgs/msg/AudioChunk", "audio_common_msgs/msg/AudioData"])
def test_sound_of_two_publishers_is_refused(tmp_path, capsys, audio_type):
    _, chunks = tenths()
    both = [(samples, at_s, at_s + 0.1) for chunk, at_s in chunks for samples in (chunk, 0.5 * chunk)]
    bag = write_bag(tmp_path / "talk", of_microphone(both, audio_type), audio_type)
    assert main([str(bag), "--out", str(tmp_path)]) == 1
    assert "see that one node publishes the topic" in capsys.readouterr().err


def test_pictures_and_sound_of_two_clocks_are_refused(tmp_path, capsys):
    _, chunks = tenths(2.0)
    pictures_of = [message for message in conversation() if message[0] == IMAGES]
    sound_of = of_microphone([(chunk, start_s - 20.0, start_s + 0.1) for chunk, start_s in chunks])
    bag = write_bag(tmp_path / "talk", sorted([*pictures_of, *sound_of], key=lambda message: message[3]))
    assert main([str(bag), "--out", str(tmp_path)]) == 1
    assert "of /camera/image 0 s and of /microphone/audio 20 s; expected one clock" in capsys.readouterr().err


def test_where_the_robot_spoke_there_is_silence(tmp_path):
    samples, chunks = tenths()
    kind = "std_msgs/msg/Bool"
    said = [
        ("/robot/emotion/robot_speaking", kind, message_types(None).types[kind](on), START_NS + second * 10**9)
        for on, second in ((True, 1), (False, 2))
    ]
    sound_of = of_microphone([(chunk, start_s, start_s + 0.1) for chunk, start_s in chunks])
    bag = write_bag(tmp_path / "talk", sorted([*said, *sound_of], key=lambda message: message[3]))
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    _, _, sound = read_media(tmp_path / "talk.mkv")
    samples[RATE_HZ : round(2.5 * RATE_HZ)] = 0.0  # the echo, too
    np.testing.assert_allclose(sound, samples, atol=3 / 2**15)


def test_where_the_robot_spoke_before_a_long_pause_there_is_silence(tmp_path):
    """Also where it speaks again before anything else is heard."""
    kind = "std_msgs/msg/Bool"
    make = message_types(None).types[kind]
    said = [
        ("/emotion/robot_speaking", kind, make(on), START_NS + round(at_s * 1e9))
        for on, at_s in ((True, 2.5), (False, 3.5), (True, 42.0), (False, 42.1))
    ]
    _, chunks = tenths()
    heard = [(chunk, at_s + pause_s, at_s + pause_s + 0.1) for pause_s in (0.0, 45.0) for chunk, at_s in chunks]
    bag = write_bag(tmp_path / "talk", sorted([*said, *of_microphone(heard)], key=lambda message: message[3]))
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    _, _, sound = read_media(tmp_path / "talk.mkv")
    assert sound[: round(2.5 * RATE_HZ)].any() and not sound[round(2.5 * RATE_HZ) : 45 * RATE_HZ].any()
    assert sound[45 * RATE_HZ :].any()


def test_of_an_array_of_microphones_the_mean_is_kept(tmp_path):
    kind, types = "emotion_msgs/msg/AudioChunk", message_types(None)
    samples = np.repeat(voice(1.0, RATE_HZ)[:, None], 9, axis=1) * np.linspace(0.0, 1.0, 9, dtype=np.float32)
    message = types.types[kind](header(types, START_NS), RATE_HZ, 9, samples.reshape(-1))
    bag = write_bag(tmp_path / "talk", [(SOUND, kind, message, START_NS)])
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    np.testing.assert_allclose(read_media(tmp_path / "talk.mkv")[2], 0.5 * voice(1.0, RATE_HZ), atol=3 / 2**15)


def test_a_message_that_cannot_be_read_is_left_out_and_said(tmp_path, capsys):
    messages = conversation(image_type="CompressedImage")
    broken = next(message for message in messages[20:] if message[0] == IMAGES)[2]
    broken.data = broken.data[:40]
    bag = write_bag(tmp_path / "talk", messages)
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    assert len(read_media(tmp_path / "talk.mkv")[0]) == 19
    said = "1 messages that cannot be read are left out; the first one: The compressed image of format 'png'"
    assert said in capsys.readouterr().out


def test_sound_that_is_no_number_is_left_out_and_said(tmp_path, capsys):
    samples, chunks = tenths(1.0)
    broken = [(chunk * (np.nan if at_s == 0.5 else 1.0), at_s, at_s) for chunk, at_s in chunks]
    bag = write_bag(tmp_path / "talk", of_microphone(broken))
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    samples[8000:9600] = 0.0
    np.testing.assert_allclose(read_media(tmp_path / "talk.mkv")[2], samples, atol=3 / 2**15)
    said = capsys.readouterr().out
    assert "0.10 s of sound are missing, by the stamps, and are silent" in said
    assert "the first one: The audio chunk's loudest sample is nan" in said


def test_an_image_whose_colours_do_not_go_up_in_its_width_is_no_crash():
    message = message_of_image("yuyv", np.zeros((4, 14)), 2)
    with pytest.raises(bag_messages.MessageError, match="yuyv is 7 wide; expected an even width"):
        image_rgb(message, "sensor_msgs/msg/Image")


def test_lost_sound_becomes_silence(tmp_path):
    bag = write_bag(tmp_path / "talk", conversation(lost=(8, 9, 10)))
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    _, _, sound = read_media(tmp_path / "talk.mkv")
    expected = voice(2.0, RATE_HZ)
    expected[8 * 1600 : 11 * 1600] = 0.0
    np.testing.assert_allclose(sound, expected, atol=3 / 2**15)


def test_pictures_that_come_again_are_left_out(tmp_path, capsys):
    messages = [message for message in conversation() if message[0] == IMAGES]
    bag = write_bag(tmp_path / "talk", [*messages, *messages[5:8]])
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    assert len(read_media(tmp_path / "talk.mkv")[0]) == 20
    assert "3 images that were not newer than the last are left out" in capsys.readouterr().out


def test_sound_alone_is_a_corpus_too(tmp_path):
    bag = write_bag(tmp_path / "talk", [message for message in conversation() if message[0] == SOUND])
    assert main([str(bag), "--out", str(tmp_path / "corpus")]) == 0
    (clip,) = read_corpus("manifest", tmp_path / "corpus")
    assert clip.video is None and clip.audio.name == "talk.mkv"


@pytest.mark.parametrize(
    ("encoding", "pixel", "expected"),
    [
        ("rgb8", [200, 100, 50], [200, 100, 50]),
        ("bgr8", [50, 100, 200], [200, 100, 50]),
        ("rgba8", [200, 100, 50, 255], [200, 100, 50]),
        ("bgra8", [50, 100, 200, 255], [200, 100, 50]),
        ("mono8", [90], [90, 90, 90]),
    ],
)
def test_colours_of_every_encoding_come_through(tmp_path, encoding, pixel, expected):
    types = message_types(None)
    pixels = np.tile(np.array(pixel, np.uint8), (65, 97, 1))  # odd sides
    messages = [
        (IMAGES, "sensor_msgs/msg/Image", image(types, pixels, START_NS + index * 10**8, encoding), START_NS + index)
        for index in range(3)
    ]
    bag = write_bag(tmp_path / "talk", messages)
    assert main([str(bag), "--out", str(tmp_path)]) == 0
    with MediaReader(tmp_path / "talk.mkv") as reader:
        found = next(iter(reader)).image_rgb
    assert found.shape == (64, 96, 3)
    np.testing.assert_allclose(found.reshape(-1, 3).mean(axis=0), expected, atol=6)


ORANGE = np.array([200, 100, 50])
BAYER = {"R": 0, "G": 1, "B": 2}  # the place of a colour in RGB


def message_of_image(encoding, rows, bytes_per_pixel):
    """A message whose rows (H, bytes) are padded."""
    padded = np.pad(rows.astype(np.uint8), ((0, 0), (0, 6)))
    width = rows.shape[1] // bytes_per_pixel
    return SimpleNamespace(
        encoding=encoding, width=width, height=len(rows), step=padded.shape[1], data=padded.reshape(-1)
    )


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_raw_colours_of_a_sensor_are_told_apart(pattern):
    mosaic = np.tile(ORANGE[[BAYER[colour] for colour in pattern.upper()]].reshape(2, 2), (8, 8))
    found = image_rgb(message_of_image(f"bayer_{pattern}8", mosaic, 1), "sensor_msgs/msg/Image")
    np.testing.assert_allclose(found[4:-4, 4:-4], np.broadcast_to(ORANGE, (8, 8, 3)), atol=1)


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")]
)
def test_brightness_and_colour_of_a_camera_are_told_apart(encoding, order):
    of_rgb = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])  # BT.601
    y, u, v = np.round([16.0, 128.0, 128.0] + of_rgb @ ORANGE / 255.0)
    rows = np.tile([{"Y": y, "U": u, "V": v}[part] for part in order], (4, 3))
    found = image_rgb(message_of_image(encoding, rows, 2), "sensor_msgs/msg/Image")
    np.testing.assert_allclose(found, np.broadcast_to(ORANGE, (4, 6, 3)), atol=3)


@pytest.mark.parametrize("kind", [1, 2, 8, 16])
def test_sound_of_every_portaudio_format_has_the_same_scale_and_begins_at_its_stamp(kind):
    field, values = {
        1: ("float32_data", np.array([0.5, -1.0, 0.25, 0.0], np.float32)),
        2: ("int32_data", np.array([2**30, -(2**31), 2**29, 0], np.int32)),
        8: ("int16_data", np.array([2**14, -(2**15), 2**13, 0], np.int16)),
        16: ("int8_data", np.array([2**6, -(2**7), 2**5, 0], np.int8)),
    }[kind]
    info = SimpleNamespace(format=kind, channels=2, rate=4000)
    stamped = SimpleNamespace(
        header=SimpleNamespace(frame_id="mic", stamp=SimpleNamespace(sec=7, nanosec=250_000_000)),
        audio=SimpleNamespace(info=info, audio_data=SimpleNamespace(**{field: values})),
    )
    chunk = bag_messages.audio_chunk(stamped, "audio_common_msgs/msg/AudioStamped", None)
    assert chunk.samples.tolist() == [[0.5, -1.0], [0.25, 0.0]]
    assert (chunk.sample_rate_hz, chunk.stamp_ns) == (4000, 7_250_000_000)


def test_mp3_is_not_taken_for_samples():
    frame = np.frombuffer(b"\xff\xf3\xb8\xc4".ljust(504, b"\0"), np.uint8)  # 112 kbit/s at 16 kHz
    with pytest.raises(bag_messages.MessageError, match="holds an MP3 frame of 504 bytes, expected 16-bit samples"):
        bag_messages.audio_chunk(
            SimpleNamespace(data=frame), "audio_common_msgs/msg/AudioData", bag_messages.Unstamped(0, 16_000, 1)
        )


def test_several_topics_must_be_chosen_from(tmp_path, capsys):
    messages = conversation()
    others = [("/other/image", *message[1:]) for message in messages if message[0] == IMAGES]
    bag = write_bag(tmp_path / "talk", messages + others)
    assert main([str(bag), "--out", str(tmp_path)]) == 1
    assert "choose with --image-topic one of /camera/image, /other/image" in capsys.readouterr().err
    assert main([str(bag), "--out", str(tmp_path), "--image-topic", "/other/image"]) == 0
    assert main([str(bag), "--out", str(tmp_path), "--image-topic", "/none"]) == 1
    assert "has no message on /none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,1,glad,anne,,", "segments.csv:2: label is 'glad'"),
        ("0,60,happy,anne,,", "segments.csv:2: end_s is 60, but talk lasts 2.00 s"),
        ("1,0.5,happy,anne,,", "segments.csv:2: end_s is 0.5; expected more than start_s"),
        ("0,1,happy,,,", "segments.csv:2: speaker_id is empty"),
        ("0,1,happy,anne,5,", "segments.csv:2: valence is 5; expected a number in [-1, 1]"),
        ("0,1,happy,anne,,0", "segments.csv:2: all votes are 0"),
    ],
)
def test_a_segment_that_does_not_fit_is_named_with_its_line(tmp_path, capsys, row, message):
    bag = write_bag(tmp_path / "talk", conversation())
    segments = tmp_path / "segments.csv"
    segments.write_text(f"start_s,end_s,label,speaker_id,valence,vote_sad\n{row}\n")
    assert main([str(bag), "--out", str(tmp_path), "--segments", str(segments)]) == 1
    assert message in capsys.readouterr().err


def test_a_column_of_segments_that_nobody_reads_is_named(tmp_path, capsys):
    """Before the work."""
    bag = write_bag(tmp_path / "talk", conversation())
    segments = tmp_path / "segments.csv"
    segments.write_text("start_s,end_s,label,speaker_id,mood\n0,1,happy,anne,good\n")
    assert main([str(bag), "--out", str(tmp_path), "--segments", str(segments)]) == 1
    assert "segments.csv:1: the columns ['mood'] are unknown; expected start_s, end_s" in capsys.readouterr().err
    assert not (tmp_path / "talk.mkv").exists()


DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize(
    "topic, index, stamp_ns, message",
    [
        (IMAGES, 0, 0, "the stamps jump by 1700000000 s at 0."),
        (IMAGES, 0, START_NS + DAY_NS, "the stamps jump by 86400 s at 0.2 s; expected at most 60 s, so cut"),
        (SOUND, 0, START_NS - DAY_NS, "the stamps jump by 86400 s at 0."),
        (SOUND, -1, START_NS + DAY_NS, "the stamps jump by 86398 s at 1.9 s; expected at most 60 s, so cut"),
    ],
)
def test_a_stamp_far_ahead_of_the_others_is_named_and_no_file_is_left(
    tmp_path, capsys, topic, index, stamp_ns, message
):
    messages = conversation()
    wrong = [message for topic_, _, message, _ in messages if topic_ == topic][index].header.stamp
    wrong.sec, wrong.nanosec = divmod(stamp_ns, 10**9)
    bag = write_bag(tmp_path / "talk", messages)
    assert main([str(bag), "--out", str(tmp_path / "corpus")]) == 1
    assert message in capsys.readouterr().err
    assert not any((tmp_path / "corpus").iterdir())


@pytest.mark.parametrize("option", ["--unstamped-sample-rate-hz", "--unstamped-channels"])
def test_sound_without_a_rate_or_a_channel_is_refused(tmp_path, capsys, option):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "talk"), "--out", str(tmp_path), option, "0"])
    assert "--unstamped-sample-rate-hz and --unstamped-channels must be 1 or more" in capsys.readouterr().err


def test_what_is_no_recording_is_named(tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
    assert "none" in capsys.readouterr().err
    Path(tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_damaged_message_is_named(tmp_path, capsys):
    types = message_types(None)
    bad = types.types["sensor_msgs/msg/CompressedImage"](header(types, START_NS), "jpeg", np.zeros(9, np.uint8))
    bag = write_bag(tmp_path / "talk", [(IMAGES, "sensor_msgs/msg/CompressedImage", bad, START_NS)])
    assert main([str(bag), "--out", str(tmp_path)]) == 1
    said = "talk: of /camera/image no message can be read; the first one: The compressed image of format"
    assert said in capsys.readouterr().err
