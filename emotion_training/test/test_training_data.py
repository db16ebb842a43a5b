"""Clips become batches: targets, views, balancing, augmentation, and what is refused."""

import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from training_fixtures import (
    FEATURES,
    LABELS,
    SPEAKERS,
    experiment_tree,
    smart_turn_graph,
    write_corpus,
    write_split,
)

from emotion_training.balancing import BalancingError
from emotion_training.clip import Clip
from emotion_training.clip_tensors import DataError, Rows, class_targets, feature_rows
from emotion_training.configuration import changed
from emotion_training.corpus_tensors import CorpusConfig, load_corpus
from emotion_training.data_module import (
    AugmentationConfig,
    AugmentedBatches,
    EmotionDataModule,
    ShuffledBatches,
    balanced,
)
from emotion_training.experiment import read_experiment
from emotion_training.models.start_weights import WeightsError
from emotion_training.models.whisper import WhisperTiny
from emotion_training.prepared_corpus import save_clips
from emotion_training.robot_face_augmentation import RobotFaceAugmentation
from emotion_training.robot_voice_augmentation import RobotVoiceAugmentation
from emotion_training.robustness import with_dropped_frames, with_noise, with_occluded_faces
from emotion_training.splits import SplitError
from emotion_training.voice_states import VoiceStates


@pytest.fixture(scope="module")
def features(folder):
    return load_corpus(CorpusConfig(folder / "corpus", LABELS, views=2))


@pytest.fixture(scope="module")
def raw(folder):
    return load_corpus(
        CorpusConfig(folder / "corpus", LABELS, face="crops", audio="samples", window_s=0.2, face_bins=2)
    )


def test_states_of_a_speech_network_come_beside_the_functionals_in_every_view(folder, features, tmp_path):
    torch.manual_seed(0)
    onnx.save(smart_turn_graph(WhisperTiny(1)), folder / "corpus" / "turn.onnx")
    config = CorpusConfig(folder / "corpus", LABELS, views=2, speech_network=Path("turn.onnx"), speech_blocks=1)
    both = load_corpus(dataclasses.replace(config, cache=tmp_path))
    states = both.audio[..., features.audio.shape[2] :]
    assert torch.equal(both.audio[..., : features.audio.shape[2]], features.audio)
    assert states.shape == (2, len(features), 2 * 384)
    assert states.std(dim=1).min() > 0.0 and not torch.equal(states[0], states[1])
    assert len(list(tmp_path.glob("*.npy"))) == 4  # both kinds at both speeds
    again = load_corpus(dataclasses.replace(config, cache=tmp_path / ".." / tmp_path.name))
    assert torch.equal(again.audio, both.audio)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"speech_blocks": 5}, "speech_blocks is 5; expected 1 to 4"),
        ({"audio": "samples"}, "speech_network is turn.onnx and audio is samples; expected functionals"),
    ],
)
def test_a_speech_network_that_cannot_be_used_is_refused(folder, options, message):
    with pytest.raises(DataError, match=message):
        load_corpus(CorpusConfig(folder / "corpus", LABELS, speech_network=Path("turn.onnx"), **options))


