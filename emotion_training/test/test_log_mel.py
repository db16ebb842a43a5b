"""The log-mel layer against a plain computation, and at the levels and paddings that robots send."""

import copy

import numpy as np
import pytest
import torch
from scipy.signal import stft

from emotion_training.models.log_mel import DYNAMIC_RANGE, FFT_SAMPLES, LogMel, mel_filters
from emotion_training.models.whisper_log_mel import WhisperLogMel

RATE_HZ, MELS, FRAME, HOP = 16000, 64, 400, 160


@pytest.fixture(scope="module")
def layer():
    return LogMel(RATE_HZ, MELS)


def voice_like(seed=0, seconds=3.0):
    """Harmonics with a slow envelope, float32 (N,), about -12 dBFS."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * 140 * k * time_s + rng.uniform(0, 6)) / k for k in range(1, 30))
    return (0.1 * tone * (0.2 + np.sin(2 * np.pi * 1.7 * time_s) ** 2)).astype(np.float32)


def test_equals_the_spectrogram_of_scipy(layer):
    samples = voice_like()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    _, _, spectrum = stft(samples, RATE_HZ, window, FRAME, FRAME - HOP, FFT_SAMPLES, boundary=None, padded=False)
    power = np.abs(spectrum * window.sum()) ** 2  # scipy divides by the sum of the window
    mel = mel_filters(MELS, RATE_HZ) @ power
    reference = (mel.sum(0) ** 2).sum() / mel.sum()
    expected = np.log(mel / reference + DYNAMIC_RANGE)
    got = layer(torch.from_numpy(samples)[None])[0].numpy()
    assert got.shape == (MELS, 298)
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_the_filters_are_of_one_height_and_in_order():
    filters = mel_filters(MELS, RATE_HZ)
    assert filters.shape == (MELS, FFT_SAMPLES // 2 + 1)
    assert (filters.max(axis=1) > 0.3).all()
    assert (np.diff(filters.argmax(axis=1)) >= 0).all()


@pytest.mark.parametrize("level_dbfs", [-45.0, -30.0, -5.0])
def test_the_recording_level_makes_no_difference(layer, level_dbfs):
    samples = torch.from_numpy(voice_like())[None]
    level = samples.square().mean().sqrt()
    scaled = samples * (10.0 ** (level_dbfs / 20.0) / level)
    np.testing.assert_allclose(layer(scaled).numpy(), layer(samples).numpy(), atol=1e-2)


def test_zeros_before_the_stream_began_do_not_change_the_rest(layer):
    samples = voice_like()
    padded = np.concatenate([np.zeros(HOP * 100, np.float32), samples])
    whole, shifted = layer(torch.from_numpy(samples)[None]), layer(torch.from_numpy(padded)[None])
    np.testing.assert_allclose(shifted[0, :, 100:].numpy(), whole[0].numpy(), atol=1e-3)


def test_digital_silence_is_finite(layer):
    assert torch.isfinite(layer(torch.zeros(2, 48000))).all()


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("network", [LogMel(RATE_HZ, MELS), WhisperLogMel(16)])
def test_a_loud_voice_has_the_same_spectrogram_in_mixed_precision(network, precision):
    samples = voice_like(seconds=1.0)
    samples = torch.from_numpy(samples / np.abs(samples).max())[None]
    with torch.autocast("cpu", precision):
        mixed = network(samples)
    assert torch.equal(mixed, network(samples))


@pytest.mark.parametrize("network", [LogMel(RATE_HZ, MELS), WhisperLogMel(16)])
def test_a_network_in_half_precision_hears_a_burst_after_silence(network):
    samples = torch.zeros(1, RATE_HZ)
    samples[:, -800:] = torch.from_numpy(voice_like(seconds=0.05)) / 0.5
    halved = copy.deepcopy(network).half()(samples.half())
    assert halved.dtype == torch.float16
    np.testing.assert_allclose(halved.float().numpy(), network(samples).numpy(), atol=0.2)
