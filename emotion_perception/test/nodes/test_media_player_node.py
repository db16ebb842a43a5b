"""The player in the time of a simulation."""

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_msgs.msg import AudioChunk
from emotion_perception.core.stamps import to_nanoseconds
from emotion_perception.nodes.conversions import to_stamp
from emotion_perception.nodes.media_player_node import MediaPlayerNode
from emotion_perception.testing.media import voice, write_media

SAMPLE_RATE_HZ = 16_000
BLOCK_S = 1024 / SAMPLE_RATE_HZ


class Simulation:
    """A clock that goes only when a test says so, and what is heard."""

    def __init__(self, graph):
        self._graph = graph
        self._clock = graph.node.create_publisher(Clock, "/clock", 1)
        self.heard = graph.listen(AudioChunk, "/emotion/microphone/audio")
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.starts = graph.listen(Header, "/media_player_node/start", latched)

    def start(self, path, **parameters):
        self.player = self._graph.add(MediaPlayerNode, path=str(path), use_sim_time=True, **parameters)
        self._graph.wait_for(self._clock.get_subscription_count, "a subscription to /clock")
        self.player.trigger_configure()
        self.player.trigger_activate()

    def show(self, time_s):
        self._clock.publish(Clock(clock=to_stamp(round(time_s * 1e9))))
        self._graph.wait_for(lambda: abs(self.now_s() - time_s) < 1e-6, f"{time_s} s on the player's clock")

    def now_s(self):
        return self.player.get_clock().now().nanoseconds * 1e-9

    def wait_for_start(self, time_s):
        self._graph.wait_for(lambda: self.starts and seconds(self.starts[-1]) == time_s, f"a start at {time_s} s")

    def wait_for_stamps(self, count):
        self._graph.wait_for(lambda: len(self.heard) >= count, f"{count} blocks")
        return [seconds(chunk.header) for chunk in self.heard]


def seconds(header):
    return to_nanoseconds(header.stamp) / 1e9


@pytest.fixture
def simulation(graph):
    return Simulation(graph)


@pytest.fixture
def spoken(tmp_path):
    """A file of 0.64 s, which is ten blocks."""
    path = tmp_path / "voice.wav"
    write_media(path, samples=voice(10 * BLOCK_S, SAMPLE_RATE_HZ)[:, np.newaxis], sample_rate_hz=SAMPLE_RATE_HZ)
    return path


def test_file_waits_for_the_clock_of_a_simulation_that_has_long_been_running(simulation, spoken):
    simulation.start(spoken)
    simulation.show(1000.0)
    simulation.wait_for_start(1000.0)
    for number in range(1, 11):
        simulation.show(1000.0 + number * BLOCK_S + 1e-3)
        stamps_s = simulation.wait_for_stamps(number)
        assert len(stamps_s) == number  # and none before its time
    assert stamps_s == pytest.approx([1000.0 + number * BLOCK_S for number in range(10)], abs=1e-6)


def test_images_and_sound_go_to_their_topics_in_their_frames(simulation, graph, tmp_path):
    sound = voice(0.2, SAMPLE_RATE_HZ)[:, np.newaxis]
    write_media(tmp_path / "clip.mkv", np.zeros((5, 64, 64, 3), np.uint8), samples=sound, sample_rate_hz=SAMPLE_RATE_HZ)
    images, heard = graph.listen(Image, "/eye/image"), graph.listen(AudioChunk, "/ear/sound")
    topics = {"image_topic": "/eye/image", "audio_topic": "/ear/sound"}
    simulation.start(tmp_path / "clip.mkv", camera_frame_id="eye", microphone_frame_id="ear", **topics)
    publishers = (simulation.player._image_publisher, simulation.player._audio_publisher)
    graph.wait_for(lambda: all(p.get_subscription_count() for p in publishers), "the listeners")
    simulation.show(100.0)
    simulation.wait_for_start(100.0)
    simulation.show(100.1)
    graph.wait_for(lambda: images and heard, "both")
    assert (images[0].header.frame_id, heard[0].header.frame_id) == ("eye", "ear")


def test_file_begins_again_in_a_simulation_that_is_reset(simulation, spoken):
    simulation.start(spoken, loop=True)
    for start_s, blocks in ((50.0, 3), (0.5, 6)):
        simulation.show(start_s)
        simulation.wait_for_start(start_s)
        simulation.show(start_s + 3.5 * BLOCK_S)
        stamps_s = simulation.wait_for_stamps(blocks)
    assert stamps_s == pytest.approx(
        [start_s + number * BLOCK_S for start_s in (50.0, 0.5) for number in range(3)], abs=1e-6
    )


