"""Intermediate fusion: the embeddings of face and voice attend to each other inside the network.

A masked part is replaced by zeros before anything is computed from it, so that what it holds (stale values,
NaN) cannot reach the output, and nobody reads its tokens: each stream can always read a learned token for
"nothing there" instead.
"""

import torch
from torch import Tensor, nn

from .attention import MultiHeadAttention
from .masking import masked_mean, masked_softmax, present_modalities, without_masked
from .registry import fusions
from .unimodal_heads import UnimodalHeads

JOINT_ALONE = (1.0, 0.0, 0.0)  # the pool of a fusion to which none was fitted


class CrossAttention(MultiHeadAttention):
    """Tokens of one modality read those of the other; then a feed-forward step. Both with a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__(width, heads)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, context: Tensor, context_mask: Tensor) -> Tensor:
        """Tokens (B, T, W), context (B, S, W), context_mask (B, S) True where readable -> (B, T, W)."""
        tokens = tokens + self.dropout(super().forward(self.norm(tokens), context, context_mask))
        return tokens + self.dropout(self.feed_forward(tokens))


@fusions.register("cross_attention")
class IntermediateFusion(UnimodalHeads):
    """Gated sum of a head per modality, corrected by a head on what both streams say together.

    The heads per modality see their own modality only, and where the other one is missing they alone decide, so that
    nothing is lost then. With both present and equal weights their sum is the product of two independent opinions,
    where training starts from.

    pool: how much this joint opinion counts, and beside it those of the face and of the voice alone (3,); a logarithmic
    opinion pool (Genest and Zidek 1986). It does not learn with the rest, which knows its people too well to tell.

    face_prior: what is expected of a face without a voice before it is seen, to be added to its logits (C,). With both,
    the opinions are multiplied, and what each expects by itself would count twice.

    modality_weights: the shares that the heads of what is present have in the logits, the correction left out.
    """

    def __init__(
        self,
        face_embedding: int,
        face_bins: int,
        audio_embedding: int,
        audio_tokens: int,
        classes: int,
        width: int,
        heads: int,
        dropout: float,
    ):
        super().__init__(face_embedding, audio_embedding, classes)
        self.face_in = nn.Sequential(nn.Linear(face_embedding, width), nn.LayerNorm(width))
        self.audio_in = nn.Sequential(nn.Linear(audio_embedding, width), nn.LayerNorm(width))
        self.face_position = nn.Parameter(0.02 * torch.randn(face_bins, width))
        self.audio_position = nn.Parameter(0.02 * torch.randn(audio_tokens, width))
        self.absent = nn.Parameter(0.02 * torch.randn(2, width))  # tokens for "no face here" and "no voice here"
        self.face_reads_audio = CrossAttention(width, heads, dropout)
        self.audio_reads_face = CrossAttention(width, heads, dropout)
        self.face_gate = nn.Linear(width, 1)
        self.audio_gate = nn.Linear(width, 1)
        self.joint_head = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, classes))
        nn.init.zeros_(self.joint_head[2].weight)  # starts as the gated sum of the two heads, and learns to do better
        nn.init.zeros_(self.joint_head[2].bias)
        self.pool: Tensor
        self.register_buffer("pool", torch.tensor(JOINT_ALONE))
        self.face_prior: Tensor
        self.register_buffer("face_prior", torch.zeros(classes))

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        opinions, gates = self.opinions(face_embeddings, face_mask, audio_embeddings, audio_mask)
        present = present_modalities(face_mask, audio_mask)  # (B, 2)
        both = present.all(dim=1, keepdim=True)  # (B, 1)
        expected = torch.where(present[:, :1], self.face_prior, 0.0)  # (B, C)
        logits = torch.where(both, torch.matmul(opinions, self.pool), opinions[:, :, 0] + expected)
        shares = 2.0 * self.pool[0] * gates + self.pool[1:]  # (B, 2)
        return logits, torch.where(both, shares / shares.sum(dim=1, keepdim=True), gates)

    def opinions(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As of `forward` -> logits (B, C, 3) of the joint network, of the face and of the voice, and the gates (B, 2),
        a softmax over what is present. Where only one is, the joint network says what its head says.
        """
        face, audio = without_masked(face_embeddings, face_mask, audio_embeddings, audio_mask)
        face_logits, audio_logits = self.unimodal_logits(face, face_mask, audio, audio_mask)  # (B, C) each

        face_tokens = self.face_in(face) + self.face_position  # (B, Tf, W)
        audio_tokens = self.audio_in(audio) + self.audio_position  # (B, Ta, W)
        audio_tokens_mask = audio_mask.unsqueeze(1).expand(-1, audio_tokens.shape[1])  # (B, Ta)
        face_joint = self.face_reads_audio(face_tokens, *self._with_absent(audio_tokens, audio_tokens_mask, 1))
        audio_joint = self.audio_reads_face(audio_tokens, *self._with_absent(face_tokens, face_mask, 0))
        face_summary = masked_mean(face_joint, face_mask)  # (B, W)
        audio_summary = audio_joint.mean(dim=1)  # (B, W)

        present = present_modalities(face_mask, audio_mask)  # (B, 2)
        gates = torch.cat([self.face_gate(face_summary), self.audio_gate(audio_summary)], dim=1)  # (B, 2)
        weights = masked_softmax(gates, present)
        face_weight, audio_weight = weights.chunk(2, dim=1)  # (B, 1) each
        joint = self.joint_head(face_weight * face_summary + audio_weight * audio_summary)  # (B, C)
        heads = present.to(weights.dtype).sum(dim=1, keepdim=True)  # (B, 1)
        correction = torch.where(present.all(dim=1, keepdim=True), joint, 0.0)
        joint_logits = heads * (face_weight * face_logits + audio_weight * audio_logits) + correction
        return torch.stack([joint_logits, face_logits, audio_logits], dim=2), weights

    def _with_absent(self, tokens: Tensor, mask: Tensor, which: int) -> tuple[Tensor, Tensor]:
        """Adds the always readable token: (B, T, W), (B, T) -> (B, T + 1, W), (B, T + 1)."""
        absent = self.absent[which].expand(tokens.shape[0], 1, -1)
        readable = torch.ones_like(mask[:, :1])
        return torch.cat([tokens, absent], dim=1), torch.cat([mask, readable], dim=1)
