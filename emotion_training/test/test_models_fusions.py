"""Every registered fusion keeps the contract: masks, weights, gradients, independence of the batch, ONNX."""

import numpy as np
import onnxruntime
import pytest
import torch

from emotion_training.export import GraphSpec, export_graph
from emotion_training.models.attention import MultiHeadAttention
from emotion_training.models.bottleneck_fusion import BottleneckLayer
from emotion_training.models.film_fusion import Modulation
from emotion_training.models.modality_dropout import modality_dropout
from emotion_training.models.registry import fusions, joint_models

CLASSES, BINS, FACE, TOKENS, AUDIO, SAMPLES = 8, 4, 12, 9, 10, 4000
OPTIONS = {
    "cross_attention": {"width": 8, "heads": 2, "dropout": 0.0},
    "bottleneck": {"width": 8, "heads": 2, "unimodal_layers": 1, "fusion_layers": 1, "dropout": 0.0},
    "early": {"channels": [8, 8], "embedding": 8, "dropout": 0.0},
    "it": {"width": 8, "heads": 2, "dropout": 0.0},
    "ia": {"width": 8, "heads": 2, "dropout": 0.0},
} | {name: {"width": 8, "dropout": 0.0} for name in ("concatenation", "gated", "film")}
LATE = ("late_mean", "late_product", "late_weighted")
SINGLE = ("face_only", "voice_only")
# `early_features` takes clip-level features on both sides: test_training_features.py has it.
NAMES = (*fusions.names, *(name for name in joint_models.names if name != "early_features"))


def build(name):
    torch.manual_seed(0)
    given = {"face_embedding": FACE, "face_bins": BINS, "audio_embedding": AUDIO, "audio_tokens": TOKENS}
    registry = joint_models if name in joint_models else fusions
    given |= {"classes": CLASSES, "sample_rate_hz": 16000, "face_features": FACE}
    fusion = registry.build(name, OPTIONS.get(name, {}), **given)
    for parameter_name, parameter in fusion.named_parameters():
        if not parameter.any():  # what starts at zero would hide what comes before it
            torch.nn.init.normal_(parameter, std=0.3)
        if parameter_name.endswith("gate.0.bias"):  # the narrow gates of small blocks have their units alive
            torch.nn.init.ones_(parameter)
    if name == "cross_attention":
        fusion.pool.copy_(torch.tensor([1.5, 0.25, 0.5]))
    return fusion.eval()


def make_inputs(name, batch=6, seed=0):
    """Both, face only, voice only, both with a masked bin, nothing, both."""
    generator = torch.Generator().manual_seed(seed)
    bins = 1 if name in joint_models else BINS
    face_mask = torch.ones(6, bins, dtype=torch.bool)
    face_mask[2], face_mask[4] = False, False
    if bins > 1:
        face_mask[3, 1] = False
    audio_mask = torch.tensor([True, False, True, True, False, True])
    if name in joint_models:
        face, audio = torch.randn(6, FACE, generator=generator), torch.randn(6, SAMPLES, generator=generator)
    else:
        face = torch.randn(6, BINS, FACE, generator=generator)
        audio = torch.randn(6, TOKENS, AUDIO, generator=generator)
    return face[:batch], face_mask[:batch], audio[:batch], audio_mask[:batch]


def soil(inputs, garbage):
    face, face_mask, audio, audio_mask = inputs
    face = torch.where(face_mask if face.ndim == 2 else face_mask.unsqueeze(2), face, garbage)
    audio = torch.where(audio_mask.view(-1, *[1] * (audio.ndim - 1)), audio, garbage)
    return face, face_mask, audio, audio_mask


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_finite_and_weights_sum_to_one_over_what_is_present(name):
    face, face_mask, audio, audio_mask = make_inputs(name)
    logits, weights = build(name)(face, face_mask, audio, audio_mask)
    assert logits.shape == (6, CLASSES) and weights.shape == (6, 2)
    assert torch.isfinite(logits).all() and (weights >= 0.0).all()
    assert (weights[:, 0][~face_mask.any(dim=1)] == 0.0).all() and (weights[:, 1][~audio_mask] == 0.0).all()
    able = torch.stack([face_mask.any(dim=1), audio_mask], dim=1)
    if name in SINGLE:
        able[:, 1 if name == "face_only" else 0] = False
    expected = able.any(dim=1).to(torch.float32).numpy()
    np.testing.assert_allclose(weights.sum(dim=1).detach(), expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("garbage", [float("nan"), float("inf")])
def test_what_is_masked_changes_nothing(name, garbage):
    fusion, inputs = build(name), make_inputs(name)
    expected, got = fusion(*inputs), fusion(*soil(inputs, garbage))
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))
    if hasattr(fusion, "unimodal_logits"):
        for logits in fusion.unimodal_logits(*soil(inputs, garbage)):
            assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NAMES)
