"""The robot attends to who speaks, is near and stands before it, and does not waver."""

import pytest

from emotion_perception.core.person_in_focus import Candidate, FocusSettings, PersonInFocus


@pytest.fixture
def focus():
    return PersonInFocus(FocusSettings(takeover_ratio=1.5, speaking_ratio=4.0, center_ratio=2.0))


def person(area, off_center=0.0, is_speaking=False):
    return Candidate(area, off_center, is_speaking)


def test_nobody_gives_nobody(focus):
    assert focus.choose({}) is None


def test_largest_face_comes_into_focus(focus):
    assert focus.choose({"a": person(10.0), "b": person(20.0)}) == "b"


def test_of_two_faces_of_one_size_the_one_in_the_middle_comes_into_focus(focus):
    assert focus.choose({"a": person(10.0, off_center=0.5), "b": person(10.0, off_center=0.1)}) == "b"


def test_one_who_speaks_comes_into_focus_though_smaller(focus):
    assert focus.choose({"a": person(20.0), "b": person(10.0, is_speaking=True)}) == "b"


def test_much_larger_face_outweighs_one_who_speaks(focus):
    assert focus.choose({"a": person(50.0), "b": person(10.0, is_speaking=True)}) == "a"


def test_slightly_larger_face_does_not_take_over(focus):
    focus.choose({"a": person(10.0)})
    assert focus.choose({"a": person(10.0), "b": person(14.0)}) == "a"


def test_clearly_larger_face_takes_over(focus):
    focus.choose({"a": person(10.0)})
    assert focus.choose({"a": person(10.0), "b": person(16.0)}) == "b"


def test_one_who_begins_to_speak_takes_over(focus):
    focus.choose({"a": person(10.0), "b": person(9.0)})
    assert focus.choose({"a": person(10.0), "b": person(9.0, is_speaking=True)}) == "b"
    assert focus.choose({"a": person(10.0), "b": person(9.0)}) == "b", "and is not left at once"


def test_focus_passes_on_when_the_person_leaves(focus):
    focus.choose({"a": person(10.0), "b": person(5.0)})
    assert focus.choose({"b": person(5.0)}) == "b"


@pytest.mark.parametrize("name", ["takeover_ratio", "speaking_ratio", "center_ratio"])
def test_ratio_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"focus_{name} is 0.5"):
        FocusSettings(**{"takeover_ratio": 1.5, "speaking_ratio": 4.0, "center_ratio": 2.0, name: 0.5})
