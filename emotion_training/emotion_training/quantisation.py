"""Encoders of a bundle in 8-bit integers: smaller, and faster where the processor has instructions for them."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from .bundle_writer import IR_VERSION, ParityError, file_entry
from .clip_tensors import ClipTensors

Classifier = TypeVar("Classifier", bound=nn.Module)

OPERATORS = ("Conv", "Gemm", "MatMul")
# Parts of the names of weights that stay as they are: the spectrogram, whose dynamic range is more than 8 bits, and the
# first layers of those that kept their weights from another task, whose channels differ too much in range for one
# scale. The MobileNet of emotion-av-11 names the class of float32 on 0.986 of the validation faces with all its layers
# in integers, on 0.992 with these exact or the next two as well, which takes a tenth longer.
KEPT_EXACT = ("log_mel.", ".frozen.0.", ".frozen.1.")
ACTIVATIONS = ("Clip", "Relu")
# Processors without VNNI add two products of 8-bit numbers in 16 bits: 255 times the sum of two weights must fit.
GREATEST_WEIGHT = 127
# Up to how many times the steps of unsigned weights those of safe signed ones may be. In the matrices of Whisper-tiny
# they are 1.3 to 1.5 times as large, which costs nothing on validation voices, but for the first one, where it is 2.1.
COARSEST_STEP = 1.75
CALIBRATION_CLIPS = 100
LEAST_AGREEMENT = 0.95  # of the classes that an encoder names in integers and in float32, on what neither was fitted to


def quantise_encoders(bundle: Path, train: ClipTensors, seed: int) -> None:
    """Replaces both encoders of a bundle by their 8-bit versions, and their checksums in model.json.

    bundle: the folder. train: clips that the ranges of the activations are taken from.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(train))[:CALIBRATION_CLIPS]
    crops = train.face[chosen][train.face_mask[chosen]].numpy()  # (present, S, S, 3)
    voices = train.audio[0][chosen][train.audio_mask[chosen]].numpy()  # (present, N)
    for name, items in (("face", crops), ("audio", voices)):
        path = bundle / f"{name}_encoder.onnx"
        path.write_bytes(quantised_graph(path, name, items))
    description = json.loads((bundle / "model.json").read_text())
    for name in description["files"]:
        description["files"][name] = file_entry(bundle / name)
    (bundle / "model.json").write_text(json.dumps(description, indent=1) + "\n")


class _Batches(CalibrationDataReader):
    """One item after the other, as batches of one."""

    def __init__(self, name: str, items: np.ndarray):
        self._batches: Iterator[dict[str, np.ndarray]] = iter([{name: item[np.newaxis]} for item in items])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


def quantised_graph(exact: Path, name: str, items: np.ndarray, operators: Sequence[str] = OPERATORS) -> bytes:
    """An ONNX file whose `operators` compute in 8-bit integers.

    exact: the file in float32. name: of its input. items: what the ranges of the activations are taken from, one input
    a row.
    """

    def quantise(prepared: str, made: str) -> None:
        model = onnx.load(prepared)
        quantize_static(
            prepared,
            made,
            _Batches(name, items),
            op_types_to_quantize=list(operators),
            nodes_to_exclude=_exact_nodes(model),
            per_channel=True,
            reduce_range=True,  # 7 bits where `_weight_scales` says nothing else
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            extra_options={"TensorQuantOverrides": _weight_scales(model)},
        )

    return _quantised(exact, quantise)


def integer_products(exact: Path) -> bytes:
    """An ONNX file whose products with stored matrices compute in 8-bit integers, scaled by each input as it comes.

    exact: the file in float32.
    """

    def quantise(prepared: str, made: str) -> None:
        model = onnx.load(prepared)
        quantize_dynamic(
            prepared,
            made,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=_exact_nodes(model),
            per_channel=True,
            weight_type=QuantType.QUInt8,  # which every processor multiplies without overflow
            extra_options={"TensorQuantOverrides": _matrix_scales(model)},
        )

    return _quantised(exact, quantise)


def with_encoder(classifier: Classifier, encoder: nn.Module) -> Classifier:
    """The classifier with the same heads behind another encoder."""
    changed = copy.copy(classifier)
    changed._modules = classifier._modules | {"encoder": encoder}
    return changed.eval()


