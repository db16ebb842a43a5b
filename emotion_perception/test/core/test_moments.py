"""Moments follow the samples' own time, wait for what belongs to them, and never for ever."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random
from weakref import WeakSet

import pytest

from emotion_perception.core.moments import MARGIN_NS, SILENCE_NS, Moments, Source

MILLISECOND = 1_000_000
START = 1_700_000_000_000 * MILLISECOND
MARGIN_MS = MARGIN_NS // MILLISECOND
LOOK_MS = 50


@dataclass(frozen=True)
class Sample:
    """Times in milliseconds since START."""

    source: Source
    stamp_ms: float
    arrival_ms: float


def samples(source, period_ms, lag_ms, until_ms=2000, since_ms=0.0):
    """Even samples; `lag_ms()` is how long the way of the next one takes, which overtakes none before it."""
    arrival_ms, stamp_ms = -1e9, since_ms
    while stamp_ms < until_ms:
        arrival_ms = max(arrival_ms, stamp_ms + lag_ms())
        yield Sample(source, stamp_ms, arrival_ms)
        stamp_ms += period_ms


def clip(lag_ms, shift_ms=0.0):
    """Images at 30 Hz and audio windows at 10 Hz, in order of arrival."""
    images = samples(Source.FACE, 1000 / 30, lag_ms, 2000 + shift_ms, shift_ms)
    windows = samples(Source.AUDIO, 100, lag_ms, 2000 + shift_ms, shift_ms + 100)
    return sorted((*images, *windows), key=lambda sample: sample.arrival_ms)


def nanoseconds(milliseconds):
    return START + round(milliseconds * MILLISECOND)


def play(arrivals, rate_hz=10.0, until_ms=2000.0, since_ms=0.0):
    """What is known at each moment: (moment, stamps of the samples used since the last one, when it was judged)."""
    moments, used, judged = Moments(rate_hz), [], []

    def judge(now_ms):
        for moment_ns in moments.due(nanoseconds(now_ms)):
            judged.append((round((moment_ns - START) / MILLISECOND, 3), tuple(sorted(used)), now_ms))
            used.clear()

    def take(sample):
        entry = (round(sample.stamp_ms, 3), sample.source.name)
        moments.take(
            sample.source, nanoseconds(sample.stamp_ms), nanoseconds(sample.arrival_ms), lambda: used.append(entry)
        )
        judge(sample.arrival_ms)

    looks = [since_ms + LOOK_MS * look for look in range(int((until_ms - since_ms) / LOOK_MS))]
    events = [(look, judge, look) for look in looks]
    events += [(sample.arrival_ms, take, sample) for sample in arrivals]
    for _, act, argument in sorted(events, key=lambda event: event[0]):
        act(argument)
    return judged


def content(judged, start_ms=0.0):
    """What is known at each moment from the first sample on, with times since the start of the clip."""
    begin = next(index for index, (_, used, _) in enumerate(judged) if used)
    return [
        (round(moment - start_ms, 2), [(round(stamp - start_ms, 2), source) for stamp, source in used])
        for moment, used, _ in judged[begin:]
    ]


def test_ways_of_the_samples_do_not_change_what_is_judged():
    prompt = content(play(clip(lambda: 5)))
    for seed in range(20):
        random = Random(seed)
        assert content(play(clip(lambda random=random: random.uniform(5, 90)))) == prompt


def test_lost_images_do_not_let_the_ways_of_the_others_change_what_is_judged():
    def is_left(sample):
        return sample.source is Source.AUDIO or round(sample.stamp_ms * 30 / 1000) % 12 not in (9, 10)

    def judged(lag_ms):
        return content(play([sample for sample in clip(lag_ms) if is_left(sample)]))

    prompt = judged(lambda: 5)
    for seed in range(20):
        random = Random(seed)
        assert judged(lambda random=random: random.uniform(5, 90)) == prompt


def test_image_that_comes_before_its_time_is_waited_for():
    moments, used = Moments(10.0), []
    for stamp_ms in range(0, 700, 40):  # after half a second no sound is waited for
        moments.take(Source.FACE, nanoseconds(stamp_ms), nanoseconds(stamp_ms + 5), lambda: None)
        list(moments.due(nanoseconds(stamp_ms + 5)))
    assert list(moments.due(nanoseconds(711))) == [], "the last image was 30 ms before the moment at 710 ms"
    moments.take(Source.FACE, nanoseconds(705), nanoseconds(712), lambda: used.append("15 ms before its time"))
    assert list(moments.due(nanoseconds(712))) == [nanoseconds(710)] and used


def test_start_of_a_clip_among_the_ticks_of_the_clock_does_not_change_what_is_judged():
    def judged(shift_ms):
        moments = play(clip(lambda: 25, shift_ms), until_ms=2000 + shift_ms, since_ms=-1000)
        return content(moments, shift_ms)[:19]

    at_zero = judged(0)
    assert all(judged(shift_ms) == at_zero for shift_ms in range(7, 100, 7))


def test_moments_are_even_and_each_is_judged_once():
    moments = [moment for moment, _ in content(play(clip(lambda: 30)))]
    assert moments == [MARGIN_MS + 100 * k for k in range(20)]


@pytest.mark.parametrize("lag_ms", [5, 40, 80])
def test_moment_is_judged_as_soon_as_its_samples_are_there(lag_ms):
    # Once both sources have given two samples, it is known that no image comes between the last one and the moment.
    waits = [now - moment for moment, _, now in play(clip(lambda: lag_ms)) if moment > 200]
    assert max(waits) == pytest.approx(max(lag_ms - MARGIN_MS, 0), abs=LOOK_MS)


def test_sample_that_comes_too_late_is_waited_for_no_longer_and_used_for_the_next_moment():
    late = [
        Sample(sample.source, sample.stamp_ms, sample.arrival_ms + 145 * (sample.stamp_ms >= 1000))
        if sample.source is Source.AUDIO
        else sample
        for sample in clip(lambda: 5)
    ]
    judged = {moment: (used, now) for moment, used, now in play(late)}
    used, now = judged[1000 + MARGIN_MS]
    assert (1000, "AUDIO") not in used and now <= 1000 + MARGIN_MS + 100 + LOOK_MS
    assert (1000, "AUDIO") in judged[1100 + MARGIN_MS][0]


@pytest.mark.parametrize("gone", Source)
def test_source_that_falls_silent_is_soon_no_longer_waited_for(gone):
    left = [sample for sample in clip(lambda: 5) if sample.source is not gone or sample.stamp_ms < 1000]
    judged = play(left)
    assert [moment for moment, _ in content(judged)] == [MARGIN_MS + 100 * k for k in range(20)]
    assert max(now - moment for moment, _, now in judged) <= 100 + LOOK_MS
    assert max(now - moment for moment, _, now in judged if moment > 1700) <= 50


@pytest.mark.parametrize("lags_ms", [(300, 480), (400, 520), (450, 700)])
def test_samples_that_are_silent_again_and_again_as_they_come_late_let_no_moment_be_judged_twice(lags_ms):
    random = Random(1)
    windows = samples(Source.AUDIO, 100, lambda: random.uniform(*lags_ms), 20_000, since_ms=37)
    images = samples(Source.FACE, 100, lambda: random.uniform(*lags_ms), 20_000)
    arrivals = sorted((*images, *windows), key=lambda sample: sample.arrival_ms)
    moments = [moment for moment, _, _ in play(arrivals, until_ms=20_000)]
    assert all(earlier < later for earlier, later in pairwise(moments))
    assert len(moments) == pytest.approx(200, abs=10)


@pytest.mark.parametrize("period_ms, lag_ms", [(667, 30), (667, 90), (1000, 60), (1000, 150)])
def test_camera_that_is_slower_than_a_source_may_be_lets_no_moment_be_judged_twice(period_ms, lag_ms):
    images = list(samples(Source.FACE, period_ms, lambda: lag_ms, 20_000))
    moments = [moment for moment, _, _ in play(images, until_ms=20_000)]
    later = [moment for moment in moments if moment > period_ms]  # at the first sample the moments begin anew
    assert all(earlier < later for earlier, later in pairwise(later))
    assert len(moments) == pytest.approx(200, abs=10)


def test_images_alone_lead_when_there_is_no_sound():
    judged = play(list(samples(Source.FACE, 50, lambda: 5, since_ms=33)))
    assert [moment for moment, _, _ in judged[-5:]] == pytest.approx([1543 + 100 * k for k in range(5)])


def test_clock_leads_when_nothing_comes():
    judged = play([])
    assert [moment for moment, _, _ in judged] == [100 * k for k in range(20)]
    assert all(now == moment for moment, _, now in judged)


def test_sound_takes_the_lead_without_a_pause_or_a_burst():
    images = samples(Source.FACE, 50, lambda: 5, since_ms=60)
    windows = samples(Source.AUDIO, 100, lambda: 5, since_ms=1000)
    moments = [moment for moment, _, _ in play(sorted((*images, *windows), key=lambda sample: sample.arrival_ms))]
    steps = [later - earlier for earlier, later in pairwise(moments) if earlier > 100]
    assert min(steps) >= 50 and max(steps) <= 150
    assert moments[-1] % 100 == MARGIN_MS


def test_images_that_begin_beside_sound_do_not_take_the_lead():
    images = samples(Source.FACE, 50, lambda: 5, since_ms=1033)
    windows = samples(Source.AUDIO, 100, lambda: 5)
    moments = [moment for moment, _, _ in play(sorted((*images, *windows), key=lambda sample: sample.arrival_ms))]
    assert {moment % 100 for moment in moments[1:]} == {MARGIN_MS}


def test_frequent_moment_waits_for_its_samples_no_longer_than_until_the_next():
    moments = Moments(rate_hz=50.0)
    moments.take(Source.FACE, nanoseconds(0), nanoseconds(5), lambda: None)
    assert list(moments.due(nanoseconds(29))) == []
    assert list(moments.due(nanoseconds(30))) == [nanoseconds(MARGIN_MS)]


def test_sound_takes_the_lead_of_rare_moments_without_a_burst():
    images = samples(Source.FACE, 50, lambda: 5, 40_000)
    windows = samples(Source.AUDIO, 100, lambda: 5, 40_000, since_ms=12_400)
    arrivals = sorted((*images, *windows), key=lambda sample: sample.arrival_ms)
    moments = [moment for moment, _, _ in play(arrivals, rate_hz=0.2, until_ms=40_000)]
    steps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(steps[1:]) >= 2500 and max(steps) <= 7500
    assert moments[-1] % 5000 == 2400 + MARGIN_MS


@pytest.mark.parametrize("offset_ms", [-10_000, 10_000])
def test_stamps_that_are_far_from_the_present_do_not_lead_and_wait_for_nothing(offset_ms):
    wrong = [
        Sample(sample.source, sample.stamp_ms + offset_ms, sample.arrival_ms)
        for sample in samples(Source.FACE, 50, lambda: 5)
    ]
    judged = play(wrong)
    assert [moment for moment, _, _ in judged] == [100 * k for k in range(20)]
    used = sum(len(used) for _, used, _ in judged)
    assert used == 0 if offset_ms > 0 else used >= len(wrong) - 2


@pytest.mark.parametrize(("ahead_ns", "is_used"), [(SILENCE_NS, True), (SILENCE_NS + 1, False)])
def test_sample_of_another_clock_is_never_used(ahead_ns, is_used):
    moments, used = Moments(10.0), []
    moments.take(Source.FACE, START + ahead_ns, START, lambda: used.append("face"))
    list(moments.due(START + ahead_ns + MARGIN_NS))
    assert bool(used) is is_used


def test_sample_of_another_clock_disturbs_no_other():
    far = Sample(Source.FACE, 1_000_000.0, 1000.0)
    assert play([*clip(lambda: 5), far]) == play(clip(lambda: 5))


def test_samples_of_a_clock_that_stands_still_do_not_heap_up():
    # Sound that is stamped when it comes: its windows run ahead of a simulation that pauses, and are set back again.
    moments, alive = Moments(10.0), WeakSet()
    for count in range(3000):
        sample = partial(str)
        alive.add(sample)
        moments.take(Source.AUDIO, nanoseconds(1000 + 20 + 10 * (count % 20)), nanoseconds(1000), sample)
        list(moments.due(nanoseconds(1000)))
    del sample
    assert len(alive) <= 20


def test_moments_during_a_long_pause_are_left_out():
    moments = Moments(10.0)
    assert list(moments.due(nanoseconds(0))) == [nanoseconds(0)]
    after_pause = list(moments.due(nanoseconds(60_000)))
    assert after_pause == [nanoseconds(60_000)]


def test_rare_moments_are_never_judged_long_after_their_time():
    moments, ages_ms = Moments(0.1), []
    moments.take(Source.FACE, nanoseconds(0), nanoseconds(5), lambda: None)
    for now_ms in range(7000, 97_000, 5000):  # nothing else comes, and a clock asks twice in a period
        ages_ms += [now_ms - (moment_ns - START) / MILLISECOND for moment_ns in moments.due(nanoseconds(now_ms))]
    assert len(ages_ms) in (9, 10) and max(ages_ms) <= SILENCE_NS / MILLISECOND


@pytest.mark.parametrize("by_sample", [True, False])
def test_time_that_is_set_back_begins_anew(by_sample):
    moments, used = Moments(10.0), []
    moments.take(Source.FACE, nanoseconds(100_000), nanoseconds(100_005), lambda: None)
    list(moments.due(nanoseconds(100_015)))
    moments.take(Source.FACE, nanoseconds(100_033), nanoseconds(100_038), lambda: used.append("of the old time"))
    if by_sample:
        moments.take(Source.FACE, nanoseconds(0), nanoseconds(5), lambda: used.append("new"))
    first_ms = MARGIN_MS if by_sample else 115
    assert list(moments.due(nanoseconds(115))) == [nanoseconds(first_ms)]
    assert used == (["new"] if by_sample else [])


def test_rare_moments_wait_for_a_tenth_of_a_second_too():
    rare = Moments(rate_hz=1.0)
    rare.take(Source.FACE, START, START, lambda: None)
    assert list(rare.due(START + 50 * MILLISECOND)) == [], "sound may still come"
    assert list(rare.due(START + 125 * MILLISECOND)) == [START + MARGIN_NS]
