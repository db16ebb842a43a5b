"""Checkpoints of a training: written whole or not at all, and read with care."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO


class CheckpointError(Exception):
    """A checkpoint that cannot be written or read, or a model that knows its judges; the message names the file."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the old one and puts it in its place when it is whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        unfinished = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.save(checkpoint, unfinished)
            unfinished.replace(path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError, without saying so
            free_mib = shutil.disk_usage(path.parent).free / 2**20
            unfinished.unlink(missing_ok=True)
            remedy = "go on with --resume: the previous one is kept" if path.is_file() else "start again"
            raise CheckpointError(
                f"{path} cannot be written, with {free_mib:.1f} MiB free there ({error}); make room and {remedy}"
            ) from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds; CheckpointError for a file that is none of ours."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist; expected a checkpoint of `train`") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        raise CheckpointError(f"{path} is no checkpoint, or a broken one; give one of `train`") from None
    if "emotion_training" not in checkpoint:
        raise CheckpointError(f"{path} is not of this package; expected a checkpoint of `train`")
    if not {"known_before", "trained_on"} <= checkpoint["emotion_training"].keys():
        raise CheckpointError(f"{path} is of an earlier version of this package; train again")
    return checkpoint
