"""A graph for each test, and what a node says that refuses."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import Bool, String

from emotion_perception.nodes.perception_node import PerceptionNode
from emotion_perception.testing.graph import Graph


@pytest.fixture
def graph() -> Iterator[Graph]:
    with closing(Graph()) as graph:
        yield graph


@pytest.fixture
def one_type_a_topic(graph: Graph) -> None:
    """Skips where the middleware gives a process a topic with two types, as Cyclone DDS does since 0.10."""
    graph.node.create_subscription(String, "/of_two_types", lambda _: None, 1)
    try:
        graph.node.create_subscription(Bool, "/of_two_types", lambda _: None, 1)
    except rclpy_implementation.RCLError:
        return
    pytest.skip("this middleware gives a process a topic with two types, so that there is nothing to refuse")


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
