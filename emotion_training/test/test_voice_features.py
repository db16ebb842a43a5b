"""What the voice encoder learns from: kept windows, in which nobody is heard whom it is to judge."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_training.audio_training import AudioClassifier, train_audio_classifier
from emotion_training.embedding_views import FaceViews, VoiceViews, learnt_voices
from emotion_training.speech_clips import speech_folds
from emotion_training.stage_cache import StageCache
from emotion_training.tiny_bundle import SPLIT, generated_clips, generated_faces, tiny_config
from emotion_training.voice_features import start_audio_encoder, together_in_every_fold, voice_features
from emotion_training.voice_windows import noisy_windows, plain_windows, window_samples

CONFIG = tiny_config()
BABBLE = replace(CONFIG.audio_training.augmentation, babble_probability=1.0, babble_snr_db=(0.0, 0.0))
LOUD_BABBLE = replace(CONFIG, audio_training=replace(CONFIG.audio_training, augmentation=BABBLE))


@pytest.fixture(scope="module")
def clips():
    return generated_clips(CONFIG, 0)


def features_of(config, clips, cache=None):
    return voice_features(config, clips, speech_folds({"tones": SPLIT}, clips), Path(), cache or StageCache(None))


def louder(clip):
    return replace(clip, samples=(clip.samples // 2).astype(np.int16))


def test_the_first_window_of_a_clip_is_the_plain_one_and_the_others_are_not(clips):
    features = features_of(CONFIG, clips)
    encoder = start_audio_encoder(CONFIG.audio_encoder, Path()).eval()
    places = features.places(clips)
    assert features.views.shape[:2] == (CONFIG.audio_training.views, len(clips)) and len(set(places.tolist())) == 56
    plain = encoder.features(plain_windows(clips, window_samples(CONFIG.audio_encoder)))
    torch.testing.assert_close(features.views[0, places].float(), plain, atol=0.01, rtol=0.01)
    for view in features.views[1:, places].float():
        assert ((view - plain).abs().amax(dim=(1, 2)) > 0.1).all()


def test_those_who_have_the_same_part_in_every_fold_are_together(clips):
    together = together_in_every_fold(clips, speech_folds({"tones": SPLIT}, clips))
    assert [{clip.speaker_id for clip in group} for group in together] == [{"tone-0", "tone-1"}, {"tone-2"}, {"tone-3"}]
    assert together_in_every_fold(clips, ()) == [clips]


@pytest.mark.parametrize("judged, heard", [("tone-3", False), ("tone-1", True)])
def test_nobody_is_heard_in_the_windows_of_those_who_learn_whom_they_judge(clips, judged, heard):
    others = [clip for clip in clips if clip.speaker_id == "tone-0"]
    changed = [clip if clip.speaker_id != judged else louder(clip) for clip in clips]
    before, after = (features_of(LOUD_BABBLE, of) for of in (clips, changed))
    same = torch.equal(before.views[:, before.places(others)], after.views[:, after.places(others)])
    assert same is not heard


def test_what_was_made_once_is_kept_for_the_next_build(clips, tmp_path, monkeypatch):
    made = features_of(CONFIG, clips, StageCache(tmp_path))
    monkeypatch.setattr("emotion_training.voice_features.AugmentedWindows", None)
    kept = features_of(CONFIG, clips, StageCache(tmp_path))
    assert torch.equal(made.views, kept.views) and made.key == kept.key


def test_what_was_made_is_kept_by_its_name_and_its_key(tmp_path):
    cache = StageCache(tmp_path)
    for name, key, number in (("faces", "a", 1), ("faces", "b", 2), ("voices", "a", 3)):
        assert cache.get(name, key, lambda number=number: {"number": number}) == {"number": number}
        assert cache.get(name, key, pytest.fail) == {"number": number}
    assert {path.name for path in tmp_path.iterdir()} == {"faces-a.pt", "faces-b.pt", "voices-a.pt"}


def test_features_are_made_anew_for_another_window_but_not_for_another_dropout(clips):
    def key(**changed):
        return features_of(replace(CONFIG, audio_encoder=replace(CONFIG.audio_encoder, **changed)), clips).key

    options = CONFIG.audio_encoder.options
    assert (
        key(options=options | {"dropout": 0.5})
        == key(options=options)
        != key(window_s=2 * CONFIG.audio_encoder.window_s)
    )


def test_features_are_made_anew_for_another_augmentation_number_of_views_seed_or_voice(clips, monkeypatch):
    nothing = "emotion_training.voice_features._features_of"
    monkeypatch.setattr(nothing, lambda config, encoder, clips: {"views": torch.zeros(1, len(clips))})
    training = CONFIG.audio_training
    robot = replace(training.robot_augmentation, telephone_probability=1.0)
    configs = (
        CONFIG,
        LOUD_BABBLE,
        replace(CONFIG, audio_training=replace(training, robot_augmentation=robot)),
        replace(CONFIG, audio_training=replace(training, views=training.views + 1)),
        replace(CONFIG, seed=CONFIG.seed + 1),
    )
    keys = [features_of(config, clips).key for config in configs]
    keys.append(features_of(CONFIG, (louder(clips[0]), *clips[1:])).key)
    assert len(set(keys)) == 6 and features_of(CONFIG, clips).key == keys[0]


def test_embeddings_are_kept_for_the_same_network_people_and_views(clips, tmp_path, monkeypatch):
    made, faces = [], generated_faces(CONFIG, 0)
    for kind in ("embed_faces", "embed_voices"):
        monkeypatch.setattr(
            f"emotion_training.embedding_views.{kind}",
            lambda *given: made.append(given) or np.zeros((1, len(given[1]), 2), np.float32),
        )
    more = replace(CONFIG.fusion_training, face_views=3, voice_views=3)
    for views, people, others in ((FaceViews, faces.train, faces.test), (VoiceViews, clips, clips[1:])):
        made.clear()
        for config, key, of in (
            (CONFIG, "graph", people),
            (CONFIG, "another graph", people),
            (CONFIG, "graph", others),
            (replace(CONFIG, seed=CONFIG.seed + 1), "graph", people),
            (replace(CONFIG, fusion_training=more), "graph", people),
        ):
            before = len(made)
            for _ in range(2):
                found = views(config, None, StageCache(tmp_path), key).of("train", of)
            assert len(made) == before + 1 and made[-1][1] is of
            assert found.views.shape == (1, len(of), 2) and len(found.labels) == len(of)


def test_embeddings_of_voices_say_whose_they_are_and_how_strong(monkeypatch, clips):
    monkeypatch.setattr("emotion_training.embedding_views.embed_features", lambda *_: np.zeros((1, 2, 3, 4)))
    of = [replace(clips[0], intensity="strong"), clips[-1]]
    found = learnt_voices(None, None, of)
    assert found.labels.tolist() == [clips[0].label, clips[-1].label] != [0, 0]
    assert found.speaker_ids.tolist() == ["tone-0", "tone-3"] and found.intensities.tolist() == ["strong", ""]


def test_each_voice_is_in_noise_of_its_own_that_is_as_loud_as_it_is_asked_to_be(clips):
    again = replace(clips[0], clip_id="the same voice")
    plain = plain_windows([clips[0]], 48000)
    first, other = noisy_windows([clips[0], again], 48000, 10.0) - plain
    assert not torch.equal(first, other) and torch.equal(first, noisy_windows(clips[:1], 48000, 10.0)[0] - plain[0])
    for noise in (first, other):
        assert 20.0 * torch.log10(plain.norm() / noise.norm()).item() == pytest.approx(10.0, abs=0.01)


def test_a_loss_that_is_no_number_is_said_with_its_remedy(clips):
    features = features_of(CONFIG, clips)
    features.views[:] = torch.nan
    started = AudioClassifier(start_audio_encoder(CONFIG.audio_encoder, Path()), 0.0)
    with pytest.raises(FloatingPointError, match="the audio loss is nan in epoch 1; lower learning_rate"):
        train_audio_classifier(CONFIG.audio_training, clips, features, (), started, 0)
