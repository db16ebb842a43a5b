"""How long each stage takes on one core of this machine.

Every stage runs alone, with the nodes' default parameters and the same inputs each time: a photograph with a face, and
noise for sound, as the time does not depend on what is heard.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from emotion_perception.core.audio_windows import SAMPLE_RATE_HZ, AudioWindower
from emotion_perception.core.face_crop import crop_face
from emotion_perception.core.face_detector import FaceDetector
from emotion_perception.core.model_bundle import load_bundle
from emotion_perception.core.mouth_opening import MouthMeter
from emotion_perception.core.voice_activity import VoiceActivity
from emotion_perception.nodes.audio_window_node import VOICE_MODEL
from emotion_perception.nodes.perception_node import default_parameters, share_directory

REPEATS = 300


def main() -> None:
    stages = _stages()
    print(f"{_processor()}, one core, median and 95th percentile of {REPEATS} runs\n")
    width = max(len(name) for name in stages)
    print(f"| {'stage':{width}} | p50 ms | p95 ms |\n|{'-' * (width + 2)}|-------:|-------:|")
    for name, stage in stages.items():
        p50_ms, p95_ms = np.percentile(_times_ms(stage), [50, 95])
        print(f"| {name:{width}} | {p50_ms:6.2f} | {p95_ms:6.2f} |")


def _stages() -> dict[str, Callable[[], object]]:
    of_faces, of_audio = default_parameters()["face_crop_node"], default_parameters()["audio_window_node"]
    crop_px, hop_s = of_faces["crop_px"], of_audio["hop_s"]
    bundle = load_bundle(share_directory() / "models" / "default")
    rng = np.random.default_rng(0)

    image = cv2.resize(skimage.data.astronaut(), (640, 640))[:480]
    detector = FaceDetector(of_faces["min_score"])
    (detection,) = detector.detect(image)
    mouth_meter = MouthMeter()
    side = bundle.face.size_px
    crops = rng.integers(0, 256, (1, side, side, 3), np.uint8)

    voice = VoiceActivity(
        share_directory() / VOICE_MODEL,
        enter_threshold=of_audio["voice_enter"],
        leave_threshold=of_audio["voice_leave"],
        min_silence_s=of_audio["voice_min_silence_s"],
    )
    windower = AudioWindower(of_audio["window_s"], hop_s, voice)
    chunk = rng.normal(0, 0.1, (round(hop_s * SAMPLE_RATE_HZ), 1)).astype(np.float32)
    chunks_heard = itertools.count()
    window = rng.normal(0, 0.1, bundle.audio.window_samples).astype(np.float32)

    face_embeddings = rng.normal(size=(1, bundle.face.bins, bundle.face.embedding)).astype(np.float32)
    audio_embeddings = rng.normal(size=(1, bundle.audio.tokens, bundle.audio.embedding)).astype(np.float32)
    face_mask, audio_mask = np.ones((1, bundle.face.bins), bool), np.ones(1, bool)
    return {
        "find the face, 640x480": lambda: detector.detect(image),
        "measure its mouth": lambda: mouth_meter.measure(image, detection.box),
        f"cut it out, {crop_px} px": lambda: crop_face(image, detection.box, crop_px),
        "encode a face": lambda: bundle.encode_faces(crops),
        f"take {hop_s} s of sound, with voice activity": lambda: windower.add(
            chunk, SAMPLE_RATE_HZ, next(chunks_heard) * hop_s
        ),
        f"encode a window of {bundle.audio.window_s} s": lambda: bundle.encode_audio(window),
        "fuse": lambda: bundle.fuse(face_embeddings, face_mask, audio_embeddings, audio_mask),
    }


def _times_ms(stage: Callable[[], object]) -> list[float]:
    for _ in range(REPEATS // 10):
        stage()
    times_ms = []
    for _ in range(REPEATS):
        start_s = time.perf_counter()
        stage()
        times_ms.append(1000 * (time.perf_counter() - start_s))
    return times_ms


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        "unknown processor",
    )


if __name__ == "__main__":
    main()