def test_masked_garbage_leaves_the_gradients_finite(name):
    fusion = build(name)
    inputs = soil(make_inputs(name), float("nan"))
    learning_loss(fusion, inputs).backward()
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters() if p.grad is not None)


def learning_loss(fusion, inputs):
    outputs = [fusion(*inputs)[0]]
    if hasattr(fusion, "unimodal_logits"):
        outputs += fusion.unimodal_logits(*inputs)
    generator = torch.Generator().manual_seed(3)
    return sum((logits * torch.randn(logits.shape, generator=generator)).sum() for logits in outputs)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name):
    fusion = build(name)
    learning_loss(fusion, make_inputs(name)).backward()
    without = {n for n, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert without <= {"audio_pool.score.bias"}  # shifts all scores of a softmax: its gradient is rounding


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_depend_on_the_rest_of_the_batch(name):
    fusion, inputs = build(name), make_inputs(name)
    together = fusion(*inputs)
    for i in range(6):
        alone = fusion(*(value[i : i + 1] for value in inputs))
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a.detach(), b[i : i + 1].detach(), atol=1e-5)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in SINGLE])
def test_both_modalities_have_a_say(name):
    fusion = build(name)
    face, face_mask, audio, audio_mask = (value[[0, 5]] for value in make_inputs(name))
    logits, _ = fusion(face, face_mask, audio, audio_mask)
    assert not torch.allclose(logits, fusion(face.flip(0), face_mask, audio, audio_mask)[0])
    assert not torch.allclose(logits, fusion(face, face_mask, audio.flip(0), audio_mask)[0])


