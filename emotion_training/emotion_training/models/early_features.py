"""Early fusion of clip-level features: both modalities side by side before the one network that sees them."""

import torch
from torch import Tensor, nn

from .action_unit_encoder import Standardise
from .masking import equal_shares, present_modalities
from .registry import joint_models


@joint_models.register("early_features")
class EarlyFeatureFusion(nn.Module):
    """A hidden layer over all standardised features, and a head.

    A missing modality is replaced by learned values. `face_standardise.fit` and `audio_standardise.fit` are called once
    with the training data.

    modality_weights: equal shares over what is present; the joint network tells no others.
    """

    def __init__(self, face_features: int, audio_features: int, classes: int, hidden: int = 128, dropout: float = 0.4):
        super().__init__()
        self.face_standardise, self.audio_standardise = Standardise(face_features), Standardise(audio_features)
        self.absent_face = nn.Parameter(torch.zeros(face_features))
        self.absent_audio = nn.Parameter(torch.zeros(audio_features))
        self.network = nn.Sequential(
            nn.Linear(face_features + audio_features, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, face: Tensor, face_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F), bool (B, 1), (B, Fa), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        face = torch.where(face_mask, self.face_standardise(face), self.absent_face)
        audio = torch.where(audio_mask.unsqueeze(1), self.audio_standardise(audio), self.absent_audio)
        weights = equal_shares(present_modalities(face_mask, audio_mask))
        return self.network(torch.cat([face, audio], dim=1)), weights
