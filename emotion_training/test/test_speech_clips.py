"""Voices in memory and their split, from small generated files in the published layout."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from emotion_training.audio_training import sampling_weights
from emotion_training.build_default_bundle import DEFAULT_CONFIG
from emotion_training.committed_splits import FOLDER
from emotion_training.config import load_config
from emotion_training.corpora import CorpusError, read_corpus
from emotion_training.labels import LABELS
from emotion_training.speech_clips import SpeechClip, load_voices, speech_folds, voiced_span
from emotion_training.splits import Fold, Split, SplitError, load_split

RATE_HZ = 16000


def write_tone(path, rate_hz=RATE_HZ):
    path.parent.mkdir(parents=True, exist_ok=True)
    silence = np.zeros(rate_hz // 2)
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(rate_hz) / rate_hz)
    soundfile.write(path, np.concatenate([silence, tone, silence]), rate_hz)


@pytest.fixture
def ravdess(tmp_path):
    for actor in ("01", "02", "03"):
        for emotion in ("01", "02", "03", "04", "05", "06", "07", "08"):
            write_tone(tmp_path / "ravdess" / f"Actor_{actor}" / f"03-01-{emotion}-01-01-01-{actor}.flac")
    return read_corpus("ravdess", tmp_path / "ravdess", classes=7)


@pytest.fixture
def emodb(tmp_path):
    for speaker in ("03", "08", "09"):
        for emotion in "FNLW":
            write_tone(tmp_path / "emodb" / f"{speaker}a01{emotion}a.flac")
    return read_corpus("emodb", tmp_path / "emodb", boredom=True)


def split_of(corpus, speakers):
    """Each speaker is tested once, the next one validates."""
    names = [f"{corpus}-{speaker}" for speaker in speakers]
    turns = [names[place:] + names[:place] for place in range(len(names))]
    return Split("turns", corpus, "in turn", None, tuple(Fold(tuple(t[2:]), (t[1],), (t[0],)) for t in turns))


RAVDESS_SPLIT = split_of("ravdess", ("01", "02", "03"))
EMODB_SPLIT = split_of("emodb", ("03", "08", "09"))
SPLITS = {"ravdess": RAVDESS_SPLIT, "emodb": EMODB_SPLIT}


def speakers_of(clips):
    return {clip.speaker_id for clip in clips}


def test_every_speaker_is_tested_once_and_is_then_in_no_other_part(ravdess, emodb):
    clips = load_voices([*ravdess, *emodb], RATE_HZ)
    folds = speech_folds(SPLITS, clips)
    assert [speakers_of(fold.test) for fold in folds] == [
        {"ravdess-01", "emodb-03"},
        {"ravdess-02", "emodb-08"},
        {"ravdess-03", "emodb-09"},
    ]
    assert speakers_of(folds[0].validation) == {"ravdess-02", "emodb-08"}
    assert speakers_of(folds[0].train) == {"ravdess-03", "emodb-09"}
    assert all(len(fold.train) + len(fold.validation) + len(fold.test) == len(clips) for fold in folds)


def test_speakers_whom_no_split_has_learn_in_every_fold(ravdess, emodb):
    folds = speech_folds({"ravdess": RAVDESS_SPLIT}, load_voices([*ravdess, *emodb], RATE_HZ))
    assert len(folds) == 3 and all({"emodb-03", "emodb-08", "emodb-09"} <= speakers_of(fold.train) for fold in folds)


def test_a_corpus_of_which_nobody_is_at_hand_is_refused(ravdess):
    with pytest.raises(SplitError, match="turns has no fold"):
        speech_folds(SPLITS, load_voices(ravdess, RATE_HZ))


def test_a_single_fold_is_refused(ravdess):
    alone = replace(RAVDESS_SPLIT, folds=(RAVDESS_SPLIT.folds[0], None, None))
    with pytest.raises(SplitError, match="fold 0 alone tests speakers at hand; expected two folds or more"):
        speech_folds({"ravdess": alone}, load_voices(ravdess, RATE_HZ))


def test_a_class_that_no_validation_voice_has_is_named_with_its_fold(ravdess):
    clips = load_voices(ravdess, RATE_HZ)
    lacking = [clip for clip in clips if (clip.speaker_id, LABELS[clip.label]) != ("ravdess-02", "sad")]
    with pytest.raises(SplitError, match="the validation part of the voices, fold 0, has no clip of sad"):
        speech_folds({"ravdess": RAVDESS_SPLIT}, lacking)


def test_calm_and_boredom_join_neutral(ravdess, emodb):
    clips = load_voices([*ravdess, *emodb], RATE_HZ)
    labels = {clip.clip_id: LABELS[clip.label] for clip in clips}
    assert labels["01-02-01-01-01-02"] == "neutral" and labels["01-05-01-01-01-02"] == "angry"
    assert labels["08a01La"] == "neutral" and labels["08a01Fa"] == "happy"
    assert clips[0].samples.dtype == np.int16 and clips[0].samples.shape == (2 * RATE_HZ,)


def test_the_shipped_splits_test_every_speaker_at_hand_once():
    splits = load_config(DEFAULT_CONFIG).splits
    assert set(splits) == {"ravdess", "emodb"}
    for corpus, name in splits.items():
        split = load_split(FOLDER / f"{name}.json")
        assert split.corpus == corpus
        assert sorted(speaker for fold in split.folds for speaker in fold.test) == sorted(split.speakers)


def test_other_rates_and_channels_become_mono_at_the_rate(ravdess, tmp_path):
    path = tmp_path / "ravdess" / "Actor_03" / "03-01-05-01-01-01-03.flac"
    write_tone(path)
    (expected,) = (clip for clip in load_voices(ravdess, RATE_HZ) if path.stem.endswith(clip.clip_id))
    np.testing.assert_array_equal(expected.samples, soundfile.read(path, dtype="int16")[0])
    write_tone(path, rate_hz=24000)
    mono, rate_hz = soundfile.read(path)
    soundfile.write(path, np.stack([1.5 * mono, 0.5 * mono], axis=1), rate_hz)
    (found,) = (clip for clip in load_voices(ravdess, RATE_HZ) if path.stem.endswith(clip.clip_id))
    inside = slice(RATE_HZ, -RATE_HZ)  # the edges of the tone ring
    np.testing.assert_allclose(found.samples[inside], expected.samples[inside], atol=20)
    assert len(found.samples) == len(expected.samples)


def test_an_unreadable_file_is_named(ravdess, tmp_path):
    (tmp_path / "ravdess" / "Actor_03" / "03-01-05-01-01-01-03.flac").write_bytes(b"not audio")
    with pytest.raises(CorpusError, match="03-01-05-01-01-01-03.flac cannot be read"):
        load_voices(ravdess, RATE_HZ)


def test_a_clip_without_sound_is_named(ravdess):
    silent = [replace(clip, audio=None) for clip in ravdess]
    with pytest.raises(CorpusError, match="of ravdess has no file of sound; fetch it, or take the clip out"):
        load_voices(silent, RATE_HZ)


def test_the_voice_is_found_between_silences():
    samples = np.concatenate([np.zeros(8000), 8000 * np.sin(np.arange(16000)), np.zeros(8000)]).astype(np.int16)
    start, end = voiced_span(samples, RATE_HZ)
    assert abs(start - 8000) <= 400 and abs(end - 24000) <= 400


@pytest.mark.parametrize("balance, shares", [(0.0, [4, 1, 1]), (0.5, [2, 1, 1]), (1.0, [1, 1, 1])])
def test_a_class_that_is_rare_in_its_corpus_comes_more_often(balance, shares):
    groups = [("a", 0)] * 4 + [("a", 1), ("b", 0)]
    clips = [SpeechClip("", corpus, "", label, np.zeros(1, np.int16), 0, 1) for corpus, label in groups]
    weights = sampling_weights(clips, balance, {})
    found = [weights[:4].sum(), weights[4], weights[5]]
    np.testing.assert_allclose(np.divide(found, found[1]), shares)


def test_a_corpus_with_a_share_comes_so_often():
    groups = [("a", 0)] * 4 + [("b", 0)] * 2 + [("c", 0)] * 8 + [("c", 1)] * 2
    clips = [SpeechClip("", corpus, "", label, np.zeros(1, np.int16), 0, 1) for corpus, label in groups]
    weights = sampling_weights(clips, 1.0, {"c": 0.3})
    found = [weights[:4].sum(), weights[4:6].sum(), weights[6:14].sum(), weights[14:].sum()]
    np.testing.assert_allclose(found, [0.35, 0.35, 0.15, 0.15])
