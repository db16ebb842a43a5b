"""Features of a whole clip, many more than there are clips of a class, as one embedding."""

import torch
from torch import Tensor, nn

from .action_unit_encoder import Standardise
from .registry import audio_encoders, feature_encoders

GREATEST_DEVIATION = 4.0  # of a standardised feature: what a new speaker has beyond is cut


class StandardiseWithRoots(Standardise):
    """Standardised features beside their standardised square roots, which part small values of intensities."""

    def __init__(self, features: int):
        super().__init__(2 * features)

    def fit(self, features: Tensor) -> None:
        super().fit(_with_roots(features))

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> (B, 2 F)."""
        return super().forward(_with_roots(features))


@audio_encoders.register("functionals")
@feature_encoders.register("clip_features")
class ClipFeatureEncoder(nn.Module):
    """One hidden layer, which a fusion takes for the one token of the clip.

    Args:
        features: number F.
        embedding: width of the layer.
        input_dropout: share of the features that a training step does without.
        dropout: of the embedding.
        square_roots: of the features beside them, for intensities such as action units.
    """

    def __init__(
        self,
        features: int,
        embedding: int = 128,
        input_dropout: float = 0.3,
        dropout: float = 0.5,
        square_roots: bool = False,
    ):
        super().__init__()
        self.standardise = StandardiseWithRoots(features) if square_roots else Standardise(features)
        self.network = nn.Sequential(
            nn.Dropout(input_dropout),
            nn.Linear(len(self.standardise.mean), embedding),
            nn.LayerNorm(embedding),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.tokens = 1
        self.embedding = embedding

    def token_count(self, features: int) -> int:
        """Tokens that `forward` makes, of any number of features."""
        return self.tokens

    def forward(self, features: Tensor) -> Tensor:
        """(B, F) -> (B, 1, D)."""
        standard = self.standardise(features).clamp(-GREATEST_DEVIATION, GREATEST_DEVIATION)
        return self.network(standard).unsqueeze(1)


def _with_roots(features: Tensor) -> Tensor:
    """(B, F) -> (B, 2 F)."""
    return torch.cat([features, features.clamp(min=0.0).sqrt()], dim=1)
