"""Stamps: integer nanoseconds of the clock that all nodes share, so that none is rounded."""

import math
from typing import Any

NANOSECONDS_PER_S = 1_000_000_000
# Samples of one stream may come a little late or overtake each other; back by more than this, and time itself was set
# back (a bag that starts again, a simulation that was reset).
TIME_JUMP_S = 0.5
TIME_JUMP_NS = round(TIME_JUMP_S * NANOSECONDS_PER_S)


def seconds_between(earlier_ns: int | None, later_ns: int | None) -> float:
    """NaN unless both are known."""
    if earlier_ns is None or later_ns is None:
        return math.nan
    return (later_ns - earlier_ns) / NANOSECONDS_PER_S


def to_nanoseconds(stamp: Any) -> int:
    """A builtin_interfaces/Time, whoever has read it."""
    return int(stamp.sec * NANOSECONDS_PER_S + stamp.nanosec)
