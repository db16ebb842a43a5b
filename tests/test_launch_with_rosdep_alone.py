"""Launch files run under the system's Python, as `ros2` does, which lacks what only pip brings."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
KEYS = yaml.safe_load((Path(__file__).parent / "rosdep_keys.yaml").read_text(encoding="utf-8"))
OF_PIP = [*KEYS["pip"], *(module for module, key in KEYS["modules"].items() if key.endswith("-pip"))]
LAUNCHING = "emotion_bringup.launching"

RUN = """
import sys
from importlib import import_module

of_pip, *modules = sys.argv[1:]
sys.modules.update(dict.fromkeys(of_pip.split(",")))  # not installed
for module in modules:
    import_module(module)
"""


def modules_of_launch_files():
    """What of the suite the launch files import, and launching.py itself where launch is installed."""
    launching = ROOT / f"emotion_bringup/{LAUNCHING.replace('.', '/')}.py"
    for path in (launching, *(ROOT / "emotion_bringup/launch").glob("*.launch.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("emotion_"):
                yield node.module


def test_what_launch_files_import_needs_nothing_of_pip():
    modules = set(modules_of_launch_files())
    assert LAUNCHING in modules and len(modules) > 1
    if not (find_spec("launch") and find_spec("launch_ros")):
        modules.remove(LAUNCHING)
    assert {"soxr", "onnxruntime"} <= set(OF_PIP)
    run = subprocess.run([sys.executable, "-c", RUN, ",".join(OF_PIP), *modules], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
