"""Several encoders that look at the same face: what one misreads, another may not."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .face_encoder import grey_from_rgb


class FaceEnsemble(nn.Module):
    """The embeddings of all members side by side, so that one linear head can have the mean of their opinions."""

    def __init__(self, members: Sequence[nn.Module]):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.embedding = sum(member.embedding for member in members)

    def embed_grey(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) grey in [0, 1] -> (B, D)."""
        return torch.cat([member.embed_grey(grey) for member in self.members], dim=1)

    def forward(self, face: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 RGB -> (B, D)."""
        return self.embed_grey(grey_from_rgb(face))
