"""Log-mel spectrogram as a network layer, so that the exported graph takes samples."""

import librosa
import numpy as np
import torch
from torch import Tensor, nn

FRAME_S = 0.025
FRAME_HOP_S = 0.010
FFT_SAMPLES = 512  # frames are padded to it, which makes the narrow low bands smooth
LOWEST_HZ = 50.0
HIGHEST_HZ = 7600.0
DYNAMIC_RANGE = 1e-6  # of the reference power: 60 dB below it everything is silence
SILENCE = 1e-12  # reference power of a window without any sound


def mel_filters(mels: int, sample_rate_hz: int) -> np.ndarray:
    """Triangular filters of equal height, float64 (mels, FFT_SAMPLES // 2 + 1)."""
    form = {"fmin": LOWEST_HZ, "fmax": HIGHEST_HZ, "htk": True, "norm": None, "dtype": np.float64}
    return librosa.filters.mel(sr=sample_rate_hz, n_fft=FFT_SAMPLES, n_mels=mels, **form)


def fourier_basis(frame_samples: int, fft_samples: int) -> np.ndarray:
    """Hann-windowed cosines and sines, float64 (2 * (fft_samples // 2 + 1), frame_samples)."""
    time = np.arange(frame_samples)
    angle = 2.0 * np.pi * np.outer(np.arange(fft_samples // 2 + 1), time) / fft_samples
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * time / frame_samples)
    return np.concatenate([np.cos(angle), -np.sin(angle)]) * hann


class LogMel(nn.Module):
    """Samples -> log-mel energies relative to the loud part of the window.

    The reference is the mean frame power weighted by itself: it follows the voice, ignores zeros before a
    stream began, and makes the output the same at every recording level.
    """

    def __init__(self, sample_rate_hz: int, mels: int):
        super().__init__()
        self.frame_samples = round(FRAME_S * sample_rate_hz)
        self.hop_samples = round(FRAME_HOP_S * sample_rate_hz)
        basis = torch.from_numpy(fourier_basis(self.frame_samples, FFT_SAMPLES)).to(torch.float32)
        filters = torch.from_numpy(mel_filters(mels, sample_rate_hz)).to(torch.float32)
        self.register_buffer("basis", basis.unsqueeze(1), persistent=False)  # (2 F, 1, frame_samples)
        self.register_buffer("filters", filters, persistent=False)  # (mels, F)

    def frames(self, samples: int) -> int:
        """How many of them `forward` makes of N samples."""
        return 1 + (samples - self.frame_samples) // self.hop_samples

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) in [-1, 1] -> (B, mels, T), natural logarithm; computed in float32 at any precision."""
        with torch.autocast(audio.device.type, enabled=False):  # float16 cannot hold squares of powers
            return self._log_mel(audio.float()).to(audio.dtype)

    def _log_mel(self, audio: Tensor) -> Tensor:
        basis, filters = self.basis.float(), self.filters.float()
        spectrum = nn.functional.conv1d(audio.unsqueeze(1), basis, stride=self.hop_samples)  # (B, 2 F, T)
        real, imaginary = spectrum.chunk(2, dim=1)
        mel = torch.matmul(filters, real * real + imaginary * imaginary)  # (B, mels, T)
        power = mel.sum(dim=1)  # (B, T)
        # Clamped, for the exporter takes the addition of so small a number for nothing, and 0 / 0 is no number.
        reference = (power * power).sum(dim=1) / power.sum(dim=1).clamp(min=SILENCE)  # (B,)
        relative = mel / reference.clamp(min=SILENCE)[:, None, None]
        return torch.log(relative + DYNAMIC_RANGE)
