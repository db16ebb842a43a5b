"""What the robot says about its own speech is believed, but not for ever."""

import numpy as np
import pytest

from emotion_perception.core.robot_speech import REMEMBERED_S, RobotSpeech

START_S = 1.7e9


@pytest.fixture
def speech():
    return RobotSpeech(tail_s=0.5, limit_s=10.0)


def sounding(speech, *seconds):
    return speech.covers(START_S + np.array(seconds)).tolist()


def tell(speech, is_speaking, seconds, source="topic"):
    speech.tell(source, is_speaking, START_S + seconds)


def test_robot_is_silent_until_it_is_said_to_speak(speech):
    assert not speech.sounds(START_S)
    tell(speech, False, 0.0)
    assert sounding(speech, -1.0, 0.0, 1.0) == [False] * 3


def test_utterance_lasts_from_true_to_false_and_its_echo_on(speech):
    tell(speech, True, 1.0)
    tell(speech, False, 2.0)
    assert sounding(speech, 0.99, 1.0, 2.0, 2.49, 2.51) == [False, True, True, True, False]
    assert speech.sounds(START_S + 2.4) and not speech.sounds(START_S + 2.6)


def test_false_said_again_does_not_prolong_the_echo(speech):
    tell(speech, True, 1.0)
    tell(speech, False, 2.0)
    tell(speech, False, 2.4)
    assert sounding(speech, 2.45, 2.55) == [True, False]


def test_source_that_died_while_it_spoke_is_not_believed_for_ever(speech):
    tell(speech, True, 0.0)
    assert sounding(speech, 9.9, 10.1) == [True, False]
    assert speech.disbelieved(START_S + 9.9) == [] and speech.disbelieved(START_S + 10.1) == ["topic"]
    tell(speech, False, 12.0)
    assert sounding(speech, 12.1) == [False] and speech.disbelieved(START_S + 12.1) == []


def test_true_said_again_prolongs_and_leaves_no_gap(speech):
    tell(speech, True, 0.0)
    tell(speech, True, 8.0)
    assert sounding(speech, 4.0, 12.0, 17.9, 18.1) == [True, True, True, False]


def test_two_sources_are_heard_side_by_side(speech):
    tell(speech, True, 0.0, "topic")
    tell(speech, True, 1.0, "action")
    tell(speech, False, 2.0, "topic")
    assert sounding(speech, 3.0) == [True]
    tell(speech, False, 4.0, "action")
    assert sounding(speech, 4.4, 4.6) == [True, False]


def test_time_that_goes_backwards_forgets_what_lies_in_the_future(speech):
    tell(speech, True, 100.0)
    tell(speech, False, 1.0)
    assert sounding(speech, 101.0) == [False]
    tell(speech, True, 2.0)
    assert sounding(speech, 2.0, 11.9) == [True, True]
    tell(speech, True, 0.5)
    assert sounding(speech, 0.4, 0.5, 10.4, 10.6) == [False, True, True, False]


def test_utterance_that_ended_is_remembered_for_sound_that_comes_late_but_not_for_ever(speech):
    tell(speech, True, 1.0)
    tell(speech, False, 2.0)
    tell(speech, True, 4.0)
    assert sounding(speech, 1.5) == [True]
    tell(speech, False, 2.6 + REMEMBERED_S)
    assert sounding(speech, 1.5) == [False]


@pytest.mark.parametrize(("tail_s", "limit_s"), [(-0.1, 1.0), (0.5, 0.0), (float("nan"), 1.0)])
def test_impossible_times_are_refused(tail_s, limit_s):
    with pytest.raises(ValueError, match="mute_(tail|limit)_s is"):
        RobotSpeech(tail_s, limit_s)


def test_end_of_speech_that_was_told_of_again_and_again_is_believed_at_once(speech):
    for seconds in (0.0, 1.0, 2.0):
        tell(speech, True, seconds)
    tell(speech, False, 3.0)
    assert sounding(speech, 2.9, 3.4, 3.6, 9.0) == [True, True, False, False]


def test_sources_that_begin_in_the_same_moment_are_both_believed(speech):
    tell(speech, True, 1.0, "topic")
    tell(speech, True, 1.0, "action")  # a simulated clock may tick rarely
    tell(speech, False, 2.0, "action")
    assert sounding(speech, 3.0) == [True]
    tell(speech, False, 4.0, "topic")
    assert sounding(speech, 4.4, 4.6) == [True, False]
