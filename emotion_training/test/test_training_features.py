"""Functionals of a voice, and the networks that take clip-level features."""

import numpy as np
import pytest
import torch
from scipy.fft import dct
from scipy.signal import lfilter

from emotion_training.models.audio_visual import ModelConfig, NetworkConfig, build_model
from emotion_training.models.clip_feature_encoder import ClipFeatureEncoder
from emotion_training.models.early_features import EarlyFeatureFusion
from emotion_training.models.joint_fusion import JointFusion
from emotion_training.models.member_ensemble import MemberEnsemble, per_member
from emotion_training.models.registry import ModelError
from emotion_training.voice_descriptors import describe
from emotion_training.voice_functionals import voice_functionals

RATE_HZ = 16000


def tone(frequency_hz, seconds=0.5):
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    harmonics = sum(np.sin(2.0 * np.pi * frequency_hz * k * time_s) / k for k in range(1, 6))
    return (0.1 * harmonics).astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [90.0, 220.0, 450.0])
def test_the_pitch_of_a_tone_is_found(frequency_hz):
    frames = describe(tone(frequency_hz))
    assert frames.voiced.mean() > 0.9
    assert 27.5 * 2.0 ** (np.nanmedian(frames.tracks["pitch"]) / 12.0) == pytest.approx(frequency_hz, rel=0.01)


def test_noise_has_no_pitch():
    noise = np.random.default_rng(0).normal(0.0, 0.1, RATE_HZ).astype(np.float32)
    frames = describe(noise)
    assert frames.voiced.mean() < 0.1
    assert np.isnan(frames.tracks["resonance3"]).mean() > 0.5, "nor three narrow resonances"


@pytest.mark.parametrize(
    "voice",
    [np.zeros(RATE_HZ, np.float32), np.zeros(300, np.float32), tone(200.0, 0.05), tone(200.0)],
    ids=["silence", "a moment", "a short tone", "a tone"],
)
def test_functionals_of_any_voice_are_finite_and_as_many(voice):
    functionals = voice_functionals(voice)
    assert functionals.shape == voice_functionals(tone(100.0)).shape
    assert np.isfinite(functionals).all()


def harmonics(pitch_hz, gains, seconds=0.5):
    """Sines (N,) at the multiples of a pitch, which may change, Hz (N,) or one number."""
    phase = 2.0 * np.pi * np.cumsum(np.broadcast_to(pitch_hz, round(seconds * RATE_HZ))) / RATE_HZ
    return 0.1 * sum(gain * np.sin((number + 1) * phase) for number, gain in enumerate(gains))


def middle(track):
    return float(np.nanmedian(track))


def test_the_shape_of_a_spectrum_is_that_of_its_harmonics():
    frames = describe(harmonics(200.0, [1.0, 0.25, 0.5]))
    tracks = {name: middle(frames.tracks[name]) for name in ("centroid", "rolloff", "first_second", "loudness")}
    of_power = np.array([1.0, 0.0625, 0.25])
    assert tracks["centroid"] == pytest.approx((of_power @ [0.2, 0.4, 0.6]) / of_power.sum(), rel=0.01)
    assert tracks["rolloff"] == pytest.approx(0.6, abs=0.032)  # a bin; up to 0.4 kHz there are 81 % of the power
    assert tracks["first_second"] == pytest.approx(20.0 * np.log10(4.0), abs=1.0)
    window = np.hanning(400)
    sine_power = 512 / 2 * 0.1**2 / 2 * (window @ window) / 400  # of the frame, by Parseval
    assert tracks["loudness"] == pytest.approx(10.0 * np.log10(of_power.sum() * sine_power), abs=0.1)
    assert frames.cepstra == pytest.approx(dct(frames.log_mel, norm="ortho")[:, 1:14])
    bright = describe(harmonics(500.0, [1.0, 0.0, 0.5])).tracks
    assert middle(bright["alpha_ratio"]) == pytest.approx(20.0 * np.log10(2.0), abs=0.1)


