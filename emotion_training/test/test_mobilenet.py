"""MobileNet: what its frozen part keeps, and the weights of face recognition that it starts from."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from emotion_training.models.face_recognition_weights import read_face_recognition
from emotion_training.models.mobilenet import BLOCKS, GREY_DEVIATION, MobileNetFaceEncoder
from emotion_training.models.start_weights import WeightsError

OPTIONS = {"input_px": 32, "blocks": 4, "frozen_blocks": 2, "embedding": 8, "dropout": 0.0}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file in the layout of faceres.json, with kernels drawn so that the features neither vanish nor saturate."""
    rng = np.random.default_rng(0)
    shapes = {"conv1/convolution/merged_input": (3, 3, 3, 32), "conv1_bn/batchnorm_1/sub": (32,)}
    channels_in = 32
    for block, (channels, _) in enumerate(BLOCKS, 1):
        shapes[f"conv_dw_{block}/depthwise_kernel"] = (3, 3, channels_in, 1)
        shapes[f"conv_dw_{block}_bn/batchnorm_1/mul"] = (channels_in,)
        shapes[f"conv_dw_{block}_bn/batchnorm_1/sub"] = (channels_in,)
        shapes[f"conv_pw_{block}/convolution/merged_input"] = (1, 1, channels_in, channels)
        shapes[f"conv_pw_{block}_bn/batchnorm_1/sub"] = (channels,)
        channels_in = channels
    folder = tmp_path_factory.mktemp("weights")
    described, content = [], b""
    for name, shape in shapes.items():
        values = rng.normal(1.0, 0.2, shape) if len(shape) == 1 else rng.normal(0.0, 1.0, shape)
        if len(shape) == 4:
            values *= np.sqrt(2.0 / (shape[0] * shape[1] * (1 if shape[3] == 1 else shape[2])))
        if name.startswith("conv1/"):
            values /= GREY_DEVIATION
        content += values.astype(np.float16).tobytes()
        quantised = {"dtype": "float16", "original_dtype": "float32"}
        described.append({"name": name, "shape": shape, "dtype": "float32", "quantization": quantised})
    (folder / "faceres.json").write_text(json.dumps({"weightsManifest": [{"weights": described}]}))
    (folder / "faceres.bin").write_bytes(content)
    return folder / "faceres.json"


def grey_pictures(count=16):
    return torch.rand(count, 1, 24, 24, generator=torch.Generator().manual_seed(0))


def test_the_network_starts_as_the_function_of_the_weights(weights):
    encoder = MobileNetFaceEncoder(**OPTIONS)
    encoder.start_on(grey_pictures(), weights)
    encoder.eval()
    x = encoder.enlarged(grey_pictures(3))
    found = encoder.network(encoder.frozen(x))
    for number, (kernel, scale, shift) in enumerate(read_face_recognition(weights)[: 1 + 2 * OPTIONS["blocks"]]):
        if number == 0:
            kernel = kernel.sum(dim=1, keepdim=True) * GREY_DEVIATION
        depthwise = number % 2 == 1
        stride = 2 if number == 0 else BLOCKS[(number - 1) // 2][1] if depthwise else 1
        groups = len(kernel) if depthwise else 1
        x = functional.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, groups=groups)
        x = functional.relu6(x * scale[:, None, None] + shift[:, None, None])
    assert found.std() > 0.1
    torch.testing.assert_close(found, x, rtol=1e-3, atol=1e-4)


def test_its_normalisations_see_what_they_expect_and_kernels_have_length_one(weights):
    encoder = MobileNetFaceEncoder(**OPTIONS)
    encoder.start_on(grey_pictures(), weights)
    evaluated = encoder.eval().embed_grey(grey_pictures())
    encoder.network.train()  # the statistics of the batch instead of those kept
    torch.testing.assert_close(encoder.embed_grey(grey_pictures()), evaluated, rtol=1e-2, atol=1e-2)
    lengths = encoder.network[0][0].weight.flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_a_step_changes_the_blocks_that_learn_and_nothing_of_the_frozen_ones(weights):
    encoder = MobileNetFaceEncoder(**OPTIONS)
    encoder.start_on(grey_pictures(), weights)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    encoder.train().embed_grey(grey_pictures()).square().sum().backward()
    optimizer.step()
    same = {name for name, value in encoder.state_dict().items() if torch.equal(value, before[name])}
    assert same == {name for name in before if name.startswith("frozen.")}


@pytest.mark.parametrize("blocks, frozen_blocks", [(14, 3), (3, 3), (3, 0)])
def test_numbers_of_blocks_that_it_cannot_have_are_refused(blocks, frozen_blocks):
    with pytest.raises(ValueError, match=f"blocks is {blocks} and frozen_blocks {frozen_blocks}; expected"):
        MobileNetFaceEncoder(**OPTIONS | {"blocks": blocks, "frozen_blocks": frozen_blocks})


def test_weights_that_are_absent_or_something_else_are_named(weights, tmp_path):
    with pytest.raises(WeightsError, match="faceres.json does not exist; expected the weights out of npm's"):
        read_face_recognition(tmp_path / "faceres.json")
    (tmp_path / "faceres.json").write_text("[]")
    with pytest.raises(WeightsError, match="faceres.json is no TensorFlow.js graph"):
        read_face_recognition(tmp_path / "faceres.json")
    (tmp_path / "faceres.json").write_bytes(weights.read_bytes())
    with pytest.raises(WeightsError, match="faceres.bin does not exist"):
        read_face_recognition(tmp_path / "faceres.json")
    (tmp_path / "faceres.bin").write_bytes(weights.with_suffix(".bin").read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"faceres.bin ends at byte 5000 inside conv_"):
        read_face_recognition(tmp_path / "faceres.json")
    (tmp_path / "faceres.json").write_text(json.dumps({"weightsManifest": []}))
    with pytest.raises(WeightsError, match="has no tensor 'conv1/convolution/merged_input'"):
        read_face_recognition(tmp_path / "faceres.json")
