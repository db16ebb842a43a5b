"""Hides a modality now and then in training, so that a model can do without it."""

import torch
from torch import Tensor


def modality_dropout(
    face_mask: Tensor, audio_mask: Tensor, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Masks of a batch with one modality dropped in a share of its samples.

    A sample that has both loses one of them with `probability`, face and voice equally often; a sample that
    has only one keeps it, so that nothing present is never the result.

    Args:
        face_mask: bool (B, Tf), True where a face is.
        audio_mask: bool (B,), True where a voice is.
        probability: of a sample to lose a modality, in [0, 1].
        generator: on the CPU, so that a run draws the same on every device.

    Returns:
        New masks of the same shapes; the given ones stay as they are.
    """
    draw = torch.rand(2, len(audio_mask), generator=generator).to(audio_mask.device)  # (2, B)
    loses = (draw[0] < probability) & face_mask.any(dim=1) & audio_mask  # (B,)
    loses_face = loses & (draw[1] < 0.5)
    return face_mask & ~loses_face.unsqueeze(1), audio_mask & ~(loses & ~loses_face)
