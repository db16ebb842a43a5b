"""What a robot's camera and room do to faces and voices."""

import dataclasses
import random

import cv2
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
def voices():
    windows = 0.1 * torch.randn(4, 16000, generator=torch.Generator().manual_seed(0))
    windows[:, :3000] = 0.0
    return windows


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def robot_voices(windows, seed=0, **options):
    """The windows with those changes alone that `options` ask for."""
    augmenter = RobotVoiceAugmenter(RobotVoiceAugmentation(**{**NO_VOICE, **options}), 16000)
    return augmenter(windows, generator(seed))


def write_fan(folder):
    """A recording of a level hum at another rate and shorter than a window."""
    soundfile.write(folder / "fan.wav", np.full(4000, 0.3), 8000)


@pytest.mark.parametrize("name", FACE_PROBABILITIES)
@pytest.mark.parametrize("size_px", [48, 56])
def test_each_change_of_a_face_keeps_shape_and_range(name, size_px):
    faces = torch.rand(3, 3, size_px, size_px, generator=generator())
    changed = augment_robot_faces(faces, RobotFaceAugmentation(**{**NO_FACE, name: 1.0}), generator())
    assert changed.shape == faces.shape and torch.isfinite(changed).all()
    assert changed.min() >= 0.0 and changed.max() <= 1.0
    assert not torch.allclose(changed, faces)


@pytest.mark.parametrize("size_px", [48, 56])
def test_without_a_change_faces_stay(size_px):
    faces = torch.rand(3, 3, size_px, size_px, generator=generator())
    torch.testing.assert_close(augment_robot_faces(faces, RobotFaceAugmentation(**NO_FACE), generator()), faces)


def test_the_generator_decides_all_changes_of_faces_and_torch_s_state_stays(faces):
    options = RobotFaceAugmentation(**dict.fromkeys(FACE_PROBABILITIES, 0.5))
    before = torch.get_rng_state()
    first, second = (augment_robot_faces(faces, options, generator()) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first, augment_robot_faces(faces, options, generator(1)))


