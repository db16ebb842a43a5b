"""The recipe of the bundle on every speaker: who is judged by whom, and what the report makes of it."""

import json
from collections import Counter

import numpy as np
import pytest
import soundfile

from emotion_training import cross_validate
from emotion_training.judgements import LATE_FUSION, STATES, JudgedPairs, JudgedVoices, Judgements, pooled
from emotion_training.labels import LABELS
from emotion_training.stage_cache import StageCache
from emotion_training.tiny_bundle import generated_faces, tiny_config

CONFIG = tiny_config()
RATE_HZ = CONFIG.audio_encoder.sample_rate_hz
ACTORS = ("02", "04", "05", "17", "18")  # one of the test speakers of each fold
EMOTIONS_OF_RAVDESS = ("01", "03", "04", "05", "06", "07", "08")
SPEAKERS = ("08", "09", "10", "03", "14")
EMOTIONS_OF_EMODB = "WEAFTN"


@pytest.fixture
def corpora(tmp_path):
    """A tone for each emotion of each speaker, under the names that the corpora have."""
    names = {f"ravdess/Actor_{actor}/03-01-{e}-01-01-01-{actor}": e for actor in ACTORS for e in EMOTIONS_OF_RAVDESS}
    names |= {f"emodb/{speaker}a01{e}a": e for speaker in SPEAKERS for e in EMOTIONS_OF_EMODB}
    pitches_hz = {e: 200.0 * 1.4**place for place, e in enumerate((*EMOTIONS_OF_RAVDESS, *EMOTIONS_OF_EMODB))}
    time_s = np.arange(RATE_HZ) / RATE_HZ
    for name, emotion in names.items():
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, (8000.0 * np.sin(2.0 * np.pi * pitches_hz[emotion] * time_s)).astype(np.int16), RATE_HZ)
    return tmp_path


def test_every_speaker_at_hand_is_tested_in_one_fold(corpora):
    trainings = [config.audio_training for config in cross_validate.fold_configs(CONFIG, corpora)]
    for corpus, speakers in (("ravdess", ACTORS), ("emodb", SPEAKERS)):
        splits = [getattr(training, corpus) for training in trainings]
        tested = Counter(speaker for split in splits for speaker in split.test)
        assert tested == Counter(f"{corpus}-{speaker}" for speaker in speakers)
        assert all(split.validation and not set(split.validation) & set(split.test) for split in splits)


def test_every_fold_is_judged_and_the_report_tells_of_all(corpora, tmp_path, monkeypatch):
    folds = cross_validate.fold_configs(CONFIG, corpora)[:2]  # five would take long
    faces = generated_faces(CONFIG, 0)
    monkeypatch.setattr(cross_validate, "fold_configs", lambda config, data: folds)
    monkeypatch.setattr(cross_validate, "read_faces", lambda data, config: faces)
    report = tmp_path / "report"
    results = cross_validate.cross_validate(corpora, report, CONFIG, StageCache(tmp_path / "cache"))
    assert json.loads((report / "results.json").read_text()) == results
    tested = [{*fold.audio_training.ravdess.test, *fold.audio_training.emodb.test} for fold in folds]
    assert [set(fold["test"]) for fold in results["folds"]] == tested
    speakers = [speaker for figures in results["voices"].values() for speaker in figures["speakers"]]
    assert sorted(speakers) == sorted(set.union(*tested))
    pairs = results["pairs"]["plain"]
    assert pairs["both"]["uar"]["n"] == 2 * len(LABELS) * CONFIG.fusion_training.test_pairs_per_class
    values = [fold["pairs"]["plain"]["both"]["uar"]["value"] for fold in results["folds"]]
    assert pairs["both"]["uar"]["value"] == pytest.approx(np.mean(values), abs=1e-4)
    written = (report / "report.md").read_text()
    assert all(speaker in written for speaker in speakers) and "of 4" in written


def judgements(speaker, right):
    """Two pairs of a speaker; late fusion is wrong on both, the fusion where it is not `right`."""
    labels = np.array([0, 1])
    predicted = {**dict.fromkeys(STATES, labels if right else 1 - labels), LATE_FUSION: 1 - labels}
    speakers = np.array([speaker, speaker])
    pairs = JudgedPairs(labels, predicted, np.zeros(2), np.array([f"{speaker}-0", f"{speaker}-1"]), speakers)
    return Judgements(
        JudgedVoices(labels, {"bundle": labels}, np.array(["tones", "tones"]), speakers), {"plain": pairs}
    )


def test_pooled_judgements_keep_who_said_what_of_whom():
    everyone = pooled([judgements("anna", True), judgements("ben", False)])
    pairs = everyone.pairs["plain"]
    assert pairs.speaker_ids.tolist() == everyone.voices.speaker_ids.tolist() == ["anna", "anna", "ben", "ben"]
    assert pairs.predicted["both"].tolist() == [0, 1, 1, 0] and pairs.predicted[LATE_FUSION].tolist() == [1, 0, 1, 0]
    assert pairs.gains.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_one_sentence_for_a_data_folder_that_is_not_there(tmp_path, capsys):
    status = cross_validate.main(["--data", str(tmp_path), "--report", str(tmp_path), "--cache", str(tmp_path / "c")])
    assert status == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'fer2013.zip'} does not exist;")
