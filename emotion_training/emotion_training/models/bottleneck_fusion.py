"""Intermediate fusion through a few bottleneck tokens."""

import torch
from torch import Tensor, nn

from .attention import TransformerLayer
from .masking import equal_shares, present_modalities, without_masked
from .registry import fusions


class BottleneckLayer(nn.Module):
    """Each modality attends to itself and to the bottleneck; what both make of the bottleneck is averaged."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.face = TransformerLayer(width, heads, dropout)
        self.audio = TransformerLayer(width, heads, dropout)

    def forward(
        self,
        face: Tensor,
        face_mask: Tensor,
        audio: Tensor,
        audio_mask: Tensor,
        bottleneck: Tensor,
        shares: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, Tf, W), (B, Tf), (B, Ta, W), (B, Ta), (B, K, W), shares (B, 2) -> face, audio, bottleneck."""
        open_mask = torch.ones_like(face_mask[:, :1]).expand(-1, bottleneck.shape[1])  # (B, K)
        face = self.face(torch.cat([face, bottleneck], dim=1), torch.cat([face_mask, open_mask], dim=1))
        audio = self.audio(torch.cat([audio, bottleneck], dim=1), torch.cat([audio_mask, open_mask], dim=1))
        face_count, audio_count = face_mask.shape[1], audio_mask.shape[1]
        updates = torch.stack([face[:, face_count:], audio[:, audio_count:]], dim=1)  # (B, 2, K, W)
        bottleneck = (shares[:, :, None, None] * updates).sum(dim=1)  # a missing modality has no say
        return face[:, :face_count], audio[:, :audio_count], bottleneck


@fusions.register("bottleneck")
class BottleneckFusion(nn.Module):
    """Multimodal bottleneck transformer (Nagrani et al., "Attention Bottlenecks for Multimodal Fusion", 2021).

    Layers for each modality alone, then layers in which they exchange through `bottleneck_tokens`; a
    classification token and a head per modality, whose logits are averaged over what is present. The heads see
    the other modality through the bottleneck, so they are no unimodal ones.

    modality_weights: equal shares, as the average has it.
    """

    def __init__(
        self,
        face_embedding: int,
        face_bins: int,
        audio_embedding: int,
        audio_tokens: int,
        classes: int,
        width: int = 64,
        heads: int = 4,
        unimodal_layers: int = 1,
        fusion_layers: int = 2,
        bottleneck_tokens: int = 4,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.face_in = nn.Linear(face_embedding, width)
        self.audio_in = nn.Linear(audio_embedding, width)
        self.face_position = nn.Parameter(0.02 * torch.randn(face_bins, width))
        self.audio_position = nn.Parameter(0.02 * torch.randn(audio_tokens, width))
        self.class_tokens = nn.Parameter(0.02 * torch.randn(2, width))
        self.bottleneck = nn.Parameter(0.02 * torch.randn(bottleneck_tokens, width))
        self.face_layers, self.audio_layers = (
            nn.ModuleList(TransformerLayer(width, heads, dropout) for _ in range(unimodal_layers)) for _ in range(2)
        )
        self.fusion_layers = nn.ModuleList(BottleneckLayer(width, heads, dropout) for _ in range(fusion_layers))
        self.face_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))
        self.audio_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        face, audio = without_masked(face_embeddings, face_mask, audio_embeddings, audio_mask)
        shares = equal_shares(present_modalities(face_mask, audio_mask))  # (B, 2)
        tokens_mask = audio_mask.unsqueeze(1).expand(-1, audio.shape[1])  # (B, Ta)
        face, face_mask = self._with_class_token(self.face_in(face) + self.face_position, face_mask, 0)
        audio, tokens_mask = self._with_class_token(self.audio_in(audio) + self.audio_position, tokens_mask, 1)
        for face_layer, audio_layer in zip(self.face_layers, self.audio_layers, strict=True):
            face, audio = face_layer(face, face_mask), audio_layer(audio, tokens_mask)
        bottleneck = self.bottleneck.expand(face.shape[0], -1, -1)  # (B, K, W)
        for layer in self.fusion_layers:
            face, audio, bottleneck = layer(face, face_mask, audio, tokens_mask, bottleneck, shares)
        logits = torch.stack([self.face_head(face[:, 0]), self.audio_head(audio[:, 0])], dim=1)  # (B, 2, C)
        return (shares.unsqueeze(2) * logits).sum(dim=1), shares

    def _with_class_token(self, tokens: Tensor, mask: Tensor, which: int) -> tuple[Tensor, Tensor]:
        """(B, T, W), (B, T) -> (B, 1 + T, W), (B, 1 + T): the classification token first, always readable."""
        token = self.class_tokens[which].expand(tokens.shape[0], 1, -1)
        return torch.cat([token, tokens], dim=1), torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
