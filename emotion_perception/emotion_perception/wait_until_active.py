"""Waits until all named nodes are active, so that what is played once may begin.

A launch file starts a file or a bag when this process has ended.
"""

import argparse
import sys

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.node import Node

from emotion_perception.nodes.starting import own_arguments

ASK_S = 0.2  # a node that does not answer in time is asked again: it may have come up just now


def main() -> None:
    parser = argparse.ArgumentParser(prog="wait_until_active", description=__doc__)
    parser.add_argument("nodes", nargs="+", metavar="NODE", help="name of a lifecycle node, in this one's namespace")
    names = own_arguments(parser).nodes
    rclpy.init(args=sys.argv)
    try:
        node = Node("wait_until_active")
        for name in names:
            wait_for(node, name)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        sys.exit(1)
    finally:
        rclpy.try_shutdown()


def wait_for(node: Node, name: str) -> None:
    """Ask a node for its state until it is active."""
    client = node.create_client(GetState, f"{name}/get_state")
    while True:
        answer = client.call_async(GetState.Request())
        rclpy.spin_until_future_complete(node, answer, timeout_sec=ASK_S)
        if answer.done() and answer.result().current_state.id == State.PRIMARY_STATE_ACTIVE:
            return
        client.remove_pending_request(answer)


if __name__ == "__main__":
    main()
