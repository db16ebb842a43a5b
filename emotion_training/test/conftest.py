"""The tiny bundle, made once for all tests that need a trained one; a corpus of tones."""

from types import SimpleNamespace

import pytest
from training_fixtures import write_corpus, write_split

from emotion_training.tiny_bundle import make_tiny_bundle


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a tiny bundle, the torch modules that it was exported from, and its folds."""
    directory = tmp_path_factory.mktemp("bundle") / "tiny"
    trained, folds = make_tiny_bundle(directory)
    return SimpleNamespace(directory=directory, trained=trained, folds=folds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a prepared corpus and its split."""
    folder = tmp_path_factory.mktemp("tones")
    write_corpus(folder / "corpus")
    write_split(folder / "split.json")
    return folder
