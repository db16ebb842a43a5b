"""A model bundle that a person can follow.

Its logits are the mean colour of the face and the loudness of the voice: a red face is neutral, a green one happy, a
blue one sad, and a voice adds to sad. It needs the package `onnx`, and no weights.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx

SIDE_PX, BINS, WINDOW_SAMPLES, TOKENS = 8, 4, 1600, 4
LABELS = ("neutral", "happy", "sad")

FACE_ENCODER = """
<ir_version: 8, opset_import: ["" : 17]>
face_encoder (uint8[B, 8, 8, 3] face) => (float[B, 3] embedding) {
    pixels = Cast <to = 1> (face)
    mean = ReduceMean <axes = [1, 2], keepdims = 0> (pixels)
    white = Constant <value_float = 255.0> ()
    embedding = Div (mean, white)
}
"""
AUDIO_ENCODER = """
<ir_version: 8, opset_import: ["" : 17]>
audio_encoder (float[B, 1600] audio) => (float[B, 4, 1] embeddings) {
    shape = Constant <value_ints = [-1, 4, 400]> ()
    loudness = Abs (audio)
    tokens = Reshape (loudness, shape)
    embeddings = ReduceMean <axes = [2], keepdims = 1> (tokens)
}
"""
FUSION = """
<ir_version: 8, opset_import: ["" : 17]>
fusion (float[B, 4, 3] face_embeddings, bool[B, 4] face_mask, float[B, 4, 1] audio_embeddings, bool[B] audio_mask)
    => (float[B, 3] logits, float[B, 2] modality_weights) {
    first = Constant <value_ints = [1]> ()
    second = Constant <value_ints = [2]> ()
    one = Constant <value_float = 1.0> ()
    bins = Cast <to = 1> (face_mask)
    column = Unsqueeze (bins, second)
    faces = Mul (face_embeddings, column)
    face_sum = ReduceSum <keepdims = 0> (faces, first)
    face_count = ReduceSum <keepdims = 1> (bins, first)
    divisor = Max (face_count, one)
    face = Div (face_sum, divisor)
    audio_flag = Cast <to = 1> (audio_mask)
    audio_there = Unsqueeze (audio_flag, first)
    loudness = ReduceMean <axes = [1, 2], keepdims = 0> (audio_embeddings)
    loudness_column = Unsqueeze (loudness, first)
    heard = Mul (loudness_column, audio_there)
    sadness = Constant <value = float[1, 3] {0.0, 0.0, 1.0}> ()
    voice = Mul (heard, sadness)
    evidence = Add (face, voice)
    sharpness = Constant <value_float = 4.0> ()
    logits = Mul (evidence, sharpness)
    face_there = Min (face_count, one)
    there = Concat <axis = 1> (face_there, audio_there)
    there_count = ReduceSum <keepdims = 1> (there, first)
    there_divisor = Max (there_count, one)
    modality_weights = Div (there, there_divisor)
}
"""


def _description() -> dict[str, Any]:
    return {
        "format_version": 1,
        "model_id": "tiny",
        "labels": list(LABELS),
        "face": {"size_px": SIDE_PX, "embedding": 3, "bins": BINS, "bin_s": 0.25},
        "audio": {"sample_rate_hz": 16000, "window_s": 0.1, "hop_s": 0.05, "embedding": 1, "tokens": TOKENS},
        "calibration": {
            "both": {"temperature": 2.0, "uncertain_below": 0.5},
            "face": {"temperature": 1.0, "uncertain_below": 0.6},
            "audio": {"temperature": 0.5, "uncertain_below": 0.7},
        },
        "valence_arousal": {
            "source": "invented for tests",
            "coordinates": {"neutral": [0.0, 0.0], "happy": [1.0, 0.5], "sad": [-1.0, -0.5]},
        },
        "training": {},
        "licence": "Apache-2.0",
        "files": {},
    }


def write_tiny_bundle(directory: Path, **changes: Any) -> Path:
    """Write the bundle, with top-level entries of model.json changed as given."""
    directory.mkdir(parents=True, exist_ok=True)
    content = _description()
    for name, text in (("face_encoder", FACE_ENCODER), ("audio_encoder", AUDIO_ENCODER), ("fusion", FUSION)):
        data = onnx.parser.parse_model(text).SerializeToString()
        (directory / f"{name}.onnx").write_bytes(data)
        content["files"][f"{name}.onnx"] = {"sha256": hashlib.sha256(data).hexdigest()}
    (directory / "model.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")
    return directory
