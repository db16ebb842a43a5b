"""A behaviour acts on what is sure and holds, and once."""

import pytest

from emotion_bringup.examples.reactions import Reaction, Reactions

STEP_S = 0.1
GREET, SLOW_DOWN, FULL_SPEED = Reaction.GREET, Reaction.SLOW_DOWN, Reaction.FULL_SPEED


class Person:
    """States 10 times a second, and what they led to."""

    def __init__(self):
        self.time_s = 100.0
        self.reactions = Reactions("happy", "scared", dwell_s=1.0, greet_again_s=60.0, release_s=3.0)

    def feels(self, label, for_s, track_id="face_1", uncertain=False):
        given = []
        for _ in range(round(for_s / STEP_S) + 1):
            given += self.reactions.update(self.time_s, track_id, label, uncertain)
            self.time_s += STEP_S
        return given

    def is_away(self, for_s):
        return self.feels("nobody", for_s, track_id="", uncertain=True)


@pytest.fixture
def person():
    return Person()


def test_happiness_that_holds_is_greeted_once(person):
    assert person.feels("happy", 0.8) == []
    assert person.feels("happy", 20.0) == [GREET]


@pytest.mark.parametrize(
    "interruption",
    [
        {"label": "neutral"},
        {"label": "happy", "uncertain": True},
        {"label": "happy", "track_id": "face_2"},
        {"label": "nobody", "track_id": "", "uncertain": True},
    ],
)
def test_interrupted_happiness_does_not_hold(person, interruption):
    for _ in range(5):
        assert person.feels("happy", 0.6) == []
        assert person.feels(for_s=0.0, **interruption) == []


def test_what_was_felt_in_a_gap_is_not_known(person):
    assert person.feels("happy", 0.6) == []
    person.time_s += 0.5
    assert person.feels("happy", 0.6) == []
    assert person.feels("happy", 1.0) == [GREET]


def test_the_robot_stays_slow_while_anybody_seems_scared_in_focus_or_not(person):
    assert person.feels("scared", 1.5) == [SLOW_DOWN]
    for _ in range(50):
        person.reactions.see(person.time_s, "scared")
        assert person.feels("neutral", 0.0, track_id="face_2") == []
    assert person.feels("neutral", 4.0, track_id="face_2") == [FULL_SPEED]


def test_what_is_seen_after_a_gap_lifts_no_limit_before_it_was_seen_for_long(person):
    assert person.feels("scared", 1.5) == [SLOW_DOWN]
    person.time_s += 60.0
    assert person.is_away(2.5) == []
    assert person.is_away(1.0) == [FULL_SPEED]


def test_uncertain_happiness_is_never_greeted(person):
    assert person.feels("happy", 10.0, uncertain=True) == []


def test_nobody_is_neither_greeted_nor_a_reason_to_slow_down(person):
    assert person.is_away(10.0) == []


def test_voice_without_a_face_is_not_greeted(person):
    assert person.feels("happy", 10.0, track_id="") == []


def test_same_face_is_greeted_again_only_after_a_while(person):
    assert person.feels("happy", 2.0) == [GREET]
    assert person.is_away(5.0) == []
    assert person.feels("happy", 2.0) == []
    assert person.is_away(55.0) == []
    assert person.feels("happy", 2.0) == [GREET]


def test_greeting_that_could_not_be_given_is_due_again_when_the_happiness_begins_anew(person):
    assert person.feels("happy", 2.0) == [GREET]
    person.reactions.forget_greeting("face_1")
    assert person.feels("happy", 5.0) == []
    assert person.feels("neutral", 0.5) == []
    assert person.feels("happy", 2.0) == [GREET]


def test_each_face_is_greeted(person):
    assert person.feels("happy", 2.0) == [GREET]
    assert person.feels("happy", 2.0, track_id="face_2") == [GREET]
    assert person.feels("happy", 2.0) == []


def test_fear_slows_down_once_and_its_end_lifts_the_limit_once(person):
    assert person.feels("scared", 10.0) == [SLOW_DOWN]
    assert person.feels("neutral", 2.8) == []
    assert person.feels("neutral", 10.0) == [FULL_SPEED]


def test_voice_without_a_face_slows_down(person):
    assert person.feels("scared", 2.0, track_id="") == [SLOW_DOWN]


def test_scared_person_who_leaves_is_no_reason_to_stay_slow_for_ever(person):
    assert person.feels("scared", 2.0) == [SLOW_DOWN]
    assert person.is_away(10.0) == [FULL_SPEED]


def test_doubtful_fear_does_not_slow_down_but_keeps_slow(person):
    assert person.feels("scared", 10.0, uncertain=True) == []
    assert person.feels("scared", 2.0) == [SLOW_DOWN]
    assert person.feels("scared", 10.0, uncertain=True) == []
    assert person.feels("neutral", 10.0) == [FULL_SPEED]


def test_no_states_leave_the_robot_slow(person):
    """Whether the person is still scared is not known when perception has died."""
    assert person.feels("scared", 2.0) == [SLOW_DOWN]
    person.time_s += 100.0
    assert person.feels("scared", 0.0) == []


def test_time_that_begins_anew_forgets_who_was_greeted_and_still_lifts_the_limit(person):
    assert person.feels("happy", 2.0) == [GREET]
    assert person.feels("scared", 2.0) == [SLOW_DOWN]
    person.time_s = 0.0
    assert person.feels("happy", 4.0) == [GREET, FULL_SPEED]