def test_slopes_of_a_spectrum_are_those_of_the_lines_through_it():
    noise = np.random.default_rng(0).normal(0.0, 0.1, RATE_HZ)
    spectrum = np.fft.rfft(noise[30 * 160 - 200 : 30 * 160 + 200] * np.hanning(400), 512)
    level_db, frequency_khz = 20.0 * np.log10(np.abs(spectrum)), np.fft.rfftfreq(512, 1.0 / 16.0)
    tracks = describe(noise).tracks
    for name, low_khz, high_khz in (("low", 0.0, 0.5), ("middle", 0.5, 1.5), ("high", 1.5, 5.0)):
        inside = (frequency_khz >= low_khz) & (frequency_khz <= high_khz)
        slope, _ = np.polyfit(frequency_khz[inside], level_db[inside], 1)
        assert tracks[f"slope_{name}"][30] == pytest.approx(slope, rel=0.01), name


def test_a_voice_in_as_loud_a_noise_does_not_set_in_and_stop_again_and_again():
    voice = harmonics(200.0, [1.0, 0.5, 0.3], 1.0)
    noise = np.random.default_rng(0).normal(0.0, 1.12 * voice.std(), len(voice))
    voiced = describe(voice + noise).voiced
    assert voiced.mean() > 0.9 and np.count_nonzero(np.diff(voiced.astype(int))) <= 2


@pytest.mark.parametrize("ratio_db", [6.0, 15.0])
@pytest.mark.parametrize("pitch_hz", [80.0, 200.0])
def test_harmonicity_is_the_ratio_of_voice_to_noise(ratio_db, pitch_hz):
    voice = harmonics(pitch_hz, [1.0, 0.5, 0.3, 0.2], 1.0)
    noise = np.random.default_rng(0).normal(0.0, voice.std() * 10.0 ** (-ratio_db / 20.0), len(voice))
    assert middle(describe(voice + noise).tracks["harmonicity"]) == pytest.approx(ratio_db, abs=1.5)


