"""Simulated time, heard once for all nodes of a process."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

# A simulation may tick more often than a node needs the time.
PAUSE_S = 0.01
COMPLAINT_PERIOD_S = 10.0


class SimulatedClock(Node):
    """Hears /clock for nodes that use simulated time.

    rclpy gives each of them a subscription of its own, and at every tick it prepares anew to wait for all that the node
    waits for. TIAGo's simulation ticks 200 times a second, which took three nodes half a core.

    Needs an executor of its own, as it pauses after a tick. Its name is hidden from `ros2 node list`.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__(
            f"_{nodes[0].get_name()}_clock",
            namespace=nodes[0].get_namespace(),
            use_global_arguments=False,  # a new name for the node of a process is none for this one
            enable_rosout=False,
            start_parameter_services=False,
        )
        hearers: dict[str, list[Callable[[Clock], None]]] = {}
        for node in nodes:
            for subscription in [each for each in node.subscriptions if each.msg_type is Clock]:
                hearers.setdefault(subscription.topic_name, []).append(subscription.callback)
                node.destroy_subscription(subscription)
        newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        for topic, callbacks in hearers.items():
            self.create_subscription(Clock, topic, partial(self._tell, callbacks), newest)

    def _tell(self, callbacks: Sequence[Callable[[Clock], None]], clock: Clock) -> None:
        if clock.clock.sec >= 0:
            for callback in callbacks:
                callback(clock)
        else:  # rclpy would raise
            self.get_logger().warning(
                f"The simulated clock says {clock.clock.sec} s, expected 0 s or more; it is left out until then: "
                "restart the simulation, or what else publishes it.",
                throttle_duration_sec=COMPLAINT_PERIOD_S,
            )
        time.sleep(PAUSE_S)
