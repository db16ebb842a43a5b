"""How every command of this package begins and ends: with a folder for its results, one sentence, an exit status, and
no process left behind.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path


class OutputError(OSError):
    """A folder of results that cannot be made; the message names it."""


def make_out(out: Path) -> None:
    """The folder of --out, made before the work, which would be lost without it; OutputError if it cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made ({error.strerror}); give another folder with --out") from None


def run_command(
    work: Callable[[], str], errors: tuple[type[Exception], ...], interrupted: str = "interrupted, nothing was kept"
) -> int:
    """Does the work of a command and prints the sentence that it returns.

    Args:
        work: raises one of `errors`, or OSError, with a sentence for the user.
        errors: what can be wrong with what the user gave.
        interrupted: the sentence after Ctrl-C: what is kept, and how to go on.

    Returns:
        Exit status: 0, 1 after one sentence on what is wrong, 130 when interrupted.
    """
    try:
        outcome = work()
    except (*errors, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    print(outcome)
    return 0


def end_with_parent() -> None:
    """Ends this worker process when the one that it works for is gone, however that came about; otherwise it would wait
    for work for ever. Ctrl-C, which every process hears, is the other one's affair.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
