"""Splits: nobody is in two parts, whatever the order of the files."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from emotion_training.clip import Clip
from emotion_training.committed_splits import committed_splits
from emotion_training.splits import (
    Fold,
    Split,
    SplitError,
    k_fold,
    leave_one_session_out,
    leave_one_speaker_out,
    load_split,
    save_split,
    shared_sessions,
    speaker_sessions,
)

FILES = sorted((Path(__file__).parents[1] / "splits").glob("*.json"))
ACTORS = {f"ravdess-{actor:02d}": "male" if actor % 2 else "female" for actor in range(1, 21)}


def clip(speaker, label, session=None):
    return Clip(f"{speaker}-{label}-{session}", "test", speaker, session_id=session, label=label)


def test_all_published_splits_are_committed():
    assert [path.stem for path in FILES] == [split.name for split in committed_splits()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_speaker_is_in_two_parts_and_nobody_is_missing(path):
    folds = json.loads(path.read_text())["folds"]
    everybody = {speaker for part in folds[0].values() for speaker in part}
    assert len(folds) >= 4 and len(everybody) >= 4
    for fold in folds:
        assert set(fold) == {"train", "validation", "test"}
        for a, b in combinations(fold.values(), 2):
            assert not set(a) & set(b)
        assert sum(map(len, fold.values())) == len(everybody) == len(set().union(*fold.values()))


@pytest.mark.parametrize("split", committed_splits(), ids=lambda split: split.name)
def test_the_committed_files_are_what_the_code_makes(split):
    assert load_split(next(path for path in FILES if path.stem == split.name)) == split


@pytest.mark.parametrize("name", ["ravdess_5fold_20actors", "ravdess_loso_20actors", "emodb_5fold", "emodb_loso"])
def test_everybody_is_tested_once(name):
    split = next(split for split in committed_splits() if split.name == name)
    assert Counter(speaker for fold in split.folds for speaker in fold.test) == Counter(split.speakers)


def test_the_folds_of_ravdess_are_balanced_by_gender():
    split = next(split for split in committed_splits() if split.name == "ravdess_5fold_20actors")
    for fold in split.folds:
        assert Counter(ACTORS[speaker] for speaker in fold.test) == {"male": 2, "female": 2}
        assert Counter(ACTORS[speaker] for speaker in fold.validation) == {"male": 1, "female": 1}


def test_katerynach_tests_the_actors_that_the_repository_names():
    split = next(split for split in committed_splits() if split.name == "ravdess_katerynach")
    assert split.folds[0].test == tuple(f"ravdess-{actor:02d}" for actor in (1, 2, 3, 4))
    assert split.folds[0].validation == tuple(f"ravdess-{actor:02d}" for actor in (5, 6, 7, 8))
    assert split.folds[4].validation == tuple(f"ravdess-{actor:02d}" for actor in (21, 22, 23, 24))


def test_the_split_depends_on_the_seed_and_not_on_the_order():
    backwards = dict(reversed(ACTORS.items()))
    assert k_fold("a", "ravdess", ACTORS, 5, 0) == k_fold("a", "ravdess", backwards, 5, 0)
    assert k_fold("a", "ravdess", ACTORS, 5, 0).folds != k_fold("a", "ravdess", ACTORS, 5, 1).folds


def test_a_session_is_left_out_as_a_whole():
    sessions = speaker_sessions([clip(f"p{n}", "happy", f"s{n // 2}") for n in range(8)])
    split = leave_one_session_out("a", "test", sessions, seed=0)
    assert len(split.folds) == 4
    for fold in split.folds:
        assert len({sessions[speaker] for speaker in fold.test}) == 1 and len(fold.test) == 2
        assert len({sessions[speaker] for speaker in fold.validation}) == 1 and len(fold.train) == 4
    tests = [fold.test for fold in split.folds]
    assert [fold.validation for fold in split.folds] == tests[1:] + tests[:1], "of the session drawn next"


def test_sessions_that_a_speaker_connects_are_one():
    talks = [("a", "s1"), ("b", "s1"), ("c", "s2"), ("d", "s2"), ("e", "s3"), ("f", "s3"), ("b", "s3")]
    found = speaker_sessions([clip(speaker, "happy", session) for speaker, session in talks])
    assert found == dict.fromkeys("abef", "s1 + s3") | dict.fromkeys("cd", "s2")


def test_sessions_whose_people_are_in_two_parts_are_told():
    split = Split("x", "test", "", None, (Fold(("a", "b"), ("c", "d"), ("e", "f", "g")),))
    talks = [("a", "s1"), ("b", "s1"), ("c", "s2"), ("e", "s2"), ("e", "s3"), ("f", "s3"), ("g", None), ("a", None)]
    assert shared_sessions(split, [clip(speaker, "happy", session) for speaker, session in talks], [0]) == ["s2"]


def test_a_clip_without_a_session_is_refused():
    with pytest.raises(SplitError, match="has no session"):
        speaker_sessions([clip("a", "happy")])


def test_a_speaker_in_two_parts_is_named():
    with pytest.raises(SplitError, match="speakers b are in validation and in test"):
        Fold(("a",), ("b",), ("b", "c"))
    with pytest.raises(SplitError, match="train has no speaker"):
        Fold((), ("b",), ("c",))


def test_folds_over_different_speakers_are_refused():
    with pytest.raises(SplitError, match="x, fold 1: speakers d are not in every fold"):
        Split("x", "test", "", None, (Fold(("a",), ("b",), ("c",)), Fold(("a",), ("b",), ("c", "d"))))


def test_a_split_file_that_was_changed_by_hand_is_named(tmp_path):
    path = tmp_path / "split.json"
    save_split(leave_one_speaker_out("x", "test", dict.fromkeys("abc", ""), 0), path)
    assert load_split(path).folds[0].test[0] in "abc"
    tree = json.loads(path.read_text())
    tree["folds"][1]["train"] = tree["folds"][1]["test"]
    path.write_text(json.dumps(tree))
    with pytest.raises(SplitError, match=r"split.json: fold .: speakers . are in train and in test"):
        load_split(path)
    path.write_text("{}")
    with pytest.raises(SplitError, match=r"split.json is no split file"):
        load_split(path)
    with pytest.raises(SplitError, match=r"none.json does not exist"):
        load_split(tmp_path / "none.json")


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("name", 3, "name is 3; expected text"),
        ("seed", "abc", "seed is 'abc'; expected a whole number, or null"),
        ("test", "anna", "fold 0: test is 'anna'; expected a list of speakers"),
        ("train", ["b", None], "fold 0: train has None; expected names of speakers"),
        ("train", ["b", "b"], "fold 0: train has b more than once; expected each once"),
    ],
)
def test_a_value_of_a_split_file_that_is_none_of_a_split_is_named(tmp_path, key, value, message):
    fold = {"train": ["b"], "validation": ["c"], "test": ["d"]}
    tree = {"name": "own", "corpus": "test", "protocol": "own", "seed": None, "folds": [fold]}
    (fold if key in fold else tree)[key] = value
    (tmp_path / "split.json").write_text(json.dumps(tree))
    with pytest.raises(SplitError, match=f"split.json: {message}"):
        load_split(tmp_path / "split.json")


def test_a_split_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "split.json").write_bytes(b'{"name": "caf\xe9"}')
    with pytest.raises(SplitError, match=r"split.json is no text in UTF-8 \('utf-8' codec can't decode .*; save it as"):
        load_split(tmp_path / "split.json")


def test_a_split_can_be_reduced_to_the_speakers_at_hand():
    split = leave_one_speaker_out("x", "test", ACTORS, 0)
    reduced = split.among(set(ACTORS) - {"ravdess-07"})
    assert "ravdess-07" not in reduced.speakers
    (lost,) = set(split.numbers) - set(reduced.numbers)
    assert split.fold(lost).test == ("ravdess-07",)
    assert all(reduced.fold(number).test == split.fold(number).test for number in reduced.numbers)
    with pytest.raises(SplitError, match=f"fold is {lost}; expected one of .* that test somebody"):
        reduced.fold(lost)
    assert reduced.protocol == "leave one speaker out; without ravdess-07"
    assert len(reduced.among(reduced.speakers - {"ravdess-08"}).numbers) == len(reduced.numbers) - 1
    assert split.among(ACTORS) is split
    with pytest.raises(SplitError, match="x .* does not have the speakers lab-anna; use .* like this, <corpus>-<sp"):
        split.among({"lab-anna"})


def test_a_part_of_a_corpus_that_leaves_a_fold_without_validation_is_refused_where_that_fold_is_wanted():
    folds = (Fold(("a", "b"), ("c",), ("d",)), Fold(("c", "d"), ("a",), ("b",)))
    split = Split("x", "test", "", None, folds)
    with pytest.raises(SplitError, match="x, fold 1: the speakers of validation, a, have no clip .*choose other folds"):
        split.among("bcd")
    assert split.among("bcd", [0]).numbers == (0,)
    with pytest.raises(SplitError, match="x, fold 1: the speakers of validation"):
        split.among("bcd", [1])
    with pytest.raises(SplitError, match="x has no fold left without b, d; expected one, so complete the corpus"):
        split.among("ac")


def test_too_few_speakers_are_refused():
    with pytest.raises(SplitError, match="5 folds of 3 speakers"):
        k_fold("x", "test", dict.fromkeys("abc", ""), 5, 0)
    with pytest.raises(SplitError, match="2 sessions; expected 3 or more"):
        leave_one_session_out("x", "test", {"a": "s1", "b": "s2"}, 0)


def test_folds_keep_their_numbers_where_one_before_them_cannot_be_run():
    folds = (Fold(("c", "d"), ("a",), ("b",)), Fold(("a", "b"), ("c",), ("d",)))
    reduced = Split("x", "test", "", None, folds).among("bcd", [1])
    assert reduced.numbers == (1,) and reduced.fold(1).test == ("d",)


@pytest.mark.parametrize("number", [-1, 20])
def test_a_fold_that_there_is_not_is_named(number):
    with pytest.raises(SplitError, match=f"fold is {number}; expected one of 0, 1, .* 19, those of x"):
        leave_one_speaker_out("x", "test", ACTORS, 0).fold(number)
