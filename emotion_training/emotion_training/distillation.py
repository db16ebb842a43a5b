"""Teaches a part of a network to say what another one says there; no label is needed for that."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .config import DistillationConfig
from .optimisation import one_cycle

STEPS_AT_ONCE = 50  # have one figure in the history, as an epoch has


def distil(
    learning: Iterable[nn.Parameter], missed: Callable[[], Tensor], options: DistillationConfig, what: str
) -> list[dict[str, float]]:
    """Lowers what is missed, which is the loss, and returns its mean over every 50 steps.

    What is taught are features, which say more of an input than labels do (Hinton et al. 2015 for what a network says;
    FitNets, Romero et al. 2015, for features). learning: changed in place. missed: of the features of a new batch, the
    part of their variance. what: for messages.

    Raises:
        FloatingPointError: the loss is no number.
    """
    optimizer = torch.optim.AdamW(learning, lr=options.learning_rate, weight_decay=0.0)
    schedule = one_cycle(optimizer, options.steps)
    losses, history = [], []
    for step in tqdm(range(1, options.steps + 1), desc=what, unit="step", mininterval=5):
        loss = missed()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        if step % STEPS_AT_ONCE and step != options.steps:
            continue
        mean_loss, losses = torch.stack(losses).mean().item(), []
        if not math.isfinite(mean_loss):
            raise FloatingPointError(f"the loss of {what} is {mean_loss} after step {step}; lower learning_rate")
        history.append({"loss": mean_loss})
    return history
