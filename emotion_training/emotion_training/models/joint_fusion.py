"""Our intermediate fusion: a joint layer over both modalities, trained on faces and voices that never met."""

import torch
from torch import Tensor, nn

from .masking import equal_shares, masked_mean, present_modalities, without_masked
from .registry import fusions
from .unimodal_heads import UnimodalHeads


@fusions.register("joint")
class JointFusion(UnimodalHeads):
    """A hidden layer over face and voice decides where both are there; else the head of the one that is.

    Given the emotion, the noise of a face says little about the noise of a voice, so that the layer may learn from any
    pair of a face and a voice of one class: N clips of C classes make N**2 / C pairs (`re_pairing` of the data).
    The heads per modality learn beside it, by the auxiliary losses.

    modality_weights: equal shares over what is present; a joint layer has no weight per modality.
    """

    def __init__(self, face_embedding: int, audio_embedding: int, classes: int, hidden: int = 64, dropout: float = 0.5):
        super().__init__(face_embedding, audio_embedding, classes)
        self.joint = nn.Sequential(
            nn.Linear(face_embedding + audio_embedding, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        face, audio = without_masked(face_embeddings, face_mask, audio_embeddings, audio_mask)
        face_logits, audio_logits = self.unimodal_logits(face, face_mask, audio, audio_mask)  # (B, C) each
        joint = self.joint(torch.cat([masked_mean(face, face_mask), self.audio_pool(audio)], dim=1))  # (B, C)
        present = present_modalities(face_mask, audio_mask)  # (B, 2)
        alone = torch.where(present[:, :1], face_logits, audio_logits)
        return torch.where(present.all(dim=1, keepdim=True), joint, alone), equal_shares(present)
