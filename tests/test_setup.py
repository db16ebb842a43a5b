"""What `make setup` says and does before and after anything is installed."""

import fcntl
import importlib.util
import os
import runpy
import shutil
import subprocess
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


def test_everything_missing_is_named_at_once_with_one_command(prepare, monkeypatch):
    needs = [
        prepare.command_need("a compiler of tests", "build-essential", "no-such-compiler"),
        prepare.library_need("libnosuch.so.1", "libnosuch1"),
        prepare.command_need("a make of tests", "build-essential", "no-such-make"),
        prepare.command_need("a shell", "dash", "no-such-shell", "sh"),
    ]
    missing = "missing: a compiler of tests, libnosuch.so.1, a make of tests; install with: "
    for user, command in ((1000, "sudo apt-get"), (0, "apt-get")):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        with pytest.raises(prepare.SetupError) as raised:
            prepare.check_needs(needs)
        assert str(raised.value) == f"{missing}{command} install -y build-essential libnosuch1"


def test_nothing_missing_is_no_error(prepare):
    prepare.check_needs(prepare.system_needs())


def test_paths_of_the_building_machine_give_way_to_the_local_ones(prepare):
    baked = (
        'set(INC "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/core/include")'
    )
    assert prepare.with_local_paths(baked, "/local/include", "/local/numpy") == 'set(INC "/local/include;/local/numpy")'


def test_step_runs_once_for_its_digest_and_again_after_a_failure_or_a_change(prepare, tmp_path):
    stamp, runs = tmp_path / "stamps" / "step", []

    def fail():
        raise prepare.SetupError("no network")

    with pytest.raises(prepare.SetupError):
        prepare.step("a step", stamp, "digest 1", fail)
    for digest in ("digest 1", "digest 1", "digest 2", "digest 2"):
        prepare.step("a step", stamp, digest, lambda: runs.append(1))
    assert len(runs) == 2
    with pytest.raises(prepare.SetupError):
        prepare.step("a step", stamp, "digest 3", fail)
    prepare.step("a step", stamp, "digest 2", lambda: runs.append(1))
    assert len(runs) == 3, "what failed may have spoiled what was there"


def test_workspace_is_built_anew_for_a_changed_message_or_a_new_file_but_not_for_a_changed_module(prepare, tmp_path):
    package = tmp_path / "some_package"
    (package / "msg").mkdir(parents=True)
    (package / "test").mkdir()
    message, module = package / "msg" / "State.msg", package / "node.py"
    message.write_text("float32 x\n")
    module.write_text("a = 1\n")
    read = [package / name for name in ("CMakeLists.txt", "setup.py", "setup.cfg", "package.xml", "msg/Ask.srv")]
    for path in read:
        path.write_text("before\n")

    def digest():
        return prepare.workspace_digest("", [package])

    first = digest()
    module.write_text("a = 2\n")
    (package / "test" / "parameters.yaml").write_text("")
    assert digest() == first
    message.write_text("float64 x\n")
    digests = [first, digest()]
    for path in read:
        path.write_text("after\n")
        digests.append(digest())
    (package / "config.yaml").write_text("")
    digests.append(digest())
    assert len(set(digests)) == len(digests)


@pytest.fixture
def checkout(prepare, tmp_path, monkeypatch):
    """A checkout of one package; what is run in it is noted and leaves what the real command would."""
    for name, folder in (("VENV", ".venv"), ("BUILD", "build"), ("INSTALL", "install"), ("LOG", "log")):
        monkeypatch.setattr(prepare, name, tmp_path / folder)
    monkeypatch.setattr(prepare, "ROOT", tmp_path)
    monkeypatch.setattr(prepare, "LISTS", tmp_path / "environment")
    monkeypatch.setattr(prepare, "PACKAGES", ("some_package",))
    monkeypatch.setattr(prepare, "write_environment_script", lambda: None)
    for name in ("runtime.txt", "ros.txt", "constraints.txt", "training.txt", "test.txt"):
        (tmp_path / "environment").mkdir(exist_ok=True)
        (tmp_path / "environment" / name).write_text("one\n")
    (tmp_path / "some_package").mkdir()
    (tmp_path / "some_package" / "package.xml").write_text("one\n")
    commands = []

    def run(command, failure):
        commands.append(command)
        if "venv" in command:
            (tmp_path / ".venv/share/a/cmake").mkdir(parents=True)
            (tmp_path / ".venv/share/a/cmake/aExport.cmake").write_text("/opt/python/cp311-cp311/include/python3.11")
        if "colcon" in command:
            (tmp_path / "build").mkdir(exist_ok=True)
            (tmp_path / "build" / "made").touch()

    monkeypatch.setattr(prepare, "run", run)
    return tmp_path, commands


