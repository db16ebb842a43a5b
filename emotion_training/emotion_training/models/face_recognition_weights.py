"""Weights of HSE-FaceRes (Savchenko 2019): a MobileNet trained to tell the people of VGGFace2 apart.

They are read as npm's @vladmandic/human ships them, a graph of TensorFlow.js: models/faceres.json names the tensors one
after the other, models/faceres.bin holds them. Of the weights that we tried, those of its middle layers know most of
expressions: a linear classifier of 3000 faces on them is right on 73 % of others, on those of ImageNet on 60 %.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .start_weights import WeightsError

BLOCKS = 13
MEAN_BGR = (103.939, 116.779, 123.68)  # what the network's authors subtract from the colours
PICTURE_MEAN = 114.8  # of these; our pictures have no mean, and theirs is about this one


def read_face_recognition(path: Path) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Kernel (out, in / groups, H, W), scale (out,), shift (out,) of each convolution, on the data's way.

    The first one takes three colours of 0 to 255 around their mean. path: faceres.json, beside its faceres.bin.

    Raises:
        WeightsError: for files that are missing or hold something else.
    """
    tensors = _read_tensors(path)
    try:
        stem = _dense(tensors["conv1/convolution/merged_input"])
        colours = PICTURE_MEAN - torch.tensor(MEAN_BGR)
        offset = (stem.sum(dim=(2, 3)) * colours).sum(dim=1)
        layers = [(stem, torch.ones(len(stem)), tensors["conv1_bn/batchnorm_1/sub"].flatten() + offset)]
        for block in range(1, BLOCKS + 1):
            depthwise = tensors[f"conv_dw_{block}/depthwise_kernel"].permute(2, 3, 0, 1)
            normalisation = f"conv_dw_{block}_bn/batchnorm_1"
            scale, shift = (tensors[f"{normalisation}/{part}"].flatten() for part in ("mul", "sub"))
            layers.append((depthwise, scale, shift))
            pointwise = _dense(tensors[f"conv_pw_{block}/convolution/merged_input"])
            shift = tensors[f"conv_pw_{block}_bn/batchnorm_1/sub"].flatten()
            layers.append((pointwise, torch.ones(len(pointwise)), shift))
    except KeyError as error:
        raise WeightsError(f"{path} has no tensor {error}; expected faceres.json of @vladmandic/human 3") from None
    return layers


def _dense(kernel: Tensor) -> Tensor:
    """TensorFlow's (H, W, in, out) -> (out, in, H, W)."""
    return kernel.permute(3, 2, 0, 1)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    content = path.with_suffix(".bin")
    try:
        described = [tensor for group in json.loads(path.read_text())["weightsManifest"] for tensor in group["weights"]]
        data = content.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(
            f"{error.filename} does not exist; expected the weights out of npm's @vladmandic/human 3, package/models/"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise WeightsError(f"{path} is no TensorFlow.js graph; expected faceres.json of @vladmandic/human 3") from None
    tensors, start = {}, 0
    for tensor in described:
        kind = np.dtype(tensor.get("quantization", tensor)["dtype"])
        count = math.prod(tensor["shape"])
        end = start + count * kind.itemsize
        if end > len(data):
            raise WeightsError(f"{content} ends at byte {len(data)} inside {tensor['name']}; fetch it again")
        values = np.frombuffer(data, kind, count, start).astype(np.float32)
        tensors[tensor["name"]] = torch.as_tensor(values.reshape(tensor["shape"]))
        start = end
    return tensors
