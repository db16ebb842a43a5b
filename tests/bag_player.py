"""Stands in for `ros2 bag play FOLDER --clock` where rosbag2 is not to be had: the same topics, pace and time."""

import sys
import time
from pathlib import Path

import rclpy
from rclpy.publisher import Publisher
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from rosidl_runtime_py.utilities import get_message

NANOSECONDS_PER_S = 10**9
DISCOVERY_S = 20.0


def main() -> None:
    """Plays the folder that the command line names; it ends with the last message."""
    *command, folder, clock_option = sys.argv[1:]
    assert (command, clock_option) == (["bag", "play"], "--clock"), sys.argv
    rclpy.init()
    node = rclpy.create_node("bag_player")
    clock = node.create_publisher(Clock, "/clock", 10)
    with Reader(Path(folder)) as reader:
        publishers = {
            connection.topic: node.create_publisher(get_message(connection.msgtype), connection.topic, 10)
            for connection in reader.connections
        }
        for publisher in (clock, *publishers.values()):
            wait_for_subscription(publisher)
        start_s = time.monotonic() - reader.start_time / NANOSECONDS_PER_S
        for connection, stamp_ns, data in reader.messages():
            time.sleep(max(0.0, start_s + stamp_ns / NANOSECONDS_PER_S - time.monotonic()))
            now = Clock()
            now.clock.sec, now.clock.nanosec = divmod(stamp_ns, NANOSECONDS_PER_S)
            clock.publish(now)
            publishers[connection.topic].publish(bytes(data))
    node.destroy_node()
    rclpy.try_shutdown()


def wait_for_subscription(publisher: Publisher) -> None:
    """The real player does not wait; a test that loses its first messages would be one of luck."""
    end_s = time.monotonic() + DISCOVERY_S
    while not publisher.get_subscription_count():
        assert time.monotonic() < end_s, f"nobody listens to {publisher.topic_name}"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
