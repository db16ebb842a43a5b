"""Which moments are judged, and when everything that belongs to them is there.

Moments lie evenly on the time line of the samples' stamps. One is judged when face and audio have given all that was
captured up to it, or a short time later with what there is; what was captured after it waits for the next. So the same
samples give the same estimates, however long their ways took: in one process, in several, on a busy machine.

The moments follow the audio windows, which come evenly and are not lost; without them the images, without both the
clock. Stamps are integer nanoseconds.
"""

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, auto

from emotion_perception.core.stamps import NANOSECONDS_PER_S

# What a moment waits for its samples, and never longer than until the next moment.
PATIENCE_NS = NANOSECONDS_PER_S // 10
# From a sample to the moments that follow it: more than the stamps tremble, so that it surely belongs to its moment.
MARGIN_NS = NANOSECONDS_PER_S // 100
# A source whose newest sample is so far from the present is silent and no longer waited for; one that has yet to begin
# is waited for so long when the other one begins. A moment so long ago is not worth judging any more. A sample from so
# far in the future is of another clock.
SILENCE_NS = NANOSECONDS_PER_S // 2
# The smallest of so many is the usual interval of a source, though the others hold samples that were lost.
INTERVALS = 4


class Source(Enum):
    """What the samples are of."""

    FACE = auto()
    AUDIO = auto()


class Moments:
    """Puts samples and moments into the order of their time. One thread at a time."""

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = round(NANOSECONDS_PER_S / rate_hz)
        self._patience_ns = min(PATIENCE_NS, self._period_ns)
        self._start(0)

    def take(self, source: Source, stamp_ns: int, now_ns: int, use: Callable[[], None]) -> None:
        """Use a sample: at once, or when the moments before it have been judged; never one of another clock."""
        # No moment would use it before the present has come so far, and until then ever more of them would be kept.
        if stamp_ns > now_ns + SILENCE_NS:
            return
        arrivals = self._arrivals[source]
        if arrivals.newest_ns is not None and stamp_ns < arrivals.newest_ns - SILENCE_NS:
            self._start(now_ns)  # time was set back
            arrivals = self._arrivals[source]
        was_silent, is_first = arrivals.are_silent(now_ns), arrivals.newest_ns is None
        is_newest = arrivals.see(stamp_ns)
        if was_silent and not arrivals.are_silent(now_ns):
            self._align(source, stamp_ns, now_ns, is_first)
        if stamp_ns <= self._next_ns:
            use()
        elif is_newest:  # while a clock stands still, as of a simulation that pauses, others would come without end
            self._waiting.append((stamp_ns, use))

    def due(self, now_ns: int) -> Iterator[int]:
        """Give the moments that are to be judged now, each before the samples that follow it are used."""
        behind_ns = now_ns - self._next_ns
        if behind_ns < -SILENCE_NS - self._period_ns * 3 // 2:  # further ahead than a new lead puts the next one
            self._start(now_ns)  # time was set back
        elif behind_ns > SILENCE_NS:  # to the newest one; where they are rare, that may be too long ago, too
            self._go_on_to(max(now_ns - behind_ns % self._period_ns, now_ns - SILENCE_NS))
        while self._is_due(self._next_ns, now_ns):
            self._judged_ns = self._next_ns
            yield self._judged_ns
            self._go_on_to(self._following_ns())

    def _start(self, moment_ns: int) -> None:
        """Know of no samples; until some come, any next moment will do."""
        self._arrivals = {source: _Arrivals() for source in Source}
        self._waiting: list[tuple[int, Callable[[], None]]] = []  # stamps and what to do, in order of arrival
        self._next_ns = self._lead_ns = moment_ns  # the moments are whole periods from the lead
        self._judged_ns = 0  # the last moment that was given

    def _align(self, source: Source, stamp_ns: int, now_ns: int, is_first: bool) -> None:
        """Let the moments follow a source that begins, unless they follow a better one."""
        others = [self._arrivals[other] for other in Source if other is not source]
        if all(other.are_silent(now_ns) for other in others):
            for other in others:
                other.expected_ns = stamp_ns
            self._lead_ns = stamp_ns + MARGIN_NS
            # Only for its first sample back to before a moment that was judged: a source that is silent again and
            # again, as it is late or slow or comes in bursts, would have it judged a second time.
            is_prompt = self._lead_ns > self._judged_ns - (self._patience_ns if is_first else 0)
            self._go_on_to(self._lead_ns if is_prompt else self._following_ns())
        elif source is Source.AUDIO:
            self._lead_ns = stamp_ns + MARGIN_NS

    def _following_ns(self) -> int:
        """The moment after the one judged last: a period later, but where the lead has just changed."""
        earliest_ns = self._judged_ns + self._period_ns // 2
        return earliest_ns + (self._lead_ns - earliest_ns) % self._period_ns

    def _go_on_to(self, moment_ns: int) -> None:
        """Use what waited and belongs to this moment."""
        self._next_ns = moment_ns
        uses = [use for stamp_ns, use in self._waiting if stamp_ns <= moment_ns]
        self._waiting = [(stamp_ns, use) for stamp_ns, use in self._waiting if stamp_ns > moment_ns]
        for use in uses:
            use()

    def _is_due(self, moment_ns: int, now_ns: int) -> bool:
        awaited = (arrivals for arrivals in self._arrivals.values() if arrivals.are_awaited(now_ns))
        is_complete = all(arrivals.are_complete(moment_ns) for arrivals in awaited)
        return now_ns >= moment_ns + (0 if is_complete else self._patience_ns)


class _Arrivals:
    """When the samples of one source were captured."""

    def __init__(self) -> None:
        self.newest_ns: int | None = None
        self.expected_ns: int | None = None  # when the other source began while this one was silent
        self._intervals_ns: deque[int] = deque(maxlen=INTERVALS)

    def see(self, stamp_ns: int) -> bool:
        """Take a sample's stamp, and say whether it is the newest so far."""
        if self.newest_ns is None:
            self.newest_ns = stamp_ns
            return True
        self._intervals_ns.append(max(stamp_ns - self.newest_ns, 0))
        is_newest = stamp_ns > self.newest_ns
        self.newest_ns = max(stamp_ns, self.newest_ns)
        return is_newest

    def are_silent(self, now_ns: int) -> bool:
        return not _is_present(self.newest_ns, now_ns)

    def are_awaited(self, now_ns: int) -> bool:
        return _is_present(self.newest_ns, now_ns) or _is_present(self.expected_ns, now_ns)

    def are_complete(self, moment_ns: int) -> bool:
        """Whether no sample up to the moment is to come: none follows within half the usual interval."""
        interval_ns = min(self._intervals_ns, default=0)
        return self.newest_ns is not None and self.newest_ns + interval_ns // 2 >= moment_ns


def _is_present(stamp_ns: int | None, now_ns: int) -> bool:
    return stamp_ns is not None and abs(now_ns - stamp_ns) <= SILENCE_NS
