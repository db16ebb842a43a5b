"""Voices in memory and their split, from small generated files in the published layout."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from emotion_training.audio_training import sampling_weights
from emotion_training.build_default_bundle import DEFAULT_CONFIG
from emotion_training.config import load_config
from emotion_training.corpora import CorpusError, read_corpus
from emotion_training.labels import LABELS
from emotion_training.speech_clips import SpeakerSplit, SpeechClip, hold_out, load_voices, voiced_span
from emotion_training.splits import SplitError

RATE_HZ = 16000


def write_tone(path, rate_hz=RATE_HZ):
    path.parent.mkdir(parents=True, exist_ok=True)
    silence = np.zeros(rate_hz // 2)
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(rate_hz) / rate_hz)
    soundfile.write(path, np.concatenate([silence, tone, silence]), rate_hz)


@pytest.fixture
def ravdess(tmp_path):
    for actor in ("01", "02", "03"):
        for emotion in ("01", "02", "05", "08"):
            write_tone(tmp_path / "ravdess" / f"Actor_{actor}" / f"03-01-{emotion}-01-01-01-{actor}.flac")
    return read_corpus("ravdess", tmp_path / "ravdess", classes=7)


@pytest.fixture
def emodb(tmp_path):
    for speaker in ("03", "08", "09"):
        for emotion in "FNLW":
            write_tone(tmp_path / "emodb" / f"{speaker}a01{emotion}a.flac")
    return read_corpus("emodb", tmp_path / "emodb", boredom=True)


RAVDESS_SPLIT = SpeakerSplit(("ravdess-01",), ("ravdess-03",))
EMODB_SPLIT = SpeakerSplit(("emodb-03",), ("emodb-09",))


def test_no_speaker_is_in_two_parts(ravdess, emodb):
    splits = load_voices((hold_out(ravdess, RAVDESS_SPLIT), hold_out(emodb, EMODB_SPLIT)), RATE_HZ)
    train, validation, test = (
        {clip.speaker_id for clip in part} for part in (splits.train, splits.validation, splits.test)
    )
    assert train == {"ravdess-02", "emodb-08"}
    assert validation == {"ravdess-01", "emodb-03"}
    assert test == {"ravdess-03", "emodb-09"}


def test_calm_and_boredom_join_neutral(ravdess, emodb):
    splits = load_voices((hold_out(ravdess, RAVDESS_SPLIT), hold_out(emodb, EMODB_SPLIT)), RATE_HZ)
    labels = {clip.clip_id: LABELS[clip.label] for clip in splits.train}
    assert labels["01-02-01-01-01-02"] == "neutral" and labels["01-05-01-01-01-02"] == "angry"
    assert labels["08a01La"] == "neutral" and labels["08a01Fa"] == "happy"
    assert splits.train[0].samples.dtype == np.int16 and splits.train[0].samples.shape == (2 * RATE_HZ,)


def test_the_shipped_split_holds_speakers_out_of_both_corpora():
    training = load_config(DEFAULT_CONFIG).audio_training
    for split in (training.ravdess, training.emodb):
        assert split.validation and split.test and not set(split.validation) & set(split.test)


def test_a_speaker_in_two_parts_is_refused(ravdess):
    with pytest.raises(SplitError, match="ravdess-01 are in validation and in test"):
        hold_out(ravdess, SpeakerSplit(("ravdess-01",), ("ravdess-01",)))


def test_a_speaker_that_is_not_there_is_refused(ravdess):
    with pytest.raises(SplitError, match="ravdess-99"):
        hold_out(ravdess, SpeakerSplit(("ravdess-01",), ("ravdess-99",)))


def test_another_rate_is_refused_with_the_file(ravdess, tmp_path):
    write_tone(tmp_path / "ravdess" / "Actor_03" / "03-01-05-01-01-01-03.flac", rate_hz=8000)
    with pytest.raises(CorpusError, match="03-01-05-01-01-01-03.flac has 8000 Hz"):
        load_voices((hold_out(ravdess, RAVDESS_SPLIT),), RATE_HZ)


def test_an_unreadable_file_is_named(ravdess, tmp_path):
    (tmp_path / "ravdess" / "Actor_03" / "03-01-05-01-01-01-03.flac").write_bytes(b"not audio")
    with pytest.raises(CorpusError, match="03-01-05-01-01-01-03.flac cannot be read"):
        load_voices((hold_out(ravdess, RAVDESS_SPLIT),), RATE_HZ)


def test_a_clip_without_sound_is_named(ravdess):
    silent = [replace(clip, audio=None) for clip in ravdess]
    with pytest.raises(CorpusError, match="of ravdess has no file of sound; fetch it, or take the clip out"):
        load_voices((hold_out(silent, RAVDESS_SPLIT),), RATE_HZ)


def test_the_voice_is_found_between_silences():
    samples = np.concatenate([np.zeros(8000), 8000 * np.sin(np.arange(16000)), np.zeros(8000)]).astype(np.int16)
    start, end = voiced_span(samples, RATE_HZ)
    assert abs(start - 8000) <= 400 and abs(end - 24000) <= 400


@pytest.mark.parametrize("balance, shares", [(0.0, [4, 1, 1]), (0.5, [2, 1, 1]), (1.0, [1, 1, 1])])
def test_a_class_that_is_rare_in_its_corpus_comes_more_often(balance, shares):
    groups = [("a", 0)] * 4 + [("a", 1), ("b", 0)]
    clips = [SpeechClip("", corpus, "", label, np.zeros(1, np.int16), 0, 1) for corpus, label in groups]
    weights = sampling_weights(clips, balance)
    found = [weights[:4].sum(), weights[4], weights[5]]
    np.testing.assert_allclose(np.divide(found, found[1]), shares)
