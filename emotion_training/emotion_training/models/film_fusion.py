"""Intermediate fusion by feature-wise linear modulation: each modality scales and shifts the other's channels."""

import torch
from torch import Tensor, nn

from .masking import contribution_shares, masked_mean, present_modalities, without_masked
from .registry import fusions
from .unimodal_heads import AttentivePooling


class Modulation(nn.Module):
    """FiLM (Perez et al. 2018): relu((1 + gamma) * x + beta), gamma and beta from a condition."""

    def __init__(self, width: int, condition: int):
        super().__init__()
        self.scale_shift = nn.Linear(condition, 2 * width)

    def forward(self, tokens: Tensor, condition: Tensor, present: Tensor) -> Tensor:
        """(B, T, W), condition (B, X), bool (B,): without a condition nothing is modulated -> (B, T, W)."""
        scale_shift = self.scale_shift(condition) * present.to(tokens.dtype).unsqueeze(1)  # (B, 2 W)
        gamma, beta = scale_shift.unsqueeze(1).chunk(2, dim=2)  # (B, 1, W) each
        return torch.relu((1.0 + gamma) * tokens + beta)


@fusions.register("film")
class FilmFusion(nn.Module):
    """Modulated tokens of both modalities, averaged, and a linear head over both.

    modality_weights: the share of each modality's part in the logits, by length.
    """

    def __init__(self, face_embedding: int, audio_embedding: int, classes: int, width: int = 64, dropout: float = 0.3):
        super().__init__()
        self.audio_pool = AttentivePooling(audio_embedding)
        self.face_in = nn.Sequential(nn.Linear(face_embedding, width), nn.LayerNorm(width))
        self.audio_in = nn.Sequential(nn.Linear(audio_embedding, width), nn.LayerNorm(width))
        self.modulate_face = Modulation(width, audio_embedding)
        self.modulate_audio = Modulation(width, face_embedding)
        self.dropout = nn.Dropout(dropout)
        self.face_head = nn.Linear(width, classes)
        self.audio_head = nn.Linear(width, classes, bias=False)  # one bias for the sum

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        face, audio = without_masked(face_embeddings, face_mask, audio_embeddings, audio_mask)
        present = present_modalities(face_mask, audio_mask)  # (B, 2)
        face_tokens = self.modulate_face(self.face_in(face), self.audio_pool(audio), audio_mask)
        audio_tokens = self.modulate_audio(self.audio_in(audio), masked_mean(face, face_mask), present[:, 0])
        audio_tokens_mask = audio_mask.unsqueeze(1).expand(-1, audio_tokens.shape[1])  # (B, Ta)
        face_summary = self.dropout(masked_mean(face_tokens, face_mask))  # (B, W), 0 without a face
        audio_summary = self.dropout(masked_mean(audio_tokens, audio_tokens_mask))  # (B, W)
        face_part, audio_part = self.face_head(face_summary), self.audio_head(audio_summary)  # (B, C) each
        return face_part + audio_part, contribution_shares(face_part, audio_part, present)
