"""Whisper's log-mel spectrogram (Radford et al. 2023) as a network layer, so that the exported graph takes samples."""

import librosa
import torch
from torch import Tensor, nn

from .log_mel import fourier_basis

MELS = 80
SAMPLE_RATE_HZ, FRAME_SAMPLES, HOP_SAMPLES = 16000, 400, 160
LEAST_POWER = 1e-10
DYNAMIC_RANGE = 8.0  # powers of ten below the loudest; less is heard as silence


class WhisperLogMel(nn.Module):
    """Samples -> about 0 to 1, the same at every recording level.

    token_frames: frames come in whole groups of so many; silence before the window fills the oldest one.
    """

    def __init__(self, token_frames: int):
        super().__init__()
        self.token_frames = token_frames
        basis = torch.from_numpy(fourier_basis(FRAME_SAMPLES, FRAME_SAMPLES)).to(torch.float32)
        filters = torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=FRAME_SAMPLES, n_mels=MELS))
        self.register_buffer("basis", basis.unsqueeze(1), persistent=False)  # (2 F, 1, FRAME_SAMPLES)
        self.register_buffer("filters", filters, persistent=False)  # (MELS, F)

    def frames(self, samples: int) -> int:
        """How many of them `forward` makes of N samples."""
        return -(-samples // (HOP_SAMPLES * self.token_frames)) * self.token_frames

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) at 16 kHz -> (B, MELS, T), decimal logarithm of the power, scaled."""
        deviation = torch.sqrt(audio.var(dim=1, keepdim=True, correction=0) + 1e-7)
        audio = (audio - audio.mean(dim=1, keepdim=True)) / deviation
        before = self.frames(audio.shape[1]) * HOP_SAMPLES - audio.shape[1]
        around = FRAME_SAMPLES // 2  # a frame is the sound around its time
        audio = nn.functional.pad(audio, (before + around, FRAME_SAMPLES - HOP_SAMPLES - around))
        spectrum = nn.functional.conv1d(audio.unsqueeze(1), self.basis, stride=HOP_SAMPLES)  # (B, 2 F, T)
        real, imaginary = spectrum.chunk(2, dim=1)
        mel = torch.matmul(self.filters, real * real + imaginary * imaginary)  # (B, MELS, T)
        logarithm = torch.log10(mel.clamp(min=LEAST_POWER))
        loudest = logarithm.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(logarithm, loudest - DYNAMIC_RANGE) + 4.0) / 4.0
