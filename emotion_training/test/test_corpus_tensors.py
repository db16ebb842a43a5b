"""Which part of a voice and which faces of a clip are taken."""

import dataclasses

import numpy as np
import pytest
from training_fixtures import LABELS, write_corpus

from emotion_perception.core.face_crop import scale_crop
from emotion_perception.core.person import FaceSample, Person
from emotion_perception.core.probability_smoothing import ProbabilitySmoother
from emotion_training.clip_tensors import DataError
from emotion_training.corpus_tensors import CorpusConfig, load_corpus, loudest_span
from emotion_training.prepared_corpus import save_clips


def test_a_window_is_the_loudest_part_and_a_short_voice_ends_it():
    voice = np.concatenate([np.zeros(50), np.ones(20), np.zeros(30)]).astype(np.float32)
    assert loudest_span(voice, 20) == (50, 70)
    assert loudest_span(np.ones(2, np.float32), 4) == (0, 2)


def long_talk(folder):
    """A corpus of one clip with two loud seconds in ten, and them alone."""
    first, *_ = write_corpus(folder, clips_per_class=1)
    voice = np.zeros(160000, np.int16)
    voice[64000:96000] = np.random.default_rng(0).normal(0.0, 3000.0, 32000)
    np.savez(first.audio, audio=voice)
    save_clips([first], folder)
    return voice[64000:96000] / 2.0**15


def test_a_short_voice_ends_its_window(tmp_path):
    write_corpus(tmp_path, clips_per_class=1)
    clips = load_corpus(CorpusConfig(tmp_path, LABELS, audio="samples", window_s=0.5))
    assert not clips.audio[0, :, :3200].any() and clips.audio[0, :, 3200].all()


def test_noise_is_as_loud_as_is_said_where_it_is_heard(tmp_path):
    """In the window that is judged, however long the pauses around it are."""
    expected = long_talk(tmp_path)
    config = CorpusConfig(tmp_path, LABELS, audio="samples", window_s=2.0)
    plain = load_corpus(config).audio[0, 0].numpy()
    noisy = load_corpus(dataclasses.replace(config, snr_db=6.0)).audio[0, 0].numpy()
    np.testing.assert_allclose(plain, expected, atol=1e-6)
    snr_db = 10.0 * np.log10(np.mean(plain**2) / np.mean((noisy - plain) ** 2))
    assert snr_db == pytest.approx(6.0, abs=0.01)


def test_clips_without_one_of_two_wanted_modalities_are_left_out_and_counted(tmp_path, caplog):
    first, *others = write_corpus(tmp_path, clips_per_class=1)
    save_clips([dataclasses.replace(first, audio=None), *others], tmp_path)
    clips = load_corpus(CorpusConfig(tmp_path, LABELS, both_modalities=True))
    assert len(clips) == len(others)
    assert f"1 of 18 clips of {tmp_path} have no face or no voice and are left out" in caplog.text


def seen_in(folder, times_s, loud_s=None, bin_s=0.25):
    """Greys and mask of the eight bins of a clip of ten seconds, whose crops are grey by number; loud_s: from when to
    when its voice is loud, None without a voice.
    """
    first, *_ = write_corpus(folder, clips_per_class=1)
    crops = np.broadcast_to(np.arange(len(times_s), dtype=np.uint8)[:, None, None, None], (len(times_s), 48, 48, 3))
    voice = np.ones(160000, np.int16)
    if loud_s:
        voice[round(16000 * loud_s[0]) : round(16000 * loud_s[1])] = 9000
    np.savez(first.video, audio=voice, faces=crops, times_s=np.asarray(times_s))
    save_clips([first if loud_s else dataclasses.replace(first, audio=None)], folder)
    clips = load_corpus(CorpusConfig(folder, LABELS, face="crops", audio="samples", window_s=2.0, face_bin_s=bin_s))
    return clips.face[0, :, 0, 0, 0].tolist(), clips.face_mask[0].tolist()


def test_a_face_at_both_ends_of_a_clip_but_not_in_its_middle_is_seen(tmp_path):
    greys, mask = seen_in(tmp_path, [*np.arange(10) / 10, *(9 + np.arange(10) / 10)])
    assert mask == 4 * [False] + 4 * [True]
    assert greys[4:] == [11, 13, 16, 18]


