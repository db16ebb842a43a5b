"""Clip-level facial features, action units for one, as tokens for a fusion."""

import torch
from torch import Tensor, nn

from .registry import feature_encoders


class Standardise(nn.Module):
    """(B, F) -> (B, F) of zero mean and unit deviation over the training data, which buffers remember."""

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def fit(self, features: Tensor) -> None:
        """Takes mean and deviation from the training data (N, F); a constant feature keeps its scale.

        Raises:
            ValueError: for another number of features, and for a value that is not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            shape = tuple(features.shape)
            raise ValueError(f"training features are {shape}; expected (clips, {len(self.mean)})")
        if not torch.isfinite(features).all():
            row = int((~torch.isfinite(features)).any(dim=1).nonzero()[0])
            raise ValueError(f"training features of clip {row} are not finite; leave the clip out")
        deviation = features.std(dim=0, correction=0)
        self.mean.copy_(features.mean(dim=0))
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


@feature_encoders.register("action_units")
class ActionUnitEncoder(nn.Module):
    """A small network from F standardised features to `tokens` embeddings.

    With one token a fusion sees the face as one vector; with a few, attention has something to choose from.
    `standardise.fit` is called once with the training data before the first step.
    """

    def __init__(self, features: int, hidden: int = 128, embedding: int = 64, tokens: int = 1, dropout: float = 0.2):
        super().__init__()
        self.standardise = Standardise(features)
        self.network = nn.Sequential(
            nn.Linear(features, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, tokens * embedding),
        )
        self.tokens = tokens
        self.embedding = embedding

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> (B, Tf, D)."""
        embeddings = self.network(self.standardise(features))  # (B, Tf * D)
        return embeddings.unflatten(1, (self.tokens, self.embedding))
