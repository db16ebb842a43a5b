"""Stands in for the `ros2` of bag.launch.py where rosbag2 is not to be had: the same topics, pace and time."""

import sys
import time
from pathlib import Path

import rclpy
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from rosidl_runtime_py.utilities import get_message

from emotion_msgs.srv import Reset as Resume  # rosbag2_interfaces is on ROS machines only; this asks as little

NANOSECONDS_PER_S = 10**9
CLOCK_HZ = 40  # while it is paused; then the time is that of each message


def main() -> None:
    """Does what the command line asks of `ros2`, as far as bag.launch.py asks it."""
    rclpy.init()
    match sys.argv[1:]:
        case ["bag", "play", folder, "--clock", "--start-paused", "--remap", *rules]:
            play(Path(folder), dict(rule.split(":=") for rule in rules))
        case ["service", "call", name, "rosbag2_interfaces/srv/Resume"]:
            resume(name)
        case arguments:
            sys.exit(f"ros2 {' '.join(arguments)} is not known here")
    rclpy.try_shutdown()


def play(folder: Path, elsewhere: dict[str, str]) -> None:
    """Play a bag when somebody says so, some topics elsewhere; it ends with the last message."""
    node = rclpy.create_node("rosbag2_player")
    clock = node.create_publisher(Clock, "/clock", 10)

    def set_time(stamp_ns: int) -> None:
        now = Clock()
        now.clock.sec, now.clock.nanosec = divmod(stamp_ns, NANOSECONDS_PER_S)
        clock.publish(now)

    requests = []
    node.create_service(Resume, "~/resume", lambda request, response: requests.append(request) or response)
    with Reader(folder) as reader:
        publishers = {
            connection.topic: node.create_publisher(
                get_message(connection.msgtype), elsewhere.get(connection.topic, connection.topic), 10
            )
            for connection in reader.connections
        }
        while not requests:
            set_time(reader.start_time)
            rclpy.spin_once(node, timeout_sec=1 / CLOCK_HZ)
        start_s = time.monotonic() - reader.start_time / NANOSECONDS_PER_S
        for connection, stamp_ns, data in reader.messages():
            time.sleep(max(0.0, start_s + stamp_ns / NANOSECONDS_PER_S - time.monotonic()))
            set_time(stamp_ns)
            publishers[connection.topic].publish(bytes(data))
    node.destroy_node()


def resume(name: str) -> None:
    """Let a paused player go on."""
    node = rclpy.create_node("resume")
    client = node.create_client(Resume, name)
    client.wait_for_service()
    rclpy.spin_until_future_complete(node, client.call_async(Resume.Request()))
    node.destroy_node()


if __name__ == "__main__":
    main()
