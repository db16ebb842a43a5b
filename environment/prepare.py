"""Makes the environment: .venv with pinned dependencies and ROS 2, and the built workspace in install/.

Called by every target of the Makefile. A step that has succeeded leaves a stamp, the digest of all that it
depends on, and is skipped while the stamp holds; so an interrupted setup goes on where it was.
"""

from __future__ import annotations  # an older Python must get as far as the sentence that turns it away

import argparse
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LISTS = ROOT / "environment"
VENV = ROOT / ".venv"
BUILD = ROOT / "build"
INSTALL = ROOT / "install"
LOG = ROOT / "log"

PACKAGES = ("emotion_msgs", "emotion_perception", "emotion_training", "emotion_bringup")
RUNTIME_LISTS = ("runtime.txt", "ros.txt")
TEST_LISTS = ("training.txt", "test.txt")
PYTHON_VERSIONS = ((3, 10), (3, 11), (3, 12))  # ROS, MediaPipe and onnxruntime have wheels for these
# What another Python or ROS installation may have put into this shell.
FOREIGN_VARIABLES = (
    "PYTHONHOME",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "ROS_DISTRO",
    "ROS_VERSION",
    "ROS_PYTHON_VERSION",
)


class SetupError(Exception):
    """One sentence for the user: what is wrong and what to do."""


@dataclass(frozen=True)
class Need:
    """Something that only the system can bring."""

    name: str
    apt_package: str
    is_there: Callable[[], bool]


def command_need(name: str, apt_package: str, *commands: str) -> Need:
    """A need that any one of the commands meets."""
    return Need(name, apt_package, lambda: any(shutil.which(command) for command in commands))


def library_need(library: str, apt_package: str) -> Need:
    def loads() -> bool:
        try:
            ctypes.CDLL(library)
        except OSError:
            return False
        return True

    return Need(library, apt_package, loads)


def system_needs() -> list[Need]:
    python = f"python3.{sys.version_info.minor}"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return [
        command_need("a C compiler", "build-essential", "cc", "gcc", "clang"),
        command_need("a C++ compiler", "build-essential", "c++", "g++", "clang++"),
        command_need("make", "build-essential", "make"),
        command_need("CMake", "cmake", "cmake"),
        Need("Python's venv module", f"{python}-venv", lambda: bool(importlib.util.find_spec("ensurepip"))),
        Need("Python's headers", f"{python}-dev", header.is_file),
        library_need("libGL.so.1", "libgl1"),
        library_need("libgthread-2.0.so.0", "libglib2.0-0"),
    ]


MICROPHONE_NEED = library_need("libportaudio.so.2", "libportaudio2")


def apt_command(needs: Iterable[Need]) -> str:
    packages = sorted({need.apt_package for need in needs})
    return " ".join([*(["sudo"] if os.geteuid() else []), "apt-get install -y", *packages])


def check_python(version: tuple[int, ...], system: str, machine: str) -> None:
    """Raises SetupError where the ROS wheels cannot run."""
    if version[:2] not in PYTHON_VERSIONS:
        raise SetupError(
            f"Python {'.'.join(map(str, version[:3]))} does not fit, expected 3.10, 3.11 or 3.12: "
            "install one of these and name it, as in `make setup PYTHON=python3.12`."
        )
    if (system, machine) != ("Linux", "x86_64"):
        raise SetupError(
            f"This machine is {system} {machine}, expected Linux x86_64, the only one with ROS 2 wheels: "
            "build the packages on a ROS machine with colcon instead (README.md)."
        )


def check_needs(needs: Iterable[Need]) -> None:
    """Raises SetupError that names everything missing and the one command that installs it."""
    missing = [need for need in needs if not need.is_there()]
    if missing:
        names = ", ".join(need.name for need in missing)
        raise SetupError(f"missing: {names}; install with: {apt_command(missing)}")


def digest(*parts: str | Path) -> str:
    """Digest of texts, and of files by their content."""
    total = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def build_files(package: Path) -> list[Path]:
    """The files that a package's build reads: all but Python modules, which are linked, tests and caches."""

    def is_read(path: Path) -> bool:
        parts = path.relative_to(package).parts
        if parts[0] == "test" or any(part.startswith((".", "__pycache__")) for part in parts):
            return False
        return path.is_file() and (path.suffix != ".py" or parts == ("setup.py",))

    return sorted(filter(is_read, package.rglob("*")))


def workspace_digest(before: str, packages: Iterable[Path]) -> str:
    """Changes with the names of the packages' files, and with what messages and build files say."""
    parts: list[str | Path] = [before]
    for package in packages:
        for path in build_files(package):
            parts.append(f"{package.name}/{path.relative_to(package)}")
            if path.suffix in (".msg", ".srv", ".py", ".xml", ".cfg") or path.name == "CMakeLists.txt":
                parts.append(path)
    return digest(*parts)


def step(title: str, stamp: Path, wanted: str, action: Callable[[], None]) -> None:
    """Runs the action unless the stamp says that it has succeeded for the wanted digest."""
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"==> {title}", flush=True)
    stamp.unlink(missing_ok=True)
    action()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)


def run(command: list[str], failure: str) -> None:
    """Runs a command in a clean environment, its output on the terminal. Raises SetupError if it fails."""
    status = subprocess.run(command, env=clean_environment(), cwd=ROOT).returncode
    if status:
        raise SetupError(f"{failure}, then run `make setup` again (exit status {status}, the reason is above).")


