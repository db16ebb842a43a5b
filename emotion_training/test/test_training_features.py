"""Functionals of a voice, and the networks that take clip-level features."""

import numpy as np
import pytest
import torch

from emotion_training import training_module  # noqa: F401  registers the networks
from emotion_training.models.audio_visual import ModelConfig, NetworkConfig, build_model
from emotion_training.models.clip_feature_encoder import ClipFeatureEncoder
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
    assert describe(noise).voiced.mean() < 0.1


@pytest.mark.parametrize(
    "voice",
    [np.zeros(RATE_HZ, np.float32), np.zeros(300, np.float32), tone(200.0, 0.05), tone(200.0)],
    ids=["silence", "a moment", "a short tone", "a tone"],
)
def test_functionals_of_any_voice_are_finite_and_as_many(voice):
    functionals = voice_functionals(voice)
    assert functionals.shape == voice_functionals(tone(100.0)).shape
    assert np.isfinite(functionals).all()


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