def test_a_speech_network_leaves_the_random_numbers_to_the_training(tmp_path):
    onnx.save(smart_turn_graph(WhisperTiny(1)), tmp_path / "turn.onnx")
    before = torch.get_rng_state()
    VoiceStates(tmp_path / "turn.onnx", 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_states_of_a_voice_of_one_state_are_finite(tmp_path):
    onnx.save(smart_turn_graph(WhisperTiny(1)), tmp_path / "turn.onnx")
    assert np.isfinite(VoiceStates(tmp_path / "turn.onnx", 1)(np.full(300, 0.1, np.float32))).all()


def test_weights_of_a_speech_network_that_are_absent_are_named(folder):
    with pytest.raises(WeightsError, match="corpus/absent.onnx does not exist"):
        load_corpus(CorpusConfig(folder / "corpus", LABELS, speech_network=Path("absent.onnx")))


def epoch_of(clips, batch=8, re_pairing=0.0, seed=0, epoch=0, rank=0, processes=1):
    return list(ShuffledBatches(clips, batch, re_pairing, seed, lambda: epoch, rank, processes))


def test_votes_become_shares_and_a_label_all_of_one_class():
    voted = Clip("a", "c", "c-1", label="happy", votes={"happy": 3.0, "angry": 1.0, "sad": 7.0})
    clips = [voted, Clip("b", "c", "c-1", label="angry")]
    labels, targets, of_votes = class_targets(clips, LABELS, votes=True)
    assert targets.tolist() == [[0.0, 0.75, 0.25], [0.0, 0.0, 1.0]]
    assert (labels.tolist(), of_votes.tolist()) == ([1, 2], [True, False])
    _, targets, of_votes = class_targets([voted], LABELS, votes=False)
    assert (targets.tolist(), of_votes.tolist()) == ([[0.0, 1.0, 0.0]], [False])


@pytest.mark.parametrize(
    ("label", "votes", "expected"),
    [
        ("angry", {"happy": 2.0, "angry": 2.0}, "angry"),
        ("neutral", {"happy": 2.0, "angry": 2.0}, "happy"),
        ("neutral", {"neutral": 1.0, "happy": 2.0, "angry": 2.0}, "happy"),
        (None, {"happy": 2.0, "angry": 2.0}, "happy"),
        ("happy", {"happy": 1.0, "angry": 2.0}, "angry"),
    ],
)
def test_of_a_tie_the_clips_own_label_counts_if_it_is_among_them(label, votes, expected):
    labels, _, _ = class_targets([Clip("a", "c", "c-1", label=label, votes=votes)], LABELS, votes=True)
    assert LABELS[labels[0]] == expected


@pytest.mark.parametrize(
    ("label", "votes"), [("bored", None), ("bored", {"happy": 9.0}), (None, {"bored": 9.0, "happy": 1.0})]
)
def test_a_label_out_of_the_set_names_the_clip(label, votes):
    """Its own, whatever its votes, or that of most votes."""
    with pytest.raises(DataError, match="clip a of c has the label 'bored'; expected one of neutral, happy, angry"):
        class_targets([Clip("a", "c", "c-1", label=label, votes=votes)], LABELS, votes=True)


def test_votes_alone_are_a_target():
    voted = Clip("a", "c", "c-1", votes={"bored": 3.0, "happy": 1.0, "angry": 3.0})
    labels, targets, _ = class_targets([voted], LABELS, votes=True)
    assert (labels.tolist(), targets.tolist()) == ([2], [[0.0, 0.25, 0.75]])


def test_clips_of_other_labels_are_left_out_where_asked_for_whatever_their_votes(tmp_path):
    first, *others = write_corpus(tmp_path, clips_per_class=1)
    save_clips([dataclasses.replace(first, label="calm", votes={"calm": 9.0, "happy": 1.0}), *others], tmp_path)
    with pytest.raises(DataError, match="has the label 'calm'"):
        load_corpus(CorpusConfig(tmp_path, LABELS, audio="none"))
    kept = load_corpus(CorpusConfig(tmp_path, LABELS, audio="none", other_labels="drop"))
    assert set(kept.clip_ids) == {clip.clip_id for clip in others}


def test_of_clips_with_votes_and_no_label_those_with_most_votes_for_another_are_left_out(tmp_path):
    first, *others = write_corpus(tmp_path, clips_per_class=1)
    voted = [dataclasses.replace(clip, label=None, votes={clip.label: 2.0, "calm": 1.0}) for clip in others]
    save_clips([dataclasses.replace(first, label=None, votes={"calm": 3.0, "happy": 2.0}), *voted], tmp_path)
    kept = load_corpus(CorpusConfig(tmp_path, LABELS, audio="none", other_labels="drop"))
    assert set(kept.clip_ids) == {clip.clip_id for clip in others} and kept.voted.all()


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (((1.0,), (1.0, 2.0)), "1 in a, 2 in b"),
        ((None, None), "found none"),
        (((math.nan,), (1.0,)), "clip a .*finite"),
    ],
)
def test_facial_features_that_do_not_fit_are_refused(rows, problem):
    clips = [Clip(name, "c", "c-1", face_features=row) for name, row in zip("ab", rows, strict=True)]
    with pytest.raises(DataError, match=problem):
        feature_rows(clips)


def test_a_clip_without_features_is_masked():
    rows, mask = feature_rows([Clip("a", "c", "c-1", face_features=(2.0, 3.0)), Clip("b", "c", "c-1")])
    assert rows.tolist() == [[2.0, 3.0], [0.0, 0.0]]
    assert mask.tolist() == [[True], [False]]


def test_tensors_have_the_shapes_that_models_take(features, raw):
    assert features.face.shape == (54, FEATURES)
    assert features.audio.shape[:2] == (2, 54)
    assert not torch.equal(features.audio[0], features.audio[1])
    assert raw.face.shape == (54, 2, 48, 48, 3)
    assert raw.face.dtype == torch.uint8
    assert raw.audio.shape == (1, 54, 3200)
    assert raw.face_mask[:, -1].all()


