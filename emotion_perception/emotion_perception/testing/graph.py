"""A test's own place in the ROS graph: it waits for events and never sleeps."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

from emotion_perception.nodes.perception_node import PerceptionNode

Result = TypeVar("Result")

# Long enough for a busy machine: a test that fails waits for it, one that passes never does.
TIMEOUT_S = 60.0


class Graph:
    """A node that listens and speaks, and the nodes under test, in one executor of this thread."""

    def __init__(self) -> None:
        rclpy.init()
        self._executor = SingleThreadedExecutor()
        self._nodes: list[Node] = []
        self.node = Node("test")
        self._add(self.node)

    def close(self) -> None:
        """End all nodes."""
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()
        rclpy.try_shutdown()

    def add(self, node_class: type[PerceptionNode], **parameters: Any) -> PerceptionNode:
        """Make a node under test, still unconfigured, with other values than the default for some parameters."""
        node = node_class()
        results = node.set_parameters([Parameter(name, value=value) for name, value in parameters.items()])
        assert all(result.successful for result in results), results
        self._add(node)
        return node

    def start(self, node_class: type[PerceptionNode], **parameters: Any) -> PerceptionNode:
        """Make a node under test and bring it to active."""
        node = self.add(node_class, **parameters)
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return node

    def listen(self, message_type: type, topic: str, qos: QoSProfile | int = 100) -> list[Any]:
        """Give a list that the messages of a topic are appended to as they come."""
        messages: list[Any] = []
        self.node.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def listen_to_diagnostics(self) -> list[DiagnosticStatus]:
        """Give a list that what the nodes say about themselves is appended to as it comes."""
        statuses: list[DiagnosticStatus] = []
        self.node.create_subscription(DiagnosticArray, "/diagnostics", lambda array: statuses.extend(array.status), 100)
        return statuses

    def speak(self, message_type: type, topic: str, qos: QoSProfile | int = 100) -> Publisher:
        """Give a publisher that already has a subscription."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        self.wait_for(publisher.get_subscription_count, f"a subscription to {topic}")
        return publisher

    def wait_for(self, condition: Callable[[], Result], what: str, timeout_s: float = TIMEOUT_S) -> Result:
        """Spin until the condition gives something true, and give that."""
        end_s = time.monotonic() + timeout_s
        while not (result := condition()):
            assert time.monotonic() < end_s, f"{what} did not come within {timeout_s} s"
            self._executor.spin_once(timeout_sec=0.05)
        return result

    def _add(self, node: Node) -> None:
        self._nodes.append(node)
        self._executor.add_node(node)
