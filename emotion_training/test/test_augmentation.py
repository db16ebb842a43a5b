"""Augmented faces and voices stay what the encoders expect."""

import numpy as np
import pytest
import torch

from emotion_training.face_augmentation import augment_faces
from emotion_training.speech_clips import SpeechClip
from emotion_training.tiny_bundle import tiny_config
from emotion_training.voice_augmentation import augment_windows, mask_spectrogram, plain_window, random_window

FACES = tiny_config().face_training.augmentation
VOICES = tiny_config().audio_training.augmentation


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def clip_with_voice(start, end, total):
    samples = np.zeros(total, np.int16)
    samples[start:end] = 8000
    return SpeechClip("clip", "test", "speaker", 0, samples, start, end)


def test_faces_keep_shape_and_range_and_change(generator):
    grey = torch.rand(16, 1, 48, 48, generator=generator)
    changed = augment_faces(grey, FACES, generator)
    assert changed.shape == grey.shape
    assert changed.min() >= 0.0 and changed.max() <= 1.0
    assert not torch.allclose(changed, grey)


def test_plain_window_ends_after_the_voice_and_is_padded_on_the_left():
    window = plain_window(clip_with_voice(8000, 24000, 40000), 48000)
    assert window.shape == (48000,) and window.dtype == np.float32
    voiced = np.flatnonzero(window)
    assert len(voiced) == 16000 and voiced[-1] == 48000 - 4800 - 1
    assert window[voiced[0]] == pytest.approx(8000 / 32768)


def test_plain_window_of_a_long_voice_is_full_of_it():
    assert (plain_window(clip_with_voice(0, 90000, 90000), 48000) != 0).all()


@pytest.mark.parametrize("voice", [(8000, 24000, 40000), (0, 90000, 90000), (3000, 7000, 9000)])
def test_random_windows_keep_enough_of_the_voice(voice):
    rng = np.random.default_rng(0)
    start, end, _ = voice
    for _ in range(50):
        window = random_window(clip_with_voice(*voice), 48000, VOICES, rng)
        assert (window != 0).sum() >= 0.95 * VOICES.least_voice * min(end - start, 48000)


def test_windows_keep_their_zeros_and_their_range(generator):
    windows = 0.2 * torch.randn(8, 16000, generator=generator)
    windows[:4, :5000] = 0.0
    changed = augment_windows(windows, VOICES, generator)
    assert changed.shape == windows.shape
    assert (changed[:4, :5000] == 0).all() and (changed[:, 5000:] != 0).any(dim=1).all()
    assert changed.abs().max() <= 1.0


def test_silent_windows_stay_finite(generator):
    assert torch.isfinite(augment_windows(torch.zeros(4, 16000), VOICES, generator)).all()


def test_masks_set_bands_and_times_to_the_mean(generator):
    masked = mask_spectrogram(torch.ones(4, 64, 298), VOICES, generator)
    assert masked.shape == (4, 64, 298)
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert (masked.mean(dim=(1, 2)) > 0.8).all()
