"""What happens to recordings in the world: noise over a voice, a covered face, pictures that did not arrive."""

from dataclasses import replace

import numpy as np
import torch

from .clip_tensors import ClipTensors

SNR_DB = (20.0, 10.0, 5.0, 0.0)
OCCLUDED_SHARES = (0.25, 0.5)  # of the side of a crop
DROPPED_SHARES = (0.25, 0.5, 0.75)  # of the crops of a clip


def with_noise(voice: np.ndarray, snr_db: float, seed: int) -> np.ndarray:
    """The voice (N,) with pink noise at this ratio to its mean power, float32; a silent one stays silent."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(len(voice)))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))  # power falls as 1 / frequency
    noise = np.fft.irfft(spectrum, n=len(voice))
    level = np.sqrt(np.mean(np.square(voice, dtype=np.float64)) / max(float(np.mean(noise**2)), 1e-12))
    return (voice + 10.0 ** (-snr_db / 20.0) * level * noise).astype(np.float32)


def with_occluded_faces(clips: ClipTensors, share: float, seed: int) -> ClipTensors:
    """A grey square over each crop, of `share` of its side, at the same random place in all crops of a clip."""
    generator = torch.Generator().manual_seed(seed)
    face = clips.face.clone()  # (N, Tf, S, S, 3)
    side_px = round(share * face.shape[2])
    corners = torch.randint(face.shape[2] - side_px + 1, (len(clips), 2), generator=generator)
    for crops, (top, left) in zip(face, corners.tolist(), strict=True):
        crops[:, top : top + side_px, left : left + side_px] = 128
    return replace(clips, face=face)


def with_dropped_frames(clips: ClipTensors, share: float, seed: int) -> ClipTensors:
    """Each crop is missing with probability `share`, but one that was there stays in every clip."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(clips.face_mask.shape, generator=generator)  # (N, Tf)
    draws = torch.where(clips.face_mask, draws, -1.0)
    lucky = draws == draws.max(dim=1, keepdim=True).values
    return replace(clips, face_mask=clips.face_mask & ((draws >= share) | lucky))
