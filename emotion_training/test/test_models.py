"""The networks: finite outputs, gradients everywhere, and what must not have any influence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_training.audio_training import AudioClassifier
from emotion_training.build_default_bundle import DEFAULT_CONFIG
from emotion_training.config import load_config
from emotion_training.face_training import joined, make_member
from emotion_training.fusion_training import make_fusion
from emotion_training.labels import LABELS
from emotion_training.models.face_encoder import grey_from_rgb
from emotion_training.models.fusion import IntermediateFusion
from emotion_training.voice_features import start_audio_encoder

CONFIG = load_config(DEFAULT_CONFIG)
BINS, TOKENS, FACE, AUDIO = 8, 19, 24, 32
UNSEEN = {"pool.score.bias", "audio_pool.score.bias"}  # shift all scores of a softmax: their gradient is rounding


@pytest.fixture
def fusion():
    torch.manual_seed(0)
    fusion = IntermediateFusion(FACE, BINS, AUDIO, TOKENS, len(LABELS), width=16, heads=2, dropout=0.0)
    torch.nn.init.normal_(fusion.joint_head[2].weight)  # starts at zero, which hides what comes before it
    return fusion.eval()


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    face_mask = torch.ones(4, BINS, dtype=torch.bool)
    face_mask[:, :3] = False
    return (
        torch.randn(4, BINS, FACE),
        face_mask,
        torch.randn(4, TOKENS, AUDIO),
        torch.ones(4, dtype=torch.bool),
    )


def assert_every_parameter_has_a_gradient(module, loss):
    loss.backward()
    learning = {name: p.grad for name, p in module.named_parameters() if p.requires_grad}
    without = {name for name, gradient in learning.items() if gradient is None or not gradient.abs().sum() > 0}
    assert without <= UNSEEN


@pytest.mark.parametrize("member", CONFIG.face_encoder.members, ids=lambda member: member.name)
def test_face_encoder_is_finite_and_every_parameter_learns(member):
    torch.manual_seed(0)
    model = make_member(member)
    face = torch.randint(0, 256, (6, 48, 48, 3), dtype=torch.uint8)
    embedding = model.encoder(face)
    assert embedding.shape == (6, member.options["embedding"])
    logits = torch.stack([model.head(embedding), model.fer2013_head(embedding)])
    assert torch.isfinite(logits).all()
    assert_every_parameter_has_a_gradient(model, (logits * torch.randn(2, 6, len(LABELS))).sum())


def test_audio_encoder_is_finite_and_every_parameter_learns():
    torch.manual_seed(1)  # the narrow gates start with all units alive
    encoder = replace(CONFIG.audio_encoder, start_from=None)
    model = AudioClassifier(start_audio_encoder(encoder, Path()), 0.0)
    audio = 0.1 * torch.randn(6, 48000)
    assert model.encoder(audio).shape == (6, TOKENS, CONFIG.audio_encoder.options["embedding"])
    logits = model(audio)
    assert torch.isfinite(logits).all()
    assert_every_parameter_has_a_gradient(model, (logits * torch.randn(6, len(LABELS))).sum())


def test_every_parameter_of_the_fusion_learns(fusion, inputs):
    logits, _ = fusion(*inputs)
    assert_every_parameter_has_a_gradient(fusion, (logits * torch.randn(4, len(LABELS))).sum())


def test_the_pool_weighs_the_opinions_where_there_are_both_and_leaves_one_alone_as_it_is(fusion, inputs):
    face, face_mask, audio, _ = inputs
    audio_mask, no_face = torch.tensor([True, True, False, False]), torch.zeros_like(face_mask)
    with torch.inference_mode():
        opinions, gates = fusion.opinions(face, face_mask, audio, audio_mask)
        voices, _ = fusion(face, no_face, audio, torch.ones_like(audio_mask))
        fusion.pool.copy_(torch.tensor([1.5, 0.25, 0.75]))
        logits, weights = fusion(face, face_mask, audio, audio_mask)
        torch.testing.assert_close(fusion(face, no_face, audio, torch.ones_like(audio_mask))[0], voices)
    joint, face_alone, voice_alone = opinions.unbind(dim=2)
    torch.testing.assert_close(logits[:2], (1.5 * joint + 0.25 * face_alone + 0.75 * voice_alone)[:2])
    torch.testing.assert_close(voice_alone[:2], voices[:2])
    torch.testing.assert_close(logits[2:], face_alone[2:])
    torch.testing.assert_close(weights[:2], (3.0 * gates[:2] + torch.tensor([0.25, 0.75])) / 4.0)
    assert weights[2:].tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_what_a_face_expects_of_its_corpus_counts_in_part_where_it_is_alone_and_not_beside_a_voice():
    torch.manual_seed(0)
    config = replace(CONFIG, fusion=replace(CONFIG.fusion, face_prior=0.75))
    face = joined([make_member(member) for member in config.face_encoder.members])
    encoder = start_audio_encoder(replace(config.audio_encoder, start_from=None), Path())
    shares = np.array([0.4, 0.2, 0.15, 0.1, 0.05, 0.05, 0.05])
    fusion = make_fusion(config, face, AudioClassifier(encoder, head_dropout=0.0), shares).eval()
    faces, tokens = torch.randn(2, config.fusion.bins, face.encoder.embedding), len(fusion.audio_position)
    inputs = faces, torch.ones(faces.shape[:2], dtype=torch.bool), torch.randn(2, tokens, encoder.embedding)
    with torch.inference_mode():
        said = face.head(faces.mean(dim=1))
        alone, _ = fusion(*inputs, torch.zeros(2, dtype=torch.bool))
        opinions, _ = fusion.opinions(*inputs, torch.ones(2, dtype=torch.bool))
        voice, _ = fusion(inputs[0], ~inputs[1], inputs[2], torch.ones(2, dtype=torch.bool))
    expected = torch.from_numpy(np.log(shares)).float()
    torch.testing.assert_close(alone, said - 0.25 * expected)
    torch.testing.assert_close(opinions[:, :, 1], said - expected)
    torch.testing.assert_close(opinions[:, :, 2], voice)


@pytest.mark.parametrize("face", [0, 127, 255])
def test_a_flat_picture_gives_finite_embeddings(face):
    encoder = joined([make_member(member) for member in CONFIG.face_encoder.members]).encoder
    assert torch.isfinite(encoder(torch.full((1, 48, 48, 3), face, dtype=torch.uint8))).all()


def test_joined_members_say_the_mean_of_what_each_says():
    torch.manual_seed(0)
    members = [make_member(member).eval() for member in CONFIG.face_encoder.members]
    classifier, grey = joined(members), torch.rand(3, 1, 48, 48)
    with torch.inference_mode():
        said = torch.stack([torch.stack(member(grey)) for member in members])  # (M, 2, B, C)
        torch.testing.assert_close(torch.stack(classifier(grey)), said.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_grey_is_the_usual_luma():
    face = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], dtype=torch.uint8).view(1, 2, 2, 3)
    np.testing.assert_allclose(grey_from_rgb(face).flatten(), [0.299, 0.587, 0.114, 1.0], atol=1e-6)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30, -7.0])
def test_what_masked_inputs_hold_has_no_influence(fusion, inputs, garbage):
    face, face_mask, audio, _ = inputs
    audio_mask = torch.tensor([True, False, True, False])
    face_mask = face_mask & torch.tensor([True, True, False, True])[:, None]
    expected = fusion(face, face_mask, audio, audio_mask)
    soiled_face = torch.where(face_mask.unsqueeze(2), face, garbage)
    soiled_audio = torch.where(audio_mask[:, None, None], audio, garbage)
    got = fusion(soiled_face, face_mask, soiled_audio, audio_mask)
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))
    assert torch.isfinite(got[0]).all()


def test_modality_weights_sum_to_one_and_are_zero_for_a_missing_modality(fusion, inputs):
    face, face_mask, audio, audio_mask = inputs
    none = torch.zeros_like(face_mask)
    _, both = fusion(face, face_mask, audio, audio_mask)
    _, face_only = fusion(face, face_mask, audio, torch.zeros_like(audio_mask))
    _, audio_only = fusion(face, none, audio, audio_mask)
    np.testing.assert_allclose(both.sum(dim=1).detach(), np.ones(4), atol=1e-6)
    assert (both > 0).all()
    assert face_only.tolist() == [[1.0, 0.0]] * 4
    assert audio_only.tolist() == [[0.0, 1.0]] * 4


def test_one_modality_alone_is_judged_by_its_own_head(fusion, inputs):
    face, face_mask, audio, audio_mask = inputs
    face_logits, audio_logits = fusion.unimodal_logits(face, face_mask, audio, audio_mask)
    face_only, _ = fusion(face, face_mask, audio, torch.zeros_like(audio_mask))
    audio_only, _ = fusion(face, torch.zeros_like(face_mask), audio, audio_mask)
    np.testing.assert_allclose(face_only.detach(), face_logits.detach(), atol=1e-6)
    np.testing.assert_allclose(audio_only.detach(), audio_logits.detach(), atol=1e-6)


def test_nothing_present_gives_no_nan(fusion, inputs):
    face, face_mask, audio, audio_mask = inputs
    logits, weights = fusion(face, torch.zeros_like(face_mask), audio, torch.zeros_like(audio_mask))
    assert torch.isfinite(logits).all()
    assert weights.tolist() == [[0.0, 0.0]] * 4


def test_the_voice_changes_what_the_face_says_and_back(fusion, inputs):
    face, face_mask, audio, audio_mask = inputs
    both, _ = fusion(face, face_mask, audio, audio_mask)
    other_voice, _ = fusion(face, face_mask, audio.flip(0), audio_mask)
    other_face, _ = fusion(face.flip(0), face_mask, audio, audio_mask)
    assert not torch.allclose(both, other_voice) and not torch.allclose(both, other_face)