def test_setup_does_again_what_a_change_concerns_and_nothing_else(prepare, checkout, monkeypatch, capsys):
    folder, commands = checkout
    titles = {"making .venv": "venv", "installing what the demo": "runtime", "installing what training": "tests"}

    def done(with_tests=True):
        prepare.prepare(with_tests)
        lines = [line[4:] for line in capsys.readouterr().out.splitlines() if line.startswith("==> ")]
        return [next((step for title, step in titles.items() if line.startswith(title)), "build") for line in lines]

    assert done(with_tests=False) == ["venv", "runtime", "build"]
    assert (folder / ".venv/share/a/cmake/aExport.cmake").read_text() == prepare.sysconfig.get_path("include")
    assert done() == ["tests"]
    assert done() == done(with_tests=False) == []
    installed = [command for command in commands if "pip" in command]
    wanted = [["constraints.txt", "runtime.txt", "ros.txt"], ["constraints.txt", "training.txt", "test.txt"]]
    assert [[Path(part).name for part in command if part.endswith(".txt")] for command in installed] == wanted
    for name, concerned in (
        ("some_package/package.xml", ["build"]),
        ("environment/test.txt", ["tests"]),
        ("environment/constraints.txt", ["runtime", "tests", "build"]),
    ):
        (folder / name).write_text("two\n")
        assert done() == concerned, name
    (folder / "build" / "old").touch()
    monkeypatch.setattr(sys, "executable", "/another/python")
    assert done() == ["venv", "runtime", "tests", "build"]
    assert [path.name for path in (folder / "build").iterdir()] == ["made"], "of another Python nothing is used"


def test_command_that_fails_is_told_with_what_to_do(prepare):
    with pytest.raises(prepare.SetupError, match="^Mend this, then run `make setup` again .exit status 1, the reason"):
        prepare.run(["sh", "-c", "exit 1"], "Mend this")


def test_another_ros_in_the_shell_does_not_mix_with_ours(prepare, monkeypatch):
    for name in prepare.FOREIGN_VARIABLES:
        monkeypatch.setenv(name, "/opt/ros")
    monkeypatch.setenv("PATH", "/usr/bin")
    environment = prepare.clean_environment()
    assert not [name for name, value in environment.items() if "/opt/ros" in value]
    assert environment["PATH"] == f"{prepare.VENV / 'bin'}:/usr/bin"
    assert environment["AMENT_PREFIX_PATH"] == str(prepare.VENV)
    assert all(path.startswith(str(prepare.VENV)) for path in environment["LD_LIBRARY_PATH"].split(":"))


def test_what_the_workspace_sets_is_kept_for_every_command(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "INSTALL", tmp_path)
    (tmp_path / "setup.bash").write_text('export PYTHONPATH="/it\'s here" AMENT_PREFIX_PATH=/a:/b\n')
    prepare.write_environment_script()
    told = subprocess.run(
        ["/bin/sh", "-c", '. "$0/environment.sh"; echo "$PYTHONPATH|$AMENT_PREFIX_PATH|$PATH"', str(tmp_path)],
        env={"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert told.stdout == f"/it's here|/a:/b|{prepare.VENV / 'bin'}:/usr/bin\n"


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ([], 0, ""),
        (["--live"], 1, "setup: missing: libnosuch.so.1; install with: "),
        (["--tests"], 130, "\nsetup: interrupted; `make setup` goes on from here.\n"),
    ],
)
def test_one_setup_runs_at_a_time_and_needs_a_microphone_for_a_live_demo_alone(
    prepare, checkout, monkeypatch, capsys, options, status, said
):
    def prepare_alone(with_tests):
        other = os.open(prepare.LISTS, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(other)
        if with_tests:
            raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "prepare", prepare_alone)
    monkeypatch.setattr(prepare, "system_needs", list)
    monkeypatch.setattr(prepare, "MICROPHONE_NEED", prepare.library_need("libnosuch.so.1", "libnosuch1"))
    monkeypatch.setattr(sys, "argv", ["prepare.py", *options])
    assert prepare.main() == status
    error = capsys.readouterr().err
    assert error.startswith(said) and bool(error) is bool(said)


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


def test_what_a_shell_says_of_another_graph_does_not_reach_the_nodes(tmp_path):
    """Else a discovery server on another machine would be told of faces and voices, and no state would come."""
    for folder in ("environment", "install"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "environment" / "run", tmp_path / "environment")
    (tmp_path / "install" / "environment.sh").touch()
    names = ("ROS_DISCOVERY_SERVER", "ROS_STATIC_PEERS", "ROS_SUPER_CLIENT", "FASTRTPS_DEFAULT_PROFILES_FILE")
    shell = os.environ | dict.fromkeys(names, "192.0.2.1:11811")
    command = [tmp_path / "environment" / "run", "env"]
    run = subprocess.run(command, env=shell, capture_output=True, text=True, check=True)
    assert "192.0.2.1" not in run.stdout
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in run.stdout.splitlines()