@pytest.mark.parametrize(("samples", "views"), [(160, 1), (161, 1), (170, 3), (171, 3)])
def test_a_voice_too_short_for_functionals_names_its_clip(tmp_path, samples, views):
    first, *_ = write_corpus(tmp_path, clips_per_class=1)
    np.savez(first.audio, audio=np.arange(samples, dtype=np.int16))
    save_clips([first], tmp_path)
    config = CorpusConfig(tmp_path, LABELS, face="none", views=views)
    if samples % 10:
        assert load_corpus(config).audio.isfinite().all()
    else:
        with pytest.raises(DataError, match=f"clip {first.clip_id} has a voice of {samples} samples; expected 1"):
            load_corpus(config)


def test_an_epoch_shows_every_clip_once_and_depends_on_seed_and_epoch(features):
    rows = torch.cat([batch.clips for batch in epoch_of(features, batch=9)])
    assert sorted(rows.tolist()) == list(range(54))
    assert torch.equal(rows, torch.cat([batch.clips for batch in epoch_of(features, batch=9)]))
    for other in ({"seed": 1}, {"epoch": 1}):
        assert not torch.equal(rows, torch.cat([batch.clips for batch in epoch_of(features, batch=9, **other)]))


def test_two_processes_share_out_the_batches_of_one(features):
    alone = [batch.clips.tolist() for batch in epoch_of(features)]
    shared = [[batch.clips.tolist() for batch in epoch_of(features, rank=rank, processes=2)] for rank in (0, 1)]
    assert shared == [alone[0::2], alone[1::2]]


def test_re_pairing_takes_another_face_of_the_same_class(features):
    batches = epoch_of(features, re_pairing=1.0)
    clips, faces = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("clips", "faces"))
    assert torch.equal(features.labels[clips], features.labels[faces])
    assert (clips != faces).float().mean() > 0.5
    assert all(torch.equal(batch.clips, batch.faces) for batch in epoch_of(features))


def test_re_pairing_is_among_the_clips_that_have_a_face(features):
    mask = features.face_mask.clone()
    mask[::2] = False
    mask[features.labels == 0] = False  # a class without a face
    clips = dataclasses.replace(features, face_mask=mask)
    for rows in epoch_of(clips, re_pairing=1.0):
        assert torch.equal(mask[rows.faces], mask[rows.clips])
        unseen = ~mask[rows.clips, 0]
        assert torch.equal(rows.faces[unseen], rows.clips[unseen])


@pytest.mark.parametrize(
    "kind", ["random_oversampling", "smote", "perceptual_borderline", "perceptual_borderline_smote"]
)
def test_balancing_fills_up_the_small_classes(features, kind):
    uneven = features.of(
        np.concatenate([np.flatnonzero(features.labels == 0), np.flatnonzero(features.labels > 0)[::2]])
    )
    full = balanced(uneven, kind, seed=0)
    assert torch.bincount(full.labels).tolist() == [18, 18, 18]
    assert len(full.clip_ids) == len(full.target) == full.audio.shape[1] == 54
    assert torch.equal(full.target.argmax(dim=1), full.labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ()}, "labels are none; expected two or more, each once"),
        ({"labels": ("happy",)}, "labels are happy; expected two or more, each once"),
        ({"labels": (*LABELS, "happy")}, "labels are neutral, happy, angry, happy; expected two or more, each once"),
        ({"face_px": 0}, "face_px is 0; expected a finite number above 0"),
        ({"face_px": -4}, "face_px is -4; expected"),
        ({"face_bins": 0}, "face_bins is 0; expected"),
        ({"face_bin_s": 0.0}, "face_bin_s is 0.0; expected"),
        ({"window_s": -1.0}, "window_s is -1.0; expected"),
        ({"window_s": math.inf}, "window_s is inf; expected"),
        ({"snr_db": math.nan}, "snr_db is nan; expected a finite number, or null for no noise"),
    ],
)
def test_what_no_clip_could_make_right_is_refused_before_they_are_read(tmp_path, options, message):
    with pytest.raises(DataError, match=f"data.corpus.{message}"):
        load_corpus(CorpusConfig(**{"root": tmp_path / "nowhere", "labels": LABELS} | options))


def test_a_balancing_that_cannot_be_names_class_and_clip(tmp_path):
    clips = write_corpus(tmp_path / "corpus")
    write_split(tmp_path / "split.json")
    kept = [clip for clip in clips if clip.label != "angry" or clip.speaker_id not in SPEAKERS[1:3]]
    kept[0] = dataclasses.replace(kept[0], valence=None)
    save_clips(kept, tmp_path / "corpus")
    corpus = CorpusConfig(tmp_path / "corpus", LABELS, audio="none")
    said = "class angry has 3 samples and 5 neighbours are asked for; expected at least 6 samples, so take random_over"
    with pytest.raises(BalancingError, match=said):
        _ = EmotionDataModule(corpus, tmp_path / "split.json", balancing="smote").train
    said = f"the values of clip {kept[0].clip_id} are not finite; complete its features, valence and arousal, or take"
    with pytest.raises(BalancingError, match=said):
        _ = EmotionDataModule(corpus, tmp_path / "split.json", balancing="perceptual_borderline").train


