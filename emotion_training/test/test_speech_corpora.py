"""Reading and splitting voices, on small generated files in the published layout."""

import numpy as np
import pytest
import soundfile

from emotion_training.build_default_bundle import DEFAULT_CONFIG
from emotion_training.config import load_config
from emotion_training.labels import LABELS
from emotion_training.speech_corpora import (
    SpeakerSplit,
    SpeechDataError,
    load_emodb,
    load_ravdess,
    split_by_speaker,
    voiced_span,
)

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
            write_tone(tmp_path / f"Actor_{actor}" / f"03-01-{emotion}-01-01-01-{actor}.flac")
    return tmp_path


def test_ravdess_labels_and_speakers_come_from_the_name(ravdess):
    clips = load_ravdess(ravdess, RATE_HZ)
    assert [LABELS[clip.label] for clip in clips[:4]] == ["neutral", "neutral", "angry", "surprised"]
    assert sorted({clip.speaker_id for clip in clips}) == ["ravdess-01", "ravdess-02", "ravdess-03"]
    assert clips[0].samples.dtype == np.int16 and clips[0].samples.shape == (2 * RATE_HZ,)


def test_emodb_leaves_boredom_out(tmp_path):
    for name in ("03a01Fa", "03a01Nc", "08a02La", "08a02Wb"):
        write_tone(tmp_path / f"{name}.flac")
    clips = load_emodb(tmp_path, RATE_HZ)
    found = [(clip.clip_id, LABELS[clip.label], clip.speaker_id) for clip in clips]
    assert found == [
        ("03a01Fa", "happy", "emodb-03"),
        ("03a01Nc", "neutral", "emodb-03"),
        ("08a02Wb", "angry", "emodb-08"),
    ]


def test_no_speaker_is_in_two_parts(ravdess):
    splits = split_by_speaker(load_ravdess(ravdess, RATE_HZ), SpeakerSplit(("ravdess-01",), ("ravdess-03",)))
    train, validation, test = (
        {clip.speaker_id for clip in part} for part in (splits.train, splits.validation, splits.test)
    )
    assert (train, validation, test) == ({"ravdess-02"}, {"ravdess-01"}, {"ravdess-03"})
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 12


def test_the_shipped_split_holds_speakers_out_of_both_corpora():
    training = load_config(DEFAULT_CONFIG).audio_training
    for split in (training.ravdess, training.emodb):
        assert split.validation and split.test and not set(split.validation) & set(split.test)


def test_a_speaker_in_two_parts_is_refused(ravdess):
    with pytest.raises(SpeechDataError, match=r"\['ravdess-01'\] are in validation and in test"):
        split_by_speaker(load_ravdess(ravdess, RATE_HZ), SpeakerSplit(("ravdess-01",), ("ravdess-01",)))


def test_a_speaker_that_is_not_there_is_refused(ravdess):
    with pytest.raises(SpeechDataError, match="ravdess-99"):
        split_by_speaker(load_ravdess(ravdess, RATE_HZ), SpeakerSplit((), ("ravdess-99",)))


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-01.flac", "noise.flac"])
def test_an_unknown_name_is_refused_with_the_file(tmp_path, name):
    write_tone(tmp_path / "Actor_01" / name)
    with pytest.raises(SpeechDataError, match=name):
        load_ravdess(tmp_path, RATE_HZ)


def test_another_rate_is_refused_with_the_file(tmp_path):
    write_tone(tmp_path / "03a01Fa.flac", rate_hz=8000)
    with pytest.raises(SpeechDataError, match="03a01Fa.flac has 8000 Hz"):
        load_emodb(tmp_path, RATE_HZ)


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "03a01Fa.flac").write_bytes(b"not audio")
    with pytest.raises(SpeechDataError, match="03a01Fa.flac cannot be read"):
        load_emodb(tmp_path, RATE_HZ)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(SpeechDataError, match="holds no"):
        load_emodb(tmp_path, RATE_HZ)


def test_the_voice_is_found_between_silences():
    samples = np.concatenate([np.zeros(8000), 8000 * np.sin(np.arange(16000)), np.zeros(8000)]).astype(np.int16)
    start, end = voiced_span(samples, RATE_HZ)
    assert abs(start - 8000) <= 400 and abs(end - 24000) <= 400
