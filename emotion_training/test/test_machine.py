"""By which code, and on what machine, a bundle says that it was made."""

import platform
import subprocess
from pathlib import Path

import pytest
import torch

from emotion_training import machine


def git(folder, *arguments):
    who = ("-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_changed_code_is_told_from_committed_code_behind_the_link_of_a_colcon_workspace(tmp_path, monkeypatch):
    file = tmp_path / "src" / "machine.py"
    file.parent.mkdir()
    file.write_text("committed = True\n")
    (tmp_path / ".gitignore").write_text("/build\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "src").symlink_to(file.parent)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "a commit")
    commit = git(tmp_path, "rev-parse", "HEAD")
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "build" / "src" / "machine.py"))
    assert machine.code_commit() == commit
    file.write_text("committed = False\n")
    assert machine.code_commit() == f"{commit}-changed"


def test_code_outside_of_a_repository_is_said_to_be_uncommitted(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    assert machine.code_commit() == "uncommitted"
    monkeypatch.setenv("EMOTION_COMMIT", "of the image")
    assert machine.code_commit() == "of the image"


@pytest.mark.parametrize(
    "wanted, capabilities, expected",
    [
        (True, {"amx_bf16": True, "avx512_bf16": False}, True),
        (True, {"amx_bf16": False, "avx512_bf16": True}, True),
        (True, {"avx512_f": True}, False),
        (False, {"amx_bf16": True}, False),
    ],
)
def test_half_precision_is_for_processors_that_have_it(monkeypatch, wanted, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    with machine.half_precision(torch.device("cpu"), wanted):
        assert torch.is_autocast_enabled("cpu") == expected


def test_a_processor_that_the_system_does_not_name_is_told_by_its_architecture(monkeypatch):
    with monkeypatch.context() as without_proc:
        without_proc.setattr(machine, "Path", lambda path: Path("nowhere", path.lstrip("/")))
        assert machine.processor() == platform.machine()
