"""Heads that see one modality only."""

import torch
from torch import Tensor, nn

from .masking import masked_mean, without_masked


class AttentivePooling(nn.Module):
    """(B, T, D) -> (B, D): a mean over time with learned weights."""

    def __init__(self, width: int):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        weights = torch.softmax(self.score(tokens), dim=1)  # (B, T, 1)
        return (weights * tokens).sum(dim=1)


class UnimodalHeads(nn.Module):
    """A linear head per modality: on the mean of the faces, and on the attentive mean of the voice."""

    def __init__(self, face_embedding: int, audio_embedding: int, classes: int):
        super().__init__()
        self.face_head = nn.Linear(face_embedding, classes)
        self.audio_pool = AttentivePooling(audio_embedding)
        self.audio_head = nn.Linear(audio_embedding, classes)

    def unimodal_logits(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C) of the face, of the voice.

        Where a modality is missing its logits say nothing, and are finite.
        """
        face, audio = without_masked(face_embeddings, face_mask, audio_embeddings, audio_mask)
        return self.face_head(masked_mean(face, face_mask)), self.audio_head(self.audio_pool(audio))
