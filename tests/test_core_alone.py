"""The core is usable where neither ROS nor torch is installed."""

import subprocess
import sys
from pathlib import Path

CORE_TESTS = Path(__file__).parents[1] / "emotion_perception" / "test" / "core"

RUN = """
import sys
# As if they were not installed.
sys.modules.update(dict.fromkeys(("rclpy", "emotion_msgs", "sensor_msgs", "std_msgs", "torch")))
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_core_and_its_tests_need_neither_ros_nor_torch():
    arguments = ["-q", "-p", "no:cacheprovider", str(CORE_TESTS)]
    run = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert " passed" in run.stdout