def test_smote_of_pictures_is_refused(raw):
    with pytest.raises(DataError, match="smote needs clip-level features"):
        balanced(raw, "smote", seed=0)


def test_augmentation_follows_from_the_seed_of_the_batch(raw):
    options = AugmentationConfig(
        face=RobotFaceAugmentation(pose_probability=1.0), voice=RobotVoiceAugmentation(background_probability=1.0)
    )
    batches = AugmentedBatches(raw, options)
    rows = epoch_of(raw)[0]
    first, again = batches[rows], batches[rows]
    other = batches[dataclasses.replace(rows, seed=rows.seed + 1)]
    for name in ("face", "audio"):
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])
        assert first[name].dtype == raw.batch(rows)[name].dtype


def test_which_faces_are_changed_says_nothing_of_which_voices_are(raw):
    never = {f"{name}_probability": 0.0 for name in ("motion_blur", "defocus", "darkness", "jpeg")}
    options = AugmentationConfig(
        face=RobotFaceAugmentation(pose_probability=0.5, **never),
        voice=RobotVoiceAugmentation(0.5, telephone_probability=0.0, background_probability=0.0),
    )
    mask = raw.face_mask[:, :1]
    crops = torch.arange(48, dtype=torch.uint8).expand(len(raw), 1, 48, 48).unsqueeze(4).repeat(1, 1, 1, 1, 3)
    clips = dataclasses.replace(raw, face=crops, face_mask=mask)
    batch = AugmentedBatches(clips, options)[Rows.plain(torch.arange(len(raw)))]
    turned = (batch["face"] != clips.face).flatten(1).any(dim=1)
    echoing = (batch["audio"] != clips.audio[0]).any(dim=1)
    assert 0.2 < turned.float().mean() < 0.8 and 0.2 < echoing.float().mean() < 0.8
    assert 0.2 < (turned == echoing).float().mean() < 0.8


def test_augmentation_of_features_is_refused(features):
    with pytest.raises(DataError, match=r"augmentation.voice changes voices, and there are none"):
        AugmentedBatches(features, AugmentationConfig(voice=RobotVoiceAugmentation()))


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """As `folder`, with a third of the happy clips."""
    folder = tmp_path_factory.mktemp("uneven")
    clips = write_corpus(folder / "corpus")
    save_clips([clip for clip in clips if clip.label != "happy" or clip.clip_id.endswith("0")], folder / "corpus")
    write_split(folder / "split.json")
    return folder


def test_class_counts_are_of_the_clips_that_are_trained_on(uneven):
    corpus = CorpusConfig(uneven / "corpus", LABELS, audio="none")
    assert EmotionDataModule(corpus, uneven / "split.json").class_counts.tolist() == [9.0, 3.0, 9.0]
    filled = EmotionDataModule(corpus, uneven / "split.json", balancing="random_oversampling")
    assert filled.class_counts.tolist() == [9.0, 9.0, 9.0]


def test_balancing_draws_other_clips_with_another_seed(uneven):
    tree = changed(experiment_tree(uneven, audio="none"), {"data.balancing": "random_oversampling"})
    tree["model"] |= {"fusion": {"name": "face_only"}, "audio_encoder": None}
    drawn = [tuple(read_experiment(tree | {"seed_everything": seed}).data.train.clip_ids) for seed in (0, 1, 0)]
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_fold_has_whole_speakers_and_every_class(folder):
    corpus = CorpusConfig(folder / "corpus", LABELS)
    data = EmotionDataModule(corpus, folder / "split.json", fold=1)
    assert set(data.train.speaker_ids) == set(SPEAKERS[3:])
    assert set(data.test.speaker_ids) == set(SPEAKERS[:2])
    assert data.shape.face_features == FEATURES
    with pytest.raises(SplitError, match="fold is 2; expected one of 0, 1, those of tones"):
        EmotionDataModule(corpus, folder / "split.json", fold=2)
    with pytest.raises(SplitError, match="the train part of fold 0 of tones has no clip of sad"):
        EmotionDataModule(dataclasses.replace(corpus, labels=(*LABELS, "sad")), folder / "split.json")


