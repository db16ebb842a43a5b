"""The resampler: pitch, time position, aliasing, length."""

import numpy as np
import pytest

from emotion_perception.core.audio_resampler import SAMPLE_RATE_HZ, AudioResampler


def resample(samples, sample_rate_hz, chunk_samples=441):
    """All of `samples` (N, channels), chunk by chunk."""
    resampler = AudioResampler(sample_rate_hz)
    chunks = [samples[start : start + chunk_samples] for start in range(0, len(samples), chunk_samples)]
    return np.concatenate([resampler.add(chunk) for chunk in chunks] + [resampler.finish()])


def tone(frequency_hz, sample_rate_hz, channels=1):
    times_s = np.arange(2 * sample_rate_hz) / sample_rate_hz
    return np.tile(np.sin(2 * np.pi * frequency_hz * times_s)[:, None], channels).astype(np.float32)


@pytest.mark.parametrize(
    ("sample_rate_hz", "channels"),
    [(8_000, 2), (16_000, 1), (16_000, 4), (22_050, 1), (44_100, 2), (48_000, 1)],
)
class TestAnyRateAndChannelCount:
    def test_keeps_a_tone_in_pitch_phase_and_loudness(self, sample_rate_hz, channels):
        resampled = resample(tone(1_000, sample_rate_hz, channels), sample_rate_hz)
        middle = slice(8_000, 24_000)
        assert resampled[middle] == pytest.approx(tone(1_000, SAMPLE_RATE_HZ)[middle, 0], abs=2e-3)

    def test_keeps_the_place_of_an_impulse(self, sample_rate_hz, channels):
        samples = np.zeros((2 * sample_rate_hz, channels), np.float32)
        samples[round(1.25 * sample_rate_hz)] = 1.0
        impulse_s = np.argmax(np.abs(resample(samples, sample_rate_hz))) / SAMPLE_RATE_HZ
        assert impulse_s == pytest.approx(1.25, abs=1e-4)

    def test_output_lasts_as_long_as_the_input(self, sample_rate_hz, channels):
        n_samples = sample_rate_hz + 77
        resampled = resample(np.ones((n_samples, channels), np.float32), sample_rate_hz)
        assert len(resampled) == round(n_samples / sample_rate_hz * SAMPLE_RATE_HZ)
        assert resampled.dtype == np.float32

    def test_size_of_the_chunks_does_not_matter(self, sample_rate_hz, channels):
        noise = np.random.default_rng(0).uniform(-1, 1, (sample_rate_hz, channels)).astype(np.float32)
        small, large = resample(noise, sample_rate_hz, 100), resample(noise, sample_rate_hz, 5_000)
        assert small == pytest.approx(large, abs=1e-5)


@pytest.mark.parametrize("sample_rate_hz", [4_000, 8_000, 11_025, 32_000, 44_101, 48_000, 384_000])
def test_pieces_of_any_length_last_as_long_as_their_input(sample_rate_hz):
    for n_samples in (1, 2, 3, 39, 1_001):
        resampled = resample(np.ones((n_samples, 1), np.float32), sample_rate_hz, chunk_samples=7)
        assert len(resampled) == pytest.approx(n_samples / sample_rate_hz * SAMPLE_RATE_HZ, abs=0.5001)


def test_tone_above_the_new_range_is_gone():
    resampled = resample(tone(10_000, 48_000), 48_000)
    assert np.abs(resampled[1_000:-1_000]).max() < 1e-4


def test_channels_are_averaged():
    samples = np.tile(np.float32([0.5, 0.1, 0.0]), (1_600, 1))
    assert resample(samples, 16_000) == pytest.approx(0.2)


def test_output_comes_soon():
    resampler = AudioResampler(48_000)
    behind_s = [
        0.02 * (index + 1) - resampled / SAMPLE_RATE_HZ
        for index, resampled in enumerate(
            np.cumsum([len(resampler.add(np.zeros((960, 1), np.float32))) for _ in range(100)])
        )
    ]
    assert max(behind_s) < 0.045
