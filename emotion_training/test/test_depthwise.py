"""The depthwise convolution whose gradients are made of fast parts."""

import pytest
import torch
from torch.nn import functional

from emotion_training.models.depthwise import DepthwiseConv2d


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("height, width", [(12, 12), (7, 10), (3, 3)])
def test_its_gradients_are_those_of_pytorch(stride, height, width):
    torch.manual_seed(0)
    convolution = DepthwiseConv2d(8, stride).double()
    x = torch.randn(3, 8, height, width, dtype=torch.double, requires_grad=True)
    expected = functional.conv2d(x, convolution.weight, None, stride, padding=1, groups=8)
    gradient = torch.randn_like(expected)
    output = convolution(x)
    torch.testing.assert_close(output, expected)
    inputs = (x, convolution.weight)
    torch.testing.assert_close(
        torch.autograd.grad(output, inputs, gradient), torch.autograd.grad(expected, inputs, gradient)
    )
