"""Losses on soft targets against torch's own and against hand-made values."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from emotion_training.losses import LossConfig, build_loss, class_weights
from emotion_training.models import FusionOutput

COUNTS = torch.tensor([90.0, 9.0, 1.0])
BOTH = torch.ones(6, 1, dtype=torch.bool), torch.ones(6, dtype=torch.bool)


@pytest.fixture
def logits():
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def target():
    return torch.softmax(2.0 * torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), dim=1)


def output_of(logits, face=None, audio=None, regularisation=None):
    return FusionOutput(logits, torch.zeros(len(logits), 2), face, audio, regularisation)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy_on_votes_is_torch_s(logits, target, label_smoothing):
    loss = build_loss(LossConfig(label_smoothing=label_smoothing), COUNTS)
    expected = functional.cross_entropy(logits, target, label_smoothing=label_smoothing)
    torch.testing.assert_close(loss(output_of(logits), target, *BOTH).total, expected)


def test_weighted_cross_entropy_is_torch_s(logits, target):
    weights = class_weights(COUNTS, "balanced", 0.0)
    loss = build_loss(LossConfig(class_weights="balanced"), COUNTS)
    expected = functional.cross_entropy(logits, target, weight=weights)
    torch.testing.assert_close(loss(output_of(logits), target, *BOTH).total, expected)


def test_focal_loss_is_that_of_the_paper_and_cross_entropy_at_gamma_zero(logits, target):
    one_hot = functional.one_hot(target.argmax(dim=1), 3).float()
    probability = (torch.softmax(logits, dim=1) * one_hot).sum(dim=1)
    focal = build_loss(LossConfig("focal", focal_gamma=2.0), COUNTS)(output_of(logits), one_hot, *BOTH)
    torch.testing.assert_close(focal.total, (-((1 - probability) ** 2) * probability.log()).mean())
    plain = build_loss(LossConfig("focal", focal_gamma=0.0), COUNTS)(output_of(logits), target, *BOTH)
    torch.testing.assert_close(plain.total, functional.cross_entropy(logits, target))


def test_focal_loss_of_a_certain_answer_has_a_finite_gradient():
    logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    loss = build_loss(LossConfig("focal", focal_gamma=0.5), COUNTS)
    mask = torch.ones(1, 1, dtype=torch.bool), torch.ones(1, dtype=torch.bool)
    loss(output_of(logits), torch.tensor([[1.0, 0.0, 0.0]]), *mask).total.backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("kind", ["none", "balanced", "effective_number"])
def test_class_weights_favour_small_classes_and_keep_the_scale(kind):
    weights = class_weights(COUNTS, kind, 0.99)
    assert (weights * COUNTS).sum() / COUNTS.sum() == pytest.approx(1.0)
    assert kind == "none" or weights[0] < weights[1] < weights[2]


def test_effective_number_is_the_formula_between_none_and_balanced():
    weights = class_weights(COUNTS, "effective_number", 0.9)
    effective = (1.0 - 0.9 ** COUNTS.numpy()) / 0.1
    np.testing.assert_allclose(weights / weights[0], effective[0] / effective, rtol=1e-5)
    np.testing.assert_allclose(class_weights(COUNTS, "effective_number", 0.0), np.ones(3), rtol=1e-6)


def test_the_sum_has_heads_where_the_modality_is_and_the_regularisation(logits, target):
    face = torch.full_like(logits, torch.nan)
    face[:2] = logits[:2]
    face_mask, audio_mask = torch.zeros(6, 2, dtype=torch.bool), torch.ones(6, dtype=torch.bool)
    face_mask[:2, 1] = True
    loss = build_loss(LossConfig(auxiliary=0.3, attention_regularisation=2.0), COUNTS)
    output = output_of(logits, face, 2.0 * logits, torch.tensor(0.7))
    terms = loss(output, target, face_mask, audio_mask)
    torch.testing.assert_close(terms.face, functional.cross_entropy(logits[:2], target[:2]))
    torch.testing.assert_close(terms.audio, functional.cross_entropy(2.0 * logits, target))
    expected = terms.fused + 0.3 * (terms.face + terms.audio) + 2.0 * 0.7
    torch.testing.assert_close(terms.total, expected)


def test_a_modality_that_no_sample_has_costs_nothing(logits, target):
    loss = build_loss(LossConfig(), COUNTS)
    terms = loss(output_of(logits, logits, logits), target, torch.zeros(6, 1, dtype=torch.bool), BOTH[1])
    assert terms.face == 0.0


@pytest.mark.parametrize(
    "config, message",
    [
        (LossConfig(label_smoothing=1.0), r"label_smoothing is 1\.0; expected a number in \[0, 1\)"),
        (LossConfig(focal_gamma=-1.0), r"focal_gamma is -1\.0; expected a number of at least 0"),
        (LossConfig(effective_number_beta=1.0), "effective_number_beta is"),
        (LossConfig(auxiliary=-0.5), r"auxiliary is -0\.5; expected a number of at least 0"),
        (LossConfig(attention_regularisation=-1.0), r"attention_regularisation is -1\.0; expected a number of at"),
    ],
)
def test_values_out_of_range_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        build_loss(config, COUNTS)


def test_a_class_without_samples_has_no_weight():
    weights = class_weights(torch.tensor([3.0, 0.0, 1.0]), "balanced", 0.0)
    np.testing.assert_allclose(weights, [4.0 / 6.0, 0.0, 2.0], rtol=1e-6)
