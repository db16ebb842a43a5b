"""EfficientNet-Lite0: its fast gradients, its weights of ImageNet, what it refuses."""

import cv2
import pytest
import skimage.data
import torch
from torch.nn import functional

from emotion_training.export import GraphSpec, export_graph
from emotion_training.models import efficientnet_lite
from emotion_training.models.depthwise import DepthwiseConv2d
from emotion_training.models.efficientnet_lite import STAGES, EfficientNetAudioEncoder, EfficientNetLite, imagenet_file
from emotion_training.models.imagenet_weights import load_imagenet_efficientnet
from emotion_training.models.start_weights import WeightsError

CATS = {281, 282, 283, 284, 285}  # of ImageNet's classes: tabby, tiger, Persian, Siamese, Egyptian


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("height, width", [(12, 12), (7, 10), (3, 3)])
def test_gradients_of_a_depthwise_convolution_are_those_of_pytorch(kernel, stride, height, width):
    torch.manual_seed(0)
    convolution = DepthwiseConv2d(8, kernel, stride).double()
    x = torch.randn(3, 8, height, width, dtype=torch.double, requires_grad=True)
    expected = functional.conv2d(x, convolution.weight, None, stride, kernel // 2, groups=8)
    gradient = torch.randn_like(expected)
    output = convolution(x)
    torch.testing.assert_close(output, expected)
    inputs = (x, convolution.weight)
    torch.testing.assert_close(
        torch.autograd.grad(output, inputs, gradient), torch.autograd.grad(expected, inputs, gradient)
    )


def test_the_weights_of_imagenet_know_a_cat_in_grey():
    network = EfficientNetLite(len(STAGES), drop_path=0.0, imagenet=True).eval()
    classifier = torch.load(imagenet_file(), weights_only=True)
    grey = cv2.cvtColor(skimage.data.chelsea()[:, 75:375], cv2.COLOR_RGB2GRAY)
    picture = (torch.from_numpy(cv2.resize(grey, (224, 224))).float() - 127.0) / 128.0
    with torch.inference_mode():
        features = network.features(picture[None, None]).mean(dim=(2, 3))
        logits = features @ classifier["_fc.weight"].T + classifier["_fc.bias"]
    assert set(logits[0].topk(3).indices.tolist()) <= CATS


def test_fewer_stages_take_the_beginning_of_the_weights():
    whole, part = EfficientNetLite(len(STAGES), 0.0, imagenet=True), EfficientNetLite(5, 0.0, imagenet=True)
    state = whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())
    assert (part.channels, part.shrinking, whole.channels, whole.shrinking) == (112, 16, 1280, 32)


def test_a_dropped_path_is_made_up_for_by_the_others_and_kept_outside_of_training():
    torch.manual_seed(0)
    network = EfficientNetLite(2, drop_path=0.5, imagenet=False)
    block, x = network.blocks[-1], torch.randn(400, 24, 4, 4)
    block.branch.eval()  # its normalisation, not the dropping
    branch = block(x).sub(x).flatten(1)
    kept = branch.abs().sum(dim=1) > 0
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(branch[kept], 2.0 * block.branch(x).flatten(1)[kept], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(block.eval()(x), x + block.branch(x))


def test_a_voice_of_five_stages_exports_with_a_token_every_160_ms(tmp_path):
    torch.manual_seed(0)
    encoder = EfficientNetAudioEncoder(16000, 64, 5, embedding=16, dropout=0.0, drop_path=0.0, imagenet=False)
    voices = 0.1 * torch.randn(3, 48000)
    assert encoder.eval()(voices).shape == (3, 19, 16)
    spec = GraphSpec("audio.onnx", encoder, ("audio",), ("embeddings",), ((voices[:1],), (voices,)))
    export_graph(spec, tmp_path / spec.file)


@pytest.mark.parametrize("stages", [1, 8])
def test_a_number_of_stages_that_it_has_not_is_refused(stages):
    with pytest.raises(ValueError, match=f"stages is {stages}; expected 2 to 7"):
        EfficientNetLite(stages, drop_path=0.0, imagenet=False)


def test_weights_that_are_absent_or_do_not_fit_are_named(monkeypatch, tmp_path):
    network = EfficientNetLite(2, drop_path=0.0, imagenet=False)
    with pytest.raises(WeightsError, match="nothing.pth does not exist"):
        load_imagenet_efficientnet(network, tmp_path / "nothing.pth")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "small.pth")
    with pytest.raises(WeightsError, match="holds 1 tensors; expected at least"):
        load_imagenet_efficientnet(network, tmp_path / "small.pth")
    other = {f"{place}": torch.zeros(1, 3) for place in range(100)}
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"does not fit: stem.0.0.weight is \(1, 1\) in the file and \(32, 1, 3"):
        load_imagenet_efficientnet(network, tmp_path / "other.pth")
    monkeypatch.setattr(efficientnet_lite, "WEIGHTS_PACKAGE", "no_such_package")
    with pytest.raises(WeightsError, match="no_such_package is not installed"):
        EfficientNetLite(2, drop_path=0.0, imagenet=True)
