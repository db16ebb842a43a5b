"""The demonstration: a clip or a webcam through the whole graph, and a picture of what came out.

The graph runs in a process of its own; this one listens to it over DDS as a robot's behaviour would.
"""

import argparse
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import numpy as np
import rclpy
import yaml
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from emotion_bringup.annotated_video import write_annotated_video
from emotion_bringup.demo_clip import ClipError, fetch_clip
from emotion_bringup.fast_dds import fast_dds_environment
from emotion_bringup.graph_recorder import GraphRecorder, Recording
from emotion_bringup.timeline import draw_timeline
from emotion_msgs.msg import EmotionState
from emotion_perception.core.media_reader import MediaError, MediaReader

LIVE = "live"
END_S = 2.0  # the graph must have ended by then
KEPT_UP = 0.8  # the share of a clip's pictures below which the graph did not look at all that it should
INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended


def main() -> None:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--clip",
        default="",
        help="a file to play, or live for the webcam and microphone (default: a clip that is fetched once)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder of the results (default: %(default)s)"
    )
    parser.add_argument(
        "--live-s",
        type=float,
        default=30.0,
        help="seconds that a live demonstration takes (default: %(default)s)",
    )
    arguments = parser.parse_args()
    if not 0.0 < arguments.live_s < math.inf:
        parser.error(f"--live-s is {arguments.live_s:g}; expected seconds, positive and finite")
    os.environ.update(fast_dds_environment())  # of this process and of the graph's
    try:
        if arguments.clip == LIVE:
            sys.exit(demonstrate(None, arguments.live_s, arguments.out))
        clip = Path(arguments.clip) if arguments.clip else fetch_clip()
        with MediaReader(clip) as reader:
            duration_s = reader.duration_s
        sys.exit(demonstrate(clip, duration_s, arguments.out))
    except (ClipError, MediaError) as error:
        sys.exit(f"demo: {error}")


def demonstrate(clip: Path | None, duration_s: float | None, out: Path) -> int:
    """Run the graph on a clip, or on the live sources without one; give the exit status."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        states_file = (out / "states.jsonl").open("w", encoding="utf-8")
    except OSError as error:
        print(
            f"demo: {out} cannot hold the results ({error.strerror}); give another folder with --out.", file=sys.stderr
        )
        return 1
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with states_file:
            recorder = GraphRecorder(states_file)
            ended_well = _run_graph(recorder, clip, duration_s, out / "graph.log", interrupted)
            recorder.destroy_node()
    finally:
        rclpy.try_shutdown()
    if interrupted.is_set():
        return INTERRUPTED
    if not ended_well:
        print(_complaints(out / "graph.log"), file=sys.stderr)
        print(f"demo: the graph failed; all that it said is in {out / 'graph.log'}.", file=sys.stderr)
        return 1
    if not recorder.recording.states:
        print(
            f"demo: no state came on /emotion/state, expected ten a second; see {out / 'graph.log'}, and whether a "
            "firewall blocks UDP multicast on the loopback interface.",
            file=sys.stderr,
        )
        return 1
    _write_results(clip, recorder.recording, out)
    return 0


def _write_results(clip: Path | None, recording: Recording, out: Path) -> None:
    """Draw what was recorded, and say what was written and what came out; there must be at least one state."""
    draw_timeline(recording, clip.name if clip else "live", out / "timeline.png")
    results = ["states.jsonl", "timeline.png"]
    pictures = 0
    if clip is None:
        print("A live camera is not recorded: there is no annotated.mp4.")
    elif not recording.faces:
        print("The clip has no video: there is no annotated.mp4.")
    elif pictures := annotate(clip, recording, out / "annotated.mp4"):
        results.append("annotated.mp4")
    if len(recording.faces) < KEPT_UP * pictures:
        print(
            f"The graph looked at {len(recording.faces)} of {pictures} pictures only: this computer did not keep up, "
            "and the states are worse than they can be; end other programs, or play a clip of smaller pictures."
        )
    if complaints := _lines_of(out / "graph.log", "[WARN]", "[ERROR]"):
        print(f"Warnings and errors of the graph: {len(complaints)}; see {out / 'graph.log'}.")
    print("Wrote", ", ".join(str(out / name) for name in results))
    print(summary(recording))


def _complaints(log: Path) -> str:
    """What the graph's log holds of errors, else its end."""
    return "\n".join(_lines_of(log, "[ERROR]", "[FATAL]") or _lines_of(log, "")[-20:])


