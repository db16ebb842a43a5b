"""Keeps the result of a long stage on disk, so that a build goes on where it stopped."""

from collections.abc import Callable
from pathlib import Path

import torch


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
