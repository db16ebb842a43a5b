"""Keeps the result of a long stage on disk, so that a build goes on where it stopped."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn


class StageCache:
    """Files `<name>-<key>.pt` in a directory outside the repository; without a directory nothing is kept.

    The key is a hash of all that the stage depends on, except the code: after changing code, use another
    directory.
    """

    def __init__(self, directory: Path | None):
        self.directory = directory
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, key: str, compute: Callable[[], dict]) -> dict:
        """The kept result (tensors, numbers, strings, lists, dicts), or the computed one, which is then
        kept.
        """
        if self.directory is None:
            return compute()
        path = self.directory / f"{name}-{key}.pt"
        if path.is_file():
            return torch.load(path, weights_only=True)
        value = compute()
        unfinished = path.with_suffix(".part")
        torch.save(value, unfinished)
        unfinished.replace(path)
        return value

    def trained(self, model: nn.Module, name: str, key: str, train: Callable[[], tuple[nn.Module, list[dict]]]) -> dict:
        """Fills `model` with the weights that `train` makes, in evaluation mode; returns the history and seconds."""

        def compute() -> dict:
            started = time.perf_counter()
            trained, history = train()
            return {"state": trained.state_dict(), "history": history, "seconds": time.perf_counter() - started}

        stage = self.get(name, key, compute)
        model.load_state_dict(stage.pop("state"))
        model.eval()
        return stage
