"""`make demo` as a user runs it."""

import json
import os
import re

import av
import numpy as np

from emotion_perception.testing.media import voice, write_media

LABELS = ["neutral", "happy", "sad", "angry", "scared", "disgusted", "surprised"]


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
    assert int(figures[1]) == len(states) and int(figures[2]) > 80 and int(figures[3]) > 20


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


def test_file_that_does_not_exist_is_one_clear_error(start, tmp_path):
    demo = start("-m", "emotion_bringup.demo", "--clip", "nowhere.mp4", "--out", str(tmp_path / "out"))
    assert demo.end() == 1
    (line,) = demo.output.strip().splitlines()
    assert line == "demo: nowhere.mp4 is not a file; check the path."


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