def test_a_fold_keeps_its_number_where_speakers_are_missing(folder):
    corpus = CorpusConfig(folder / "corpus", LABELS, speakers=SPEAKERS[:4])
    assert set(EmotionDataModule(corpus, folder / "split.json", fold=1).test.speaker_ids) == set(SPEAKERS[:2])
    with pytest.raises(SplitError, match="fold is 0; expected one of 1, those of tones that test somebody"):
        EmotionDataModule(corpus, folder / "split.json", fold=0)


def test_a_fold_is_run_where_missing_speakers_leave_another_one_empty(folder):
    corpus = CorpusConfig(folder / "corpus", LABELS, speakers=[s for s in SPEAKERS if s != "tone-2"])
    assert EmotionDataModule(corpus, folder / "split.json", fold=0).split.numbers == (0,)
    with pytest.raises(SplitError, match="tones, fold 1: the speakers of validation, tone-2, have no clip"):
        EmotionDataModule(corpus, folder / "split.json", fold=1)


def test_functionals_of_no_voice_at_all_are_refused(tmp_path):
    silent = [dataclasses.replace(clip, audio=None) for clip in write_corpus(tmp_path)]
    save_clips(silent, tmp_path)
    with pytest.raises(DataError, match="holds no clip with a voice"):
        load_corpus(CorpusConfig(tmp_path, LABELS))


def test_a_border_by_votes_needs_votes(raw):
    with pytest.raises(DataError, match="balancing is vote_borderline, and no clip has votes; expected"):
        balanced(raw, "vote_borderline", 0)


def test_more_processes_than_batches_share_the_clips(raw):
    batches = [ShuffledBatches(raw, len(raw), 0.0, 0, lambda: 0, rank, processes=2) for rank in range(2)]
    rows = [row for sampler in batches for rows in sampler for row in rows.clips.tolist()]
    assert len(rows) == len(set(rows)) >= len(raw) - 1


def test_noise_is_pink_and_has_the_asked_ratio_and_silence_stays():
    voice = np.sin(np.arange(16000) / 10).astype(np.float32)
    noise = with_noise(voice, 10.0, seed=0) - voice
    assert 10.0 * np.log10(np.mean(voice**2) / np.mean(noise**2)) == pytest.approx(10.0, abs=0.01)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[250:500].sum() == pytest.approx(power[2000:4000].sum(), rel=0.25)  # as much in every octave
    assert not with_noise(np.zeros(100, np.float32), 0.0, seed=0).any()


def test_a_square_covers_all_crops_of_a_clip_at_the_same_place_and_the_faces_stay_as_they_were(raw):
    before = raw.face.clone()
    covered = with_occluded_faces(raw, 0.5, seed=0)
    assert torch.equal(raw.face, before)
    corners = set()
    for crops, uncovered in zip(covered.face, before, strict=True):
        changed = (crops != uncovered).any(dim=3).any(dim=0)  # (S, S), of the clip
        rows, columns = (torch.nonzero(changed.any(dim=axis)).flatten() for axis in (1, 0))
        assert len(rows) == len(columns) == 24
        square = crops[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (square == 128).all()
        corners.add((int(rows[0]), int(columns[0])))
    assert len(corners) > len(raw) / 2 and any(row != column for row, column in corners)


@pytest.mark.parametrize("share", [0.25, 0.9])
def test_crops_are_dropped_with_their_probability_but_one_that_was_there(raw, share):
    gaps = raw.face_mask.clone()
    gaps[:, 0] = False
    holed = dataclasses.replace(raw, face_mask=gaps)
    left = torch.stack([with_dropped_frames(holed, share, seed).face_mask for seed in range(40)])  # (R, N, Tf)
    assert not left[:, :, 0].any() and left.any(dim=2).all()
    there = int(gaps[0].sum())
    expected = there * (1.0 - share) + share**there  # the last one stays
    assert float(left.sum(dim=2).float().mean()) == pytest.approx(expected, rel=0.05)


@pytest.mark.bench
def test_drawing_batches_takes_a_small_part_of_a_training(folder, tmp_path):
    experiment = read_experiment(changed(experiment_tree(folder), {"trainer.max_epochs": 20}))
    started = time.perf_counter()
    experiment.run(tmp_path)
    training_s = time.perf_counter() - started
    loader = experiment.data.train_dataloader()
    started = time.perf_counter()
    batches = sum(1 for _ in range(20) for _ in loader)
    loading_s = time.perf_counter() - started
    print(
        f"{batches} batches: {1e3 * loading_s / batches:.2f} ms each, {100 * loading_s / training_s:.1f} % of training"
    )
    assert loading_s < 0.2 * training_s
