"""Sound that lasts as long as it takes is right, however it comes; sound of another rate is not for long."""

import numpy as np
import pytest

from emotion_perception.core.audio_pace import AudioPace

CHUNK_S = 0.01
START_S = 1.7e9  # seconds since 1970, as ROS stamps them


def stamps_s(n_chunks):
    return START_S + CHUNK_S * np.arange(n_chunks)


def hear(pace, stamps, ratio=1.0, chunk_s=CHUNK_S):
    """Whether the pace is wrong after each chunk, which is taken to be `ratio` times as long as it is."""
    verdicts = []
    for stamp_s in stamps:
        pace.add(chunk_s * ratio, float(stamp_s))
        verdicts.append(pace.is_wrong)
    return verdicts


@pytest.mark.parametrize("ratio", [3.0, 2.0, 48 / 44.1, 32 / 44.1, 0.5, 1 / 3])
def test_sound_of_another_rate_is_wrong_after_three_seconds(ratio):
    pace = AudioPace()
    verdicts = hear(pace, stamps_s(1000), ratio)
    assert verdicts.index(True) == pytest.approx(300, abs=3) and all(verdicts[303:])
    assert pace.pace == pytest.approx(ratio, rel=0.02)


@pytest.mark.parametrize("ratio", [1.0, 1.0001, 0.9, 1.03])
def test_sound_of_the_right_rate_is_never_wrong(ratio):
    assert not any(hear(AudioPace(), stamps_s(6000), ratio))


def test_stamps_that_tremble_do_not_make_it_wrong():
    trembling = np.sort(stamps_s(6000) + np.random.default_rng(0).uniform(0.0, 0.2, 6000))
    assert not any(hear(AudioPace(), trembling))


def test_computer_that_stalls_and_catches_up_does_not_make_it_wrong():
    stamps = stamps_s(6000)
    for second in range(0, 60, 2):
        is_late = (stamps >= START_S + second) & (stamps < START_S + second + 0.8)
        stamps[is_late] = START_S + second + 0.8 + 1e-4 * np.arange(is_late.sum())
    assert not any(hear(AudioPace(), stamps))


def test_sound_that_is_too_fast_is_found_through_pauses():
    stamps = stamps_s(1000)
    assert hear(AudioPace(), stamps[(stamps - START_S) % 1.0 < 0.7], 2.0)[-1]


def test_bursts_of_a_driver_do_not_make_it_wrong():
    assert not any(hear(AudioPace(), np.repeat(stamps_s(6000)[::20], 20)))


def test_lost_chunks_here_and_there_do_not_make_it_wrong():
    is_lost = np.random.default_rng(0).random(6000) < 0.1
    assert not any(hear(AudioPace(), stamps_s(6000)[~is_lost]))


def test_pauses_do_not_make_it_wrong():
    stamps = stamps_s(6000)
    assert not any(hear(AudioPace(), stamps[(stamps - START_S) % 1.0 < 0.7]))


def test_chunks_longer_than_what_is_measured_are_measured():
    stamps = START_S + 1.5 * np.arange(20)
    assert not any(hear(AudioPace(), stamps, chunk_s=1.5))
    assert hear(AudioPace(), stamps, ratio=2.0, chunk_s=1.5)[-1]


def test_right_second_makes_it_right_again():
    pace = AudioPace()
    assert hear(pace, stamps_s(500), 2.0)[-1]
    verdicts = hear(pace, START_S + 5.0 + CHUNK_S * np.arange(300))
    assert verdicts[50] and not any(verdicts[205:])


def test_pause_does_not_make_it_right_again():
    pace = AudioPace()
    assert hear(pace, stamps_s(500), 2.0)[-1]
    assert all(hear(pace, stamps_s(500) + 60.0, 2.0))


def test_time_that_goes_backwards_begins_a_new_stretch():
    pace = AudioPace()
    assert not any(hear(pace, stamps_s(500)) + hear(pace, stamps_s(500) - 3600.0))
    assert hear(pace, stamps_s(500) - 7200.0, 2.0)[-1]


def test_reset_forgets_that_it_was_wrong():
    pace = AudioPace()
    hear(pace, stamps_s(500), 2.0)
    pace.reset()
    assert not pace.is_wrong and not any(hear(pace, stamps_s(250), 2.0))
