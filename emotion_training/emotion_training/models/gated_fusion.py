"""Intermediate fusion by a gate per channel."""

import torch
from torch import Tensor, nn

from .masking import masked_mean, present_modalities, without_masked
from .registry import fusions
from .unimodal_heads import AttentivePooling


@fusions.register("gated")
class GatedFusion(nn.Module):
    """Gated multimodal unit (Arevalo et al. 2017): h = z * tanh(W_f f) + (1 - z) * tanh(W_a a).

    The gate z sees both modalities. Where one is missing, the other has all of every channel.

    modality_weights: the mean of the gate over the channels.
    """

    def __init__(self, face_embedding: int, audio_embedding: int, classes: int, width: int = 64, dropout: float = 0.3):
        super().__init__()
        self.audio_pool = AttentivePooling(audio_embedding)
        self.face_in = nn.Linear(face_embedding, width)
        self.audio_in = nn.Linear(audio_embedding, width)
        self.gate = nn.Linear(face_embedding + audio_embedding, width)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        face, audio = without_masked(face_embeddings, face_mask, audio_embeddings, audio_mask)
        face, audio = masked_mean(face, face_mask), self.audio_pool(audio)  # (B, Df), (B, Da)
        gate = torch.sigmoid(self.gate(torch.cat([face, audio], dim=1)))  # (B, W)
        gates = torch.stack([gate, 1.0 - gate], dim=1)  # (B, 2, W)
        present = present_modalities(face_mask, audio_mask)  # (B, 2)
        alone = present.sum(dim=1)[:, None, None] == 1  # (B, 1, 1)
        gates = torch.where(alone, 1.0, gates) * present.unsqueeze(2).to(gates.dtype)
        hidden = torch.stack([self.face_in(face), self.audio_in(audio)], dim=1).tanh()  # (B, 2, W)
        return self.head((gates * hidden).sum(dim=1)), gates.mean(dim=2)
