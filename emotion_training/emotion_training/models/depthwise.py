"""Depthwise convolution whose training is fast on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class DepthwiseConv2d(nn.Conv2d):
    """One kernel of 3x3 or 5x5 a channel, stride 1 or 2, without bias; the padding keeps the size.

    oneDNN's gradients of such convolutions fall back to slow loops for a stride of 2, and in bfloat16 for kernels
    of 5x5: they took three quarters of the training of an EfficientNet-Lite.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int):
        super().__init__(channels, channels, kernel_size, stride, kernel_size // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / stride, W / stride)."""
        if not torch.is_grad_enabled():
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
        return functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=len(weight))

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
    return functional.conv2d(gradient, turned, None, 1, weight.shape[-1] // 2, groups=len(weight))


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """In pieces of 3x3, which cover a kernel of 5x5 by four that overlap in its middle row and column."""
    kernel = weight.shape[-1]
    padded = functional.pad(x, [kernel // 2] * 4)
    height, width = ((size - 1) * stride + 3 for size in gradient.shape[2:])
    piece = weight[:, :, :3, :3].contiguous(memory_format=torch.channels_last)
    of_weight = torch.empty_like(weight)
    for row in range(0, kernel - 2, 2):
        for column in range(0, kernel - 2, 2):
            seen = padded[:, :, row : row + height, column : column + width]
            _, part, _ = torch.ops.aten.convolution_backward(
                gradient,
                seen.contiguous(memory_format=torch.channels_last),
                piece,
                None,
                [stride] * 2,
                [0, 0],
                [1, 1],
                False,
                [0, 0],
                len(weight),
                [False, True, False],
            )
            of_weight[:, :, row : row + 3, column : column + 3] = part
    return of_weight
