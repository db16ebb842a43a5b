"""What all trainings have in common: which weights decay, one cycle of the learning rate, averaged weights."""

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

WARM_UP_SHARE = 0.15  # of all steps, for the learning rate to rise


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """What learns, in groups as an optimiser takes them: vectors, which are biases and scales, do not decay."""
    learning = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]


def one_cycle(optimizer: Optimizer, steps: int) -> OneCycleLR:
    """The learning rate that the optimiser has, as the highest of a rise and a fall over so many steps."""
    return OneCycleLR(optimizer, optimizer.defaults["lr"], total_steps=steps, pct_start=WARM_UP_SHARE)


def update_average(averaged: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Moves the averaged weights, and the statistics of normalisation, towards the model's; faster at first."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1.0 - decay)
        for mean, value in zip(averaged.buffers(), model.buffers(), strict=True):
            mean.copy_(value if not mean.dtype.is_floating_point else torch.lerp(mean, value, 1.0 - decay))
