"""What a model owes to people whom it did not learn from: how much each of its opinions counts, one temperature per
modality state, so that a confidence means what it says, and when it is too low to act upon.
"""

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

TEMPERATURE_RANGE = (0.2, 5.0)
CERTAIN_ACCURACY = 0.8  # of what is not called uncertain: right four times of five
CERTAIN_ABOVE = 0.5  # what is more likely wrong than right is uncertain, however often the rest is right
FEWEST = 50  # clips: of whom that accuracy is measured, and whose confidence a temperature is fitted to
NEVER_CERTAIN = 1.0  # a threshold that no confidence reaches
UNCALIBRATED = {"temperature": 1.0, "uncertain_below": NEVER_CERTAIN}


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood; logits (N, C), labels int (N,)."""
    low, high = np.log(TEMPERATURE_RANGE)
    found = minimize_scalar(lambda t: _loss(logits / np.exp(t), labels), bounds=(low, high), method="bounded")
    return round(float(np.exp(found.x)), 4)


def fit_pool(opinions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much each of K opinions counts in a logarithmic pool, (K,), none less than 0: with the least negative
    log-likelihood, which is convex in them.

    opinions: logits (N, C, K); labels: int (N,).
    """
    of_label = np.take_along_axis(opinions, labels[:, None, None], axis=1)[:, 0]  # (N, K)

    def loss_and_slope(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = opinions @ weights  # (N, C)
        expected = np.einsum("nc,nck->nk", softmax(logits, axis=1), opinions)
        return _loss(logits, labels), (expected - of_label).mean(axis=0)

    count = opinions.shape[2]
    start = np.full(count, 1.0 / count)
    found = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * count)
    return found.x.round(4)


def calibrate(logits: np.ndarray, labels: np.ndarray, usual: Mapping[str, float] = UNCALIBRATED) -> dict[str, float]:
    """What model.json says of a modality state; logits (N, C) and labels int (N,) of validation people.

    usual: what it says where there are too few clips: a temperature that a dozen right ones lead to makes the model
    certain of everything.
    """
    if len(labels) < FEWEST:
        return dict(usual)
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits / temperature, axis=1)
    return {"temperature": temperature, "uncertain_below": uncertain_below(probabilities, labels)}


def uncertain_below(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The lowest confidence from CERTAIN_ABOVE up from which on CERTAIN_ACCURACY is reached; 1 where it never is, or
    where fewer than FEWEST are as confident: what was not measured is not promised.

    probabilities: (N, C), calibrated; labels: int (N,).
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (probabilities.argmax(axis=1) == labels)[order]
    confidence = confidence[order]
    last = np.append(confidence[1:] < confidence[:-1], True)  # of equal confidences, which no threshold parts
    accurate = right.cumsum() / np.arange(1, len(right) + 1) >= CERTAIN_ACCURACY
    reached = accurate & last & (confidence >= CERTAIN_ABOVE)
    reached[: FEWEST - 1] = False
    return round(float(confidence[reached][-1]), 3) if reached.any() else NEVER_CERTAIN


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())
