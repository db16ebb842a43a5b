"""Clips as encoders see them that learn no more: embeddings, made once, in the place of crops and samples."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from emotion_perception.core.model_bundle import ModelBundle

from .clip_tensors import AT_ONCE, ClipTensors, Rows
from .models.audio_visual import AudioVisualModel


def encoded(model: nn.Module, clips: ClipTensors, shown: str) -> ClipTensors:
    """The clips with the embeddings of their crops and samples, of which the model says the same.

    Features stay as they are, and so do the clips for several models in one, each with encoders of its own.

    shown: what the progress bar calls this.
    """
    if not isinstance(model, AudioVisualModel) or len(clips) == 0:
        return clips
    seen = clips.has_crops and model.face_encoder is not None
    heard = clips.has_samples and model.audio_encoder is not None
    if not (seen or heard):
        return clips
    faces: list[Tensor] = []
    voices: list[Tensor] = []
    model.eval()
    with torch.no_grad(), tqdm(total=len(clips), desc=shown, unit="clip") as progress:
        for rows in torch.arange(len(clips)).split(AT_ONCE):
            batch = clips.batch(Rows.plain(rows))
            if seen:
                faces.append(model.encode_faces(batch)[0])
            if heard:
                voices.append(model.encode_audio(batch)[0])
            progress.update(len(rows))
    if seen:
        clips = replace(clips, face=torch.cat(faces))
    if heard:
        clips = replace(clips, audio=torch.cat(voices).unsqueeze(0), sound=False)
    return clips


def encoded_by_bundle(bundle: ModelBundle, clips: ClipTensors, shown: str) -> ClipTensors:
    """As `encoded`, of crops and samples, by the code of the robot."""
    if not clips.has_samples:
        return clips
    face_mask, audio_mask = clips.face_mask.numpy(), clips.audio_mask.numpy()
    crops, samples = clips.face.numpy(), clips.audio[0].numpy()
    faces = np.zeros((*face_mask.shape, bundle.face.embedding), np.float32)  # (N, Tf, D)
    voices = np.zeros((len(clips), bundle.audio.tokens, bundle.audio.embedding), np.float32)  # (N, Ta, D)
    for row in tqdm(range(len(clips)), desc=shown, unit="clip"):
        there = face_mask[row]
        if there.any():
            faces[row, there] = bundle.encode_faces(crops[row, there])
        if audio_mask[row]:
            voices[row] = bundle.encode_audio(samples[row])
    return replace(clips, face=torch.from_numpy(faces), audio=torch.from_numpy(voices).unsqueeze(0), sound=False)
