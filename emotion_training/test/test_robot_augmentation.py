"""What a robot's camera and room do to faces and voices."""

import dataclasses
import random

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch

from emotion_training.robot_face_augmentation import (
    RobotFaceAugmentation,
    augment_robot_faces,
    pose_homographies,
)
from emotion_training.robot_voice_augmentation import BackgroundError, RobotVoiceAugmentation, RobotVoiceAugmenter

FACE_PROBABILITIES = [f.name for f in dataclasses.fields(RobotFaceAugmentation) if "probability" in f.name]
NO_FACE = dict.fromkeys(FACE_PROBABILITIES, 0.0)
VOICE_PROBABILITIES = [f.name for f in dataclasses.fields(RobotVoiceAugmentation) if "probability" in f.name]
NO_VOICE = dict.fromkeys(VOICE_PROBABILITIES, 0.0)


@pytest.fixture
def faces():
    return torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def voice():
    window = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    window[:3000] = 0.0
    return window


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", FACE_PROBABILITIES)
@pytest.mark.parametrize("size_px", [48, 56])
def test_each_change_of_a_face_keeps_shape_and_range(name, size_px):
    faces = torch.rand(3, 3, size_px, size_px, generator=generator())
    changed = augment_robot_faces(faces, RobotFaceAugmentation(**{**NO_FACE, name: 1.0}), generator())
    assert changed.shape == faces.shape and torch.isfinite(changed).all()
    assert changed.min() >= 0.0 and changed.max() <= 1.0
    assert not torch.allclose(changed, faces)


def test_without_a_change_faces_stay(faces):
    torch.testing.assert_close(augment_robot_faces(faces, RobotFaceAugmentation(**NO_FACE), generator()), faces)


def test_the_generator_decides_all_changes_of_faces_and_torch_s_state_stays(faces):
    options = RobotFaceAugmentation(**dict.fromkeys(FACE_PROBABILITIES, 0.5))
    before = torch.get_rng_state()
    first, second = (augment_robot_faces(faces, options, generator()) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first, augment_robot_faces(faces, options, torch.Generator().manual_seed(1)))


def test_dark_faces_are_dark(faces):
    options = RobotFaceAugmentation(**{**NO_FACE, "darkness_probability": 1.0, "darkness_gain": (0.2, 0.2)})
    changed = augment_robot_faces(faces, options, generator())
    assert changed.mean() == pytest.approx(0.2 * faces.mean().item(), rel=0.1)


def test_a_turned_face_is_narrower_and_a_tilted_one_only_turns_in_the_picture():
    zero, third = torch.zeros(1), torch.full((1,), np.deg2rad(30.0))
    middle_row = torch.tensor([[0.0, 23.5, 1.0], [47.0, 23.5, 1.0]]).T  # its two ends, in pixels
    turned = pose_homographies(third, zero, zero, 48)[0] @ middle_row
    turned = turned[:2] / turned[2]
    assert turned[0, 1] - turned[0, 0] == pytest.approx(47.0 * np.cos(np.deg2rad(30.0)), rel=0.02)
    tilted = pose_homographies(zero, zero, third, 48)[0] @ middle_row
    tilted = tilted[:2] / tilted[2]
    assert torch.dist(tilted[:, 0], tilted[:, 1]) == pytest.approx(47.0, rel=1e-3)
    assert tilted[1, 1] - tilted[1, 0] == pytest.approx(47.0 * 0.5, rel=1e-3)


@pytest.mark.parametrize("name", VOICE_PROBABILITIES)
def test_each_change_of_a_voice_keeps_shape_range_and_the_silence_before(name, voice):
    changed = RobotVoiceAugmenter(RobotVoiceAugmentation(**{**NO_VOICE, name: 1.0}), 16000)(
        voice, np.random.default_rng(0)
    )
    assert changed.shape == voice.shape and changed.dtype == np.float32
    assert np.isfinite(changed).all() and np.abs(changed).max() <= 1.0
    assert (changed[:3000] == 0.0).all() and not np.allclose(changed, voice)


def test_silence_stays_silence_and_nothing_changes_at_no_probability(voice):
    rng = np.random.default_rng(0)
    augmenter = RobotVoiceAugmenter(RobotVoiceAugmentation(), 16000)
    assert not augmenter(np.zeros(8000, np.float32), rng).any()
    np.testing.assert_allclose(RobotVoiceAugmenter(RobotVoiceAugmentation(**NO_VOICE), 16000)(voice, rng), voice)


def test_rng_decides_all_changes_of_voices_and_the_global_generators_stay(voice):
    augmenter = RobotVoiceAugmenter(RobotVoiceAugmentation(**dict.fromkeys(VOICE_PROBABILITIES, 0.5)), 16000)
    before = random.getstate(), np.random.get_state()[1].copy()
    results = [[augmenter(voice, rng) for _ in range(4)] for rng in map(np.random.default_rng, (0, 0, 1))]
    assert random.getstate() == before[0] and (np.random.get_state()[1] == before[1]).all()
    assert all(np.array_equal(a, b) for a, b in zip(results[0], results[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(results[0], results[2], strict=True))


def test_a_telephone_has_no_bass(voice):
    options = RobotVoiceAugmentation(**{**NO_VOICE, "telephone_probability": 1.0})
    changed = RobotVoiceAugmenter(options, 16000)(voice, np.random.default_rng(0))
    frequency_hz, power = scipy.signal.welch(changed[3000:], 16000)
    speech = power[(frequency_hz > 500.0) & (frequency_hz < 2500.0)].mean()
    assert power[frequency_hz < 100.0].mean() < 0.01 * speech
    assert power[frequency_hz > 7000.0].mean() < 0.01 * speech


def test_reverberation_sounds_on_after_the_voice():
    window = np.zeros(16000, np.float32)
    window[1000:4000] = 0.5
    options = RobotVoiceAugmentation(**{**NO_VOICE, "reverberation_probability": 1.0})
    changed = RobotVoiceAugmenter(options, 16000)(window, np.random.default_rng(0))
    assert np.abs(changed[4000:5000]).mean() > 1e-3 and not changed[:1000].any()
    assert np.linalg.norm(changed) == pytest.approx(np.linalg.norm(window), rel=0.1)


def test_background_comes_from_recordings_where_there_are_some(voice, tmp_path):
    soundfile.write(tmp_path / "fan.wav", np.full(8000, 0.3), 8000)
    options = RobotVoiceAugmentation(
        **{**NO_VOICE, "background_probability": 1.0, "background_snr_db": (0.0, 0.0), "background": tmp_path}
    )
    changed = RobotVoiceAugmenter(options, 16000)(voice, np.random.default_rng(0))
    assert (changed - voice)[3000:].std() < 0.01 and abs((changed - voice)[3000:].mean()) > 0.05
    with pytest.raises(BackgroundError, match="none holds no recordings; expected a folder"):
        RobotVoiceAugmenter(dataclasses.replace(options, background=tmp_path / "none"), 16000)