@pytest.mark.parametrize("name", LATE)
def test_the_combined_decision_of_a_late_fusion_teaches_no_head(name):
    fusion = build(name)
    logits, _ = fusion(*make_inputs(name))
    if logits.requires_grad:
        logits.pow(2).sum().backward()
    taught = [n for n, p in fusion.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert taught == (["modality_scores"] if name == "late_weighted" else [])


def test_late_rules_are_the_mean_and_the_product_of_the_heads():
    inputs = make_inputs("late_mean")
    for name in ("late_mean", "late_product"):
        fusion = build(name)
        face, audio = (torch.softmax(logits, dim=1) for logits in fusion.unimodal_logits(*inputs))
        got = torch.softmax(fusion(*inputs)[0], dim=1)
        both = (face + audio) / 2 if name == "late_mean" else face * audio
        both = both / both.sum(dim=1, keepdim=True)
        np.testing.assert_allclose(got[[0, 3]].detach(), both[[0, 3]].detach(), atol=1e-5)
        np.testing.assert_allclose(got[1].detach(), face[1].detach(), atol=1e-5)
        np.testing.assert_allclose(got[2].detach(), audio[2].detach(), atol=1e-5)
        np.testing.assert_allclose(got[4].detach(), np.full(CLASSES, 1 / CLASSES), atol=1e-5)


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(8, heads=2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    for kind in ("weight", "bias"):
        parts = [getattr(layer, kind) for layer in (ours.query, ours.key_value)]
        getattr(theirs, f"in_proj_{kind}").data = torch.cat(parts)
        getattr(theirs.out_proj, kind).data = getattr(ours.out, kind)
    tokens, context, mask = torch.randn(3, 4, 8), torch.randn(3, 5, 8), torch.ones(3, 5, dtype=torch.bool)
    mask[0, 1:3] = False
    expected, _ = theirs(tokens, context, context, key_padding_mask=~mask)
    torch.testing.assert_close(ours(tokens, context, mask), expected)


def test_film_without_scale_or_shift_or_without_a_condition_changes_nothing():
    torch.manual_seed(0)
    modulation, tokens, condition = Modulation(4, 3), torch.rand(2, 5, 4), torch.randn(2, 3)
    assert torch.equal(modulation(tokens, condition, torch.zeros(2, dtype=torch.bool)), tokens)
    torch.nn.init.zeros_(modulation.scale_shift.weight)
    torch.nn.init.zeros_(modulation.scale_shift.bias)
    assert torch.equal(modulation(tokens, condition, torch.ones(2, dtype=torch.bool)), tokens)


def test_a_bottleneck_is_what_the_modalities_that_are_there_make_of_it():
    torch.manual_seed(0)
    layer = BottleneckLayer(8, heads=2, dropout=0.0).eval()
    face, audio, bottleneck = torch.randn(3, 4, 8), torch.randn(3, 5, 8), torch.randn(3, 2, 8)
    shares = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    masks = torch.ones(3, 4, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)
    *_, found = layer(face, masks[0], audio, masks[1], bottleneck, shares)
    of_face = layer.face(torch.cat([face, bottleneck], dim=1))[:, 4:]
    of_audio = layer.audio(torch.cat([audio, bottleneck], dim=1))[:, 5:]
    torch.testing.assert_close(found, torch.stack([of_face[0], of_audio[1], (of_face[2] + of_audio[2]) / 2.0]))


def test_a_single_token_is_never_scaled_by_intermediate_attention():
    scale = build("ia").for_face
    face, there = torch.randn(2, 1, 8), torch.ones(2, 1, dtype=torch.bool)
    factors = scale(torch.randn(2, TOKENS, 8), torch.ones(2, TOKENS, dtype=torch.bool), face, there)
    np.testing.assert_allclose(factors.detach(), np.ones((2, 1, 1)), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_exported_graph_says_the_same_at_any_batch(name, tmp_path):
    names = ("face_embeddings", "face_mask", "audio_embeddings", "audio_mask")
    cases = (make_inputs(name, 1), make_inputs(name))
    spec = GraphSpec("fusion.onnx", build(name), names, ("logits", "modality_weights"), cases)
    export_graph(spec, tmp_path / spec.file)  # checks parity on all cases
    session = onnxruntime.InferenceSession(str(tmp_path / spec.file))
    read = {value.name for value in session.get_inputs()}
    feed = {key: value.numpy() for key, value in zip(names, soil(cases[1], float("nan")), strict=True) if key in read}
    assert all(np.isfinite(value).all() for value in session.run(None, feed))


def test_modality_dropout_takes_one_of_two_and_never_the_last():
    face_mask = torch.ones(4000, 3, dtype=torch.bool)
    audio_mask = torch.ones(4000, dtype=torch.bool)
    face_mask[:1000], audio_mask[1000:2000] = False, False
    face, audio = modality_dropout(face_mask, audio_mask, 0.4, torch.Generator().manual_seed(0))
    assert torch.equal(face[:2000], face_mask[:2000]) and torch.equal(audio[:2000], audio_mask[:2000])
    lost_face, lost_audio = ~face[2000:].any(dim=1), ~audio[2000:]
    assert not (lost_face & lost_audio).any()
    assert lost_face.float().mean() == pytest.approx(0.2, abs=0.03)
    assert lost_audio.float().mean() == pytest.approx(0.2, abs=0.03)
    assert face_mask[2000:].all() and audio_mask[2000:].all()


def test_modality_dropout_is_repeatable_and_refuses_no_probability():
    masks = torch.ones(50, 2, dtype=torch.bool), torch.ones(50, dtype=torch.bool)
    first, second = (modality_dropout(*masks, 0.5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(ValueError, match=r"modality dropout is 1\.5; expected a probability"):
        modality_dropout(*masks, 1.5, torch.Generator())
