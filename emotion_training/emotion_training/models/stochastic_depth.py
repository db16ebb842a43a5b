"""Stochastic depth (Huang et al. 2016): residual branches that a share of the samples does without in training."""

import torch
from torch import Tensor


def drop_branch(branch: Tensor, share: float, training: bool) -> Tensor:
    """(B, C, H, W) -> the same with zeros for `share` of the samples, and the others enlarged to make up for it."""
    if not training or share == 0.0:
        return branch
    keep = torch.rand(len(branch), 1, 1, 1, device=branch.device) >= share
    return branch * keep.to(branch.dtype) / (1.0 - share)
