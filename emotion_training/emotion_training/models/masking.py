"""What a fusion needs to compute with modalities that may be missing."""

import torch
from torch import Tensor

MASKED_SCORE = -1e4  # exp() of it is 0 in float32, and a row of it is still no NaN


def without_masked(face: Tensor, face_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, Tf, Df), bool (B, Tf), (B, Ta, Da), bool (B,) -> both with zeros for all that is masked.

    To be called before anything else is computed: whatever a masked part holds, NaN too, ends here.
    """
    return (
        torch.where(face_mask.unsqueeze(2), face, 0.0),
        torch.where(audio_mask[:, None, None], audio, 0.0),
    )


def present_modalities(face_mask: Tensor, audio_mask: Tensor) -> Tensor:
    """Bool (B, Tf), bool (B,) -> bool (B, 2): is there any face, is there a voice."""
    return torch.stack([face_mask.any(dim=1), audio_mask], dim=1)


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, T, W), bool (B, T) -> (B, W): mean of the tokens that are there, 0 where there are none."""
    weights = mask.to(tokens.dtype).unsqueeze(2)  # (B, T, 1)
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def masked_softmax(scores: Tensor, present: Tensor) -> Tensor:
    """(B, M), bool (B, M) -> (B, M): sums to 1 over what is present, exactly 0 elsewhere; all 0 with nothing
    present.
    """
    scores = torch.where(present, scores, torch.full_like(scores, MASKED_SCORE))
    weights = torch.softmax(scores, dim=1) * present.to(scores.dtype)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-6)


def equal_shares(present: Tensor) -> Tensor:
    """Bool (B, 2) -> (B, 2): the same weight for all that is present; all 0 with nothing present."""
    shares = present.to(torch.float32)
    return shares / shares.sum(dim=1, keepdim=True).clamp(min=1.0)


def contribution_shares(face_part: Tensor, audio_part: Tensor, present: Tensor) -> Tensor:
    """Two terms of one sum, (B, X) each, bool (B, 2) -> (B, 2): the share of each in the sum of their lengths.

    Tells, where a fusion has no gate to be read, how much of its joint layer comes from which modality.
    """
    parts = torch.stack([face_part, audio_part], dim=1).detach()  # (B, 2, X)
    lengths = torch.sqrt((parts * parts).sum(dim=2)) + 1e-6  # (B, 2)
    lengths = lengths * present.to(lengths.dtype)
    return lengths / lengths.sum(dim=1, keepdim=True).clamp(min=1e-6)