def test_faces_are_of_the_moment_that_is_heard(tmp_path):
    greys, mask = seen_in(tmp_path, np.arange(100) / 10, loud_s=(7.0, 9.0))
    assert all(mask)
    assert all(7.0 < grey / 10 <= 9.0 for grey in greys)


def test_a_clip_without_a_face_where_it_is_loud_keeps_its_newest_faces(tmp_path):
    greys, mask = seen_in(tmp_path, [0.0, 0.5, 9.0, 9.5], loud_s=(4.0, 6.0))
    assert (greys[5], greys[7], mask) == (2, 3, 5 * [False] + [True, False, True])


@pytest.mark.parametrize(
    ("times_s", "bin_s"), [([3.9, 4.0, 4.26, 5.2, 5.5, 5.75, 5.99, 6.0, 6.1], 0.25), ([4.8, 5.2, 5.6, 6.1], 0.2)]
)
def test_bins_are_those_of_the_robot(tmp_path, times_s, bin_s):
    _, mask = seen_in(tmp_path, times_s, loud_s=(4.0, 6.0), bin_s=bin_s)
    person, expected = Person(ProbabilitySmoother(1.0)), np.zeros(8, bool)
    for time_s in times_s[:-1]:  # the robot has not yet seen the last one
        person.see(round(1e9 * time_s), np.ones(1, np.float32), FaceSample("a", None, 1.0, 0.0, 0.0))
    now_ns, window_ns = 6_000_000_000, round(8e9 * bin_s)
    person.forget(now_ns - window_ns)
    person.bin(now_ns, window_ns, np.zeros((8, 1), np.float32), expected)
    assert mask == expected.tolist()


@pytest.mark.parametrize("crop_px", [96, 112])
def test_crops_are_scaled_as_on_the_robot(tmp_path, crop_px):
    first, *_ = write_corpus(tmp_path, clips_per_class=1)
    crops = np.random.default_rng(0).integers(0, 256, (1, crop_px, crop_px, 3), np.uint8)
    np.savez(first.video, faces=crops, times_s=np.zeros(1))
    save_clips([dataclasses.replace(first, audio=None)], tmp_path)
    clips = load_corpus(CorpusConfig(tmp_path, LABELS, face="crops", audio="samples"))
    assert (clips.face[0, -1].numpy() == scale_crop(crops[0], 48)).all()


def test_clips_with_neither_face_nor_voice_are_left_out_and_counted(tmp_path, caplog):
    first, *others = write_corpus(tmp_path, clips_per_class=1)
    np.savez(first.video, faces=np.zeros((0, 48, 48, 3), np.uint8), times_s=np.zeros(0))
    empty = dataclasses.replace(first, audio=None)
    save_clips([empty, *others], tmp_path)
    clips = load_corpus(CorpusConfig(tmp_path, LABELS, face="crops", audio="samples"))
    assert first.clip_id not in clips.clip_ids and len(clips) == len(others)
    assert f"1 of 18 clips of {tmp_path} have neither a face nor a voice and are left out" in caplog.text
    save_clips([empty], tmp_path)
    with pytest.raises(DataError, match="1 of 1 clips of .* have neither a face nor a voice; run prepare again"):
        load_corpus(CorpusConfig(tmp_path, LABELS, face="crops", audio="samples", window_s=1.0))


def test_clips_of_which_nobody_said_what_is_felt_are_left_out_and_counted(tmp_path, caplog):
    first, second, *others = write_corpus(tmp_path, clips_per_class=1)
    unlabelled = dataclasses.replace(first, label=None, votes=None)
    voted = dataclasses.replace(second, label=None, votes={LABELS[0]: 1.0})
    save_clips([unlabelled, voted, *others], tmp_path)
    clips = load_corpus(CorpusConfig(tmp_path, LABELS, face="crops", audio="samples"))
    assert set(clips.clip_ids) == {clip.clip_id for clip in (second, *others)}
    assert f"1 of 18 clips of {tmp_path} have no label and are left out" in caplog.text
    save_clips([unlabelled], tmp_path)
    with pytest.raises(DataError, match="no clip of .* has a label; fill in the labels of its table"):
        load_corpus(CorpusConfig(tmp_path, LABELS, face="crops", audio="functionals"))
