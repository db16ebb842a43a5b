"""The intermediate fusions `it` and `ia` of Chumachenko, Iosifidis and Gabbouj (2022).

"Self-attention fusion for audiovisual emotion recognition with incomplete data", ICPR 2022. Both branches are
two stages of temporal convolutions; between the stages the modalities look at each other. In `it` a transformer
block of each reads the other and is added to it; in `ia` no features cross over, only attention: how much the
queries of one modality look at a place of the other scales the features there. Written anew; what differs from
the authors' code, apart from encoders of any kind before it:

- Masks. Nobody reads a masked place; a missing modality adds nothing (`it`) and scales nothing (`ia`), where
  the authors feed zeros.
- The scales of `ia` have a mean of 1 at any length: the authors sum the attention over the queries, which
  multiplies the features by the ratio of the two lengths.
- Layer normalisation in the stages instead of batch normalisation, whose statistics would take in what is
  masked.
- Padding keeps the number of tokens; the authors' audio stages shorten it.
"""

import torch
from torch import Tensor, nn

from .attention import MultiHeadAttention, attention_weights, split_heads
from .masking import contribution_shares, masked_mean, present_modalities, without_masked
from .registry import fusions


class TemporalStage(nn.Module):
    """Two convolutions over time that see nothing masked."""

    def __init__(self, channels_in: int, width: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv1d(channels_in, width, 3, padding=1), nn.Conv1d(width, width, 3, padding=1)]
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C), bool (B, T) -> (B, T, W), zeros where masked."""
        there = mask.unsqueeze(2).to(tokens.dtype)  # (B, T, 1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            tokens = convolution(tokens.transpose(1, 2)).transpose(1, 2)  # (B, T, W)
            tokens = torch.relu(norm(tokens)) * there
        return tokens


class StagedFusion(nn.Module):
    """What both variants share: stages, exchange, stages, averages, one linear head over both.

    A variant says what looks at the other modality (`looking`), a network each way, and what comes of it (`exchange`).

    modality_weights: the share of each modality's part in the logits, by length.
    """

    looking: type[nn.Module]  # made from width and heads

    def __init__(
        self,
        face_embedding: int,
        audio_embedding: int,
        classes: int,
        width: int = 64,
        heads: int = 1,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.face_first, self.audio_first = (
            TemporalStage(face_embedding, width),
            TemporalStage(audio_embedding, width),
        )
        self.face_second, self.audio_second = TemporalStage(width, width), TemporalStage(width, width)
        self.dropout = nn.Dropout(dropout)
        self.face_head = nn.Linear(width, classes)
        self.audio_head = nn.Linear(width, classes, bias=False)  # one bias for the sum
        self.for_face, self.for_audio = self.looking(width, heads), self.looking(width, heads)

    def exchange(self, face: Tensor, face_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, Tf, W), bool (B, Tf), (B, Ta, W), bool (B, Ta) -> both, changed by the other."""
        raise NotImplementedError

    def forward(
        self, face_embeddings: Tensor, face_mask: Tensor, audio_embeddings: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> logits (B, C), modality_weights (B, 2)."""
        face, audio = without_masked(face_embeddings, face_mask, audio_embeddings, audio_mask)
        present = present_modalities(face_mask, audio_mask)  # (B, 2)
        tokens_mask = audio_mask.unsqueeze(1).expand(-1, audio.shape[1])  # (B, Ta)
        face, audio = self.face_first(face, face_mask), self.audio_first(audio, tokens_mask)
        face, audio = self.exchange(face, face_mask, audio, tokens_mask)
        face, audio = self.face_second(face, face_mask), self.audio_second(audio, tokens_mask)
        face_part = self.face_head(self.dropout(masked_mean(face, face_mask)))  # (B, C)
        audio_part = self.audio_head(self.dropout(masked_mean(audio, tokens_mask)))  # (B, C)
        return face_part + audio_part, contribution_shares(face_part, audio_part, present)


class ReadingBlock(nn.Module):
    """Transformer block whose queries are one modality, whose keys and values the other.

    As the authors', without a shortcut around the attention: its result is added outside.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.query_norm, self.context_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor, context: Tensor, context_mask: Tensor) -> Tensor:
        """(B, T, W), (B, S, W), bool (B, S) -> (B, T, W), zeros without any context."""
        read = self.attention(self.query_norm(tokens), self.context_norm(context), context_mask)
        read = read + self.feed_forward(read)
        return torch.where(context_mask.any(dim=1)[:, None, None], read, 0.0)


@fusions.register("it")
class IntermediateTransformerFusion(StagedFusion):
    """`it`: a transformer block of each modality reads the other at the intermediate features.

    modality_weights: the share of each modality's part in the logits, by length.
    """

    looking = ReadingBlock

    def exchange(self, face: Tensor, face_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> tuple[Tensor, Tensor]:
        return (
            (face + self.for_face(face, audio, audio_mask)) * face_mask.unsqueeze(2).to(face.dtype),
            (audio + self.for_audio(audio, face, face_mask)) * audio_mask.unsqueeze(2).to(audio.dtype),
        )


class AttentionScale(nn.Module):
    """How much the queries of one modality look at each place of the other, as a factor of mean 1."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, queries: Tensor, query_mask: Tensor, keys: Tensor, key_mask: Tensor) -> Tensor:
        """(B, T, W), bool (B, T), (B, S, W), bool (B, S) -> (B, S, 1); 1 everywhere without any query."""
        query, key = split_heads(self.query(queries), self.heads), split_heads(self.key(keys), self.heads)
        weights = attention_weights(query, key, key_mask).mean(dim=1)  # (B, T, S)
        looked_at = masked_mean(weights, query_mask)  # (B, S), sums to 1
        scale = looked_at * key_mask.to(weights.dtype).sum(dim=1, keepdim=True)
        return torch.where(query_mask.any(dim=1, keepdim=True), scale, 1.0).unsqueeze(2)


@fusions.register("ia")
class IntermediateAttentionFusion(StagedFusion):
    """`ia`: attention between the intermediate features scales them, and no feature crosses over.

    With a single token a modality is always scaled by 1, and its own queries still scale the other.

    modality_weights: the share of each modality's part in the logits, by length.
    """

    looking = AttentionScale

    def exchange(self, face: Tensor, face_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> tuple[Tensor, Tensor]:
        return (
            face * self.for_face(audio, audio_mask, face, face_mask),
            audio * self.for_audio(face, face_mask, audio, audio_mask),
        )