def test_such_a_share_of_faces_is_mirrored():
    faces = torch.rand(400, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    changed = augment_robot_faces(faces, RobotFaceAugmentation(**NO_FACE | {"mirror_probability": 0.25}), generator())
    mirrored = (changed == faces.flip(3)).flatten(1).all(dim=1)
    assert 75 < int(mirrored.sum()) < 125
    assert torch.equal(changed[~mirrored], faces[~mirrored])


def test_dark_faces_are_dark(faces):
    options = RobotFaceAugmentation(**{**NO_FACE, "darkness_probability": 1.0, "darkness_gain": (0.2, 0.2)})
    changed = augment_robot_faces(faces, options, generator())
    assert changed.mean() == pytest.approx(0.2 * faces.mean().item(), rel=0.1)


def test_the_dark_has_noise_of_up_to_such_a_deviation():
    grey = torch.full((200, 3, 24, 24), 0.8)
    options = RobotFaceAugmentation(**{**NO_FACE, "darkness_probability": 1.0, "darkness_noise": 0.04})
    deviation = augment_robot_faces(grey, options, generator()).std(dim=(1, 2, 3))
    assert deviation.min() < 0.003 and 0.036 < deviation.max() < 0.042


@pytest.mark.parametrize("name", ["motion_blur", "defocus", "jpeg"])
def test_the_generator_decides_each_change_that_kornia_draws(name, faces):
    options = RobotFaceAugmentation(**{**NO_FACE, f"{name}_probability": 1.0})
    first, again, other = (augment_robot_faces(faces, options, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_motion_blurs_in_every_direction():
    spot, place = torch.zeros(60, 3, 48, 48), torch.arange(48.0) - 24.0
    spot[:, :, 24, 24] = 1.0
    options = RobotFaceAugmentation(**{**NO_FACE, "motion_blur_probability": 1.0})
    blurred = augment_robot_faces(spot, options, generator())[:, 0]  # (B, S, S)
    across, down = ((blurred * axis**2).sum(dim=(1, 2)) for axis in (place, place[:, None]))
    assert (across > 4.0 * down).any() and (down > 4.0 * across).any()


def test_the_homography_is_a_turned_plane_seen_by_a_camera():
    """Against the plane turned by Rodrigues' formula and seen through a pinhole, from in front."""
    turn, nod, tilt = (torch.tensor([angle]) for angle in (0.4, -0.3, 0.2))
    places = np.array([[3.0, 40.0], [23.5, 23.5], [45.0, 10.0]])
    found = pose_homographies(turn, nod, tilt, 48)[0].double().numpy() @ np.c_[places, np.ones(3)].T
    about_y, about_x, about_z = (cv2.Rodrigues(np.array(axis))[0] for axis in ((0, 0.4, 0), (-0.3, 0, 0), (0, 0, 0.2)))
    x, y, z = about_z @ about_y @ about_x @ np.c_[places - 23.5, np.zeros(3)].T
    distance = 2.5 * 48
    seen = 23.5 + distance * np.array([x, y]) / (z + distance)
    np.testing.assert_allclose(found[:2] / found[2], seen, atol=1e-3)


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


def spot_after(**options):
    """Where a spot is seen that was 12 pixels to the right of the middle of 200 faces, x and y (B,)."""
    place = torch.arange(48) - 23.5
    spot = torch.exp(-((place - 12.0) ** 2 + place[:, None] ** 2) / 8.0).expand(200, 3, 48, 48)
    options = RobotFaceAugmentation(**{**NO_FACE, "pose_probability": 1.0, **options})
    spots = augment_robot_faces(spot, options, generator())[:, 0]  # (B, S, S)
    return tuple((spots * axis).sum(dim=(1, 2)) / spots.sum(dim=(1, 2)) for axis in (place, place[:, None]))


def test_faces_are_tilted_by_up_to_so_many_degrees_both_ways():
    x, y = spot_after(turn_deg=0.0, tilt_deg=30.0)
    angle_deg = torch.rad2deg(torch.atan2(y, x))
    assert -30.1 < angle_deg.min() < -28.0 and 28.0 < angle_deg.max() < 30.1


def test_faces_are_turned_by_up_to_so_many_degrees():
    x, _ = spot_after(turn_deg=30.0, tilt_deg=0.0)
    shortest = 12.0 * np.cos(np.deg2rad(30.0))  # about, for one side of a turned face is nearer
    assert 0.93 * shortest < x.min() < 1.05 * shortest and x.max() < 1.05 * 12.0


@pytest.mark.parametrize("name", VOICE_PROBABILITIES)
def test_each_change_of_voices_keeps_shape_range_and_the_silence_before(name, voices):
    changed = robot_voices(voices, **{name: 1.0})
    assert changed.shape == voices.shape and changed.dtype == torch.float32
    assert torch.isfinite(changed).all() and changed.abs().max() <= 1.0
    assert not changed[:, :3000].any()
    assert not any(torch.allclose(*pair) for pair in zip(changed, voices, strict=True))


@pytest.mark.parametrize("name", VOICE_PROBABILITIES)
def test_half_of_the_windows_change_and_the_others_stay(name, voices):
    windows = voices.repeat(8, 1)
    changed = robot_voices(windows, **{name: 0.5})
    apart = (changed - windows).abs().amax(dim=1)
    assert 8 <= (apart > 1e-3).sum() <= 24
    assert (apart[apart <= 1e-3] == 0.0).all()


def test_silence_stays_silence_beside_voices_too(voices):
    voices[1::2] = 0.0
    changed = robot_voices(voices, **dict.fromkeys(VOICE_PROBABILITIES, 1.0))
    assert not changed[1::2].any() and changed[::2].any(dim=1).all()


def test_nothing_changes_at_no_probability(voices):
    assert torch.equal(robot_voices(voices), voices)


def test_the_generator_decides_all_changes_of_voices_and_the_global_generators_stay(voices, tmp_path):
    write_fan(tmp_path)
    options = dict.fromkeys(VOICE_PROBABILITIES, 0.5) | {"background": tmp_path}
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first, again, other = (robot_voices(voices, seed, **options) for seed in (0, 0, 1))
    assert torch.equal(before[0], torch.get_rng_state()) and random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_telephone_has_no_bass_and_no_treble(voices):
    changed = robot_voices(voices, telephone_probability=1.0)
    frequency_hz, power = scipy.signal.welch(changed[:, 3000:].numpy(), 16000)  # (B, F)
    _, before = scipy.signal.welch(voices[:, 3000:].numpy(), 16000)
    speech = (frequency_hz > 500.0) & (frequency_hz < 2500.0)
    assert power[:, frequency_hz < 100.0].mean() < 0.01 * power[:, speech].mean()
    assert power[:, frequency_hz > 7000.0].mean() < 0.01 * power[:, speech].mean()
    np.testing.assert_allclose(power[:, speech].mean(axis=1), before[:, speech].mean(axis=1), rtol=0.1)


def test_reverberation_sounds_on_after_the_voice():
    windows = torch.zeros(3, 16000)
    windows[0, 1000:4000] = 0.5
    windows[2, 1000:4000] = 0.05
    changed = robot_voices(windows, reverberation_probability=1.0)
    assert changed[0, 4000:5000].abs().mean() > 1e-3 and changed[2, 4000:5000].abs().mean() > 1e-4
    assert not changed[:, :1000].any() and not changed[1].any()
    torch.testing.assert_close(changed.norm(dim=1), windows.norm(dim=1), rtol=0.1, atol=0.0)


def test_a_room_falls_silent_by_its_reverberation_time():
    clap = torch.zeros(1, 16000)
    clap[0, 1000] = 0.5
    changed = robot_voices(clap, reverberation_probability=1.0, reverberation_s=(0.2, 0.2))
    after = changed[0, 1001:].abs()
    assert after[:800].mean() > 10.0 * after[1600:2400].mean() > 0.0
    assert not (after[3200:] > 1e-6).any()


def test_a_room_decays_by_60_db_in_its_reverberation_time():
    claps = torch.zeros(64, 12000)
    claps[:, 1000] = 0.5
    changed = robot_voices(claps, reverberation_probability=1.0, reverberation_s=(0.5, 0.5))
    power = changed[:, 1001:8201].square().mean(dim=0).reshape(9, 800).mean(dim=1)  # by 50 ms
    slope_db_per_s = np.polyfit(0.05 * np.arange(9), 10.0 * np.log10(power.numpy()), 1)[0]
    assert slope_db_per_s == pytest.approx(-60.0 / 0.5, rel=0.02)


def test_a_room_is_as_loud_beside_the_direct_sound_as_it_is_asked_to_be():
    claps = torch.zeros(4, 8000)
    claps[:, 1000] = 0.5
    options = {"reverberation_s": (0.2, 0.2), "direct_to_reverberant_db": (6.0, 6.0)}
    changed = robot_voices(claps, reverberation_probability=1.0, **options)
    ratio_db = 20.0 * torch.log10(changed[:, 1000] / changed[:, 1001:].norm(dim=1))
    torch.testing.assert_close(ratio_db, torch.full((4,), 6.0), rtol=0.0, atol=0.01)


@pytest.mark.parametrize("reverberation", [0.0, 1.0])
def test_the_background_is_as_loud_as_it_is_asked_to_be_in_what_is_heard(reverberation, voices):
    voices[:2, :12000] = 0.0
    quiet = robot_voices(0.1 * voices, reverberation_probability=reverberation)
    options = {"background_probability": 1.0, "background_snr_db": (20.0, 20.0)}
    changed = robot_voices(0.1 * voices, reverberation_probability=reverberation, **options)
    share = (changed - quiet).norm(dim=1) / quiet.norm(dim=1)
    torch.testing.assert_close(share, torch.full((4,), 0.1), rtol=0.01, atol=0.0)


def test_background_comes_from_recordings_where_there_are_some(voices, tmp_path):
    write_fan(tmp_path)
    changed = robot_voices(voices, background_probability=1.0, background_snr_db=(0.0, 0.0), background=tmp_path)
    noise = (changed - voices)[:, 3000:]
    assert (noise.std(dim=1) < 0.01).all() and (noise.mean(dim=1).abs() > 0.05).all()


def test_a_background_folder_without_recordings_is_named(tmp_path):
    options = RobotVoiceAugmentation(background=tmp_path / "none")
    with pytest.raises(BackgroundError, match="none holds no recordings; expected a folder"):
        RobotVoiceAugmenter(options, 16000)
