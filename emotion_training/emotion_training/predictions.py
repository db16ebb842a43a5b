"""What a trained model says about clips, and the figures that follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from emotion_perception.core.model_bundle import STATES, ModelBundle

from .calibration import UNCALIBRATED, calibrate
from .clip_tensors import AT_ONCE, ClipTensors, Rows
from .encoded_clips import encoded_by_bundle
from .metrics import accuracy, expected_calibration_error, macro_f1, unweighted_average_recall
from .models.bundle_encoders import start_of

State = Literal["both", "face", "audio"]
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Predictions:
    """clip_ids, speaker_ids: str (N,); labels: int (N,); logits: float64 (N, C); states: str (N,), as of `judged_in`;
    certain: bool (N,), where a bundle says so.
    """

    clip_ids: np.ndarray
    speaker_ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    states: np.ndarray
    certain: np.ndarray | None = None

    @property
    def predicted(self) -> np.ndarray:
        return self.logits.argmax(axis=1)

    def temperatures(self, calibration: Mapping[str, Mapping[str, float]]) -> np.ndarray:
        """Of the state of each clip, float (N,); 1 where it has nothing to be judged by."""
        return np.array([calibration.get(state, UNCALIBRATED)["temperature"] for state in self.states])


def in_state(clips: ClipTensors, state: State) -> ClipTensors:
    """Those that a robot would judge in this state: that have both modalities, or the one."""
    usable = judged_in(clips, state) == state
    return clips if usable.all() else clips.of(np.flatnonzero(usable))  # which copies them


def judged_in(clips: ClipTensors, state: State) -> np.ndarray:
    """Str (N,): the state that each clip is in, "" where it has nothing to be judged by; in `face` and `audio` the
    other modality is hidden.
    """
    nothing = np.zeros(len(clips), bool)
    faces = nothing if clips.face_mask is None or state == "audio" else clips.face_mask.any(dim=1).numpy()
    voices = nothing if clips.audio_mask is None or state == "face" else clips.audio_mask.numpy()
    return np.select([faces & voices, faces, voices], STATES, "")


def predict(model: nn.Module, clips: ClipTensors, state: State = "both") -> Predictions:
    """Predictions from the unchanged view of every clip; in the states `face` and `audio` the other one is hidden, and
    clips are left out that have nothing else.
    """
    if state != "both":
        clips = in_state(clips, state)
    model.eval()
    parts = [torch.zeros(0, clips.target.shape[1], dtype=torch.float64)]
    with torch.inference_mode():
        for rows in torch.arange(len(clips)).split(AT_ONCE) if len(clips) else ():
            batch = clips.batch(Rows.plain(rows))
            for name, hidden_in in (("face_mask", "audio"), ("audio_mask", "face")):
                if state == hidden_in and name in batch:
                    batch[name] = torch.zeros_like(batch[name])
            parts.append(model(batch).logits.to(torch.float64))
    logits = torch.cat(parts).numpy()
    return Predictions(clips.clip_ids, clips.speaker_ids, clips.labels.numpy(), logits, judged_in(clips, state))


def predict_by_bundle(bundle: ModelBundle, clips: ClipTensors, state: State = "both") -> Predictions:
    """As `predict`, by the code of the robot: crops and samples, or what it made of them before, through the graphs of
    a bundle, already calibrated.
    """
    if state != "both":
        clips = in_state(clips, state)
    clips = encoded_by_bundle(bundle, clips, "encode")
    faces, voices = clips.face.numpy(), clips.audio[0].numpy()  # (N, Tf, D), (N, Ta, D)
    face_mask, audio_mask = (mask.numpy() for mask in (clips.face_mask, clips.audio_mask))
    fused = bundle.fuse(faces, face_mask & (state != "audio"), voices, audio_mask & (state != "face"))
    logits = np.log(np.maximum(fused.probabilities.astype(np.float64), LEAST_PROBABILITY))
    certain = fused.probabilities.max(axis=1) >= fused.uncertain_below
    states = judged_in(clips, state)
    return Predictions(clips.clip_ids, clips.speaker_ids, clips.labels.numpy(), logits, states, certain)


def states_of(clips: ClipTensors) -> tuple[State, ...]:
    """The states that clips can be seen in: all three where both modalities occur, else `both` alone."""
    return STATES if all((judged_in(clips, state) == state).any() for state in STATES[1:]) else STATES[:1]


def calibration_of(model: nn.Module, validation: ClipTensors) -> dict[State, dict[str, float]]:
    """What model.json says of each state, from the clips of the validation speakers; of a state with too few, what the
    bundle says that the model started from, if it did.
    """
    start = start_of(model)
    calibration = {}
    for state in STATES:
        said = predict(model, in_state(validation, state), state)
        usual = UNCALIBRATED if start is None else start.calibration[state]
        calibration[state] = calibrate(said.logits, said.labels, usual)
    return calibration


def figures(test: Predictions, temperature: float | np.ndarray) -> dict[str, float]:
    """Accuracy, UAR, macro-F1, and the calibration error before (`ece_before`) and after (`ece`) the temperature: one
    of all clips, or one of each (N,).
    """
    calibrated = test.logits / np.reshape(temperature, (-1, 1))  # (N, C)
    return {
        "accuracy": accuracy(test.labels, test.predicted),
        "uar": unweighted_average_recall(test.labels, test.predicted),
        "macro_f1": macro_f1(test.labels, test.predicted),
        "ece_before": expected_calibration_error(test.labels, softmax(test.logits, axis=1)),
        "ece": expected_calibration_error(test.labels, softmax(calibrated, axis=1)),
    }
