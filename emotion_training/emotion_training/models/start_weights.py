"""Weights that a network begins its training with, from a file."""

from pathlib import Path

from torch import nn


class WeightsError(Exception):
    """A file of weights that cannot be used; the message names the file and what does not fit."""


def start(network: nn.Module, name: str, weights: Path | str | None) -> None:
    """Fills a network, `name` in the registry, from the file that it is to start from, if any.

    Raises:
        WeightsError: the weights are missing or do not fit, or the network cannot start from any.
    """
    if weights is None:
        return
    if not hasattr(network, "start_from"):
        raise WeightsError(f"{name} cannot start from {weights}; set its start_from to null")
    network.start_from(Path(weights))