def _lines_of(log: Path, *beginnings: str) -> list[str]:
    """The lines of the graph's log that begin with one of these."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.startswith(beginnings)]


def annotate(clip: Path, recording: Recording, path: Path) -> int:
    """Write the annotated video and count its pictures; where FFmpeg cannot, say why, leave no part of it, give 0."""
    try:
        return write_annotated_video(clip, recording, path)
    except av.error.FFmpegError as error:
        path.unlink(missing_ok=True)
        print(f"demo: {path} cannot be written ({error.strerror}); check the folder and the clip.", file=sys.stderr)
        return 0


def summary(recording: Recording) -> str:
    """The figures of a run in one line."""
    judged = [index for index, state in enumerate(recording.states) if state.modalities]
    parts = [f"{len(recording.states)} states"]
    if judged:
        latencies_ms = 1000 * np.array(recording.latencies_s)[judged]
        first_s = recording.time_s(recording.received_ns[judged[0]])
        parts.append(f"first after {first_s:.2f} s")
        parts.append("latency p50 {:.0f} ms, p95 {:.0f} ms".format(*np.percentile(latencies_ms, [50, 95])))
    else:
        parts.append("nobody was there")
    with_face = sum(bool(faces) for faces in recording.faces.values())
    parts.append(f"{_share(with_face, len(recording.faces))} of frames with a face")
    parts.append(f"{_share(recording.windows_with_voice, recording.windows)} of windows with voice")
    return " · ".join(parts)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "no share"


def _run_graph(
    recorder: GraphRecorder,
    clip: Path | None,
    duration_s: float | None,
    log: Path,
    interrupted: threading.Event,
) -> bool:
    """Run the pipeline in its own process while this one listens; false when it fails."""
    source = "file" if clip else LIVE
    command = [sys.executable, "-m", "emotion_perception.emotion_pipeline", "--source", source]
    with (
        tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as parameters,
        log.open("wb") as log_file,
    ):
        if clip:
            yaml.safe_dump({"media_player_node": {"ros__parameters": {"path": str(clip.resolve())}}}, parameters)
            parameters.flush()
            command += ["--ros-args", "--params-file", parameters.name]
        print("Starting the graph ...", flush=True)
        graph = subprocess.Popen(command, stdout=log_file, stderr=subprocess.STDOUT)
        try:
            with _Display(duration_s) as display:
                while graph.poll() is None and not interrupted.is_set():
                    rclpy.spin_once(recorder, timeout_sec=0.1)
                    display.show(recorder.recording)
                    if clip is None and display.elapsed_s(recorder.recording) >= duration_s:
                        return True
                return graph.returncode == 0
        finally:
            graph.send_signal(signal.SIGINT)
            try:
                graph.wait(timeout=END_S)
            except subprocess.TimeoutExpired:
                graph.kill()
                graph.wait()


class _Display:
    """A progress bar of the clip, and under it the emotion of the moment."""

    def __init__(self, duration_s: float | None) -> None:
        bar = "{desc} |{bar}| {n:.1f}/{total:.1f} s" if duration_s else "{desc} {n:.1f} s"
        self._progress = tqdm(total=duration_s, desc="Playing", bar_format=bar, position=0)
        self._emotion = tqdm(bar_format="{desc}", position=1, leave=False)
        self._shown = 0

    def __enter__(self) -> "_Display":
        return self

    def __exit__(self, *_: object) -> None:
        self._emotion.close()
        self._progress.close()

    def elapsed_s(self, recording: Recording) -> float:
        if recording.start_ns is None and not recording.states:
            return 0.0
        return recording.time_s(time.time_ns())

    def show(self, recording: Recording) -> None:
        if len(recording.states) == self._shown:
            return
        self._shown = len(recording.states)
        elapsed_s = max(self.elapsed_s(recording), 0.0)
        self._progress.n = min(elapsed_s, self._progress.total or elapsed_s)
        self._progress.refresh()
        self._emotion.set_description_str(describe(recording.states[-1]))


def describe(state: EmotionState) -> str:
    """A state in a line for a person."""
    if not state.modalities:
        return "nobody"
    names = ((EmotionState.FACE, "face"), (EmotionState.AUDIO, "voice"))
    used = " and ".join(name for bit, name in names if state.modalities & bit)
    doubt = ", uncertain" if state.uncertain else ""
    return f"{state.label} {state.confidence:.0%} from {used}{doubt}"


if __name__ == "__main__":
    main()
