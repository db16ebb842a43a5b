"""Images and sound go through the nodes over DDS; what is wrong is said and does no harm."""

import array
import re

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String

from emotion_msgs.msg import AudioChunk, AudioWindow, FaceCropArray
from emotion_perception.core.audio_messages import Chunk
from emotion_perception.core.face_box import Box, FaceDetection
from emotion_perception.core.image_messages import image_to_rgb
from emotion_perception.core.stamps import to_nanoseconds
from emotion_perception.nodes import audio_window_node
from emotion_perception.nodes.audio_window_node import AudioWindowNode
from emotion_perception.nodes.conversions import rgb_to_image, to_float_array, to_stamp
from emotion_perception.nodes.face_crop_node import FaceCropNode

IMAGES = "/emotion/camera/image"
SOUND = "/emotion/microphone/audio"


def header(seconds):
    return Header(stamp=to_stamp(round(seconds * 1e9)), frame_id="head")


def error_of(diagnostics):
    return [status.message for status in diagnostics if status.level == DiagnosticStatus.ERROR]


def values_of(diagnostics, key):
    return [value.value for status in diagnostics for value in status.values if value.key == key]


class Camera:
    """Gives images and waits for the faces in them."""

    def __init__(self, graph):
        self.graph = graph
        self.faces = graph.listen(FaceCropArray, "/emotion/faces")
        self.publisher = graph.speak(Image, IMAGES)

    def look(self, pixels, seconds):
        already = len(self.faces)
        self.publisher.publish(rgb_to_image(pixels, header(seconds)))
        return self.graph.wait_for(lambda: self.faces[already:], "faces")[0]


@pytest.fixture
def camera(graph):
    graph.start(FaceCropNode)
    return Camera(graph)


def test_face_is_published_with_the_header_of_its_image(camera, astronaut):
    message = camera.look(astronaut, 10.5)
    (face,) = message.faces
    assert message.header == header(10.5)
    assert (message.image_width_px, message.image_height_px) == (512, 512)
    assert face.x_px < 226 < face.x_px + face.width_px and face.y_px < 120 < face.y_px + face.height_px
    assert image_to_rgb(face.crop).shape == (96, 96, 3)


def test_black_image_gives_an_empty_array(camera):
    assert camera.look(np.zeros((480, 640, 3), np.uint8), 1.0).faces == []


def test_two_faces_have_two_ids_and_a_face_keeps_its_id_through_a_short_loss(camera, astronaut):
    two = np.hstack([astronaut, astronaut])
    ids = {face.track_id for face in camera.look(two, 1.0).faces}
    assert len(ids) == 2
    assert camera.look(np.zeros_like(two), 1.3).faces == []
    assert {face.track_id for face in camera.look(two, 1.6).faces} == ids
    assert {face.track_id for face in camera.look(two, 9.0).faces}.isdisjoint(ids)


def test_after_a_cut_the_same_place_holds_somebody_else(camera, astronaut):
    first = camera.look(astronaut, 1.0)
    (before,) = first.faces
    elsewhere = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(64, 0).repeat(64, 1)
    elsewhere[40:200, 146:306] = astronaut[40:200, 146:306]
    second, third = camera.look(elsewhere, 1.04), camera.look(elsewhere, 1.08)
    assert [message.scene for message in (first, second, third)] == [0, 1, 1]
    (after,) = second.faces
    assert abs(after.x_px - before.x_px) < 30 and after.track_id != before.track_id


def test_mouths_are_measured_but_not_at_every_image(camera, astronaut):
    openings = [camera.look(astronaut, 2.0 + image / 25).faces[0].mouth_opening for image in range(5)]
    is_measured = np.isfinite(openings)
    assert is_measured.tolist() == [True, False, True, False, True]
    assert np.array(openings)[is_measured] == pytest.approx(0.13, abs=0.03)


def test_mouths_are_measured_from_as_many_faces_on_as_is_wanted(graph, astronaut):
    graph.start(FaceCropNode, mouth_from_faces=2)
    camera = Camera(graph)
    assert np.isnan(camera.look(astronaut, 1.0).faces[0].mouth_opening)
    openings = [face.mouth_opening for face in camera.look(np.hstack([astronaut, astronaut]), 2.0).faces]
    assert openings == pytest.approx([0.13, 0.13], abs=0.03)


def test_time_that_jumps_back_ends_the_tracks_and_goes_on(camera, astronaut):
    (before,) = camera.look(astronaut, 100.0).faces
    (after,) = camera.look(astronaut, 1.0).faces
    assert after.track_id != before.track_id