def graph_session(graph: bytes) -> onnxruntime.InferenceSession:
    """Runs a graph with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def cost_of_integers(labels: np.ndarray, exact: np.ndarray, shipped: np.ndarray) -> dict[str, float]:
    """Accuracy of the classes int (N,) that both name, and how often they are the same."""
    return {
        "float32_accuracy": round(float((exact == labels).mean()), 4),
        "accuracy": round(float((shipped == labels).mean()), 4),
        "same_class": round(float((exact == shipped).mean()), 4),
    }


def check_agreement(file: str, cost: dict[str, float]) -> None:
    """ParityError where a file in 8-bit integers names another emotion than the exact network too often."""
    if cost["same_class"] < LEAST_AGREEMENT:
        raise ParityError(
            f"{file} in 8-bit integers names the same emotion as in float32 on {cost['same_class']:.1%} of the "
            f"validation data; expected {LEAST_AGREEMENT:.0%}"
        )


def _quantised(exact: Path, quantise: Callable[[str, str], None]) -> bytes:
    """The file as it ships; quantise: from a prepared file to another one."""
    with TemporaryDirectory(dir=exact.parent) as work:
        prepared, made = Path(work) / "prepared.onnx", Path(work) / "made.onnx"
        quant_pre_process(str(exact), str(prepared), skip_symbolic_shape=True)
        quantise(str(prepared), str(made))
        model = onnx.load(made)
    model.ir_version = IR_VERSION
    used = {node.domain for node in model.graph.node}
    imports = [entry for entry in model.opset_import if entry.domain in used]  # the preparation names all it knows
    del model.opset_import[:]
    model.opset_import.extend(imports)
    return model.SerializeToString()


def _weight_scales(model: onnx.ModelProto) -> dict[str, list[dict]]:
    """Scales of the kernels that need not lose a bit for processors without VNNI, as onnxruntime takes them.

    onnxruntime adds the products of a depthwise convolution in 32 bits. Those of a pointwise one it adds in pairs of
    neighbouring channels, in 16 bits: no pair may be larger than GREATEST_WEIGHT, which costs less than a bit, as two
    large weights are seldom neighbours.
    """
    kernels = _stored(model)
    scales = {}
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in kernels:
            continue
        kernel = kernels[node.input[1]]  # (channels, channels_in / groups, height, width)
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if kernel.ndim == 4 and kernel.shape[:2] == (groups, 1):
            scales[node.input[1]] = _scales(np.abs(kernel).max(axis=(1, 2, 3)), axis=0)
        elif kernel.shape[2:] == (1, 1):
            scales[node.input[1]] = _scales(_greatest_pairs(kernel[:, :, 0, 0].T), axis=0)
    return scales


def _matrix_scales(model: onnx.ModelProto) -> dict[str, list[dict]]:
    """Scales of the matrices that may have signed weights, whose pairs are of neighbouring rows.

    Processors without VNNI are slower with unsigned ones, which stay where neighbours are too much alike.
    """
    matrices = _stored(model)
    scales = {}
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in matrices or matrices[node.input[1]].ndim != 2:
            continue
        matrix = matrices[node.input[1]]  # (K, N)
        greatest = _greatest_pairs(matrix)
        unsigned_steps = (matrix.max(axis=0).clip(min=0.0) - matrix.min(axis=0).clip(max=0.0)) / 255.0
        if (greatest / GREATEST_WEIGHT).mean() <= COARSEST_STEP * unsigned_steps.mean():
            scales[node.input[1]] = [{"quant_type": QuantType.QInt8, **scale} for scale in _scales(greatest, axis=1)]
    return scales


def _stored(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _greatest_pairs(matrix: np.ndarray) -> np.ndarray:
    """(K, N) -> (N,): the largest sum of two neighbouring weights of one sign, or weight, in each column."""
    pairs = np.pad(matrix, ((0, len(matrix) % 2), (0, 0))).reshape(-1, 2, matrix.shape[1])
    return np.maximum(pairs.clip(min=0.0).sum(axis=1), -pairs.clip(max=0.0).sum(axis=1)).max(axis=0)


def _scales(greatest: np.ndarray, axis: int) -> list[dict]:
    """Steps with which the greatest of each channel is GREATEST_WEIGHT, as onnxruntime takes them."""
    steps = np.where(greatest == 0.0, 1.0, greatest) / GREATEST_WEIGHT
    return [{"axis": axis, "scale": step, "zero_point": 0} for step in steps]


def _exact_nodes(model: onnx.ModelProto) -> Sequence[str]:
    """Names of the nodes with weights that are kept, and of the activations that follow them."""
    names, exact = [], set()
    for node in model.graph.node:
        kept = any(part in value for value in node.input for part in KEPT_EXACT)
        if kept or (node.op_type in ACTIVATIONS and node.input[0] in exact):
            names.append(node.name)
            exact.update(node.output)
    return names
