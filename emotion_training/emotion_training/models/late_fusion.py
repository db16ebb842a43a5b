"""Late fusion: each modality decides alone, and only the decisions are combined.

So that it is that and nothing more, the combination is cut off from the heads: what it computes teaches
neither them nor the encoders. Those learn from `unimodal_logits` by a loss per modality.
"""

import torch
from torch import Tensor, nn

from .masking import equal_shares, masked_softmax, present_modalities
from .registry import fusions
from .unimodal_heads import UnimodalHeads

LEAST_PROBABILITY = 1e-12  # a class that nobody believes in still has a logarithm


class LateFusion(UnimodalHeads):
    """The frame of the three rules; a rule says how the log-probabilities of the heads become one decision."""

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        heads = self.unimodal_logits(face_embeddings, face_mask, audio_embeddings, audio_mask)
        opinions = torch.log_softmax(torch.stack(heads, dim=1).detach(), dim=2)  # (B, 2, C)
        weights = self.weights(present_modalities(face_mask, audio_mask))  # (B, 2)
        return self.combine(opinions, weights), weights

    def weights(self, present: Tensor) -> Tensor:
        """Bool (B, 2) -> (B, 2), rows sum to 1 over what is present."""
        return equal_shares(present)

    def combine(self, opinions: Tensor, weights: Tensor) -> Tensor:
        """Log-probabilities (B, 2, C), weights (B, 2) -> logits (B, C): here the weighted mean of the
        probabilities.
        """
        mean = (weights.unsqueeze(2) * opinions.exp()).sum(dim=1)  # (B, C)
        return mean.clamp(min=LEAST_PROBABILITY).log()


@fusions.register("late_mean")
class LateMean(LateFusion):
    """Mean of the probabilities (the sum rule of Kittler et al. 1998). modality_weights: equal shares."""


@fusions.register("late_product")
class LateProduct(LateFusion):
    """Product of the probabilities, normalised (the product rule of Kittler et al. 1998, equal priors).

    modality_weights: equal shares; each opinion enters the product whole.
    """

    def combine(self, opinions: Tensor, weights: Tensor) -> Tensor:
        present = (weights > 0.0).to(opinions.dtype)
        return (present.unsqueeze(2) * opinions).sum(dim=1)


@fusions.register("late_weighted")
class LateWeighted(LateFusion):
    """Weighted mean of the probabilities with one learned weight per modality.

    modality_weights: the learned weights, a softmax over what is present; the same for all samples that have
    both. They are all that the loss on the combined decision trains.
    """

    def __init__(self, face_embedding: int, audio_embedding: int, classes: int):
        super().__init__(face_embedding, audio_embedding, classes)
        self.modality_scores = nn.Parameter(torch.zeros(2))

    def weights(self, present: Tensor) -> Tensor:
        return masked_softmax(self.modality_scores.expand(present.shape[0], -1), present)
