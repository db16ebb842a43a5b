"""How every command of this package ends: with one sentence and an exit status."""

import sys
from collections.abc import Callable


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
