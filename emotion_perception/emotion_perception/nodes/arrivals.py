"""What a node reports about itself, and whether the input that it waits for arrives."""

import time
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from emotion_perception.nodes import topics

# A source that has been silent for so long is worth a warning.
SILENCE_LIMIT_S = 2.0


@dataclass
class Diagnosis:
    """What a node says about itself once a second."""

    level: bytes = DiagnosticStatus.OK
    message: str = "ok"
    values: dict[str, Any] = field(default_factory=dict)


def node_of(endpoint: TopicEndpointInfo) -> str:
    """The whole name of the node that a publisher or subscription is of."""
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


class Arrivals:
    """Counts what comes from a source, and notices when nothing does."""

    def __init__(self, source: str, remedy: str) -> None:
        """Begin with nothing received.

        Args:
            source: what should give something, as a user knows it.
            remedy: what to look at when it gives nothing.
        """
        self._source = source
        self._remedy = remedy
        self._last_s = time.monotonic()
        self._received = 0
        self._refused = 0
        self._reason = ""

    def receive(self) -> None:
        self._last_s = time.monotonic()
        self._received += 1

    def refuse(self, reason: str) -> None:
        """Count something that could not be used, and keep why."""
        self._refused += 1
        self._reason = reason

    def diagnose(self, **values: Any) -> Diagnosis:
        """How the source has been since the last call."""
        values = {"source": self._source, "received": self._received, "refused": self._refused, **values}
        reason, self._reason = self._reason, ""
        if reason:
            return Diagnosis(DiagnosticStatus.ERROR, reason, values)
        if time.monotonic() - self._last_s > SILENCE_LIMIT_S:
            return Diagnosis(DiagnosticStatus.WARN, self._explain_silence(), values)
        return Diagnosis(values=values)

    def _explain_silence(self) -> str:
        return f"Nothing came from {self._source} for more than {SILENCE_LIMIT_S:.0f} s; {self._remedy}"


class TopicArrivals(Arrivals):
    """Arrivals of a topic; its silence is explained by what the graph shows."""

    def __init__(self, node: Node, message_type: type, topic: str, parameters: str) -> None:
        """Begin with nothing received.

        Args:
            node: the one that listens to the topic.
            message_type: what it listens for.
            topic: as the parameter says it.
            parameters: those that choose topic and type, for the remedy.
        """
        self._topic = node.resolve_topic_name(topic)
        self._type = f"{message_type.__module__.partition('.')[0]}/msg/{message_type.__name__}"
        self._node = node
        self._parameters = parameters
        super().__init__(self._topic, "is the sensor running, and does its computer keep up?")

    def _explain_silence(self) -> str:
        types = self._published_types(self._topic)
        if self._type in types:
            return self._explain_reliability() or super()._explain_silence()
        found = f"{self._topic} carries {' and '.join(sorted(types))}" if types else f"Nothing publishes {self._topic}"
        overlay = self._node.resolve_topic_name(topics.OVERLAY)
        alike = (topic for topic, topic_types in self._node.get_topic_names_and_types() if self._type in topic_types)
        elsewhere = sorted(topic for topic in alike if topic != overlay and self._type in self._published_types(topic))
        there = f"it is published on {', '.join(elsewhere)}" if elsewhere else "no topic carries that type"
        return f"{found}, expected {self._type}; {there}: check {self._parameters}, and that the sensor is running."

    def _explain_reliability(self) -> str:
        """Why DDS does not connect publishers to the node; empty if it does."""
        asked = {own.qos_profile.reliability for own in self._node.subscriptions if own.topic_name == self._topic}
        unheard = {
            node_of(publisher)
            for publisher in self._node.get_publishers_info_by_topic(self._topic)
            if publisher.topic_type == self._type
            and publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
            and ReliabilityPolicy.RELIABLE in asked
        }
        if not unheard:
            return ""
        return (
            f"{self._topic} is published best effort; expected reliable, else nothing of it comes here: give the "
            f"publisher of {' and '.join(sorted(unheard))} a reliable QoS."
        )

    def _published_types(self, topic: str) -> set[str]:
        """Types of what others publish; those of subscriptions do not count."""
        return {publisher.topic_type for publisher in self._node.get_publishers_info_by_topic(topic)}
