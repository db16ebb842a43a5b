"""Figures over speakers and the paired tests, on cases that can be counted by hand."""

import numpy as np
import pytest
from scipy.stats import binom, wilcoxon

from emotion_training.comparison import ModelResult, chosen_in_every_fold, paired_tests
from emotion_training.evaluate import interval
from emotion_training.metrics import (
    confusion_counts,
    holm,
    recall_average,
    reliability,
    sign_flip_test,
    speaker_bootstrap_interval,
    unweighted_average_recall,
)


def cell(model, fusion, speakers, predicted, seed=0):
    """A cell whose clips are all of class 0 and 1 in turn."""
    labels = [number % 2 for number in range(len(predicted))]
    return {
        "row": {
            "model": model,
            "fusion": fusion,
            "modalities": "face+voice",
            "fold": 0,
            "seed": seed,
            "speakers_tested": sorted(set(speakers)),
        },
        "labels_in_order": ["a", "b"],
        "labels": labels,
        "speaker_ids": speakers,
        "logits": np.eye(2)[predicted].tolist(),
        "temperature": 1.0,
    }


def test_confusion_counts_give_the_average_recall():
    labels, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 0])
    counts = confusion_counts(labels, predicted, 4)
    assert counts.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert recall_average(counts) == pytest.approx(unweighted_average_recall(labels, predicted))


def test_the_bootstrap_draws_speakers_and_all_runs_together():
    right, wrong = np.diag([5, 5]), np.array([[0, 5], [5, 0]])
    assert speaker_bootstrap_interval(np.array([[right, right]]), 200, 0) == (1.0, 1.0)
    assert speaker_bootstrap_interval(np.array([[right, wrong]]), 200, 0) == (0.0, 1.0)


def test_one_speaker_gives_no_interval():
    assert ModelResult("a", [cell("a", "late", ["s"] * 4, [0, 1, 0, 0])]).uar_interval is None
    assert ModelResult("a", [cell("a", "late", ["s", "s", "t", "t"], [0, 1, 0, 0])]).uar_interval == (0.5, 1.0)


def test_the_interval_over_speakers_leaves_out_a_fortieth_at_either_side():
    counts = np.zeros((1, 40, 2, 2), np.int64)
    counts[0, ::2, 0, 0] = counts[0, 1::2, 0, 1] = 1  # half of the speakers are right
    assert speaker_bootstrap_interval(counts, 2000, 0) == tuple(binom.ppf([0.025, 0.975], 40, 0.5) / 40)


def test_an_interval_over_few_speakers_says_that_it_is_too_narrow():
    few, enough = ({"speakers": ["s"] * count, "uar_interval": [0.5, 0.75]} for count in (14, 15))
    assert interval(few) == (
        "95 % interval over 14 speakers: 0.500 to 0.750 (bootstrap; over fewer than 15 speakers such an interval is "
        "narrower than 95 %)"
    )
    assert interval(enough) == "95 % interval over 15 speakers: 0.500 to 0.750 (bootstrap)"


def test_sign_flips_are_counted_exactly_for_few_speakers():
    assert sign_flip_test(np.array([1.0, 1.0, 1.0]), 0) == pytest.approx(2 / 8)
    assert sign_flip_test(np.array([1.0, -1.0]), 0) == 1.0
    assert sign_flip_test(np.full(20, 0.1), 0) == pytest.approx(2 / 2**20)
    # Their sum is another one in another order, by its last bit.
    assert sign_flip_test(np.array([1.3, 0.5, 0.6, 1.5, 1.9, 0.6, 0.3, 1.3]), 0) == 2 / 2**8


def test_sign_flips_of_many_speakers_agree_with_wilcoxon():
    differences = np.random.default_rng(0).normal(0.3, 1.0, 60)
    assert sign_flip_test(differences, 0) == pytest.approx(wilcoxon(differences).pvalue, rel=0.5)


def test_random_sign_flips_never_have_a_p_value_of_zero():
    assert sign_flip_test(np.ones(40), 0, samples=1000) == pytest.approx(1 / 1001)


def test_holm_multiplies_the_smallest_by_all_and_keeps_the_order():
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_reliability_tells_confidence_and_accuracy_by_bin():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45]])
    rows = reliability(np.array([0, 1, 0]), probabilities)
    assert rows[9].tolist() == pytest.approx([0.95, 0.5, 2 / 3])
    assert rows[5].tolist() == pytest.approx([0.55, 1.0, 1 / 3])
    assert np.isnan(rows[0]).all()
    sure = reliability(np.array([0]), np.array([[1.0, 0.0]]))
    assert len(sure) == 10 and sure[9].tolist() == [1.0, 1.0, 1.0]


def test_models_are_compared_speaker_by_speaker_after_the_seeds_are_averaged():
    speakers = ["s", "s", "t", "t"]
    better = ModelResult("ours", [cell("ours", "intermediate", speakers, [0, 1, 0, 1], seed) for seed in (0, 1)])
    worse = ModelResult(
        "late",
        [cell("late", "late", speakers, [0, 0, 0, 1], seed=0), cell("late", "late", speakers, [0, 1, 0, 1], seed=1)],
    )
    (test,) = paired_tests([(better, worse)])
    assert better.uar_by_seed.tolist() == [1.0, 1.0]
    assert worse.uar_by_seed.tolist() == [0.75, 1.0]
    assert worse.uar_by_speaker.tolist() == [0.75, 1.0]
    assert (test.difference, test.better, test.speakers) == (0.125, 1, 2)
    assert test.p_sign_flip == 1.0


@pytest.mark.parametrize(("keep", "chosen"), [("last", "b"), ("best", "a")])
def test_a_candidate_is_chosen_by_the_epoch_whose_weights_were_kept(keep, chosen):
    def candidate(name, *uars):  # the first epoch has the least loss
        history = [{"validation_loss": loss, "validation_uar": uar} for loss, uar in zip((0.5, 0.9), uars, strict=True)]
        kept = {"history": history, "configuration": {"selection": {"keep": keep, "monitor": "validation_loss"}}}
        return ModelResult(name, [cell(name, "late", ["s"], [0]) | kept])

    (kept,) = chosen_in_every_fold("x", [candidate("a", 0.8, 0.3), candidate("b", 0.4, 0.7)]).cells
    assert kept["row"]["chosen"] == chosen


def test_a_loss_is_as_significant_as_a_gain():
    assert sign_flip_test(np.array([-1.0, -1.0, -1.0]), 0) == pytest.approx(2 / 8)
    differences = np.random.default_rng(0).normal(0.3, 1.0, 60)
    assert sign_flip_test(-differences, 0) == pytest.approx(sign_flip_test(differences, 0), rel=0.1)


def test_speakers_for_whom_nothing_differs_leave_the_others_to_the_signed_ranks():
    speakers, right, wrong = [name for name in "stuvw" for _ in range(2)], [0, 1] * 5, [0, 0] * 4 + [0, 1]
    a, b = (ModelResult(name, [cell(name, "late", speakers, said)]) for name, said in (("a", right), ("b", wrong)))
    (test,) = paired_tests([(a, b)])
    assert test.p_wilcoxon == wilcoxon([0.5] * 4 + [0.0]).pvalue < 1.0
