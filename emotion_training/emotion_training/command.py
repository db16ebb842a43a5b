"""How every command of this package begins and ends: with a folder for its results, one sentence, an exit status, and
no process left behind.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class OutputError(OSError):
    """A folder or file of results that cannot be made; the message names it."""


def make_out(out: Path) -> None:
    """The folder of --out, made before the work, which would be lost without it; OutputError if it cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made ({error.strerror}); give another folder with --out") from None


def write_whole(path: Path, text: str) -> None:
    """Writes a file, or leaves it as it was; OutputError names it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")  # of one process of several
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text)
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise OutputError(f"{path} cannot be written ({error.strerror}); make room, or see to what is there") from None


def run_command(
    work: Callable[[], str], errors: tuple[type[Exception], ...], interrupted: str = "interrupted, nothing was kept"
) -> int:
    """Does the work of a command and prints the sentence that it returns, if any.

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
    if outcome:
        print(outcome)
    return 0


def in_processes(
    work: Callable[[Item], Made], items: Sequence[Item], workers: int, start: Callable[[], None]
) -> Iterator[Made]:
    """What `work` makes of the items, each as soon as it is there, in spawned processes that do not outlive this.

    start: of a process; begins with `end_with_parent`. BrokenProcessPool: one of them died.
    """
    # Spawned: a fork would take over threads of torch, MediaPipe and OpenCV that do not live on in it.
    context, others = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    with ProcessPoolExecutor(max(1, min(workers, len(items))), context, initializer=start) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.kill()  # else it would finish its film or training


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
