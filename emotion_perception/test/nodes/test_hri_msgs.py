"""hri_msgs may be absent; the tests that need it run with a package of its name and fields, built here."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emotion_perception.nodes.hri_bridge_node import HriBridgeNode
from emotion_perception.nodes.hri_faces_node import HriFacesNode

HERE = Path(__file__).parent
is_absent = pytest.mark.skipif(importlib.util.find_spec("hri_msgs") is not None, reason="hri_msgs is installed here")


@pytest.fixture(scope="session")
def environment_with_hri_msgs(tmp_path_factory):
    """Variables of a process that finds the built package."""
    folder = tmp_path_factory.mktemp("hri_msgs")
    command = [sys.executable, "-m", "colcon", "--log-base", str(folder / "log"), "build"]
    command += ["--build-base", str(folder / "build"), "--install-base", str(folder / "install")]
    command += ["--paths", str(HERE / "hri_msgs_package")]
    command += ["--cmake-args", f"-DPython3_EXECUTABLE={sys.executable}", "-DBUILD_TESTING=OFF"]
    variables = {**os.environ, "CMAKE_PREFIX_PATH": os.environ["AMENT_PREFIX_PATH"]}
    build = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True)
    assert build.returncode == 0, build.stdout[-2000:] + build.stderr[-2000:]
    package = folder / "install" / "hri_msgs"
    (modules,) = package.glob("**/hri_msgs/msg/__init__.py")
    added = {
        "AMENT_PREFIX_PATH": package,
        "LD_LIBRARY_PATH": package / "lib",
        "PYTHONPATH": modules.parents[2],
    }
    return {**os.environ, **{name: f"{path}{os.pathsep}{os.environ.get(name, '')}" for name, path in added.items()}}


@is_absent
@pytest.mark.timeout(300)
def test_nodes_of_ros4hri_with_its_messages(environment_with_hri_msgs):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "test_hri_nodes.py")]
    run = subprocess.run(command, env=environment_with_hri_msgs, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]
    assert " passed" in run.stdout and "skipped" not in run.stdout


@is_absent
@pytest.mark.parametrize("node_class", [HriBridgeNode, HriFacesNode])
def test_without_the_messages_the_node_refuses_with_the_remedy(graph, refusal, node_class):
    line = refusal(graph.add(node_class))
    assert "hri_msgs is not installed" in line and "install ros-$ROS_DISTRO-hri-msgs" in line
