"""One modality alone, under the contract of a fusion: what every fusion is compared with."""

import torch
from torch import Tensor, nn

from .masking import masked_mean
from .registry import fusions
from .unimodal_heads import AttentivePooling


@fusions.register("face_only")
class FaceOnly(nn.Module):
    """A linear head on the mean of the faces. modality_weights: 1 for the face where there is one."""

    def __init__(self, face_embedding: int, classes: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(face_embedding, classes)

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf); the voice is not looked at -> logits (B, C), modality_weights (B, 2)."""
        face = torch.where(face_mask.unsqueeze(2), face_embeddings, 0.0)  # (B, Tf, Df)
        seen = face_mask.any(dim=1)  # (B,)
        weights = torch.stack([seen, torch.zeros_like(seen)], dim=1).to(torch.float32)
        return self.head(self.dropout(masked_mean(face, face_mask))), weights


@fusions.register("voice_only")
class VoiceOnly(nn.Module):
    """A linear head on the attentive mean of the voice. modality_weights: 1 for the voice where there is one."""

    def __init__(self, audio_embedding: int, classes: int, dropout: float = 0.0):
        super().__init__()
        self.pool = AttentivePooling(audio_embedding)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(audio_embedding, classes)

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Ta, Da), bool (B,); the face is not looked at -> logits (B, C), modality_weights (B, 2)."""
        audio = torch.where(audio_mask[:, None, None], audio_embeddings, 0.0)  # (B, Ta, Da)
        weights = torch.stack([torch.zeros_like(audio_mask), audio_mask], dim=1).to(torch.float32)
        return self.head(self.dropout(self.pool(audio))), weights
