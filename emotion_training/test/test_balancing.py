"""Oversampling at random, by SMOTE and at the perceptual border."""

import numpy as np
import pytest

from emotion_training.balancing import BalancingError, oversampled, perceptual_border, smote, vote_border

LABELS = np.repeat([0, 1, 2], [40, 15, 25])
ALL = np.ones(80, bool)


@pytest.fixture
def perceived():
    """Calm in the middle; two smaller emotions on either side of it, partly inside."""
    rng = np.random.default_rng(0)
    valence = np.concatenate([rng.normal(0.0, 0.15, 40), rng.normal(0.3, 0.2, 15), rng.normal(-0.3, 0.2, 25)])
    return valence, rng.normal(0.0, 0.1, 80)


@pytest.fixture
def embeddings():
    rng = np.random.default_rng(1)
    return (rng.normal(size=(80, 6)) + 3.0 * np.eye(3, 6)[LABELS]).astype(np.float32)


@pytest.fixture
def votes():
    rng = np.random.default_rng(2)
    votes = 8.0 * np.eye(3)[LABELS]
    votes[::2] += rng.integers(0, 3, (40, 3))
    return votes


def counts(labels):
    return np.bincount(labels).tolist()


def test_random_oversampling_keeps_every_sample_and_fills_the_classes_up():
    indices = oversampled(LABELS, ALL, seed=0)
    assert (indices[:80] == np.arange(80)).all()
    assert counts(LABELS[indices]) == [40, 40, 40]
    assert (indices == oversampled(LABELS, ALL, seed=0)).all()
    assert (indices != oversampled(LABELS, ALL, seed=1)).any()


def test_balanced_classes_get_nothing(embeddings):
    balanced = np.repeat([0, 1], 40)
    assert (oversampled(balanced, ALL, seed=0) == np.arange(80)).all()
    assert len(smote(embeddings, balanced, ALL, seed=0).labels) == 0


def test_smote_fills_up_between_samples_of_a_class(embeddings):
    made = smote(embeddings, LABELS, ALL, seed=0)
    assert counts(np.concatenate([LABELS, made.labels])) == [40, 40, 40]
    assert made.embeddings.dtype == np.float32 and len(made.embeddings) == 40
    for label in (1, 2):
        members, new = embeddings[label == LABELS], made.embeddings[made.labels == label]
        assert (new >= members.min(axis=0) - 1e-5).all() and (new <= members.max(axis=0) + 1e-5).all()
    assert (made.embeddings == smote(embeddings, LABELS, ALL, seed=0).embeddings).all()


def test_the_border_is_where_emotions_meet(perceived):
    valence, arousal = perceived
    border = perceptual_border(LABELS, valence, arousal, border_neighbours=10)
    happy, sad = border & (LABELS == 1), border & (LABELS == 2)
    assert happy.any() and sad.any()
    assert valence[happy].mean() < valence[LABELS == 1].mean()  # towards calm
    assert valence[sad].mean() > valence[LABELS == 2].mean()


def test_emotions_may_meet_along_arousal_alone():
    border = perceptual_border(np.repeat([0, 1], 10), np.zeros(20), np.arange(20.0), border_neighbours=5)
    assert np.flatnonzero(border).tolist() == [9, 10]  # of whose six nearest, with ties, three are others


def test_a_sample_amidst_others_is_no_border_and_ties_have_no_order():
    labels = np.array([0] * 6 + [1] * 6)
    valence = np.array([0.0] * 6 + [1.0] * 5 + [0.0])  # the last one is a slip among the zeros
    border = perceptual_border(labels, valence, np.zeros(12), border_neighbours=3)
    assert not border.any()
    order = np.random.default_rng(0).permutation(12)
    assert not perceptual_border(labels[order], valence[order], np.zeros(12), 3).any()


def test_the_border_alone_is_copied(perceived):
    border = perceptual_border(LABELS, *perceived)
    indices = oversampled(LABELS, border, seed=0)
    assert counts(LABELS[indices]) == [40, 40, 40]
    assert border[indices[80:]].all()


