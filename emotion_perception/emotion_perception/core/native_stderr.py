"""Keeps the start-up notes of MediaPipe's native libraries off stderr; no environment variable does."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

STDERR_FD = 2
# Notes and warnings in glog's format ("W0000 00:00:17... file.cc:114] ..."), and what precedes its set-up.
CHATTER = re.compile(rb"[IW]\d{4} \S+ +\d+ \S+\]|INFO: Created TensorFlow Lite|WARNING: All log messages before absl::")


@contextmanager
def without_native_chatter() -> Iterator[None]:
    """Hold back what is written to stderr meanwhile; afterwards write all of it but the chatter."""
    with tempfile.TemporaryFile() as held:
        stderr_fd = os.dup(STDERR_FD)
        os.dup2(held.fileno(), STDERR_FD)
        try:
            yield
        finally:
            os.dup2(stderr_fd, STDERR_FD)
            os.close(stderr_fd)
            held.seek(0)
            os.write(STDERR_FD, b"".join(line for line in held if not CHATTER.match(line)))
