"""Depthwise convolution whose training is fast on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class DepthwiseConv2d(nn.Conv2d):
    """One kernel of 3x3 a channel, stride 1 or 2, without bias; the padding keeps the size.

    oneDNN's gradients of such convolutions fall back to slow loops for a stride of 2.
    """

    def __init__(self, channels: int, stride: int):
        super().__init__(channels, channels, 3, stride, padding=1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / stride, W / stride)."""
        if not (x.device.type == "cpu" and torch.is_grad_enabled()):
            return super().forward(x)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        return _Depthwise.apply(x, weight, self.stride[0])


class _Depthwise(torch.autograd.Function):
    """The convolution as PyTorch does it; its gradients out of convolutions that oneDNN has fast code for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return functional.conv2d(x, weight, None, stride, padding=1, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_input = _input_gradient(gradient, x, weight, ctx.stride)
        return of_input, _weight_gradient(gradient, x, weight, ctx.stride), None


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """The gradient, with zeros where the stride left out, convolved with the turned kernel."""
    if stride != 1:
        spread = torch.zeros_like(x)
        spread[:, :, ::stride, ::stride] = gradient
        gradient = spread
    turned = weight.flip(2, 3).contiguous(memory_format=torch.channels_last)
    return functional.conv2d(gradient, turned, None, padding=1, groups=len(weight))


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Of x with its padding as part of it, which is what oneDNN is fast for."""
    padded = functional.pad(x, [1] * 4)
    height, width = ((size - 1) * stride + 3 for size in gradient.shape[2:])
    _, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient,
        padded[:, :, :height, :width].contiguous(memory_format=torch.channels_last),
        weight.contiguous(memory_format=torch.channels_last),
        None,
        [stride] * 2,
        [0, 0],
        [1, 1],
        False,
        [0, 0],
        len(weight),
        [False, True, False],
    )
    return of_weight
