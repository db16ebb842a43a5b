"""A whole voice as one vector: what a network that knows speech makes of it, over time."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from .models.smart_turn_weights import read_smart_turn
from .models.whisper import STATE_FRAMES, STATE_SAMPLES, STATES, WhisperTiny
from .models.whisper_log_mel import WhisperLogMel

STATES_VERSION = 1  # another number makes kept ones again


class VoiceStates:
    """Mean and deviation over time of the states of Whisper-tiny after each of its first blocks.

    weights: file for the network, see `read_smart_turn`, which raises WeightsError. name: of these features, which
    is another one for other weights.
    """

    def __init__(self, weights: Path, blocks: int):
        with torch.random.fork_rng(devices=[]):  # else what is drawn after it depends on whether a corpus was loaded
            self.network = WhisperTiny(blocks).eval()
        self.network.load_state_dict(read_smart_turn(weights, blocks))
        self.log_mel = WhisperLogMel(STATE_FRAMES)
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
        self.name = f"states {STATES_VERSION} of {blocks} blocks of {digest}"

    def __call__(self, voice: np.ndarray) -> np.ndarray:
        """A voice (N,) at 16 kHz, of which the last 8 s count -> float32 (blocks * 2 * WIDTH,)."""
        heard = torch.from_numpy(voice[-STATES * STATE_SAMPLES :]).to(torch.float32).unsqueeze(0)
        with torch.inference_mode():
            states = self.network(self.log_mel(heard))  # (1, T, WIDTH) of each block
        moments = [moment for state in states for moment in (state[0].mean(dim=0), state[0].std(dim=0))]
        return torch.cat(moments).nan_to_num().numpy()  # one state alone has no deviation
