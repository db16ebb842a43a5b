"""The training as colcon installs it, where nothing lies beside the modules."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "emotion_training"
ASK = """
from emotion_training.build_default_bundle import DEFAULT_CONFIG
from emotion_training.committed_splits import FOLDER
from emotion_training.comparison_config import DEFAULT_COMPARISON
print(DEFAULT_CONFIG, DEFAULT_COMPARISON, FOLDER / "ravdess_5fold_20actors.json", sep="\\n")
"""


def test_what_is_installed_finds_its_configurations_and_splits(tmp_path):
    sources, prefix = tmp_path / "sources", tmp_path / "prefix"
    shutil.copytree(PACKAGE, sources, ignore=shutil.ignore_patterns("test", "reports", "build", "*.egg-info"))
    install = ["setup.py", "-q", "install", "--single-version-externally-managed", "--record", str(tmp_path / "record")]
    subprocess.run([sys.executable, *install, "--prefix", str(prefix)], cwd=sources, check=True, capture_output=True)
    (modules,) = (path.parents[1] for path in prefix.rglob("emotion_training/__init__.py"))
    found_first = {"PYTHONPATH": str(modules), "AMENT_PREFIX_PATH": str(prefix)}
    environment = os.environ | {
        name: os.pathsep.join([path, os.environ.get(name, "")]) for name, path in found_first.items()
    }
    asked = subprocess.run(
        [sys.executable, "-c", ASK], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    for path in map(Path, asked.stdout.split()):
        assert path.is_file() and prefix in path.parents
