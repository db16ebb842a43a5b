"""Weights of Smart Turn v3.2 (Daily, BSD 2-Clause): Whisper-tiny's encoder, taught to hear where a speaker ends.

They are read as PyPI's pipecat-ai 1.14 ships them, an ONNX graph in 8-bit integers that names the biases and the
normalisations; the weights of a layer are found on the way back from its bias.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import NodeProto, numpy_helper
from torch import Tensor

from .start_weights import WeightsError

EXPECTED = "expected pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx of PyPI's pipecat-ai 1.14"
ENCODER = "inner.encoder."
NORMS = {"self_attn_layer_norm": "attention_norm", "final_layer_norm": "feed_forward_norm"}
LINEAR = {
    "self_attn.q_proj": "query",
    "self_attn.v_proj": "value",
    "self_attn.out_proj": "out",
    "fc1": "widen",
    "fc2": "narrow",
}


def read_smart_turn(path: Path, blocks: int) -> dict[str, Tensor]:
    """Tensors of a `WhisperTiny` with that many blocks, by its names.

    Raises:
        WeightsError: for a file that is missing or holds something else.
    """
    try:
        graph = _Graph(onnx.load(path))
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; {EXPECTED}") from None
    except DecodeError:
        raise WeightsError(f"{path} is no ONNX graph; {EXPECTED}") from None
    try:
        weights = {"positions": graph.tensor(f"{ENCODER}embed_positions.weight")}
        for name in ("conv1", "conv2"):
            weights[f"{name}.weight"] = graph.tensor(f"{ENCODER}{name}.weight_DequantizeLinear_Output")
            weights[f"{name}.bias"] = graph.tensor(f"{ENCODER}{name}.bias")
        for number in range(blocks):
            layer, block = f"{ENCODER}layers.{number}.", f"blocks.{number}."
            for theirs, own in NORMS.items():
                weights[f"{block}{own}.weight"] = graph.tensor(f"{layer}{theirs}.weight")
                weights[f"{block}{own}.bias"] = graph.tensor(f"{layer}{theirs}.bias")
            for theirs, own in LINEAR.items():
                bias = f"{layer}{theirs}.bias"
                weights[f"{block}{own}.weight"] = graph.tensor(graph.product_before(bias).input[1]).T
                weights[f"{block}{own}.bias"] = graph.tensor(bias)
            query = graph.product_before(f"{layer}self_attn.q_proj.bias")
            weights[f"{block}key.weight"] = graph.tensor(graph.unbiased_product_of(query.input[0]).input[1]).T
    except KeyError as error:
        raise WeightsError(f"{path} has no tensor {error}; {EXPECTED}") from None
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in weights.items()}


class _Graph:
    """Looks up tensors and operations; KeyError with the name of what is not there."""

    def __init__(self, model: onnx.ModelProto):
        self.nodes = model.graph.node
        self.stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.makers = {output: node for node in self.nodes for output in node.output}

    def tensor(self, name: str) -> np.ndarray:
        """What is stored, float32: as it is, or made of integers, (integers - zero point) * scale along an axis."""
        if name in self.stored:
            return self.stored[name].astype(np.float32)
        node = self.makers[name]
        integers, scale, zero_point = (self.stored[source].astype(np.float32) for source in node.input)
        if scale.ndim == 1:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
            along = [-1 if dimension == axis else 1 for dimension in range(integers.ndim)]
            scale, zero_point = scale.reshape(along), zero_point.reshape(along)
        return (integers - zero_point) * scale

    def product_before(self, bias: str) -> NodeProto:
        """The MatMul to whose result `bias` is added."""
        adding = next((node for node in self.nodes if node.op_type == "Add" and node.input[1] == bias), None)
        if adding is None:
            raise KeyError(bias)
        node = self.makers[adding.input[0]]
        while node.op_type != "MatMul":
            node = self.makers[node.input[0]]
        return node

    def unbiased_product_of(self, name: str) -> NodeProto:
        """The MatMul of a tensor that is a whole layer, and keeps its name in the graph: that of the keys."""
        for node in self.nodes:
            if node.op_type == "MatMul" and node.input[0] == name and node.name.startswith("node_linear"):
                return node
        raise KeyError(f"node_linear of {name}")
