"""The tiny bundle, made once for all tests that need a trained one."""

from types import SimpleNamespace

import pytest

from emotion_training.tiny_bundle import make_tiny_bundle


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a tiny bundle, the torch modules that it was exported from, and its folds."""
    directory = tmp_path_factory.mktemp("bundle") / "tiny"
    trained, folds = make_tiny_bundle(directory)
    return SimpleNamespace(directory=directory, trained=trained, folds=folds)
