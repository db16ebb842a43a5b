"""Linear layers in closed form: the fit, and which inputs are kept."""

from itertools import combinations

import numpy as np
import pytest
import torch

from emotion_training.least_squares import RIDGE, LeastSquares


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fitted(inputs, outputs, rows=None):
    """All rows in one batch, or in batches of `rows`."""
    fit = LeastSquares(inputs.shape[1], outputs.shape[1])
    for part in zip(inputs.split(rows or len(inputs)), outputs.split(rows or len(inputs)), strict=True):
        fit.add(*part)
    return fit


def singles(count):
    return torch.arange(count).unsqueeze(1)


def squared_error(inputs, outputs, kept):
    """Of the best linear layer on the inputs at `kept`."""
    design = np.column_stack([inputs[:, list(kept)], np.ones(len(inputs))])
    return np.linalg.lstsq(design, outputs.numpy(), rcond=None)[1].sum()


def test_a_linear_relation_is_found_whatever_the_batches():
    inputs, weights, bias = random(300, 8) + 5.0, random(3, 8, seed=1), random(3, seed=2)
    outputs = inputs @ weights.T + bias
    for rows in (None, 7, 100):
        found_weights, found_bias = fitted(inputs, outputs, rows).fit(torch.arange(8))
        assert found_weights.dtype == found_bias.dtype == torch.float32
        # The ridge makes the weights a little smaller; at the mean of the inputs the output stays exact.
        torch.testing.assert_close(found_weights, weights.float(), rtol=0.0, atol=10.0 * RIDGE)
        mean = inputs.mean(dim=0)
        torch.testing.assert_close(found_weights.double() @ mean + found_bias, weights @ mean + bias)


def test_the_fit_is_that_of_numpy_with_the_ridge_as_further_rows():
    inputs, outputs = random(200, 6) * torch.tensor([0.1, 1.0, 1.0, 2.0, 5.0, 10.0]) - 3.0, random(200, 2, seed=1)
    outputs += inputs @ random(6, 2, seed=2)
    weights, bias = fitted(inputs, outputs, rows=64).fit(torch.arange(6))
    ridge = RIDGE * inputs.var(dim=0, correction=0).mean()
    design = np.vstack([inputs - inputs.mean(dim=0), np.sqrt(len(inputs) * ridge) * np.eye(6)])
    answers = np.vstack([outputs - outputs.mean(dim=0), np.zeros((6, 2))])
    expected = np.linalg.lstsq(design, answers, rcond=None)[0].T
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(bias, outputs.mean(dim=0) - expected @ inputs.mean(dim=0).numpy(), rtol=1e-5, atol=1e-6)


def test_a_fit_on_some_inputs_is_that_of_a_layer_that_has_no_others():
    inputs, outputs = random(100, 5), random(100, 2, seed=1)
    kept = torch.tensor([4, 1])
    found = fitted(inputs, outputs).fit(kept)
    scale = inputs.var(dim=0, correction=0).mean() / inputs[:, kept].var(dim=0, correction=0).mean()
    assert scale == pytest.approx(1.0, abs=0.2)  # so that the ridges are about the same
    for part, expected in zip(found, fitted(inputs[:, kept], outputs).fit(torch.arange(2)), strict=True):
        torch.testing.assert_close(part, expected, rtol=RIDGE, atol=RIDGE)


@pytest.mark.parametrize("size", [1, 2])
def test_those_that_carry_the_signal_are_kept_in_order(size):
    inputs = random(400, 12 * size)
    groups = torch.arange(12 * size).unflatten(0, (size, 12)).T  # as the channels of a convolution, (12, size)
    informative = torch.tensor([1, 6, 10])
    outputs = inputs[:, groups[informative].flatten()] @ random(3 * size, 4, seed=1) + 0.1 * random(400, 4, seed=2)
    found = fitted(inputs, outputs).most_needed(groups, 3)
    assert torch.equal(found, informative)


def test_of_inputs_that_say_the_same_one_is_kept():
    signal = random(400, 3)
    inputs = torch.cat([signal + 0.01 * random(400, 3, seed=seed) for seed in (1, 2, 3, 4)], dim=1)  # each four times
    kept = fitted(inputs, signal @ random(3, 2, seed=5)).most_needed(singles(12), 3)
    assert sorted((kept % 3).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("count", [6, 7])
def test_where_none_is_to_go_all_are_kept(count):
    assert torch.equal(fitted(random(50, 6), random(50, 2)).most_needed(singles(6), count), torch.arange(6))


@pytest.mark.parametrize("seed", range(5))
def test_two_of_six_are_kept_as_good_as_the_best_two(seed):
    inputs = random(300, 6, seed=seed) @ random(6, 6, seed=100 + seed)  # which say in part the same
    outputs = inputs @ (random(6, 2, seed=200 + seed) * torch.tensor([3.0, 0.1, 0.1, 3.0, 0.1, 0.1])[:, None])
    outputs += 0.5 * random(300, 2, seed=300 + seed)
    kept = fitted(inputs, outputs).most_needed(singles(6), 2)
    best = min(squared_error(inputs, outputs, pair) for pair in combinations(range(6), 2))
    assert squared_error(inputs, outputs, kept.tolist()) == pytest.approx(best, rel=1e-6)
