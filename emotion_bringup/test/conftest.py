"""A graph for each test."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from emotion_perception.testing.graph import Graph


@pytest.fixture
def graph() -> Iterator[Graph]:
    with closing(Graph()) as graph:
        yield graph
