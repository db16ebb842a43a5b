"""Weights averaged over the steps of a training."""

import torch
from torch import nn


def update_average(averaged: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Moves the averaged weights, and the statistics of normalisation, towards the model's; faster at first."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1.0 - decay)
        for mean, value in zip(averaged.buffers(), model.buffers(), strict=True):
            mean.copy_(value if not mean.dtype.is_floating_point else torch.lerp(mean, value, 1.0 - decay))