def test_image_that_was_overtaken_is_left_out_and_counted(camera, graph, astronaut):
    diagnostics = graph.listen_to_diagnostics()
    (before,) = camera.look(astronaut, 10.0).faces
    camera.publisher.publish(rgb_to_image(astronaut, header(9.9)))
    graph.wait_for(lambda: "1" in values_of(diagnostics, "late_images"), "the late image")
    assert len(camera.faces) == 1
    (after,) = camera.look(astronaut, 10.1).faces
    assert after.track_id == before.track_id
    assert [message.header for message in camera.faces] == [header(10.0), header(10.1)]


def test_node_that_begins_anew_gives_no_former_name_to_another_face(graph, astronaut):
    node = graph.start(FaceCropNode)
    camera = Camera(graph)
    names = []
    for seconds in (1.0, 2.0):
        names += [face.track_id for face in camera.look(astronaut, seconds).faces]
        node.trigger_deactivate()
        node.trigger_cleanup()
        node.trigger_configure()
        node.trigger_activate()
        graph.wait_for(camera.publisher.get_subscription_count, "the subscription")
        graph.wait_for(node._publisher.get_subscription_count, "the listener")
    assert len(set(names)) == 2
    assert all(re.fullmatch(r"face_[0-9a-f]{4}_1", name) for name in names), "a part of a topic's name"


def test_compressed_images_are_understood(graph, astronaut):
    graph.start(FaceCropNode, image_transport="compressed")
    faces = graph.listen(FaceCropArray, "/emotion/faces")
    publisher = graph.speak(CompressedImage, IMAGES)
    jpeg = cv2.imencode(".jpg", astronaut[..., ::-1])[1].tobytes()
    publisher.publish(CompressedImage(header=header(1.0), format="jpeg", data=array.array("B", jpeg)))
    assert len(graph.wait_for(lambda: faces, "faces")[0].faces) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [(dict(encoding="mystery8"), "'mystery8'"), (dict(height=400), "holds 786432 bytes; expected")],
)
def test_bad_image_is_said_in_the_diagnostics_and_the_next_one_is_looked_at(graph, camera, astronaut, change, said):
    diagnostics = graph.listen_to_diagnostics()
    bad = rgb_to_image(astronaut, header(1.0))
    for name, value in change.items():
        setattr(bad, name, value)
    camera.publisher.publish(bad)
    message = graph.wait_for(lambda: error_of(diagnostics), "the diagnosis")[0]
    assert said in message
    assert len(camera.look(astronaut, 2.0).faces) == 1


def test_finding_that_cannot_be_a_face_is_said_and_the_other_faces_are_published(graph, astronaut, monkeypatch):
    node = graph.start(FaceCropNode)
    camera = Camera(graph)
    diagnostics = graph.listen_to_diagnostics()
    detect = node._detector.detect
    outside = [FaceDetection(Box(9000.0, 9000.0, 50.0, 50.0), 0.9)]
    monkeypatch.setattr(node._detector, "detect", lambda pixels: [*outside, *detect(pixels)])
    assert len(camera.look(astronaut, 1.0).faces) == 1, "the other one"
    assert "lies outside the 512x512 image" in graph.wait_for(lambda: error_of(diagnostics), "the diagnosis")[0]
    monkeypatch.setattr(node._detector, "detect", detect)
    assert len(camera.look(astronaut, 2.0).faces) == 1


def test_finding_keeps_its_score_and_a_node_that_is_activated_anew_knows_nobody(graph, astronaut, monkeypatch):
    node = graph.start(FaceCropNode, crop_px=32)
    camera = Camera(graph)
    monkeypatch.setattr(node._detector, "detect", lambda pixels: [FaceDetection(Box(146.0, 40.0, 160.0, 160.0), 0.625)])
    (before,) = camera.look(astronaut, 1.0).faces
    assert before.score == 0.625 and image_to_rgb(before.crop).shape == (32, 32, 3)
    node.trigger_deactivate()
    graph.wait_for(lambda: not camera.publisher.get_subscription_count(), "the end of the subscription")
    node.trigger_activate()
    graph.wait_for(camera.publisher.get_subscription_count, "a subscription")
    (after,) = camera.look(astronaut, 1.04).faces
    assert after.track_id != before.track_id


def test_images_that_nobody_wants_are_not_looked_at(graph, astronaut):
    node = graph.start(FaceCropNode)
    publisher = graph.speak(Image, IMAGES)
    looked = []
    node._detector.detect = lambda pixels: looked.append(pixels) or []
    publisher.publish(rgb_to_image(astronaut, header(1.0)))
    graph.wait_for(lambda: node._arrivals._received, "the image")
    assert looked == []


