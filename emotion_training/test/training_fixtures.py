"""A small generated corpus as `prepare` writes it, and an experiment on it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from emotion_training.clip import Clip
from emotion_training.models.smart_turn_weights import LINEAR, NORMS
from emotion_training.models.whisper import WhisperTiny
from emotion_training.prepared_corpus import save_clips
from emotion_training.splits import Fold, Split, save_split

LABELS = ("neutral", "happy", "angry")
SPEAKERS = tuple(f"tone-{number}" for number in range(6))
FEATURES = 4
CROP_PX = 48
# Changes of an experiment to what the robot has.
ROBOT = {
    "data.corpus.face": "crops",
    "data.corpus.audio": "samples",
    "data.corpus.window_s": 0.3,
    "data.corpus.face_bins": 2,
    "data.corpus.face_bin_s": 0.2,
    "model.fusion": {"name": "cross_attention", "options": {"width": 8, "heads": 2, "dropout": 0.0}},
    "model.face_encoder": {
        "name": "compact_cnn",
        "options": {"stem_channels": 8, "stages": [[16, 1]], "embedding": 8, "dropout": 0.0},
    },
    "model.audio_encoder": {
        "name": "log_mel_cnn",
        "options": {"mels": 16, "channels": [16, 16], "embedding": 8, "dropout": 0.0},
    },
    "model.regularisation": {"modality_dropout": 0.2},
}


def write_corpus(folder: Path, clips_per_class: int = 3) -> list[Clip]:
    """Voices are tones with a pitch a class, facial features a direction a class, crops a grey value a class."""
    rng = np.random.default_rng(0)
    (folder / "clips").mkdir(parents=True)
    clips = [
        _write_clip(folder, speaker, label, take, rng)
        for speaker in SPEAKERS
        for label in range(len(LABELS))
        for take in range(clips_per_class)
    ]
    save_clips(clips, folder)
    return clips


def _write_clip(folder: Path, speaker: str, label: int, take: int, rng: np.random.Generator) -> Clip:
    clip_id = f"{speaker}-{label}-{take}"
    time_s = np.arange(4800) / 16000
    tone = 6000.0 * np.sin(2.0 * np.pi * 200.0 * 2.0**label * time_s) + rng.normal(0.0, 300.0, len(time_s))
    grey = np.full((4, CROP_PX, CROP_PX, 3), 60 + 60 * label) + rng.integers(-20, 20, (4, 1, 1, 1))
    path = folder / "clips" / f"{clip_id}.npz"
    np.savez(path, audio=tone.astype(np.int16), faces=grey.astype(np.uint8), times_s=np.arange(4) / 10.0)
    features = rng.normal(0.0, 0.5, FEATURES) + 2.0 * np.eye(FEATURES)[label]
    return Clip(
        clip_id,
        "tones",
        speaker,
        label=LABELS[label],
        valence=0.2 * label,
        arousal=0.1 * take,
        video=path,
        audio=path,
        face_features=tuple(features),
    )


def write_split(path: Path) -> Split:
    """Two folds over the six speakers."""
    folds = (Fold(SPEAKERS[:3], SPEAKERS[3:4], SPEAKERS[4:]), Fold(SPEAKERS[3:], SPEAKERS[2:3], SPEAKERS[:2]))
    split = Split("tones", "tones", "two folds", 0, folds)
    save_split(split, path)
    return split


def experiment_tree(folder: Path, **corpus: Any) -> dict[str, Any]:
    """A configuration of a training of a second; the corpus and the split of `folder`."""
    return {
        "seed_everything": 0,
        "trainer": {"max_epochs": 3, "accelerator": "cpu", "enable_progress_bar": False},
        "selection": {"keep": "best", "monitor": "validation_loss", "patience": None},
        "data": {
            "corpus": {"root": str(folder / "corpus"), "labels": list(LABELS), **corpus},
            "split": str(folder / "split.json"),
            "fold": 0,
            "batch": 8,
        },
        "model": {
            "fusion": {"name": "late_product"},
            "face_encoder": {"name": "action_units", "options": {"hidden": 8, "embedding": 8}},
            "audio_encoder": {"name": "functionals", "options": {"embedding": 8}},
            "optimiser": {"learning_rate": 0.01, "ema_decay": 0.5},
            "regularisation": {"modality_dropout": 0.2, "mix_up_alpha": 0.2, "face_noise": 0.1, "audio_noise": 0.1},
        },
    }


def smart_turn_graph(network: WhisperTiny) -> onnx.ModelProto:
    """The weights of a WhisperTiny of one block in the layout of smart-turn-v3.2-cpu.onnx."""
    layer = "inner.encoder.layers.0."
    nodes, stored = [], []

    def store(name, value):
        stored.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def integers(name, value, axis):
        """Per output channel, as a matrix with its channels along `axis`."""
        across = tuple(dimension for dimension in range(value.ndim) if dimension != axis)
        scale = np.abs(value).max(axis=across) / 127.0
        shape = [-1 if dimension == axis else 1 for dimension in range(value.ndim)]
        inputs = [
            store(f"{name}_quantized", np.round(value / scale.reshape(shape)).astype(np.int8)),
            store(f"{name}_scale", scale.astype(np.float32)),
            store(f"{name}_zero_point", np.zeros(len(scale), np.int8)),
        ]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_DequantizeLinear_Output"], axis=axis))
        return f"{name}_DequantizeLinear_Output"

    def product(of, weight, bias):
        number = len(nodes)
        matrix = integers(f"val_{number}", weight.T, 1)
        name = f"node_MatMul_{number}" if bias else f"node_linear_{number}"
        nodes.append(helper.make_node("MatMul", [of, matrix], [f"product_{number}"], name))
        if bias:
            scale, zero = store(f"scale_{number}", np.float32(0.1)), store(f"zero_{number}", np.uint8(128))
            nodes.append(helper.make_node("QuantizeLinear", [f"product_{number}", scale, zero], [f"q_{number}"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"q_{number}", scale, zero], [f"dq_{number}"]))
            nodes.append(helper.make_node("Add", [f"dq_{number}", bias], [f"sum_{number}"]))

    state = {name: value.numpy() for name, value in network.state_dict().items()}
    store("inner.encoder.embed_positions.weight", state["positions"])
    for name in ("conv1", "conv2"):
        integers(f"inner.encoder.{name}.weight", state[f"{name}.weight"], 0)
        store(f"inner.encoder.{name}.bias", state[f"{name}.bias"])
    for theirs, own in NORMS.items():
        for part in ("weight", "bias"):
            store(f"{layer}{theirs}.{part}", state[f"blocks.0.{own}.{part}"])
    product("normed", state["blocks.0.key.weight"], None)
    for theirs, own in LINEAR.items():
        of = "normed" if own in ("query", "value") else f"input of {own}"
        bias = store(f"{layer}{theirs}.bias", state[f"blocks.0.{own}.bias"])
        product(of, state[f"blocks.0.{own}.weight"], bias)
    return helper.make_model(helper.make_graph(nodes, "turn", [], [], stored))