def test_images_that_the_machine_comes_too_late_for_are_left_out_and_sound_is_not(simulation, graph, tmp_path):
    path = tmp_path / "clip.mkv"
    sound = voice(1.0, SAMPLE_RATE_HZ)[:, np.newaxis]
    write_media(path, np.zeros((25, 64, 64, 3), np.uint8), samples=sound, sample_rate_hz=SAMPLE_RATE_HZ)
    images = graph.listen(Image, "/emotion/camera/image")
    simulation.start(path)
    simulation.show(100.0)
    simulation.wait_for_start(100.0)
    simulation.show(100.62)  # at once, as for a player that was kept waiting
    stamps_s = simulation.wait_for_stamps(9)
    assert stamps_s == pytest.approx([100.0 + number * BLOCK_S for number in range(9)], abs=1e-3)
    graph.wait_for(lambda: images and seconds(images[-1].header) > 100.59, "the newest image")
    shown_s = [seconds(image.header) - 100.0 for image in images]
    assert all(time_s < 0.01 or 0.43 < time_s < 0.61 for time_s in shown_s)  # the first one may have been in time
    diagnosis = simulation.player.diagnose()
    counts = diagnosis.values
    assert counts["frames"] + counts["late_frames"] == 16  # nine are yet to come
    assert counts["frames"] == 5 + (shown_s[0] < 0.01)
    assert diagnosis.level == DiagnosticStatus.WARN
    assert diagnosis.message.startswith(f"{counts['late_frames']} images came more than 0.2 s late out of clip.mkv")
    assert simulation.player.diagnose().level == DiagnosticStatus.OK, "none since"


def test_error_that_nobody_expected_is_logged_and_ends_the_process_as_one_of_a_callback(
    simulation, graph, spoken, monkeypatch, capfd
):
    def publish(player, block, stamp_ns):
        raise KeyError("of a bug")

    monkeypatch.setattr(MediaPlayerNode, "_publish_block", publish)
    simulation.start(spoken)
    ends = []
    simulation.player.on_end = lambda: ends.append("as if all were well")

    def play():
        simulation.show(100.0)
        simulation.wait_for_start(100.0)
        simulation.show(101.0)
        graph.wait_for(lambda: False, "the error")

    with pytest.raises(KeyError, match="of a bug"):  # what an executor raises ends the process with that error
        play()
    assert "voice.wav, which is a bug of ours: KeyError('of a bug')" in capfd.readouterr().err
    assert not ends


def test_images_do_not_wait_for_the_end_of_a_long_block_of_sound(simulation, graph, tmp_path):
    path = tmp_path / "clip.mkv"
    sound = voice(1.0, 4000)[:, np.newaxis]  # in blocks of 1024, which take 0.256 s
    write_media(path, np.zeros((10, 64, 64, 3), np.uint8), samples=sound, sample_rate_hz=4000)
    images = graph.listen(Image, "/emotion/camera/image")
    simulation.start(path)
    simulation.show(100.0)
    simulation.wait_for_start(100.0)
    for number in range(10):
        simulation.show(100.001 + number / 25)
        graph.wait_for(lambda count=number + 1: len(images) == count, f"{number + 1} images")
    assert simulation.player.diagnose().values["late_frames"] == 0


@pytest.mark.parametrize("pictures", [1, 3])
def test_loop_begins_again_when_the_last_picture_has_been_there_as_long_as_the_others(
    simulation, graph, tmp_path, pictures
):
    path = tmp_path / ("photo.png" if pictures == 1 else "clip.mkv")
    if pictures == 1:
        cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    else:
        write_media(path, np.zeros((pictures, 64, 64, 3), np.uint8))
    images = graph.listen(Image, "/emotion/camera/image")
    simulation.start(path, loop=True)
    simulation.show(100.0)
    simulation.wait_for_start(100.0)
    for number in range(pictures):
        simulation.show(100.001 + number / 25)
        graph.wait_for(lambda count=number + 1: len(images) == count, f"{number + 1} images")
    end_ms = 40 * pictures
    for time_ms in range(end_ms - 38, end_ms):  # so slowly that one that does not wait would begin before the end
        simulation.show(100.0 + time_ms / 1000)
    again_s = 100.001 + end_ms / 1000
    simulation.show(again_s)
    graph.wait_for(lambda: len(images) > pictures, "the first image again")
    assert [seconds(start) for start in simulation.starts] == pytest.approx([100.0, again_s])
    simulation.player.trigger_deactivate()  # which waits for the player, for whom the clock now stands still


def test_packets_that_are_corrupt_at_the_end_are_counted_and_said(simulation, graph, tmp_path, capfd):
    path = tmp_path / "clip.mkv"
    write_media(path, np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), np.uint8))
    with path.open("r+b") as file:
        file.seek(-2000, 2)
        file.write(bytes(1500))
    simulation.start(path)
    ends = []
    simulation.player.on_end = lambda: ends.append("of the file")
    simulation.show(100.0)
    simulation.wait_for_start(100.0)
    simulation.show(101.0)
    graph.wait_for(lambda: ends, "the end")
    corrupt = simulation.player.diagnose().values["corrupt_packets"]
    assert corrupt and f"clip.mkv: {corrupt} corrupt packets were left out." in capfd.readouterr().err


def test_file_that_is_played_once_ends_with_its_last_picture(simulation, graph, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((64, 64, 3), np.uint8))
    simulation.start(tmp_path / "photo.png")
    ends = []
    simulation.player.on_end = lambda: ends.append("of the file")
    simulation.show(100.0)
    graph.wait_for(lambda: ends, "the end")