def test_a_class_without_a_border_is_drawn_from_as_a_whole():
    labels = np.array([0] * 12 + [1] * 6)
    border = perceptual_border(labels, labels * 1.0, np.zeros(18), border_neighbours=3)
    assert not border.any()
    indices = oversampled(labels, border, seed=0)
    assert counts(labels[indices]) == [12, 12]
    assert set(indices[18:]) <= set(range(12, 18)) and len(set(indices[18:])) > 1


@pytest.mark.parametrize("neighbours", [1, 4])
def test_smote_goes_from_the_border_to_the_nearest_of_the_class(neighbours, perceived, embeddings):
    border = perceptual_border(LABELS, *perceived)
    made = smote(embeddings, LABELS, border, seed=0, neighbours=neighbours)
    assert counts(np.concatenate([LABELS, made.labels])) == [40, 40, 40]
    for sample, label in zip(made.embeddings, made.labels, strict=True):
        members = embeddings[label == LABELS]
        starts = embeddings[border & (label == LABELS)]
        assert lies_between(sample, starts, members, neighbours)


def lies_between(sample, starts, members, neighbours):
    """Is the sample on a line from one of the starts to one of its nearest members?"""
    for start in starts:
        distances = np.linalg.norm(members - start, axis=1)
        for end in members[np.argsort(distances)[1 : neighbours + 1]]:
            way = np.linalg.norm(sample - start) + np.linalg.norm(end - sample) - np.linalg.norm(end - start)
            if way < 1e-4:
                return True
    return False


def test_what_is_made_lies_anywhere_on_the_way_to_any_neighbour():
    embeddings = np.concatenate([np.full((200, 3), 9.0), np.zeros((1, 3)), np.eye(3)])
    border = np.arange(204) == 200  # what is made starts from it
    made = smote(embeddings, np.repeat([0, 1], [200, 4]), border, seed=0, neighbours=3)
    way = made.embeddings.sum(axis=1)  # (196,), from 0 to 1
    assert np.histogram(way, bins=4, range=(0.0, 1.0))[0].min() > 196 / 8
    assert np.bincount(made.embeddings.argmax(axis=1)).min() > 196 / 6


def test_doubles_of_a_sample_do_not_take_its_place():
    embeddings = np.concatenate([np.zeros((9, 2)), np.ones((4, 2))])
    labels = np.repeat([0, 1], [9, 4])
    made = smote(embeddings, labels, np.ones(13, bool), seed=0, neighbours=3)
    assert (made.embeddings == 1.0).all() and len(made.labels) == 5


def test_the_border_of_votes_is_disagreement(votes):
    border = vote_border(LABELS, votes, border_share=0.5)
    shares = votes / votes.sum(axis=1, keepdims=True)
    for label in range(3):
        members = label == LABELS
        assert shares[members & border].max(axis=1).mean() < shares[members & ~border].max(axis=1).mean()
    assert not border[shares.max(axis=1) == 1.0].any()


def test_the_border_of_votes_is_the_asked_share():
    votes = np.stack([np.full(11, 10.0), np.arange(11.0)], axis=1)  # ever more disagreement
    assert np.flatnonzero(vote_border(np.zeros(11, np.int64), votes, border_share=0.2)).tolist() == [8, 9, 10]


@pytest.mark.parametrize("count", [3, 5])
def test_a_class_with_too_few_neighbours_is_named(count):
    labels = np.repeat([0, 7], [20, count])
    embeddings = np.random.default_rng(0).normal(size=(len(labels), 2))
    message = f"class 7 has {count} samples and 5 neighbours are asked for; expected at"
    with pytest.raises(BalancingError, match=message):
        smote(embeddings, labels, np.ones(len(labels), bool), seed=0)


def test_values_that_say_nothing_are_refused(votes):
    with pytest.raises(BalancingError, match="the values of sample 2 are not finite"):
        perceptual_border(LABELS, np.where(np.arange(80) == 2, np.nan, 0.0), np.zeros(80))
    with pytest.raises(BalancingError, match="votes are negative or all 0"):
        vote_border(LABELS, np.zeros((80, 3)))
    with pytest.raises(BalancingError, match="border_share is 0"):
        vote_border(LABELS, votes, border_share=0.0)
    with pytest.raises(BalancingError, match="there are 5 samples; expected more than border_neighbours, 10"):
        perceptual_border(np.arange(5), np.zeros(5), np.zeros(5))
