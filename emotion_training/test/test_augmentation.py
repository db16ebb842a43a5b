"""Augmented faces and voices stay what the encoders expect."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emotion_training.face_augmentation import augment_faces
from emotion_training.speech_clips import SpeechClip
from emotion_training.tiny_bundle import tiny_config
from emotion_training.voice_augmentation import VoiceBank, augment_windows, coloured_noise, plain_window

FACES = tiny_config().face_training.augmentation
VOICES = tiny_config().audio_training.augmentation
UNCHANGED = replace(VOICES, equaliser_db=0.0, noise_probability=0.0, babble_probability=0.0)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def clip_with_voice(start, end, total):
    samples = np.zeros(total, np.int16)
    samples[start:end] = 8000
    return SpeechClip("clip", "test", "speaker", 0, samples, start, end)


def clip_of(samples):
    """All of it voice."""
    return SpeechClip("clip", "test", "speaker", 0, samples.astype(np.int16), 0, len(samples))


def test_faces_keep_shape_and_range_and_change(generator):
    grey = torch.rand(16, 1, 48, 48, generator=generator)
    changed = augment_faces(grey, FACES, generator)
    assert changed.shape == grey.shape
    assert changed.min() >= 0.0 and changed.max() <= 1.0
    assert not torch.allclose(changed, grey)


def moved(count=200, **options):
    """Distance from the middle and angle (-90 to 90 degrees about the horizontal axis) of a spot that was 12 pixels to
    the right of it, and on which side it is; (B,) each.
    """
    place = torch.arange(48) - 23.5
    spot = torch.exp(-((place - 12.0) ** 2 + place[:, None] ** 2) / 8.0).expand(count, 1, 48, 48)
    spots = augment_faces(spot, still(**options), torch.Generator().manual_seed(0))[:, 0]  # (B, S, S)
    x, y = ((spots * axis).sum(dim=(1, 2)) / spots.sum(dim=(1, 2)) for axis in (place, place[:, None]))
    return torch.hypot(x, y), torch.rad2deg(torch.atan(y / x)), x.sign()


def test_faces_are_turned_by_up_to_so_many_degrees_both_ways():
    distance, angle_deg, _ = moved(rotation_deg=20.0)
    assert -20.1 < angle_deg.min() < -18.0 and 18.0 < angle_deg.max() < 20.1
    torch.testing.assert_close(distance, torch.full_like(distance, 12.0), rtol=0.01, atol=0.0)


def test_faces_are_scaled_by_up_to_such_a_share_both_ways():
    distance, angle_deg, _ = moved(scale=0.1)
    assert 10.7 < distance.min() < 11.0 and 13.0 < distance.max() < 13.3
    assert angle_deg.abs().max() < 0.1


def still(**options):
    """The options without any change but mirroring, and those given."""
    none = dict.fromkeys(("rotation_deg", "scale", "shift", "brightness", "contrast", "gamma", "noise"), 0.0)
    none |= {"low_resolution_probability": 0.0, "erasing_probability": 0.0}
    return replace(FACES, **(none | options))


def test_faces_are_shifted_by_up_to_such_a_share_of_their_size():
    place = torch.arange(48) - 23.5
    spot = torch.exp(-(place**2 + place[:, None] ** 2) / 8.0).expand(200, 1, 48, 48)
    spots = augment_faces(spot, still(shift=0.1), torch.Generator().manual_seed(0))[:, 0]
    for axis in (place, place[:, None]):
        shift_px = (spots * axis).sum(dim=(1, 2)) / spots.sum(dim=(1, 2))
        assert -4.85 < shift_px.min() < -4.4 and 4.4 < shift_px.max() < 4.85


@pytest.mark.parametrize(
    "options, least, greatest",
    [  # of grey 0.25
        ({"gamma": 0.4}, 0.25 ** np.exp(0.4), 0.25 ** np.exp(-0.4)),
        ({"contrast": 0.4}, 0.5 - 0.25 * np.exp(0.4), 0.5 - 0.25 * np.exp(-0.4)),
        ({"brightness": 0.2}, 0.05, 0.45),
    ],
)
def test_light_changes_as_far_as_it_is_asked_to(options, least, greatest, generator):
    changed = augment_faces(torch.full((400, 1, 8, 8), 0.25), still(low_resolution_min_px=4, **options), generator)
    of_picture = changed.mean(dim=(1, 2, 3))
    assert (changed - of_picture.view(-1, 1, 1, 1)).abs().max() < 1e-5
    assert of_picture.min() == pytest.approx(least, abs=0.01) and of_picture.max() == pytest.approx(greatest, abs=0.01)


def test_noise_of_a_sensor_has_up_to_such_a_deviation(generator):
    deviation = augment_faces(torch.full((400, 1, 32, 32), 0.5), still(noise=0.1), generator).std(dim=(1, 2, 3))
    assert deviation.min() < 0.005 and 0.09 < deviation.max() < 0.105


def test_such_a_share_of_the_faces_loses_its_detail_and_keeps_its_light(generator):
    grey = torch.rand(400, 1, 48, 48, generator=generator)
    changed = augment_faces(grey, still(low_resolution_probability=0.3, low_resolution_min_px=12), generator)
    lost = changed.std(dim=(1, 2, 3)) < 0.95 * grey.std(dim=(1, 2, 3))
    assert 90 < lost.sum() < 150
    torch.testing.assert_close(changed.mean(dim=(1, 2, 3)), grey.mean(dim=(1, 2, 3)), rtol=0.02, atol=0.0)


def test_such_a_share_of_the_faces_has_a_box_of_one_grey_of_at_most_such_a_side(generator):
    grey = torch.full((400, 1, 48, 48), 2.0)  # light is cut off at 1, and no box is so bright
    changed = augment_faces(grey, still(erasing_probability=0.25, erasing_max=0.4), generator)[:, 0]
    box = changed < 1.0
    sides = torch.stack([box.any(dim=axis).sum(dim=1) for axis in (1, 2)])  # (2, B)
    assert 70 < box.any(dim=(1, 2)).sum() < 130 and 15 <= sides.max() <= 20
    assert (sides[0] * sides[1] == box.sum(dim=(1, 2))).all()
    assert all(len(picture[where].unique()) <= 1 for picture, where in zip(changed, box, strict=True))


def test_half_of_the_faces_are_mirrored():
    _, _, side = moved()
    assert 80 < (side < 0.0).sum() < 120 and (side != 0.0).all()


def test_plain_window_ends_after_the_voice_and_is_padded_on_the_left():
    window = plain_window(clip_with_voice(8000, 24000, 40000), 48000)
    assert window.shape == (48000,) and window.dtype == np.float32
    voiced = np.flatnonzero(window)
    assert len(voiced) == 16000 and voiced[-1] == 48000 - 4800 - 1
    assert window[voiced[0]] == pytest.approx(8000 / 32768)


def test_plain_window_of_a_long_voice_is_full_of_it():
    assert (plain_window(clip_with_voice(0, 90000, 90000), 48000) != 0).all()


def test_random_windows_keep_enough_of_the_voice(generator):
    voices = [(8000, 24000, 40000), (0, 90000, 90000), (3000, 7000, 9000)]
    bank = VoiceBank([clip_with_voice(*voice) for voice in voices], generator.device)
    kept = bank.random_windows(torch.arange(3).repeat(50), 48000, VOICES, generator).count_nonzero(dim=1)
    lengths = torch.tensor([min(end - start, 48000) for start, end, _ in voices]).repeat(50)
    assert (kept >= 0.95 * VOICES.least_voice * lengths).all()


def test_random_windows_lie_in_their_own_clips_at_other_speeds(generator):
    ramps = [np.arange(1, 30001), -np.arange(1, 3001), np.arange(20000, 32000)]  # each sample tells its place
    bank = VoiceBank([clip_of(ramp) for ramp in ramps], generator.device)
    chosen = torch.arange(3).repeat(20)
    options = replace(VOICES, speed=0.1, padding_probability=0.0)
    windows = 32768.0 * bank.random_windows(chosen, 8000, options, generator).double().numpy()
    speeds, ends = [], []
    for window, clip in zip(windows, chosen.tolist(), strict=True):
        samples = ramps[clip]
        inside = np.flatnonzero(window)
        places = (window[inside] - samples[0]) / np.sign(samples[0])
        speed, end = np.polyfit(inside - 8000, places, 1)
        positions = end - speed * np.arange(8000, 0, -1)
        expected = np.interp(positions, np.arange(len(samples)), samples, left=0.0, right=0.0)
        apart = np.abs(window - expected) > 0.05
        assert not apart[1:].any() or (np.flatnonzero(apart) == inside[0]).all()  # the first may lie on the edge
        needed = options.least_voice * min(len(samples), 8000 * speed)
        assert needed - 1 <= end < len(samples) + 0.1 and end == pytest.approx(round(end), abs=0.1)
        speeds.append(speed)
        ends.append(end)
    assert min(speeds) > 0.9 - 1e-4 and max(speeds) < 1.1 + 1e-4 and np.ptp(speeds) > 0.15
    assert np.ptp(ends[::3]) > 15000


def test_a_stream_that_begins_in_the_window_leaves_zeros_before_and_the_rest_as_it_was():
    clips = [clip_of(np.full(90000, 8000)), clip_of(np.full(9000, 8000))]
    bank, chosen = VoiceBank(clips, torch.device("cpu")), torch.arange(2).repeat(20)
    plain, padded = (
        bank.random_windows(
            chosen, 8000, replace(VOICES, padding_probability=probability), torch.Generator().manual_seed(0)
        )
        for probability in (0.0, 1.0)
    )
    before = (padded != 0.0).cumsum(dim=1) == 0
    assert torch.equal(padded[~before], plain[~before])
    assert ((padded == 0.0) & (plain != 0.0)).any(dim=1).float().mean() > 0.5
    assert (padded.count_nonzero(dim=1) >= 0.95 * VOICES.least_voice * 8000).all()


def test_the_generator_decides_where_windows_lie_and_torch_s_state_stays():
    bank = VoiceBank([clip_of(np.arange(1, 30001))], torch.device("cpu"))
    before = torch.get_rng_state()
    first, again, other = (
        bank.random_windows(torch.zeros(4, dtype=torch.long), 8000, VOICES, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and torch.equal(before, torch.get_rng_state())
    assert not (first == other).all(dim=1).any()


def test_windows_keep_their_zeros_and_their_range(generator):
    windows = 0.2 * torch.randn(8, 16000, generator=generator)
    windows[:4, :5000] = 0.0
    changed = augment_windows(windows, VOICES, generator)
    assert changed.shape == windows.shape
    assert (changed[:4, :5000] == 0).all() and (changed[:, 5000:] != 0).any(dim=1).all()
    assert changed.abs().max() <= 1.0


def test_a_voice_that_is_too_loud_is_cut_off_as_a_microphone_does(generator):
    loud = augment_windows(
        torch.randn(4, 4000, generator=generator), replace(UNCHANGED, level_dbfs=(0.0, 0.0)), generator
    )
    assert loud.min() == -1.0 and loud.max() == 1.0


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_noise_is_as_loud_as_it_is_asked_to_be_in_what_is_heard(snr_db):
    windows = 0.05 * torch.randn(64, 4000, generator=torch.Generator().manual_seed(1))
    windows[::2, :2000] = 0.0
    options = replace(UNCHANGED, noise_snr_db=(snr_db, snr_db), level_dbfs=(-40.0, -40.0))
    plain, noisy = (
        augment_windows(windows, replace(options, noise_probability=share), torch.Generator().manual_seed(0))
        for share in (0.0, 1.0)
    )
    ratio_db = 20.0 * torch.log10(plain.norm(dim=1) / (noisy - plain).norm(dim=1))  # (B,)
    assert ratio_db[1::2].numpy() == pytest.approx(snr_db, abs=0.1)
    assert ratio_db[::2].median() == pytest.approx(snr_db, abs=0.5)


def test_the_equaliser_raises_and_lowers_bands_by_up_to_so_many_decibels(generator):
    clicks = torch.zeros(200, 4000)
    clicks[:, 0] = 1.0  # all frequencies alike
    changed = augment_windows(clicks, replace(UNCHANGED, equaliser_db=6.0, level_dbfs=(-60.0, -60.0)), generator)
    gains_db = 20.0 * torch.log10(torch.fft.rfft(changed).abs())  # (B, F), all as much lower by the level
    bands_db = gains_db[:, [250, 1000, 1750]] - gains_db[:, [750]]
    assert 9.0 < bands_db.max() < 12.1 and -12.1 < bands_db.min() < -9.0


def test_noise_is_between_white_and_brown(generator):
    power = torch.fft.rfft(coloured_noise(torch.Size([64, 4096]), generator)).abs().square().numpy()
    frequency = np.arange(1, 2050)
    slopes = np.polyfit(np.log(frequency), np.log(power.T), 1)[0]  # (B,), of the power: 0 is white, -2 is brown
    assert -2.2 < slopes.min() < -1.8 and -0.2 < slopes.max() < 0.2


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_babble_is_of_other_windows_alone(batch, generator):
    time = torch.arange(1600) * 2.0 * torch.pi / 1600
    windows = 0.1 * torch.sin(torch.outer(torch.arange(5.0, 5.0 + batch), time))  # at right angles to each other
    options = replace(UNCHANGED, babble_probability=1.0, babble_snr_db=(0.0, 0.0), level_dbfs=(-30.0, -30.0))
    changed = augment_windows(windows, options, generator)
    parts = changed @ windows.T / windows.square().sum(dim=1)  # (B, B), how much of each is heard in each
    level = 10.0 ** (-30.0 / 20.0) / windows.square().mean(dim=1).sqrt()
    torch.testing.assert_close(parts.diagonal(), level, rtol=1e-3, atol=0.0)
    assert ((parts > 0.01).sum(dim=1) == 1 + min(3, batch - 1)).all()


def test_silent_windows_stay_finite(generator):
    assert torch.isfinite(augment_windows(torch.zeros(4, 16000), VOICES, generator)).all()
