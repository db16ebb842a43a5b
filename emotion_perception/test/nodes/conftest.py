"""A graph for each test, and what a node says that refuses."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from rclpy.lifecycle import TransitionCallbackReturn

from emotion_perception.nodes.perception_node import PerceptionNode
from emotion_perception.testing.graph import Graph


@pytest.fixture
def graph() -> Iterator[Graph]:
    with closing(Graph()) as graph:
        yield graph


@pytest.fixture
def refusal(capfd: pytest.CaptureFixture[str]) -> Callable[[PerceptionNode], str]:
    """The one line that a node logs when it refuses to be configured."""

    def configure(node: PerceptionNode) -> str:
        capfd.readouterr()
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert node._state == "unconfigured"
        (line,) = capfd.readouterr().err.strip().splitlines()
        assert line.startswith("[FATAL]")
        return line

    return configure
