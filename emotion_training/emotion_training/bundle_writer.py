"""Writes the model bundle: three graphs proven equal to the torch modules, and model.json."""

import hashlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from tqdm import tqdm

from .config import BundleConfig
from .labels import LABELS, VALENCE_AROUSAL, VALENCE_AROUSAL_SOURCE
from .models.spectrogram_encoder import SpectrogramEncoder

FORMAT_VERSION = 1
OPSET = 18
IR_VERSION = 9  # taken by every onnxruntime since 1.16
PARITY_TOLERANCE = 1e-4  # greatest difference on embeddings, logits and weights, absolute plus relative
PARITY_BATCHES = (1, 5)

logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns at every export that torchvision is absent


class ParityError(Exception):
    """A graph that does not compute what its torch module computes."""


@dataclass(frozen=True)
class BundleModels:
    """face_encoder gives the embedding, or a tuple that begins with it and whose names are its `outputs`.

    quantised: files whose content is already there, instead of the graph of a module: the same in 8-bit integers.
    """

    face_encoder: nn.Module
    audio_encoder: SpectrogramEncoder
    fusion: nn.Module
    quantised: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class BundleShape:
    """What model.json says of a bundle's name, labels and inputs.

    bins: of `bin_s` each, whose faces the fusion sees; hop_s: between audio windows on the robot.
    """

    model_id: str
    labels: tuple[str, ...]
    face_px: int
    bins: int
    bin_s: float
    sample_rate_hz: int
    window_s: float
    hop_s: float

    @classmethod
    def of(cls, config: BundleConfig) -> "BundleShape":
        return cls(
            config.model_id,
            LABELS,
            config.face_encoder.size_px,
            config.fusion.bins,
            config.fusion.bin_s,
            config.audio_encoder.sample_rate_hz,
            config.audio_encoder.window_s,
            config.hop_s,
        )

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.sample_rate_hz)


@dataclass(frozen=True)
class GraphSpec:
    """A graph of the bundle: its module, the names of its tensors, and inputs to check it with.

    trainable: its weights keep their names and shapes, so that they can be read back; else what can be computed
    beforehand is.
    """

    file: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    cases: tuple[tuple[Tensor, ...], ...]
    trainable: bool = False


def write_bundle(
    directory: Path,
    models: BundleModels,
    shape: BundleShape,
    calibration: dict,
    training: dict,
    licence: str,
    card: str,
) -> None:
    """Writes all files of a bundle into `directory`, or none: ParityError leaves it as it was.

    calibration: {"both" | "face" | "audio": {"temperature": float, ...}}; training: provenance, as in model.json, and
    under "metrics" what goes into metrics.json.
    """
    provenance = {key: value for key, value in training.items() if key != "metrics"}
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".bundle-") as work:
        work_path = Path(work)
        specs = bundle_specs(models, shape)
        for spec in tqdm(specs, desc="export", unit="graph"):
            write_graph(models, spec, work_path / spec.file)
        files = {spec.file: file_entry(work_path / spec.file) for spec in specs}
        manifest = _manifest(models, shape, calibration, provenance, licence, files)
        _write_json(work_path / "model.json", manifest)
        _write_json(work_path / "metrics.json", training["metrics"])
        (work_path / "MODEL_CARD.md").write_text(card)
        directory.mkdir(exist_ok=True)
        for path in sorted(work_path.iterdir()):
            shutil.move(path, directory / path.name)


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def file_entry(path: Path) -> dict[str, str]:
    """What model.json says of a file."""
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def bundle_specs(models: BundleModels, shape: BundleShape) -> tuple[GraphSpec, ...]:
    """The three graphs with cases of every batch size; the fusion with each modality missing in turn."""
    generator = torch.Generator().manual_seed(0)
    size_px, samples = shape.face_px, shape.window_samples
    face_spec = face_encoder_spec(models.face_encoder, size_px)
    audio_spec = audio_encoder_spec(models.audio_encoder, samples)
    fusions: list[tuple[Tensor, ...]] = []
    for (face,) in face_spec.cases:
        voice = next(voice for (voice,) in audio_spec.cases if len(voice) == len(face))
        fusions.extend(_fusion_cases(models, shape.bins, face, voice, generator))
    return (
        face_spec,
        audio_spec,
        GraphSpec(
            "fusion.onnx",
            models.fusion,
            ("face_embeddings", "face_mask", "audio_embeddings", "audio_mask"),
            ("logits", "modality_weights"),
            tuple(fusions),
            trainable=True,
        ),
    )


def write_graph(models: BundleModels, spec: GraphSpec, path: Path) -> None:
    """What ships for `spec`."""
    if spec.file in models.quantised:
        path.write_bytes(models.quantised[spec.file])
    else:
        export_graph(spec, path)


