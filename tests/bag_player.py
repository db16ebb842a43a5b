"""Stands in for `ros2 bag play` where rosbag2 is not to be had: the same options, topics, pace and time."""

import argparse
import time
from pathlib import Path

import rclpy
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from rosidl_runtime_py.utilities import get_message

NANOSECONDS_PER_S = 10**9


def main() -> None:
    """Plays the folder that the command line names; it ends with the last message."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", nargs=2)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clock", action="store_true", required=True)
    parser.add_argument("--delay", type=float, default=0.0, metavar="S")
    arguments = parser.parse_args()
    assert arguments.verb == ["bag", "play"], arguments
    rclpy.init()
    node = rclpy.create_node("bag_player")
    clock = node.create_publisher(Clock, "/clock", 10)
    with Reader(arguments.folder) as reader:
        publishers = {
            connection.topic: node.create_publisher(get_message(connection.msgtype), connection.topic, 10)
            for connection in reader.connections
        }
        time.sleep(arguments.delay)
        start_s = time.monotonic() - reader.start_time / NANOSECONDS_PER_S
        for connection, stamp_ns, data in reader.messages():
            time.sleep(max(0.0, start_s + stamp_ns / NANOSECONDS_PER_S - time.monotonic()))
            now = Clock()
            now.clock.sec, now.clock.nanosec = divmod(stamp_ns, NANOSECONDS_PER_S)
            clock.publish(now)
            publishers[connection.topic].publish(bytes(data))
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
