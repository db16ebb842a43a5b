"""What a trained model says about clips, and the figures that follow."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from emotion_perception.core.model_bundle import ModelBundle

from .calibration import fit_temperature
from .clip_tensors import ClipTensors, Rows
from .metrics import accuracy, expected_calibration_error, macro_f1, softmax, unweighted_average_recall

State = Literal["both", "face", "audio"]
STATES: tuple[State, ...] = ("both", "face", "audio")
BATCH = 256  # clips
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Predictions:
    """clip_ids, speaker_ids: str (N,); labels: int (N,); logits: float64 (N, C); certain: bool (N,), where a bundle
    says so.
    """

    clip_ids: np.ndarray
    speaker_ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    certain: np.ndarray | None = None

    @property
    def predicted(self) -> np.ndarray:
        return self.logits.argmax(axis=1)


def in_state(clips: ClipTensors, state: State) -> ClipTensors:
    """Those that a robot would judge in this state: that have both modalities, or the one."""
    usable = _usable(clips, state)
    return clips if usable.all() else clips.of(np.flatnonzero(usable))  # which copies them


def _usable(clips: ClipTensors, state: State) -> Tensor:
    """Bool (N,): whether the clip has what the state judges by."""
    nothing = torch.zeros(len(clips), dtype=torch.bool)
    faces = nothing if clips.face_mask is None else clips.face_mask.any(dim=1)
    voices = nothing if clips.audio_mask is None else clips.audio_mask
    return {"both": faces & voices, "face": faces, "audio": voices}[state]


def predict(model: nn.Module, clips: ClipTensors, state: State = "both") -> Predictions:
    """Predictions from the unchanged view of every clip; in the states `face` and `audio` the other one is hidden, and
    clips are left out that have nothing else.
    """
    if state != "both":
        clips = in_state(clips, state)
    model.eval()
    parts = [torch.zeros(0, clips.target.shape[1], dtype=torch.float64)]
    with torch.inference_mode():
        for rows in torch.arange(len(clips)).split(BATCH) if len(clips) else ():
            batch = clips.batch(Rows.plain(rows))
            for name, hidden_in in (("face_mask", "audio"), ("audio_mask", "face")):
                if state == hidden_in and name in batch:
                    batch[name] = torch.zeros_like(batch[name])
            parts.append(model(batch).logits.to(torch.float64))
    return Predictions(clips.clip_ids, clips.speaker_ids, clips.labels.numpy(), torch.cat(parts).numpy())


def predict_by_bundle(bundle: ModelBundle, clips: ClipTensors, state: State = "both") -> Predictions:
    """As `predict`, by the code of the robot: crops and samples through the graphs of a bundle, already calibrated."""
    if state != "both":
        clips = in_state(clips, state)
    crops = clips.face.flatten(0, 1).numpy()  # (N * Tf, S, S, 3)
    faces = np.concatenate([bundle.encode_faces(part) for part in np.array_split(crops, max(1, len(crops) // BATCH))])
    faces = faces.reshape(*clips.face.shape[:2], -1)  # (N, Tf, D)
    voices = np.stack([bundle.encode_audio(samples) for samples in clips.audio[0].numpy()])  # (N, Ta, D)
    face_mask, audio_mask = (mask.numpy() for mask in (clips.face_mask, clips.audio_mask))
    fused = bundle.fuse(faces, face_mask & (state != "audio"), voices, audio_mask & (state != "face"))
    logits = np.log(np.maximum(fused.probabilities.astype(np.float64), LEAST_PROBABILITY))
    certain = fused.probabilities.max(axis=1) >= fused.uncertain_below
    return Predictions(clips.clip_ids, clips.speaker_ids, clips.labels.numpy(), logits, certain)


def states_of(clips: ClipTensors) -> tuple[State, ...]:
    """The states that clips can be seen in: all three where both modalities occur, else `both` alone."""
    return STATES if _usable(clips, "face").any() and _usable(clips, "audio").any() else STATES[:1]


def calibrated_temperature(validation: Predictions) -> float:
    """From the validation speakers, by the least negative log-likelihood."""
    return fit_temperature(validation.logits, validation.labels)


def figures(test: Predictions, temperature: float) -> dict[str, float]:
    """Accuracy, UAR, macro-F1, and the calibration error before (`ece_before`) and after (`ece`) the temperature."""
    return {
        "accuracy": accuracy(test.labels, test.predicted),
        "uar": unweighted_average_recall(test.labels, test.predicted),
        "macro_f1": macro_f1(test.labels, test.predicted),
        "ece_before": expected_calibration_error(test.labels, softmax(test.logits)),
        "ece": expected_calibration_error(test.labels, softmax(test.logits / temperature)),
    }
