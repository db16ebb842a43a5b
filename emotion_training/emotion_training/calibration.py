"""One temperature per modality state, so that a confidence means what it says."""

import numpy as np
from scipy.optimize import minimize_scalar

TEMPERATURE_RANGE = (0.2, 5.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least negative log-likelihood; logits (N, C), labels int (N,)."""
    low, high = np.log(TEMPERATURE_RANGE)
    found = minimize_scalar(lambda t: _loss(logits / np.exp(t), labels), bounds=(low, high), method="bounded")
    return round(float(np.exp(found.x)), 4)


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    greatest = logits.max(axis=1)
    normaliser = greatest + np.log(np.exp(logits - greatest[:, None]).sum(axis=1))
    return float((normaliser - logits[np.arange(len(labels)), labels]).mean())
