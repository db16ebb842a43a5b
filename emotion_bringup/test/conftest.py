"""A graph for each test."""

from collections.abc import Iterator

import pytest

from emotion_perception.testing.graph import Graph


@pytest.fixture
def graph() -> Iterator[Graph]:
    graph = Graph()
    try:
        yield graph
    finally:
        graph.close()