def test_resonances_are_those_of_the_filter_that_pulses_go_through():
    resonances_hz, bandwidth_hz = (600.0, 1400.0, 2600.0), 80.0
    voice = np.zeros(RATE_HZ // 2)
    voice[::160] = 1.0
    radius = np.exp(-np.pi * bandwidth_hz / RATE_HZ)
    for frequency_hz in resonances_hz:
        voice = lfilter([1.0], [1.0, -2.0 * radius * np.cos(2.0 * np.pi * frequency_hz / RATE_HZ), radius**2], voice)
    tracks = describe(0.3 * voice / np.abs(voice).max()).tracks
    found_khz = [middle(tracks[f"resonance{number}"]) for number in (1, 2, 3)]
    assert found_khz == pytest.approx([0.6, 1.4, 2.6], rel=0.08)
    assert bandwidth_hz < 1000.0 * middle(tracks["bandwidth1"]) < 160.0  # a frame's window widens it
    assert middle(tracks["first_resonance1"]) < -15.0  # 100 Hz is far below the resonance
    assert middle(tracks["first_resonance3"]) > middle(tracks["first_resonance1"]) + 10.0


def test_a_moment_of_creaking_is_no_octave_of_the_pitch():
    voice = harmonics(200.0, [1.0, 0.5, 0.3])
    creaking = slice(3760, 4240)  # 30 ms in which each second pulse is another one
    voice[creaking] += 0.05 * np.sin(2.0 * np.pi * 100.0 * np.arange(3760, 4240) / RATE_HZ + 1.0)
    pitch_hz = 27.5 * 2.0 ** (describe(voice).tracks["pitch"] / 12.0)
    assert pitch_hz == pytest.approx(200.0, rel=0.02)


def test_frames_of_pitch_and_spectrum_are_about_the_same_moment():
    voice = np.zeros(8000)
    voice[30 * 160] = 0.5
    assert describe(voice).tracks["loudness"].argmax() == 30


# The places of some functionals in their vector, from its beginning or its end.
TIMING, PITCH, PITCH_SLOPES = slice(0, 11), slice(11, 19), slice(19, 23)
LOUDNESS_MODULATION, CONTOURS, BANDS = slice(-36, -30), slice(-68, -36), slice(-168, -68)
VOICED_CEPSTRA = slice(-168 - 5 * 13 - 2 * 13, -168 - 5 * 13 - 13)


def test_functionals_tell_the_melody_and_the_rhythm_of_a_voice():
    seconds, semitones_per_s = 2.0, 12.0
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    gate = (time_s % 0.25 < 0.15) * np.abs(np.sin(np.pi * (time_s % 0.25) / 0.15)) ** 0.3  # four words a second
    voice = harmonics(110.0 * 2.0 ** (semitones_per_s * time_s / 12.0), [1.0, 0.5, 0.3], seconds) * gate
    found = voice_functionals(voice.astype(np.float32))
    duration_s, _, _, words_per_s, peaks_per_s, word_s, _, pause_s, _, silence_s, _ = found[TIMING]
    assert duration_s == pytest.approx(1.9, abs=0.03)  # to the end of the last word
    assert (words_per_s, peaks_per_s) == pytest.approx((8 / 1.9, 8 / 1.9), rel=0.15)
    assert (word_s, pause_s) == pytest.approx((0.15, 0.1), abs=0.03) and silence_s < pause_s + 0.01
    _, deviation, *_, width = found[PITCH]
    range_of_pitch = semitones_per_s * 1.9
    assert (deviation, width) == pytest.approx((range_of_pitch / np.sqrt(12.0), 0.9 * range_of_pitch), rel=0.08)
    rise, _, fall, _ = found[PITCH_SLOPES]
    assert rise == pytest.approx(semitones_per_s, rel=0.15) and fall <= 0.0
    contour = found[CONTOURS][:8]
    assert contour == pytest.approx(range_of_pitch * (np.arange(8) - 3.5) / 8, abs=1.0)


def test_functionals_tell_how_fast_a_voice_trembles():
    time_s = np.arange(RATE_HZ) / RATE_HZ
    voice = harmonics(200.0, [1.0, 0.5], 1.0) * np.exp(0.3 * np.sin(2.0 * np.pi * 10.0 * time_s))
    found = voice_functionals(voice.astype(np.float32))
    power = found[LOUDNESS_MODULATION]  # logarithms, by band
    assert power.argmax() == 3 and np.delete(power, 3).max() < power[3] - 2.0, "8 to 12 Hz"
    mean, deviation, _, _, of_change = found[BANDS].reshape(5, 20)
    band = mean.argmax()
    # Half the difference of a 10 Hz sine over 20 ms is so much of it.
    assert of_change[band] == pytest.approx(np.sin(2.0 * np.pi * 10.0 * 0.01) * deviation[band], rel=0.2)


def test_the_timbre_of_what_is_voiced_is_not_that_of_a_breath():
    voice = tone(200.0)
    breath = np.random.default_rng(0).normal(0.0, voice.std(), len(voice)).astype(np.float32)
    alone, beside = (voice_functionals(sound)[VOICED_CEPSTRA] for sound in (voice, np.append(voice, breath)))
    of_breath = voice_functionals(breath)[VOICED_CEPSTRA]
    assert np.abs(beside - alone).max() < 0.1 * np.abs(of_breath - alone).max()


def test_pitch_changes_within_a_voice_and_not_where_one_begins():
    word = tone(200.0, 0.2)
    changes = describe(np.concatenate([word, 0 * word, tone(300.0, 0.2)])).tracks["pitch_change"]
    assert np.nanmax(changes) < 1.0


def test_silence_around_a_voice_changes_hardly_anything():
    voice = tone(200.0) * np.hanning(RATE_HZ // 2).astype(np.float32)
    padded = np.pad(voice, RATE_HZ // 2)
    alone, inside = voice_functionals(voice), voice_functionals(padded)
    assert np.median(np.abs(alone - inside) / (np.abs(alone) + 1e-3)) < 0.02


def test_square_roots_stand_beside_the_features_and_outliers_are_cut():
    encoder = ClipFeatureEncoder(features=3, embedding=4, square_roots=True).eval()
    encoder.standardise.fit(torch.rand(50, 3))
    assert encoder.standardise(torch.rand(2, 3)).shape == (2, 6)
    assert torch.equal(encoder(torch.full((1, 3), 1e3)), encoder(torch.full((1, 3), 1e5)))


def test_early_fusion_of_features_reads_nothing_of_a_missing_modality():
    fusion = NetworkConfig("early_features", {"audio_features": 4, "hidden": 8})
    model = build_model(ModelConfig(fusion, classes=3, face_features=2)).eval()
    batch = {
        "face": torch.rand(2, 2),
        "face_mask": torch.tensor([[True], [False]]),
        "audio": torch.rand(2, 4),
        "audio_mask": torch.tensor([False, True]),
    }
    expected = model(batch)
    batch["face"][1], batch["audio"][0] = torch.nan, torch.nan
    found = model(batch)
    assert torch.equal(found.logits, expected.logits)
    assert found.modality_weights.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_early_fusion_of_features_sees_them_standardised_and_learnt_values_for_what_is_missing():
    torch.manual_seed(0)
    fusion = EarlyFeatureFusion(2, 4, classes=3, hidden=8).eval()
    face, audio = 5.0 + 3.0 * torch.rand(20, 2), 7.0 + 2.0 * torch.rand(20, 4)
    fusion.face_standardise.fit(face)
    fusion.audio_standardise.fit(audio)
    for absent in (fusion.absent_face, fusion.absent_audio):
        torch.nn.init.normal_(absent)
    logits, _ = fusion(face[:2], torch.tensor([[True], [False]]), audio[:2], torch.tensor([False, True]))
    of_face, of_audio = ((of - of.mean(dim=0)) / of.std(dim=0, correction=0) for of in (face, audio))
    seen = [torch.cat([of_face[0], fusion.absent_audio]), torch.cat([fusion.absent_face, of_audio[1]])]
    torch.testing.assert_close(logits, fusion.network(torch.stack(seen)))
    logits.pow(2).sum().backward()
    assert fusion.absent_face.grad.any() and fusion.absent_audio.grad.any()


def test_members_learn_apart_and_speak_as_their_mean():
    config = ModelConfig(
        NetworkConfig("late_product"),
        classes=3,
        face_features=2,
        face_encoder=NetworkConfig("clip_features", {"embedding": 4, "input_dropout": 0.0, "dropout": 0.0}),
        audio_encoder=NetworkConfig(
            "functionals", {"features": 5, "embedding": 4, "input_dropout": 0.0, "dropout": 0.0}
        ),
    )
    members = [build_model(config) for _ in range(3)]
    ensemble = MemberEnsemble(members)
    batch = {
        "face": torch.rand(2, 2),
        "face_mask": torch.tensor([[True], [False]]),
        "audio": torch.rand(2, 5),
        "audio_mask": torch.tensor([True, True]),
    }
    apart = torch.stack([member(batch).logits for member in members], dim=1)
    output = ensemble.train()(batch)
    assert torch.allclose(output.logits, apart)
    flat, target = per_member(output, torch.eye(3)[:2])
    assert flat.face_logits.shape == target.shape == (6, 3)
    assert torch.equal(target[:3], torch.eye(3)[[0, 0, 0]])
    mean = apart.log_softmax(dim=2).mean(dim=1)
    assert torch.allclose(ensemble.eval()(batch).logits, mean)


def test_members_with_batch_normalisation_are_refused():
    audio = NetworkConfig("log_mel_cnn", {"mels": 16, "channels": [16], "embedding": 8, "dropout": 0.0})
    config = ModelConfig(NetworkConfig("voice_only"), classes=3, audio_encoder=audio, window_s=0.3)
    with pytest.raises(ModelError, match="set members to 1"):
        MemberEnsemble([build_model(config), build_model(config)])


def test_the_joint_fusion_speaks_by_the_head_of_the_modality_that_is_there():
    fusion = JointFusion(face_embedding=2, audio_embedding=3, classes=4, hidden=5).eval()
    face, audio = torch.rand(3, 1, 2), torch.rand(3, 1, 3)
    face[1], audio[2] = torch.nan, torch.nan
    face_mask, audio_mask = torch.tensor([[True], [False], [True]]), torch.tensor([True, True, False])
    logits, weights = fusion(face, face_mask, audio, audio_mask)
    face_logits, audio_logits = fusion.unimodal_logits(face, face_mask, audio, audio_mask)
    assert torch.equal(logits[1], audio_logits[1]) and torch.equal(logits[2], face_logits[2])
    assert torch.isfinite(logits).all()
    assert not torch.equal(logits[0], face_logits[0])
    assert weights.tolist() == [[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]
