"""Every registered fusion keeps the contract: masks, weights, gradients, independence of the batch, ONNX."""

import numpy as np
import onnxruntime
import pytest
import torch

from emotion_training.bundle_writer import GraphSpec, export_graph
from emotion_training.models.attention import MultiHeadAttention
from emotion_training.models.bottleneck_fusion import BottleneckLayer
from emotion_training.models.face_encoder import CONTRAST_FLOOR
from emotion_training.models.film_fusion import Modulation
from emotion_training.models.masking import contribution_shares
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


@pytest.mark.parametrize("name", [n for n in fusions.names if n not in ("voice_only", "late_weighted")])
def test_a_face_that_is_masked_is_as_none_at_all(name):
    """At the end of a sequence, where a convolution finds the same beside it as at the border."""
    fusion, (face, face_mask, audio, audio_mask) = build(name), make_inputs(name)
    face_mask[:, -1] = False
    masked = fusion(face, face_mask, audio, audio_mask)
    if hasattr(fusion, "face_position"):
        fusion.face_position = torch.nn.Parameter(fusion.face_position[:-1])
    for a, b in zip(masked, fusion(face[:, :-1], face_mask[:, :-1], audio, audio_mask), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["bottleneck", "cross_attention"])
def test_the_places_in_time_of_faces_and_of_the_voice_are_told_apart(name):
    fusion, (face, face_mask, audio, audio_mask) = build(name), (value[[0, 5]] for value in make_inputs(name))
    logits, _ = fusion(face, face_mask, audio, audio_mask)
    for face_then, audio_then in ((face.flip(1), audio), (face, audio.flip(1))):
        assert (fusion(face_then, face_mask, audio_then, audio_mask)[0] - logits).abs().max() > 1e-4


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


