"""How the nodes of a process come to work: by themselves, or over their life cycle's services.

With `--start` a process configures and activates its nodes. A launch file could ask for these transitions over the
services instead, but a node that was killed and came back would have to be asked again, and the request could go to
the dead one, whose services the graph still shows for a while. A process that starts its nodes itself needs nobody.
"""

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.utilities import remove_ros_args

from emotion_perception.nodes.perception_node import DIAGNOSTICS_PERIOD_S, PerceptionNode, RefusedParameterError
from emotion_perception.nodes.spinning import spin

# The exit status of a process whose node refused: to start it again as it is would be of no use.
REFUSED = os.EX_CONFIG
# After a refusal, for those who watch /diagnostics to discover the node, which may take Fast DDS 3 s, and to hear why.
REFUSAL_S = 3.0 + DIAGNOSTICS_PERIOD_S
# After the end of a file, for its last frames to become states.
DRAIN_S = 0.2


def bring_to_active(nodes: Sequence[PerceptionNode], stop: threading.Event) -> bool:
    """Configure all nodes, then activate them in order; false when one refuses, which has said why.

    Args:
        nodes: the sources last, so that they start when everybody listens.
        stop: set when a node has nothing more to give, or by a signal, after which no further transition begins.
    """

    def end() -> None:
        stop.wait(DRAIN_S)
        stop.set()

    def succeed(transition: Callable[[], TransitionCallbackReturn]) -> bool:
        if stop.is_set() or transition() == TransitionCallbackReturn.SUCCESS:
            return True
        stop.wait(REFUSAL_S)
        return False

    if not all(succeed(node.trigger_configure) for node in nodes):
        return False
    for node in nodes:
        if stop.is_set():
            break
        node.on_end = end
        node.wait_before_start(stop)
        if not succeed(node.trigger_activate):
            return False
    return True


def run_active(node_classes: Sequence[Callable[[], PerceptionNode]]) -> None:
    """Run nodes that configure and activate themselves; the exit status is REFUSED if one refuses."""
    stop = threading.Event()
    _exit_if_refused(lambda: spin(node_classes, partial(bring_to_active, stop=stop), stop))


def _exit_if_refused(work: Callable[[], bool]) -> None:
    try:
        has_started = work()
    except RefusedParameterError as error:
        print(f"[FATAL] {error}; ros2 param describe, or the README, says what is expected.", file=sys.stderr)
        has_started = False
    if not has_started:
        sys.exit(REFUSED)


def own_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What the command line says that is not for ROS.

    Where ROS cannot read its part, such as a broken parameter file, the process ends with REFUSED as exit status.
    """
    try:
        return parser.parse_args(remove_ros_args(sys.argv)[1:])
    except rclpy_implementation.RCLInvalidROSArgsError as error:
        reason = " ".join(str(error).split())
        print(f"[FATAL] {reason}; README's section Parameters says what is expected.", file=sys.stderr)
        sys.exit(REFUSED)


def run(node_class: Callable[[], PerceptionNode]) -> None:
    """The process of one node."""
    parser = argparse.ArgumentParser(description=node_class.__doc__, epilog="Parameters: --ros-args --params-file FILE")
    parser.add_argument(
        "--start",
        action="store_true",
        help="configure and activate the node; without, that is done with ros2 lifecycle set. "
        f"The exit status is {REFUSED} if the node refuses.",
    )
    if own_arguments(parser).start:
        run_active([node_class])
    else:
        _exit_if_refused(lambda: spin([node_class]))
