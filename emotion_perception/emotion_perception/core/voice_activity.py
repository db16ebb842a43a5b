"""Tells when somebody speaks: Silero's voice detector over a stream of 16 kHz mono."""

import math
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotion_perception.core.audio_resampler import SAMPLE_RATE_HZ
from emotion_perception.core.onnx_session import GraphError, open_session

FRAME_SAMPLES = 512  # the model takes 32 ms at a time
CONTEXT_SAMPLES = 64  # and sees the end of the frame before
STATE_SHAPE = (2, 1, 128)
MODEL_INPUTS = {"input", "state", "sr"}


class VoiceModelError(ValueError):
    """The file is not Silero's voice detector."""


def _open_model(model_path: Path) -> onnxruntime.InferenceSession:
    origin = "put silero_vad_16k_op15.onnx of the PyPI package silero-vad there"
    if not model_path.is_file():
        raise VoiceModelError(f"The voice model {model_path} does not exist; {origin}.")
    try:
        session = open_session(model_path)
    except GraphError as error:
        raise VoiceModelError(f"The voice model {model_path} is no ONNX graph; {origin}.") from error
    inputs = {node.name for node in session.get_inputs()}
    if inputs != MODEL_INPUTS:
        raise VoiceModelError(
            f"The voice model {model_path} takes {sorted(inputs)}, expected {sorted(MODEL_INPUTS)}; {origin}."
        )
    return session


class SpeechGate:
    """Speech begins at one probable frame, and ends after a time without any."""

    def __init__(self, enter_threshold: float, leave_threshold: float, min_silence_frames: int) -> None:
        self._enter_threshold = enter_threshold
        self._leave_threshold = leave_threshold
        self._min_silence_frames = min_silence_frames
        self.reset()

    def reset(self) -> None:
        """Nobody speaks."""
        self.speaking = False
        self._silence_frames = 0

    def advance(self, probability: float) -> bool:
        """Whether somebody speaks in the next frame, which is speech with `probability`."""
        if probability >= self._enter_threshold:
            self.speaking = True
            self._silence_frames = 0
        elif probability < self._leave_threshold or self._silence_frames > 0:
            self._silence_frames += 1
            if self._silence_frames >= self._min_silence_frames:
                self.speaking = False
        return self.speaking


class VoiceActivity:
    """Scores each frame of a stream once."""

    def __init__(self, model_path: Path, enter_threshold: float, leave_threshold: float, min_silence_s: float) -> None:
        """Load the model.

        Args:
            model_path: `silero_vad_16k_op15.onnx`.
            enter_threshold: probability from which a frame begins speech, in [0, 1].
            leave_threshold: probability below which a frame may end it; at most enter_threshold.
            min_silence_s: speech ends after so long without a frame that would begin it.

        Raises:
            VoiceModelError: the file is missing or another model.
            ValueError: the thresholds or min_silence_s are out of range.
        """
        if not 0.0 <= leave_threshold <= enter_threshold <= 1.0:
            raise ValueError(
                f"voice_leave is {leave_threshold} and voice_enter {enter_threshold}, "
                "expected 0 <= voice_leave <= voice_enter <= 1."
            )
        if not (min_silence_s >= 0.0 and math.isfinite(min_silence_s)):
            raise ValueError(f"voice_min_silence_s is {min_silence_s}, expected seconds, 0 or more.")
        self._session = _open_model(model_path)
        min_silence_frames = round(min_silence_s * SAMPLE_RATE_HZ / FRAME_SAMPLES)
        self._gate = SpeechGate(enter_threshold, leave_threshold, min_silence_frames)
        self._sample_rate_hz = np.array(SAMPLE_RATE_HZ, np.int64)
        self._input = np.zeros((1, CONTEXT_SAMPLES + FRAME_SAMPLES), np.float32)
        self.reset()

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks in the newest complete frame."""
        return self._gate.speaking

    def reset(self) -> None:
        """Begin a new stream: nobody speaks."""
        self._gate.reset()
        self._input[:] = 0.0
        self._waiting_samples = 0  # of the frame that is not complete yet
        self._state = np.zeros(STATE_SHAPE, np.float32)

    def add(self, samples: NDArray[np.float32]) -> list[bool]:
        """Take the next samples (N,) in [-1, 1].

        Returns:
            For each frame of 512 samples that they complete: whether somebody speaks in it.
        """
        flags = []
        while len(samples) > 0:
            start = CONTEXT_SAMPLES + self._waiting_samples
            taken = samples[: FRAME_SAMPLES - self._waiting_samples]
            self._input[0, start : start + len(taken)] = taken
            self._waiting_samples += len(taken)
            samples = samples[len(taken) :]
            if self._waiting_samples == FRAME_SAMPLES:
                flags.append(self._gate.advance(self._score()))
        return flags

    def _score(self) -> float:
        """Probability of speech in the complete frame; makes room for the next one."""
        feeds = {"input": self._input, "state": self._state, "sr": self._sample_rate_hz}
        probability, self._state = self._session.run(None, feeds)  # (1, 1), (2, 1, 128)
        self._input[0, :CONTEXT_SAMPLES] = self._input[0, -CONTEXT_SAMPLES:]
        self._waiting_samples = 0
        return float(probability[0, 0])