def test_the_weighted_late_rule_starts_in_balance_and_is_the_mean_by_its_weights():
    torch.manual_seed(0)
    fusion = fusions.build("late_weighted", {}, face_embedding=FACE, audio_embedding=AUDIO, classes=CLASSES).eval()
    inputs = make_inputs("late_weighted")
    assert fusion(*inputs)[1][[0, 3, 5]].tolist() == [[0.5, 0.5]] * 3
    with torch.no_grad():
        fusion.modality_scores.copy_(torch.log(torch.tensor([3.0, 1.0])))
    logits, weights = fusion(*inputs)
    face, audio = (torch.softmax(logits, dim=1) for logits in fusion.unimodal_logits(*inputs))
    torch.testing.assert_close(weights[:3], torch.tensor([[0.75, 0.25], [1.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(logits.exp()[[0, 3]], (0.75 * face + 0.25 * audio)[[0, 3]])


def test_the_joint_layer_decides_over_both_and_the_head_over_one_alone():
    fusion, inputs = build("joint"), make_inputs("joint")
    (face_logits, audio_logits), (logits, _) = fusion.unimodal_logits(*inputs), fusion(*inputs)
    torch.testing.assert_close(logits[1], face_logits[1])
    torch.testing.assert_close(logits[2], audio_logits[2])
    summaries = torch.cat([inputs[0][0].mean(dim=0), fusion.audio_pool(inputs[2])[0]])
    torch.testing.assert_close(logits[0], fusion.joint(summaries[None])[0])


def test_a_gated_unit_is_that_of_the_paper():
    fusion, inputs = build("gated"), make_inputs("gated")
    face, audio = inputs[0][0].mean(dim=0), fusion.audio_pool(inputs[2])[0]
    z = torch.sigmoid(fusion.gate(torch.cat([face, audio])))
    hidden = z * torch.tanh(fusion.face_in(face)) + (1.0 - z) * torch.tanh(fusion.audio_in(audio))
    logits, weights = fusion(*inputs)
    torch.testing.assert_close(logits[0], fusion.head(hidden))
    torch.testing.assert_close(weights[0, 0], z.mean())
    torch.testing.assert_close(logits[1], fusion.head(torch.tanh(fusion.face_in(inputs[0][1].mean(dim=0)))))


def test_a_concatenation_is_one_matrix_over_both_with_a_learnt_vector_for_what_is_missing():
    fusion, inputs = build("concatenation"), make_inputs("concatenation")
    face, audio = fusion.face_half(inputs[0].mean(dim=1)), fusion.audio_half(fusion.audio_pool(inputs[2]))
    logits, weights = fusion(*inputs)
    torch.testing.assert_close(logits[0], fusion.head(face[0] + audio[0]))
    torch.testing.assert_close(logits[1], fusion.head(face[1] + fusion.absent[1]))
    torch.testing.assert_close(logits[2], fusion.head(fusion.absent[0] + audio[2]))
    torch.testing.assert_close(weights[0, 0], face[0].norm() / (face[0].norm() + audio[0].norm()))


def test_contribution_shares_are_by_length_and_teach_nothing():
    face = torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 1.0]], requires_grad=True)
    audio = torch.tensor([[-15.0, 0.0], [5.0, 5.0], [1.0, 1.0]])
    present = torch.tensor([[True, True], [True, False], [False, False]])
    shares = contribution_shares(face, audio, present)
    torch.testing.assert_close(shares, torch.tensor([[0.25, 0.75], [1.0, 0.0], [0.0, 0.0]]))
    assert not shares.requires_grad


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


def test_film_scales_and_shifts_as_in_the_paper():
    torch.manual_seed(0)
    modulation, tokens, condition = Modulation(4, 3), torch.randn(2, 5, 4), torch.randn(2, 3)
    gamma, beta = modulation.scale_shift(condition)[:, None, :4], modulation.scale_shift(condition)[:, None, 4:]
    found = modulation(tokens, condition, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(found, torch.relu(tokens + gamma * tokens + beta))


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


def bottleneck_with_a_face_head_alone(fusion_layers):
    torch.manual_seed(0)
    options = OPTIONS["bottleneck"] | {"fusion_layers": fusion_layers}
    given = {"face_embedding": FACE, "face_bins": BINS, "audio_embedding": AUDIO, "audio_tokens": TOKENS}
    fusion = fusions.build("bottleneck", options, classes=CLASSES, **given).eval()
    for parameter in fusion.audio_head[1].parameters():
        torch.nn.init.zeros_(parameter)
    return fusion


def test_the_head_of_the_face_hears_the_voice_by_the_bottleneck_of_the_layer_before():
    face, face_mask, audio, audio_mask = (value[[0, 5]] for value in make_inputs("bottleneck"))
    for fusion_layers, hears in ((1, False), (2, True)):
        fusion = bottleneck_with_a_face_head_alone(fusion_layers)
        first, second = (fusion(face, face_mask, voice, audio_mask)[0] for voice in (audio, audio.flip(0)))
        assert torch.equal(first, second) is not hears


def test_the_heads_of_a_bottleneck_read_the_class_tokens_of_what_is_there():
    fusion, (face, face_mask, audio, audio_mask) = build("bottleneck"), make_inputs("bottleneck")
    read = []
    for head in (fusion.face_head, fusion.audio_head):
        head.register_forward_hook(lambda _, given, logits: read.append((given[0], logits)))
    layers = []
    fusion.fusion_layers[-1].register_forward_hook(lambda _, given, found: layers.append(found))
    logits, _ = fusion(face, face_mask, audio, audio_mask)
    ((of_face, face_logits), (of_audio, audio_logits)), ((face_tokens, audio_tokens, _),) = read, layers
    assert torch.equal(of_face, face_tokens[:, 0]) and torch.equal(of_audio, audio_tokens[:, 0])
    torch.testing.assert_close(logits[0], (face_logits[0] + audio_logits[0]) / 2.0)
    torch.testing.assert_close(logits[1:3], torch.stack([face_logits[1], audio_logits[2]]))


def intermediate(name):
    """A fusion, tokens between its stages with some masked and, in the last sample, no voice, and what it exchanges."""
    fusion, generator = build(name), torch.Generator().manual_seed(0)
    face, audio = torch.randn(3, BINS, 8, generator=generator), torch.randn(3, TOKENS, 8, generator=generator)
    face_mask, audio_mask = torch.ones(3, BINS, dtype=torch.bool), torch.ones(3, TOKENS, dtype=torch.bool)
    face_mask[1, 1:3] = False
    audio_mask[2] = False
    face, audio = face * face_mask.unsqueeze(2), audio * audio_mask.unsqueeze(2)
    return fusion, face, face_mask, audio, fusion.exchange(face, face_mask, audio, audio_mask)


def test_intermediate_transformers_add_what_each_modality_reads_of_the_other():
    fusion, face, face_mask, audio, (new_face, new_audio) = intermediate("it")

    def read(block, tokens, context):
        found = block.attention(block.query_norm(tokens)[None], block.context_norm(context)[None])[0]
        return found + block.feed_forward(found)

    for i in range(2):
        there = face[i, face_mask[i]]
        torch.testing.assert_close(new_face[i, face_mask[i]], there + read(fusion.for_face, there, audio[i]))
        torch.testing.assert_close(new_audio[i], audio[i] + read(fusion.for_audio, audio[i], there))
    assert torch.equal(new_face[2], face[2]) and not new_face[~face_mask].any() and not new_audio[2].any()


def test_intermediate_attention_scales_a_place_by_how_much_the_other_modality_looks_at_it():
    fusion, face, face_mask, audio, (new_face, new_audio) = intermediate("ia")

    def scales(network, queries, keys):
        query, key = network.query(queries).unflatten(1, (2, 4)), network.key(keys).unflatten(1, (2, 4))
        looks = torch.softmax(torch.einsum("thc,shc->hts", query, key) / 2.0, dim=2)  # (H, T, S)
        return len(keys) * looks.mean(dim=(0, 1))[:, None]  # (S, 1)

    for i in range(2):
        there = face[i, face_mask[i]]
        torch.testing.assert_close(new_face[i, face_mask[i]], there * scales(fusion.for_face, audio[i], there))
        torch.testing.assert_close(new_audio[i], audio[i] * scales(fusion.for_audio, there, audio[i]))
    assert torch.equal(new_face[2], face[2])


def test_a_single_token_is_never_scaled_by_intermediate_attention():
    scale = build("ia").for_face
    face, there = torch.randn(2, 1, 8), torch.ones(2, 1, dtype=torch.bool)
    factors = scale(torch.randn(2, TOKENS, 8), torch.ones(2, TOKENS, dtype=torch.bool), face, there)
    np.testing.assert_allclose(factors.detach(), np.ones((2, 1, 1)), atol=1e-6)


def test_early_fusion_holds_each_crop_until_the_next_beside_the_sound_of_its_time():
    torch.manual_seed(0)
    given = {"face_features": None, "classes": CLASSES, "sample_rate_hz": 16000}
    fusion = joint_models.build("early", OPTIONS["early"], **given).eval()
    face = torch.randint(0, 256, (1, 3, 48, 48, 3), dtype=torch.uint8)
    audio = 0.1 * torch.randn(1, 4240)  # of 25 frames
    pictures = []
    fusion.network.register_forward_pre_hook(lambda _, given: pictures.append(given[0]))
    fusion(face, torch.ones(1, 3, dtype=torch.bool), audio, torch.ones(1, dtype=torch.bool))
    bands = (fusion.log_mel(audio)[0] + 7.0) / 4.0  # (mels, T)
    grey = face[0].double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.double) / 255.0  # (Tf, S, S)
    variance, mean = torch.var_mean(grey, dim=(1, 2), keepdim=True, correction=0)
    even = (grey - mean) / torch.sqrt(variance + CONTRAST_FLOOR**2)
    coarse = even.reshape(3, 12, 4, 12, 4).mean(dim=(2, 4)).flatten(1)  # (Tf, 144)
    rows = fusion.face_rows(coarse.float()).T.repeat_interleave(torch.tensor([9, 8, 8]), dim=1)
    (picture,) = pictures
    assert picture.shape[3] == 28 and not picture[..., :3].any()  # filled up at the old end
    torch.testing.assert_close(picture[0, 0, :, 3:], torch.cat([bands, rows]), rtol=1e-3, atol=1e-3)


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
    face_mask[2000:, :2] = False  # one face is enough
    face, audio = modality_dropout(face_mask, audio_mask, 0.4, torch.Generator().manual_seed(0))
    assert torch.equal(face[:2000], face_mask[:2000]) and torch.equal(audio[:2000], audio_mask[:2000])
    lost_face, lost_audio = ~face[2000:].any(dim=1), ~audio[2000:]
    assert not (lost_face & lost_audio).any()
    assert lost_face.float().mean() == pytest.approx(0.2, abs=0.03)
    assert lost_audio.float().mean() == pytest.approx(0.2, abs=0.03)
    assert face_mask[2000:, 2].all() and audio_mask[2000:].all()


def test_modality_dropout_is_repeatable():
    masks = torch.ones(50, 2, dtype=torch.bool), torch.ones(50, dtype=torch.bool)
    first, second = (modality_dropout(*masks, 0.5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