def site_packages() -> Path:
    return VENV / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


def clean_environment() -> dict[str, str]:
    """The variables of this shell, with those of .venv and its ROS wheels in place of any other's."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    libraries = [VENV / "lib", *sorted(site_packages().glob("ros_*.libs"))]
    environment.update(
        PATH=f"{VENV / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}",
        LD_LIBRARY_PATH=os.pathsep.join(map(str, libraries)),
        AMENT_PREFIX_PATH=str(VENV),
        CMAKE_PREFIX_PATH=str(VENV),
        # LD_LIBRARY_PATH is set, so the wheels' start-up hook need not run Python a second time to set it.
        _ROS_WHEELS_BOOTSTRAP_COMPLETE="1",
    )
    return environment


def make_venv() -> None:
    for made_with_another_python in (VENV, BUILD, INSTALL, LOG):
        if made_with_another_python.exists():
            shutil.rmtree(made_with_another_python)
    run([sys.executable, "-m", "venv", str(VENV)], "Python could not make .venv: mend this")


def install(lists: tuple[str, ...]) -> None:
    arguments = [argument for name in lists for argument in ("-r", str(LISTS / name))]
    run(
        [str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check"]
        + ["-c", str(LISTS / "constraints.txt"), *arguments],
        f"pip could not install {' and '.join(lists)}: check the network and the disk space",
    )


BAKED_INCLUDE = re.compile(r'/opt/python/[^/;"]+/include/python3\.\d+')
BAKED_NUMPY_INCLUDE = re.compile(r'/opt/python/[^/;"]+/lib/python3\.\d+/site-packages/numpy/_?core/include')


def with_local_paths(cmake: str, include: str, numpy_include: str) -> str:
    """CMake text of a ROS wheel, with this machine's paths in place of those where the wheel was built."""
    return BAKED_NUMPY_INCLUDE.sub(lambda _: numpy_include, BAKED_INCLUDE.sub(lambda _: include, cmake))


def mend_ros_wheels() -> None:
    include = sysconfig.get_path("include")
    numpy_include = str(site_packages() / "numpy/core/include")
    for path in sorted((VENV / "share").glob("*/cmake/*Export.cmake")):
        baked = path.read_text()
        mended = with_local_paths(baked, include, numpy_include)
        if mended != baked:
            path.write_text(mended)


def install_runtime() -> None:
    install(RUNTIME_LISTS)
    mend_ros_wheels()


def build_workspace() -> None:
    run(
        [str(VENV / "bin/python"), "-m", "colcon", "--log-base", str(LOG), "--log-level", "error", "build"]
        + ["--symlink-install", "--build-base", str(BUILD), "--install-base", str(INSTALL)]
        + ["--paths", *(str(ROOT / package) for package in PACKAGES)]
        + ["--cmake-args", f"-DPython3_EXECUTABLE={VENV / 'bin/python'}", "-DBUILD_TESTING=OFF"],
        "colcon could not build the workspace: mend this",
    )
    write_environment_script()


def write_environment_script() -> None:
    """Keeps what install/setup.bash sets, which takes it half a second, for environment/run."""
    listing = subprocess.run(
        ["bash", "-c", '. "$0" && env -0', str(INSTALL / "setup.bash")],
        env=clean_environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    variables = dict(entry.split("=", 1) for entry in listing.split("\0") if entry)
    kept = ("AMENT_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
    lines = [f"export {name}={shlex.quote(variables[name])}" for name in kept]
    lines.append(f'export PATH={shlex.quote(str(VENV / "bin"))}:"$PATH"')
    (INSTALL / "environment.sh").write_text("\n".join(lines) + "\n")


def prepare(with_tests: bool) -> None:
    python = digest(str(ROOT), os.path.realpath(sys.executable), f"{sys.version_info[:2]}")
    runtime = digest(python, Path(__file__), *(LISTS / name for name in (*RUNTIME_LISTS, "constraints.txt")))
    tests = digest(runtime, *(LISTS / name for name in TEST_LISTS))
    workspace = workspace_digest(runtime, [ROOT / package for package in PACKAGES])

    if not (INSTALL / "stamp").is_file() and not MICROPHONE_NEED.is_there():
        print(f"note: a live microphone needs PortAudio; install with: {apt_command([MICROPHONE_NEED])}")
    stamps = VENV / "stamps"
    step(f"making .venv with Python {platform.python_version()}", stamps / "python", python, make_venv)
    step("installing what the demo needs", stamps / "runtime", runtime, install_runtime)
    if with_tests:
        step("installing what training and tests need", stamps / "tests", tests, lambda: install(TEST_LISTS))
    step("building the workspace", INSTALL / "stamp", workspace, build_workspace)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="install what training and tests need, too")
    parser.add_argument("--live", action="store_true", help="a live microphone is needed")
    arguments = parser.parse_args()
    try:
        check_python(sys.version_info[:3], platform.system(), platform.machine())
        check_needs([*system_needs(), *([MICROPHONE_NEED] if arguments.live else [])])
        lock = os.open(LISTS, os.O_RDONLY)  # one setup at a time; the lock ends with this process
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepare(arguments.tests)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; `make setup` goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
