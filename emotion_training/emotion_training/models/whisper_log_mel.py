"""Whisper's log-mel spectrogram (Radford et al. 2023) as a network layer, so that the exported graph takes samples."""

import librosa
import torch
from torch import Tensor, nn

from .log_mel import fourier_basis

MELS = 80
SAMPLE_RATE_HZ, FRAME_SAMPLES, HOP_SAMPLES = 16000, 400, 160
MIDDLE = FRAME_SAMPLES // 2
STEP_SAMPLES = HOP_SAMPLES // 2  # frames and hops are whole numbers of them
LEAST_POWER = 1e-10
DYNAMIC_RANGE = 8.0  # powers of ten below the loudest; less is heard as silence


class WhisperLogMel(nn.Module):
    """Samples -> about 0 to 1, the same at every recording level.

    token_frames: frames come in whole groups of so many; silence before the window fills the oldest one.
    """

    def __init__(self, token_frames: int):
        super().__init__()
        self.token_frames = token_frames
        basis = torch.from_numpy(fourier_basis(FRAME_SAMPLES, FRAME_SAMPLES)).to(torch.float32)  # (2 F, FRAME_SAMPLES)
        cosines, sines = basis.chunk(2)
        filters = torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=FRAME_SAMPLES, n_mels=MELS))
        self.register_buffer("cosines", cosines[:, : MIDDLE + 1].T.contiguous(), persistent=False)  # (MIDDLE + 1, F)
        self.register_buffer("sines", sines[:, 1:MIDDLE].T.contiguous(), persistent=False)  # (MIDDLE - 1, F)
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)  # (F, MELS)

    def frames(self, samples: int) -> int:
        """How many of them `forward` makes of N samples."""
        return -(-samples // (HOP_SAMPLES * self.token_frames)) * self.token_frames

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) at 16 kHz -> (B, MELS, T), decimal logarithm of the power, scaled; computed in float32 at any
        precision.
        """
        with torch.autocast(audio.device.type, enabled=False):  # float16 cannot hold the powers
            return self._log_mel(audio.float()).to(audio.dtype)

    def _log_mel(self, audio: Tensor) -> Tensor:
        samples = audio.shape[1]
        deviation = torch.sqrt(audio.var(dim=1, keepdim=True, correction=0) + 1e-7)
        audio = (audio - audio.mean(dim=1, keepdim=True)) / deviation
        before = self.frames(samples) * HOP_SAMPLES - samples
        # A frame is the sound around its time.
        audio = nn.functional.pad(audio, (before + MIDDLE, FRAME_SAMPLES - HOP_SAMPLES - MIDDLE))
        cosine_part, sine_part = self._spectrum(_frames(audio, self.frames(samples)))  # (B, T, F)
        mel = torch.matmul(cosine_part * cosine_part + sine_part * sine_part, self.filters.float())  # (B, T, MELS)
        logarithm = torch.log10(mel.clamp(min=LEAST_POWER))
        loudest = logarithm.amax(dim=(1, 2), keepdim=True)
        return ((torch.maximum(logarithm, loudest - DYNAMIC_RANGE) + 4.0) / 4.0).transpose(1, 2)

    def _spectrum(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, FRAME_SAMPLES) -> both parts (B, T, F), with half the products of a whole basis.

        Windowed cosines are the same forwards and backwards around the middle of a frame, and sines change their sign.
        """
        first, last = frames[:, :, 1:MIDDLE], frames[:, :, MIDDLE + 1 :].flip(2)
        even = torch.cat([frames[:, :, :1], first + last, frames[:, :, MIDDLE : MIDDLE + 1]], dim=2)
        return torch.matmul(even, self.cosines.float()), torch.matmul(first - last, self.sines.float())


def _frames(audio: Tensor, count: int) -> Tensor:
    """(B, N) -> (B, count, FRAME_SAMPLES), one after each HOP_SAMPLES."""
    steps = audio.unflatten(1, (-1, STEP_SAMPLES))
    return torch.cat([steps[:, k : k + 2 * count : 2] for k in range(FRAME_SAMPLES // STEP_SAMPLES)], dim=2)
