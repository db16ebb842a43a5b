"""What takes long to make or is needed in many places, made once for all tests."""

from types import SimpleNamespace

import onnx
import pytest
import torch
from training_fixtures import smart_turn_graph

from emotion_training.models.whisper import WhisperTiny
from emotion_training.tiny_bundle import make_tiny_bundle


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a tiny bundle, the torch modules that it was exported from, and its folds."""
    directory = tmp_path_factory.mktemp("bundle") / "tiny"
    trained, folds = make_tiny_bundle(directory)
    return SimpleNamespace(directory=directory, trained=trained, folds=folds)


@pytest.fixture(scope="session")
def whisper():
    """A WhisperTiny of one block with weights that nobody taught it."""
    torch.manual_seed(0)
    return WhisperTiny(1)


@pytest.fixture(scope="session")
def whisper_weights(whisper, tmp_path_factory):
    """A file in the layout of smart-turn-v3.2-cpu.onnx with the weights of `whisper`."""
    path = tmp_path_factory.mktemp("weights") / "turn.onnx"
    onnx.save(smart_turn_graph(whisper), path)
    return path