def test_topic_on_which_nothing_comes_is_named_in_a_warning(graph):
    graph.start(FaceCropNode, image_topic="/head/image")
    diagnostics = graph.listen_to_diagnostics()

    def warning():
        return [status.message for status in diagnostics if status.level == DiagnosticStatus.WARN]

    message = graph.wait_for(warning, "the warning")[0]
    assert "/head/image" in message and "Image" in message


class Microphone:
    """Gives a tone in chunks of 0.1 s and waits for the windows."""

    def __init__(self, graph, rate_hz=16000, channels=1):
        self.graph, self.rate_hz, self.channels = graph, rate_hz, channels
        self.windows = graph.listen(AudioWindow, "/emotion/audio_window")
        self.publisher = graph.speak(AudioChunk, SOUND)

    def hear(self, seconds, value=None):
        times_s = seconds + np.arange(self.rate_hz // 10) / self.rate_hz
        samples = 0.5 * np.sin(2 * np.pi * 440 * times_s) if value is None else np.full(len(times_s), value)
        self.publisher.publish(
            AudioChunk(
                header=header(seconds),
                sample_rate_hz=self.rate_hz,
                channels=self.channels,
                samples=to_float_array(np.repeat(samples, self.channels)),
            )
        )

    def hear_second(self, start):
        for tenth in range(10):
            self.hear(start + tenth / 10)


def newest(windows):
    return to_nanoseconds(windows[-1].header.stamp) / 1e9


@pytest.fixture
def ears(graph):
    return graph.start(AudioWindowNode)


def test_microphone_of_another_package_is_heard_though_it_publishes_best_effort(graph, monkeypatch):
    tenth = Chunk(np.zeros((1600, 1), np.float32), sample_rate_hz=16_000, stamp_ns=50 * 10**9, frame_id="ear")
    monkeypatch.setattr(audio_window_node, "audio_format", lambda _: (String, lambda message, unstamped: tenth))
    graph.start(AudioWindowNode)
    windows = graph.listen(AudioWindow, "/emotion/audio_window")
    microphone = graph.speak(String, SOUND, qos_profile_sensor_data)
    window = graph.wait_for(lambda: microphone.publish(String()) or windows, "a window")[0]
    assert window.header.frame_id == "ear"


def test_sound_of_another_rate_than_the_parameters_say_is_refused_with_what_to_set(graph, monkeypatch):
    stamps_ns = iter(range(50 * 10**9, 60 * 10**9, 10**8))  # a message each 0.1 s, read as 0.2 s of sound

    def read(message, unstamped):
        samples = np.zeros((unstamped.sample_rate_hz // 5, 1), np.float32)
        return Chunk(samples, unstamped.sample_rate_hz, next(stamps_ns), "ear", is_assumed=True)

    monkeypatch.setattr(audio_window_node, "audio_format", lambda _: (String, read))
    graph.start(AudioWindowNode)
    graph.listen(AudioWindow, "/emotion/audio_window")
    diagnostics = graph.listen_to_diagnostics()
    microphone = graph.speak(String, SOUND)
    for _ in range(40):
        microphone.publish(String())
    assert graph.wait_for(lambda: error_of(diagnostics), "the diagnosis")[0] == (
        "2.00 s of sound come in a second, read with unstamped_sample_rate_hz 16000 and unstamped_channels 1, expected "
        "1.00 s; set both to what the microphone has, and its samples to S16LE, and see whether messages are lost."
    )


@pytest.mark.parametrize(
    ("chunk_s", "level", "expected"),
    [
        (0.2, DiagnosticStatus.ERROR, "2.00 s of sound come in a second, expected 1.00 s; see that it has the 16000"),
        (0.05, DiagnosticStatus.WARN, "Only 0.50 s of sound come in a second, expected 1.00 s; see whether messages"),
    ],
)
def test_sound_that_lasts_longer_or_less_than_its_stamps_say_is_complained_of(graph, ears, chunk_s, level, expected):
    graph.listen(AudioWindow, "/emotion/audio_window")
    diagnostics = graph.listen_to_diagnostics()
    microphone = graph.speak(AudioChunk, SOUND)
    samples = to_float_array(np.sin(np.arange(round(16_000 * chunk_s))))
    for tenth in range(50):
        stamped = header(50 + tenth / 10)
        microphone.publish(AudioChunk(header=stamped, sample_rate_hz=16_000, channels=1, samples=samples))
    complaint = graph.wait_for(
        lambda: [status for status in diagnostics if status.message.startswith(expected)], "the diagnosis"
    )[0]
    assert complaint.level == level


def test_sound_without_a_rate_is_refused_and_the_next_is_heard(graph, ears):
    microphone = Microphone(graph)
    diagnostics = graph.listen_to_diagnostics()
    microphone.publisher.publish(AudioChunk(header=header(50.0), channels=1, samples=to_float_array(np.ones(1600))))
    assert "The sample rate is 0 Hz, expected" in graph.wait_for(lambda: error_of(diagnostics), "the diagnosis")[0]
    microphone.hear_second(50.1)
    graph.wait_for(lambda: microphone.windows, "a window")


def test_sound_of_a_microphone_that_lives_beside_a_slow_simulation_is_used(graph):
    """By the clock of which a second of sound takes half a second."""
    ears = graph.start(AudioWindowNode, use_sim_time=True)
    microphone = Microphone(graph)
    for tenth in range(100):
        microphone.hear(50.0 + tenth / 20)
    graph.wait_for(lambda: len(microphone.windows) > 90, "the windows")
    assert ears.diagnose().level == DiagnosticStatus.OK


def test_sound_that_is_stamped_by_a_clock_of_slow_ticks_has_no_holes(graph):
    graph.start(AudioWindowNode, use_sim_time=True)
    microphone, noise = Microphone(graph), np.random.default_rng(0)
    for tenth in range(60):
        samples = to_float_array(noise.normal(0.0, 0.1, 1600))
        stamped = header(50.0 + tenth // 2 / 5)
        microphone.publisher.publish(AudioChunk(header=stamped, sample_rate_hz=16_000, channels=1, samples=samples))
    graph.wait_for(lambda: len(microphone.windows) > 50, "the windows")
    assert microphone.windows[-1].captured_s == 3.0


def test_sound_of_one_value_is_that_of_a_dead_microphone(graph, ears):
    microphone = Microphone(graph)
    ears._lively_s -= audio_window_node.DEAD_S
    microphone.hear(50.0, value=0.0)
    graph.wait_for(lambda: microphone.windows, "the windows of silence")
    assert "All samples of the last 10 s have one value, expected the noise of a room" in ears.diagnose().message
    microphone.hear(50.1)
    graph.wait_for(lambda: len(microphone.windows) > 1, "a window of sound")
    assert ears.diagnose().level == DiagnosticStatus.OK


def test_eight_kilohertz_stereo_becomes_windows_of_16_khz_mono(graph, ears):
    microphone = Microphone(graph, rate_hz=8000, channels=2)
    microphone.hear_second(50.0)
    windows = graph.wait_for(lambda: microphone.windows if len(microphone.windows) >= 9 else None, "windows")
    assert {(len(w.samples), w.sample_rate_hz, w.header.frame_id) for w in windows} == {(48000, 16000, "head")}
    assert 50.0 < newest(windows) <= 51.001
    tone = np.array(windows[-1].samples[-8000:])
    spectrum = np.abs(np.fft.rfft(tone))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)


def test_nan_in_audio_is_said_and_the_chunks_around_it_are_used(graph, ears):
    diagnostics = graph.listen_to_diagnostics()
    microphone = Microphone(graph)
    microphone.hear_second(50.0)
    microphone.hear(51.0, value=np.nan)
    for tenth in range(1, 10):
        microphone.hear(51.0 + tenth / 10)
    graph.wait_for(lambda: microphone.windows and newest(microphone.windows) > 51.85, "windows after the bad chunk")
    assert all(np.isfinite(w.samples).all() for w in microphone.windows)
    (message,) = graph.wait_for(lambda: error_of(diagnostics), "the diagnosis")[:1]
    assert "finite" in message or "NaN" in message


def test_messages_without_sound_are_said_and_cost_the_others_nothing(graph, ears):
    diagnostics = graph.listen_to_diagnostics()
    microphone = Microphone(graph)
    for tenth in range(10):
        microphone.hear(50.0 + tenth / 10)
        microphone.publisher.publish(AudioChunk(header=header(50.1 + tenth / 10), sample_rate_hz=16000, channels=1))
    windows = graph.wait_for(lambda: microphone.windows if len(microphone.windows) >= 9 else None, "windows")
    assert newest(windows) - 50.0 == pytest.approx(windows[-1].captured_s, abs=0.001)
    assert graph.wait_for(lambda: error_of(diagnostics), "the diagnosis")[0] == (
        "The audio message holds no samples, expected some; check what publishes it."
    )


def test_sound_whose_time_jumps_back_goes_on_with_empty_buffers(graph, ears):
    microphone = Microphone(graph)
    microphone.hear_second(50.0)
    graph.wait_for(lambda: microphone.windows and newest(microphone.windows) > 50.85, "windows")
    microphone.hear_second(10.0)
    graph.wait_for(lambda: newest(microphone.windows) < 12, "windows after the jump")
    assert microphone.windows[-1].captured_s < 1.0
