"""The tiny bundle, made once for all tests that need a trained one."""

from types import SimpleNamespace

import pytest

from emotion_training.tiny_bundle import make_tiny_bundle


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a tiny bundle and the torch modules that it was exported from."""
    directory = tmp_path_factory.mktemp("bundle") / "tiny"
    return SimpleNamespace(directory=directory, trained=make_tiny_bundle(directory))