def export_graph(spec: GraphSpec, path: Path) -> None:
    """One self-contained ONNX file with a free batch axis; ParityError if it differs from the module."""
    spec.module.eval()
    batch = torch.export.Dim("batch", min=1, max=1024)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch|copyreg")  # torch speaks of its own inner affairs
        program = torch.onnx.export(
            spec.module,
            spec.cases[-1],
            input_names=list(spec.inputs),
            output_names=list(spec.outputs),
            dynamic_shapes=tuple({0: batch} for _ in spec.inputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            optimize=not spec.trainable,
        )
    model = program.model_proto
    model.ir_version = IR_VERSION
    _strip_traces(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    check_parity(spec, path)


def check_parity(spec: GraphSpec, path: Path) -> float:
    """Greatest difference between the file and the module over all cases; ParityError above the tolerance."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    greatest = 0.0
    for case in spec.cases:
        with torch.inference_mode():
            expected = spec.module(*case)
        expected = expected if isinstance(expected, tuple) else (expected,)
        got = session.run(
            list(spec.outputs), {name: value.numpy() for name, value in zip(spec.inputs, case, strict=True)}
        )
        for name, ours, theirs in zip(spec.outputs, expected, got, strict=True):
            difference = np.abs(ours.numpy() - theirs)
            if not np.all(difference <= PARITY_TOLERANCE * (1.0 + np.abs(ours.numpy()))):
                raise ParityError(
                    f"{spec.file}: {name} differs by {difference.max():.2e} between torch and onnxruntime "
                    f"at batch {len(case[0])}; expected at most {PARITY_TOLERANCE:.0e}"
                )
            greatest = max(greatest, float(difference.max()))
    return greatest


def face_encoder_spec(face_encoder: nn.Module, size_px: int) -> GraphSpec:
    """The graph of a face encoder with cases of every batch size."""
    generator = torch.Generator().manual_seed(0)
    outputs = getattr(face_encoder, "outputs", ("embedding",))
    cases = (
        torch.randint(0, 256, (batch, size_px, size_px, 3), generator=generator, dtype=torch.uint8)
        for batch in PARITY_BATCHES
    )
    return GraphSpec("face_encoder.onnx", face_encoder, ("face",), outputs, tuple((case,) for case in cases))


def audio_encoder_spec(audio_encoder: nn.Module, samples: int) -> GraphSpec:
    """The graph of a voice encoder with cases of every batch size: a voice, a quiet one that begins late, silence."""
    generator = torch.Generator().manual_seed(0)
    voices: list[tuple[Tensor, ...]] = []
    for batch in PARITY_BATCHES:
        voice = 0.1 * torch.randn(batch, samples, generator=generator)
        quiet = 0.01 * voice
        quiet[:, : samples // 2] = 0.0
        voices.extend([(voice,), (quiet,), (torch.zeros_like(voice),)])
    return GraphSpec("audio_encoder.onnx", audio_encoder, ("audio",), ("embeddings",), tuple(voices))


def _fusion_cases(
    models: BundleModels, bins: int, face: Tensor, voice: Tensor, generator: torch.Generator
) -> list[tuple[Tensor, ...]]:
    """Face only, voice only, and both with one bin masked, on the embeddings of the given inputs."""
    with torch.inference_mode():
        audio_embeddings = models.audio_encoder.eval()(voice)  # (B, Ta, D)
        encoded = models.face_encoder.eval()(face)
        embedding = encoded[0] if isinstance(encoded, tuple) else encoded  # (B, D)
    face_embeddings = embedding.unsqueeze(1) + 0.1 * torch.randn(
        len(face), bins, embedding.shape[1], generator=generator
    )
    no_face, all_faces = (
        torch.zeros(len(face), bins, dtype=torch.bool),
        torch.ones(len(face), bins, dtype=torch.bool),
    )
    no_voice, all_voices = torch.zeros(len(face), dtype=torch.bool), torch.ones(len(face), dtype=torch.bool)
    some_faces = all_faces.clone()
    some_faces[:, 0] = False
    masks = ((all_faces, no_voice), (no_face, all_voices), (some_faces, all_voices))
    return [(face_embeddings, face_mask, audio_embeddings.clone(), audio_mask) for face_mask, audio_mask in masks]


def _strip_traces(model: onnx.ModelProto) -> None:
    """Removes what the exporter notes about the source lines: paths of this machine and most of a small
    file.
    """
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""


def _manifest(
    models: BundleModels, shape: BundleShape, calibration: dict, training: dict, licence: str, files: dict
) -> dict:
    return {
        "format_version": FORMAT_VERSION,
        "model_id": shape.model_id,
        "labels": list(shape.labels),
        "face": {
            "size_px": shape.face_px,
            "embedding": models.face_encoder.embedding,
            "bins": shape.bins,
            "bin_s": shape.bin_s,
        },
        "audio": {
            "sample_rate_hz": shape.sample_rate_hz,
            "window_s": shape.window_s,
            "hop_s": shape.hop_s,
            "embedding": models.audio_encoder.embedding,
            "tokens": models.audio_encoder.token_count(shape.window_samples),
        },
        "calibration": calibration,
        "valence_arousal": {
            "source": VALENCE_AROUSAL_SOURCE,
            "coordinates": {label: list(VALENCE_AROUSAL[label]) for label in shape.labels},
        },
        "training": training,
        "licence": licence,
        "files": files,
    }
