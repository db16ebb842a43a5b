"""The robot looks at the nearest person and does not waver."""

import pytest

from emotion_perception.core.person_in_focus import PersonInFocus


def test_nobody_gives_nobody():
    assert PersonInFocus(1.5).choose({}) is None


def test_largest_face_comes_into_focus():
    assert PersonInFocus(1.5).choose({"a": 10.0, "b": 20.0}) == "b"


def test_slightly_larger_face_does_not_take_over():
    focus = PersonInFocus(1.5)
    focus.choose({"a": 10.0})
    assert focus.choose({"a": 10.0, "b": 14.0}) == "a"


def test_clearly_larger_face_takes_over():
    focus = PersonInFocus(1.5)
    focus.choose({"a": 10.0})
    assert focus.choose({"a": 10.0, "b": 16.0}) == "b"


def test_focus_passes_on_when_the_person_leaves():
    focus = PersonInFocus(1.5)
    focus.choose({"a": 10.0, "b": 5.0})
    assert focus.choose({"b": 5.0}) == "b"


def test_ratio_below_one_is_refused():
    with pytest.raises(ValueError, match="takeover_ratio"):
        PersonInFocus(0.5)
