"""Multi-head attention with masks, in operations that every ONNX runtime has."""

import math

import torch
from torch import Tensor, nn

from .masking import MASKED_SCORE


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, W) -> (B, H, T, W / H)."""
    return x.unflatten(2, (heads, x.shape[2] // heads)).transpose(1, 2)


def attention_weights(query: Tensor, key: Tensor, key_mask: Tensor | None) -> Tensor:
    """(B, H, T, W / H), (B, H, S, W / H), bool (B, S) True where readable -> (B, H, T, S), rows sum to 1."""
    scores = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(query.shape[3])
    if key_mask is not None:
        readable = key_mask[:, None, None, :]
        scores = torch.where(readable, scores, torch.full_like(scores, MASKED_SCORE))
    return torch.softmax(scores, dim=3)


class MultiHeadAttention(nn.Module):
    """Tokens read a context (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, context: Tensor, context_mask: Tensor | None = None) -> Tensor:
        """Tokens (B, T, W), context (B, S, W), context_mask bool (B, S) True where readable -> (B, T, W)."""
        query = split_heads(self.query(tokens), self.heads)
        key, value = self.key_value(context).chunk(2, dim=2)
        weights = attention_weights(query, split_heads(key, self.heads), context_mask)  # (B, H, T, S)
        read = torch.matmul(weights, split_heads(value, self.heads))  # (B, H, T, W / H)
        return self.out(read.transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward step, each with a shortcut, normalised before (pre-norm)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, W), bool (B, T) True where readable -> (B, T, W)."""
        normed = self.attention_norm(tokens)
        tokens = tokens + self.dropout(self.attention(normed, normed, mask))
        return tokens + self.dropout(self.feed_forward(tokens))
