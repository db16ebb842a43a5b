"""Clips to play, and the suite as processes of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import yaml

from emotion_perception.testing.graph import Graph
from emotion_perception.testing.media import voice, write_media
from emotion_perception.testing.tiny_bundle import write_tiny_bundle

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
END_S = 60.0  # for a process that ends by itself; a busy machine takes its time
# For one that is told to end; once in a hundred times rclpy.spin does not hear it.
STOP_S = 10.0


@pytest.fixture
def graph() -> Iterator[Graph]:
    with closing(Graph()) as graph:
        yield graph


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def generated_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face for 2.4 s whose mouth opens and shuts, and a voice from 0.6 s to 2.1 s."""
    path = tmp_path_factory.mktemp("media") / "generated.mp4"
    shut = skimage.data.astronaut()
    wide = cv2.ellipse(shut.copy(), (222, 155), (15, 8), 0, 0, 360, (60, 15, 15), cv2.FILLED)
    images = [np.roll(wide if step // 3 % 2 else shut, step, axis=1) for step in range(60)]
    silence = np.zeros(28_800, np.float32)
    samples = np.concatenate([silence, voice(1.5, 48_000), silence[:14_400]])[:, None]
    write_media(path, images=images, samples=samples, sample_rate_hz=48_000)
    return path


@pytest.fixture(scope="session")
def real_clip(generated_clip: Path) -> Path:
    """An actor of RAVDESS where the shared data are present, else the generated clip."""
    path = SHARED_DATA / "ravdess_01-01-01-01-01-01-01.mp4"
    return path if path.is_file() else generated_clip


class Process:
    """A process under test; its output is kept."""

    def __init__(self, command: list[str], log: Path, **options: object) -> None:
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                **options,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> int:
        """Wait for the end and give the exit status."""
        return self._process.wait(timeout=END_S)

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it, in order where it can: one that is killed leaves its part of the shared memory to the others."""
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start `python ARGUMENTS` as a process that does not outlive the test."""
    processes: list[Process] = []

    def start_process(*command: str, **options: object) -> Process:
        processes.append(Process(list(command), tmp_path / f"process_{len(processes)}.log", **options))
        return processes[-1]

    yield start_process
    for process in processes:
        process.stop()


@pytest.fixture
def play(start: Callable[..., Process], tiny_bundle: Path, tmp_path: Path) -> Callable[..., Process]:
    """Play a file through the whole chain with the tiny model."""

    def play_file(clip: Path, **parameters: dict[str, object]) -> Process:
        parameters.setdefault("media_player_node", {})["path"] = str(clip)
        parameters.setdefault("emotion_fusion_node", {}).setdefault("model", str(tiny_bundle))
        file = tmp_path / "parameters.yaml"
        file.write_text(yaml.safe_dump({node: {"ros__parameters": values} for node, values in parameters.items()}))
        pipeline = ("-m", "emotion_perception.emotion_pipeline", "--source", "file")
        return start(*pipeline, "--ros-args", "--params-file", str(file))

    return play_file
