"""Synthetic label-matched pairs."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from emotion_training.fusion_training import taken_for, voice_confusion
from emotion_training.labels import LABELS
from emotion_training.models.fusion import IntermediateFusion
from emotion_training.pairs import FaceEmbeddings, PairSampler, VoiceEmbeddings
from emotion_training.tiny_bundle import tiny_config

CONFIG = tiny_config().fusion_training
CLASSES = len(LABELS)


def make_sampler(confusion=None):
    """Embeddings that hold their own class."""
    labels = np.repeat(np.arange(CLASSES), 5)
    faces = np.broadcast_to(labels[None, :, None], (2, len(labels), 3)).astype(np.float32)
    voices = np.broadcast_to(labels[None, :, None, None], (2, len(labels), 4, 3)).astype(np.float32)
    speakers = np.array([f"speaker-{i % 5}" for i in range(len(labels))])
    return PairSampler(
        FaceEmbeddings(faces, labels, np.eye(CLASSES, dtype=np.float32)[labels]),
        VoiceEmbeddings(voices, labels, speakers, np.tile(["normal", "strong", "", "", ""], CLASSES)),
        8,
        CONFIG,
        np.eye(CLASSES) if confusion is None else confusion,
    )


def test_face_and_voice_of_a_pair_have_its_class():
    labels = np.arange(70) % CLASSES
    pairs = make_sampler().both(labels, np.random.default_rng(0))
    assert (pairs.audio_embeddings[:, 0, 0] == labels).all()
    assert (pairs.face_embeddings[:, -1, 0] == labels).all()
    assert (pairs.targets.argmax(axis=1) == labels).all()
    np.testing.assert_allclose(pairs.targets.sum(axis=1), 1.0, atol=1e-6)


def test_clear_faces_get_no_normal_voice_and_others_no_strong_one():
    labels = np.repeat(np.arange(CLASSES), 4)
    soft_labels = np.eye(CLASSES, dtype=np.float32)[labels]
    soft_labels[1::2] = 0.6 * soft_labels[1::2] + 0.4 / CLASSES  # of every second face the annotators were less sure
    given = make_sampler()
    faces = FaceEmbeddings(np.zeros((1, len(labels), 3), np.float32), labels, soft_labels)
    sampler = PairSampler(faces, given.voices, 8, CONFIG, np.eye(CLASSES))
    rng = np.random.default_rng(0)
    voices = {face: [sampler._voice_for(face, labels[face], rng) for _ in range(30)] for face in range(4)}
    heard = {face: set(given.voices.intensities[drawn]) for face, drawn in voices.items()}
    assert heard[0] == heard[2] == {"strong", ""} and heard[1] == heard[3] == {"normal", ""}


def test_how_clear_a_face_is_goes_by_what_is_usual_for_its_class():
    labels = np.repeat(np.arange(CLASSES), 3)
    sure = np.tile([0.5, 0.6, 0.7], CLASSES).astype(np.float32)
    sure[:3] += 0.29  # annotators agree on this class more than on any other
    soft_labels = np.eye(CLASSES, dtype=np.float32)[labels] * sure[:, None]
    faces = FaceEmbeddings(np.zeros((1, len(labels), 3), np.float32), labels, soft_labels)
    sampler = PairSampler(faces, make_sampler().voices, 8, CONFIG, np.eye(CLASSES))
    assert sampler.face_is_clear.tolist() == [False, True, True] * CLASSES


def test_a_class_without_a_fitting_voice_gives_another_one():
    given = make_sampler()
    normal = replace(given.voices, intensities=np.full(len(given.voices.labels), "normal"))
    sampler = PairSampler(given.faces, normal, 8, CONFIG, np.eye(CLASSES))
    assert sampler.face_is_clear.all()
    labels = np.arange(CLASSES)
    assert (sampler.both(labels, np.random.default_rng(0)).audio_embeddings[:, 0, 0] == labels).all()


def numbered_sampler(faces, voices):
    """So many of each class, whose embeddings are their numbers in view 0 and less than 0 in view 1."""
    face_labels, voice_labels = (np.repeat(np.arange(CLASSES), count) for count in (faces, voices))
    views = [
        np.stack([np.arange(len(labels)), np.full(len(labels), -1)]).astype(np.float32)
        for labels in (face_labels, voice_labels)
    ]
    speakers = np.array([f"speaker-{number}" for number in range(len(voice_labels))])
    return PairSampler(
        FaceEmbeddings(views[0][..., None], face_labels, np.eye(CLASSES, dtype=np.float32)[face_labels]),
        VoiceEmbeddings(views[1][..., None, None], voice_labels, speakers, np.full(len(voice_labels), "")),
        8,
        CONFIG,
        np.eye(CLASSES),
    )


@pytest.mark.parametrize(("faces", "voices"), [(2, 5), (5, 2)])
def test_alone_faces_and_voices_occur_as_often_as_in_their_corpora(faces, voices):
    sampler, rng = numbered_sampler(faces, voices), np.random.default_rng(0)
    assert set(np.unique(sampler.face_only(1000, rng).face_embeddings[:, -1])) == {-1, *range(faces * CLASSES)}
    heard = sampler.audio_only(1000, rng)
    assert set(heard.voices) == set(range(voices * CLASSES))
    assert set(np.unique(heard.audio_embeddings)) == {-1, *heard.voices}
    assert heard.audio_mask.all() and not heard.face_mask.any()
    np.testing.assert_array_equal(heard.targets, np.eye(CLASSES)[heard.labels])
    assert (heard.labels == sampler.voices.labels[heard.voices]).all()


def test_every_face_and_every_voice_is_there_once_and_plain():
    sampler = numbered_sampler(2, 5)
    seen, heard = sampler.every_face(), sampler.every_voice()
    assert (seen.face_embeddings[..., 0] == np.arange(2 * CLASSES)[:, None]).all()
    assert seen.face_mask.all() and not seen.audio_mask.any()
    assert heard.audio_embeddings[:, 0, 0].tolist() == heard.voices.tolist() == list(range(5 * CLASSES))
    assert heard.audio_mask.all() and not heard.face_mask.any()
    assert (heard.speaker_ids == sampler.voices.speaker_ids).all()


def test_in_every_state_there_are_as_many_and_of_both_equally_many_of_each_class():
    states = make_sampler().in_every_state(10 * CLASSES, np.random.default_rng(0))
    for state, face, audio in (("both", True, True), ("face", True, False), ("audio", False, True)):
        pairs = states[state]
        assert len(pairs.labels) == 10 * CLASSES
        assert (pairs.face_mask.any(axis=1) == face).all() and (pairs.audio_mask == audio).all()
    assert np.bincount(states["both"].labels).tolist() == [10] * CLASSES


def test_a_pair_has_smoothed_targets_and_says_whose_voice_it_is():
    sampler, labels = make_sampler(), np.arange(140) % CLASSES
    pairs = sampler.both(labels, np.random.default_rng(0))
    smoothing = CONFIG.label_smoothing
    expected = np.full((140, CLASSES), smoothing / CLASSES) + (1.0 - smoothing) * np.eye(CLASSES)[labels]
    np.testing.assert_allclose(pairs.targets, expected, rtol=1e-6)
    assert (sampler.voices.labels[pairs.voices] == labels).all()
    assert (pairs.speaker_ids == sampler.voices.speaker_ids[pairs.voices]).all()


def test_a_face_alone_has_its_votes_as_targets():
    given = make_sampler()
    votes = np.random.default_rng(0).dirichlet(np.ones(CLASSES), len(given.faces.labels)).astype(np.float32)
    faces = FaceEmbeddings(given.faces.views, given.faces.labels, votes)
    pairs = PairSampler(faces, given.voices, 8, CONFIG, np.eye(CLASSES)).every_face()
    np.testing.assert_array_equal(pairs.targets, votes)


def shown_of(labels, **probabilities):
    """The class and the number of the face in each bin, int (B, Tf) each, and the masks."""
    given, config = make_sampler(), replace(CONFIG, **probabilities)
    numbers = np.arange(len(given.faces.labels), dtype=np.float32)
    views = np.broadcast_to(numbers[None, :, None], (1, len(numbers), 1))
    faces = FaceEmbeddings(views, given.faces.labels, given.faces.soft_labels)
    sampler = PairSampler(faces, given.voices, 8, config, np.eye(CLASSES))
    pairs = sampler.both(labels, np.random.default_rng(0))
    shown = pairs.face_embeddings[..., 0].astype(int)
    return given.faces.labels[shown], shown, pairs.face_mask


@pytest.mark.parametrize("kind", ["other", "neutral"])
def test_so_many_bins_but_the_newest_show_another_face_of_the_class_or_a_neutral_one(kind):
    labels = np.full(400, LABELS.index("sad"))
    probabilities = {"other_face_probability": 0.0, "neutral_face_probability": 0.0, f"{kind}_face_probability": 0.5}
    classes, shown, _ = shown_of(labels, **probabilities)
    assert (classes[:, -1] == labels).all()
    changed = shown[:, :-1] != shown[:, -1:]
    assert (classes[:, :-1][changed] == LABELS.index("sad" if kind == "other" else "neutral")).all()
    assert max(len(set(row[:-1])) for row in shown) > 3, "not the same one in all of them"
    # One of five draws of another face of the class is the same one.
    assert changed.mean() == pytest.approx(0.4 if kind == "other" else 0.5, abs=0.03)


def test_half_of_the_tracks_are_younger_than_the_sequence_and_lack_its_oldest_bins():
    _, _, mask = shown_of(np.zeros(2000, int), masked_bin_probability=0.0)
    assert (mask[:, 1:] >= mask[:, :-1]).all() and mask[:, -1].all()
    ages = np.bincount(mask.sum(axis=1), minlength=9) / 2000.0
    np.testing.assert_allclose(ages, [0.0, *[0.5 / 8] * 7, 0.5 + 0.5 / 8], atol=0.03)


def test_bins_are_lost_one_by_one():
    _, _, mask = shown_of(np.zeros(2000, int), masked_bin_probability=0.5)
    assert mask[mask[:, 0], 1:].mean() == pytest.approx(0.5, abs=0.05)


def test_voices_are_heard_in_all_of_their_views():
    given = make_sampler()
    views = np.broadcast_to(np.arange(5.0, dtype=np.float32)[:, None, None, None], (5, 35, 4, 3))
    voices = VoiceEmbeddings(views, given.voices.labels, given.voices.speaker_ids, given.voices.intensities)
    sampler = PairSampler(given.faces, voices, 8, CONFIG, np.eye(CLASSES))
    heard = sampler.both(np.arange(140) % CLASSES, np.random.default_rng(0)).audio_embeddings[:, 0, 0]
    assert set(heard) == set(range(5))


def test_plain_pairs_show_one_picture_in_all_bins():
    labels = np.arange(CLASSES)
    pairs = make_sampler().both(labels, np.random.default_rng(0), plain=True)
    assert pairs.face_mask.all() and (pairs.face_embeddings[:, :, 0] == labels[:, None]).all()


def test_a_face_is_seen_in_one_view_throughout_and_faces_in_all_of_them():
    given = make_sampler()
    views = np.broadcast_to(np.arange(9.0, dtype=np.float32)[:, None, None], (9, 35, 3))
    faces = FaceEmbeddings(views, given.faces.labels, given.faces.soft_labels)
    sampler = PairSampler(faces, given.voices, 8, CONFIG, np.eye(CLASSES))
    shown = sampler.both(np.arange(140) % CLASSES, np.random.default_rng(0)).face_embeddings[:, :, 0]  # (B, Tf)
    assert (shown == shown[:, :1]).all()
    assert set(shown[:, 0]) == set(range(9))


def test_voices_are_confused_as_told():
    to_sad = np.tile(np.eye(CLASSES)[LABELS.index("sad")], (CLASSES, 1))
    pairs = make_sampler(to_sad).both(np.arange(CLASSES), np.random.default_rng(0))
    assert (pairs.audio_embeddings[:, 0, 0] == LABELS.index("sad")).all()
    plain = make_sampler(to_sad).both(np.arange(CLASSES), np.random.default_rng(0), plain=True)
    assert (plain.audio_embeddings[:, 0, 0] == np.arange(CLASSES)).all()


def test_some_bin_is_always_there_and_some_are_masked():
    pairs = make_sampler().face_only(500, np.random.default_rng(0))
    assert pairs.face_mask.any(axis=1).all() and not pairs.face_mask.all()
    assert not pairs.audio_mask.any()


def test_states_hide_the_other_modality():
    pairs = make_sampler().both(np.arange(CLASSES), np.random.default_rng(0))
    assert not pairs.only("face").audio_mask.any() and pairs.only("face").face_mask.any(axis=1).all()
    assert not pairs.only("audio").face_mask.any() and pairs.only("audio").audio_mask.all()
    assert (pairs.only("both").face_mask == pairs.face_mask).all()


def test_a_class_without_voices_is_named():
    sampler = make_sampler()
    of_some = sampler.voices.labels != LABELS.index("scared")
    every = sampler.voices
    voices = VoiceEmbeddings(
        every.views[:, of_some], every.labels[of_some], every.speaker_ids[of_some], every.intensities[of_some]
    )
    with pytest.raises(ValueError, match="class scared has 5 faces and 0 voices"):
        PairSampler(sampler.faces, voices, 8, CONFIG, np.eye(CLASSES))


def test_a_class_without_faces_is_named_without_a_warning_before():
    given = make_sampler()
    of_some = given.faces.labels != LABELS.index("scared")
    faces = FaceEmbeddings(given.faces.views[:, of_some], given.faces.labels[of_some], given.faces.soft_labels[of_some])
    with warnings.catch_warnings(), pytest.raises(ValueError, match="class scared has 0 faces and 5 voices"):
        warnings.simplefilter("error")
        PairSampler(faces, given.voices, 8, CONFIG, np.eye(CLASSES))


def test_pairs_confuse_voices_as_new_speakers_do():
    fusion = IntermediateFusion(4, 2, CLASSES, 3, CLASSES, width=8, heads=2, dropout=0.0)
    with torch.no_grad():  # a head that reads the class of a token
        fusion.audio_head.weight.copy_(torch.eye(CLASSES))
        fusion.audio_head.bias.zero_()
    labels = np.repeat(np.arange(CLASSES), 200)
    heard_as = np.where(np.arange(len(labels)) % 2, labels, (labels + 1) % CLASSES)  # every second one amiss

    def voices(heard):
        tokens = np.repeat(np.eye(CLASSES, dtype=np.float32)[heard][None, :, None], 3, axis=2)
        return VoiceEmbeddings(tokens, labels, np.full(len(labels), "somebody"), np.full(len(labels), ""))

    known, new = voices(labels), voices(heard_as)
    for strength, expected in ((0.0, 1.0), (0.5, 0.75), (1.0, 0.5)):
        confusion = voice_confusion(taken_for(fusion, known), taken_for(fusion, new), strength)
        np.testing.assert_allclose(np.diag(confusion), expected, atol=0.02)
        np.testing.assert_allclose(confusion.sum(axis=1), 1.0)
