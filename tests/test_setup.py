"""What `make setup` says and does before and after anything is installed."""

import importlib.util
import runpy
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PREPARE = ROOT / "environment" / "prepare.py"


@pytest.fixture(scope="module")
def prepare():
    spec = importlib.util.spec_from_file_location("prepare", PREPARE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["prepare"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["prepare"]


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 11, 0), (3, 12, 9)])
def test_supported_python_is_taken(prepare, version):
    prepare.check_python(version, "Linux", "x86_64")


@pytest.mark.parametrize("version", [(3, 9, 2), (3, 13, 1)])
def test_other_python_is_named_with_what_to_do(prepare, version):
    with pytest.raises(
        prepare.SetupError, match=r"Python 3\.\d+\.\d .* expected 3.10, 3.11 or 3.12: .*PYTHON=python3.12"
    ):
        prepare.check_python(version, "Linux", "x86_64")


@pytest.mark.parametrize("machine", [("Linux", "aarch64"), ("Darwin", "x86_64")])
def test_machine_without_wheels_is_sent_to_colcon(prepare, machine):
    with pytest.raises(prepare.SetupError, match=f"{' '.join(machine)}, expected Linux x86_64.*colcon"):
        prepare.check_python((3, 11, 0), *machine)


def test_everything_missing_is_named_at_once_with_one_command(prepare):
    needs = [
        prepare.command_need("a compiler of tests", "build-essential", "no-such-compiler"),
        prepare.library_need("libnosuch.so.1", "libnosuch1"),
        prepare.command_need("a shell", "dash", "sh"),
    ]
    with pytest.raises(prepare.SetupError) as raised:
        prepare.check_needs(needs)
    message = str(raised.value)
    assert message.startswith("missing: a compiler of tests, libnosuch.so.1; install with: ")
    assert message.endswith("apt-get install -y build-essential libnosuch1")


def test_nothing_missing_is_no_error(prepare):
    prepare.check_needs(prepare.system_needs())


def test_paths_of_the_building_machine_give_way_to_the_local_ones(prepare):
    baked = (
        'set(INC "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/core/include")'
    )
    assert prepare.with_local_paths(baked, "/local/include", "/local/numpy") == 'set(INC "/local/include;/local/numpy")'


def test_step_runs_once_for_its_digest_and_again_after_a_failure_or_a_change(prepare, tmp_path, capsys):
    stamp, runs = tmp_path / "stamps" / "step", []

    def fail():
        raise prepare.SetupError("no network")

    with pytest.raises(prepare.SetupError):
        prepare.step("a step", stamp, "digest 1", fail)
    for digest in ("digest 1", "digest 1", "digest 2", "digest 2"):
        prepare.step("a step", stamp, digest, lambda: runs.append(1))
    assert len(runs) == 2


def test_workspace_is_built_anew_for_a_changed_message_or_a_new_file_but_not_for_a_changed_module(prepare, tmp_path):
    package = tmp_path / "some_package"
    (package / "msg").mkdir(parents=True)
    message, module = package / "msg" / "State.msg", package / "node.py"
    message.write_text("float32 x\n")
    module.write_text("a = 1\n")

    def digest():
        return prepare.workspace_digest("", [package])

    first = digest()
    module.write_text("a = 2\n")
    assert digest() == first
    message.write_text("float64 x\n")
    assert (second := digest()) != first
    (package / "config.yaml").write_text("")
    assert digest() != second


@pytest.mark.parametrize(
    "package, folder", [("emotion_perception", "config"), ("emotion_bringup", "launch"), ("emotion_training", "config")]
)
def test_a_link_to_a_file_that_is_gone_stops_no_build(package, folder, tmp_path, monkeypatch):
    """`colcon build --symlink-install` leaves such links when an update removes a file."""
    shutil.copytree(ROOT / package, tmp_path, dirs_exist_ok=True)
    (tmp_path / folder / "gone.yaml").symlink_to(tmp_path / "nowhere.yaml")
    described = {}
    monkeypatch.setattr("setuptools.setup", lambda **given: described.update(given))
    monkeypatch.chdir(tmp_path)
    runpy.run_path("setup.py")
    files = [file for _, files in described["data_files"] for file in files]
    assert f"{folder}/gone.yaml" not in files
    there = [path for path in (tmp_path / folder).iterdir() if path.is_file() and path.suffix != ".pyc"]
    assert {str(path.relative_to(tmp_path)) for path in there} <= set(files)
