"""Weights that a network begins its training with, from a file."""

from pathlib import Path

from torch import nn

from ..checkpoints import load_checkpoint

CHECKPOINT = ".ckpt"


class WeightsError(Exception):
    """A file of weights that cannot be used; the message names the file and what does not fit."""


def start(network: nn.Module, name: str, weights: Path | str | None, part: str) -> None:
    """Fills a network, `name` in the registry, from the file that it is to start from, if any.

    part: of a model, that the network is to be: of a checkpoint of `train` that one is taken.

    Raises:
        CheckpointError: a checkpoint that is none.
        WeightsError: the weights are missing or do not fit, or the network cannot start from any.
    """
    if weights is None:
        return
    if Path(weights).suffix == CHECKPOINT:
        _start_from_checkpoint(network, name, Path(weights), part)
        return
    if not hasattr(network, "start_from"):
        raise WeightsError(f"{name} cannot start from {weights}; set its start_from to null")
    network.start_from(Path(weights))


def _start_from_checkpoint(network: nn.Module, name: str, path: Path, part: str) -> None:
    state = load_checkpoint(path)["state_dict"]
    # As the model is evaluated: by its averaged weights where there are any.
    prefix = f"averaged.{part}." if any(key.startswith("averaged.") for key in state) else f"model.{part}."
    own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    try:
        network.load_state_dict(own)
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not fit {name} ({error}); expected its {part} to be of the same name and options"
        ) from None
