"""Losses on class probabilities: annotators' votes are targets as they are, not only their majority."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from .models.audio_visual import FusionOutput

LEAST_DOUBT = 1e-6  # a power below 1 of less than that has an endless slope


@dataclass(frozen=True)
class LossConfig:
    """What is minimised.

    kind: "cross_entropy", or "focal" (Lin et al. 2017).
    label_smoothing: share of each target that is spread over all classes.
    focal_gamma: how much less a probability near 1 counts; 0 is cross-entropy.
    class_weights: "balanced" is 1 / count; "effective_number" is (1 - beta) / (1 - beta**count) (Cui et al. 2019).
    effective_number_beta: in [0, 1), near 1.
    auxiliary: weight of the loss of each modality's own head; a late fusion learns by nothing else.
    attention_regularisation: lambda of EmoNeXt's L_CE + lambda L_SA; its authors' code has 1.
    """

    kind: Literal["cross_entropy", "focal"] = "cross_entropy"
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    class_weights: Literal["none", "balanced", "effective_number"] = "none"
    effective_number_beta: float = 0.999
    auxiliary: float = 0.5
    attention_regularisation: float = 1.0


class LossTerms(NamedTuple):
    """The sum to minimise and its parts before their weights, each ()."""

    total: Tensor
    fused: Tensor
    face: Tensor
    audio: Tensor
    regularisation: Tensor


class SoftTargetLoss(nn.Module):
    """Cross-entropy or focal loss of each sample, on targets that are probabilities.

    focal: -sum_c w_c t_c (1 - p_c)**gamma log p_c; with gamma 0 it is the cross-entropy.
    """

    def __init__(self, class_weights: Tensor, label_smoothing: float, focal_gamma: float):
        super().__init__()
        self.register_buffer("class_weights", class_weights)  # (C,)
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """(B, C), probabilities (B, C) -> (B,)."""
        target = (1.0 - self.label_smoothing) * target + self.label_smoothing / target.shape[1]
        log_probabilities = torch.log_softmax(logits, dim=1)
        terms = self.class_weights * target * log_probabilities
        if self.focal_gamma > 0.0:
            terms = terms * (1.0 - log_probabilities.exp()).clamp(min=LEAST_DOUBT) ** self.focal_gamma
        return -terms.sum(dim=1)


class EmotionLoss(nn.Module):
    """The loss of a model's output: the fused decision, each modality's own head, and the regularisation."""

    def __init__(self, config: LossConfig, class_counts: Tensor):
        super().__init__()
        gamma = config.focal_gamma if config.kind == "focal" else 0.0
        weights = class_weights(class_counts, config.class_weights, config.effective_number_beta)
        self.per_sample = SoftTargetLoss(weights, config.label_smoothing, gamma)
        self.auxiliary = config.auxiliary
        self.attention_regularisation = config.attention_regularisation

    def forward(self, output: FusionOutput, target: Tensor, face_mask: Tensor, audio_mask: Tensor) -> LossTerms:
        """Target (B, C), and the masks that the output was made with: bool (B, Tf), bool (B,)."""
        fused = self.per_sample(output.logits, target).mean()
        face = self._own_head(output.face_logits, target, face_mask.any(dim=1))
        audio = self._own_head(output.audio_logits, target, audio_mask)
        regularisation = output.face_regularisation
        if regularisation is None:
            regularisation = torch.zeros_like(fused)
        total = fused + self.auxiliary * (face + audio) + self.attention_regularisation * regularisation
        return LossTerms(total, fused, face, audio, regularisation)

    def _own_head(self, logits: Tensor | None, target: Tensor, present: Tensor) -> Tensor:
        """Mean over the samples that have the modality; 0 without a head or a sample."""
        if logits is None:
            return target.new_zeros(())
        losses = self.per_sample(logits, target)  # (B,)
        return torch.where(present, losses, 0.0).sum() / present.sum().clamp(min=1)


def build_loss(config: LossConfig, class_counts: Tensor) -> EmotionLoss:
    """The loss of a configuration, for training data with these counts (C,), votes counted as shares.

    Raises:
        ValueError: for a value out of its range.
    """
    ranges = {
        "label_smoothing": 0.0 <= config.label_smoothing < 1.0,
        "focal_gamma": config.focal_gamma >= 0.0,
        "effective_number_beta": 0.0 <= config.effective_number_beta < 1.0,
        "auxiliary": config.auxiliary >= 0.0,
        "attention_regularisation": config.attention_regularisation >= 0.0,
    }
    for name, inside in ranges.items():
        if not inside:
            expected = "in [0, 1)" if name in ("label_smoothing", "effective_number_beta") else "of at least 0"
            raise ValueError(f"{name} is {getattr(config, name)}; expected a number {expected}")
    return EmotionLoss(config, class_counts)


def class_weights(counts: Tensor, kind: Literal["none", "balanced", "effective_number"], beta: float) -> Tensor:
    """Weights (C,) whose mean over the training samples is 1, so that a learning rate keeps its meaning.

    A class without samples weighs nothing: there is nothing to learn it from.
    """
    counts = counts.to(torch.float64)
    if kind == "none":
        return torch.ones(len(counts))
    effective = counts if kind == "balanced" else (1.0 - beta**counts) / (1.0 - beta)
    weights = torch.where(counts > 0, 1.0 / effective, 0.0)
    return (weights * counts.sum() / (weights * counts).sum()).to(torch.float32)
