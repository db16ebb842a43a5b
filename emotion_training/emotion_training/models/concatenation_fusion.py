"""Intermediate fusion by concatenation: one joint layer over the summaries of both modalities."""

import torch
from torch import Tensor, nn

from .masking import contribution_shares, masked_mean, present_modalities, without_masked
from .registry import fusions
from .unimodal_heads import AttentivePooling


@fusions.register("concatenation")
class ConcatenationFusion(nn.Module):
    """A hidden layer over the concatenated summaries, then a head.

    The layer is kept in two halves, whose sum is the same as one matrix over the concatenation; the half of a
    missing modality is replaced by a learned vector.

    modality_weights: the share of each half in the hidden layer, by length.
    """

    def __init__(self, face_embedding: int, audio_embedding: int, classes: int, width: int = 64, dropout: float = 0.3):
        super().__init__()
        self.audio_pool = AttentivePooling(audio_embedding)
        self.face_half = nn.Linear(face_embedding, width)
        self.audio_half = nn.Linear(audio_embedding, width)
        self.absent = nn.Parameter(0.02 * torch.randn(2, width))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        face, audio = without_masked(face_embeddings, face_mask, audio_embeddings, audio_mask)
        present = present_modalities(face_mask, audio_mask)  # (B, 2)
        face_half = self.face_half(masked_mean(face, face_mask))  # (B, W)
        audio_half = self.audio_half(self.audio_pool(audio))  # (B, W)
        halves = torch.stack([face_half, audio_half], dim=1)  # (B, 2, W)
        hidden = torch.where(present.unsqueeze(2), halves, self.absent).sum(dim=1)  # (B, W)
        return self.head(hidden), contribution_shares(face_half, audio_half, present)
