"""A trained model is exported for the robot, in 8 bits too, and adapted to other people."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures import ROBOT, experiment_tree

from emotion_perception.core.model_bundle import STATES, ModelBundle, load_bundle
from emotion_training import adapt, evaluate, export, train
from emotion_training.adaptation import bundle_experiment, corpus_of, encode_once
from emotion_training.bundle_writer import ParityError
from emotion_training.checkpoints import CheckpointError, load_checkpoint
from emotion_training.configuration import CONFIG_FOLDER, changed
from emotion_training.encoded_clips import encoded
from emotion_training.experiment import BEST, LAST, read_experiment, restore_experiment
from emotion_training.models import bundle_encoders
from emotion_training.package_share import package_share
from emotion_training.predictions import LEAST_PROBABILITY, figures, in_state, predict, predict_by_bundle
from emotion_training.prepared_corpus import PreparedCorpus, save_clips
from emotion_training.run_card import render_run_card
from emotion_training.splits import Fold, Split, save_split
from emotion_training.training_module import EmotionModule

SHIPS = "models/default"


@pytest.fixture(scope="module")
def checkpoint(folder):
    return read_experiment(changed(experiment_tree(folder), ROBOT)).run(folder / "trained")


def export_arguments(folder, checkpoint, out, *more):
    name = ["--name", "tones-1", "--licence", "Apache-2.0, for tests"]
    return ["--checkpoint", str(checkpoint), "--data", str(folder / "corpus"), "--out", str(out), *name, *more]


def test_the_bundle_says_what_the_model_says(folder, checkpoint, tmp_path):
    assert export.main(export_arguments(folder, checkpoint, tmp_path / "bundle")) == 0
    bundle = load_bundle(tmp_path / "bundle")
    experiment = restore_experiment(checkpoint, {})
    model, data = experiment.module.evaluated, experiment.data
    expected = predict(model, data.test).logits / bundle.calibration["both"]["temperature"]
    found = predict_by_bundle(bundle, data.test).logits
    assert np.allclose(found, torch.from_numpy(expected).log_softmax(dim=1).numpy(), atol=1e-3)
    text = (tmp_path / "bundle" / "model.json").read_text()
    assert str(folder) not in text
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "UAR" in card and "cross_attention" in card and "Apache-2.0, for tests" in card
    assert "a pool of three" not in card  # none was fitted


def test_an_export_says_of_which_states_the_robot_is_never_certain(folder, checkpoint, tmp_path, capsys):
    assert export.main(export_arguments(folder, checkpoint, tmp_path)) == 0
    said = capsys.readouterr().out
    assert "always uncertain in the states both, face, audio, as it takes 50 validation clips" in said
    thresholds = {"both": 0.7, "face": 1.0, "audio": 0.6}
    calibration = {state: {"uncertain_below": threshold} for state, threshold in thresholds.items()}
    assert "in the states face, as" in export.never_certain({"metrics": {"calibration": calibration}})
    calibration["face"]["uncertain_below"] = 0.999
    assert export.never_certain({"metrics": {"calibration": calibration}}) == ""


def test_an_export_shows_no_warnings_of_the_insides_of_torch(folder, checkpoint, tmp_path, recwarn):
    assert export.main(export_arguments(folder, checkpoint, tmp_path)) == 0
    assert [str(warning.message) for warning in recwarn] == []


def test_each_figure_of_the_card_of_a_run_stands_in_its_place():
    conditions = {"clean": {"uar": 0.11, "accuracy": 0.12, "ece": 0.13}}
    found = {
        "figures": {"uar": 0.21, "accuracy": 0.22, "macro_f1": 0.23, "ece": 0.24},
        "conditions": conditions,
        "clips_by_condition": {"clean": 17},
        "labels": ["calm", "angry"],
        "fold": 1,
        "split": "split",
        "uar_interval": (0.31, 0.32),
        "speakers": ["one", "two"],
        "voted": 0,
        "pool": {"joint": 0.41, "face": 0.42, "audio": 0.43},
    }
    training = {
        "metrics": found,
        "networks": {"fusion": {"name": "gated", "options": {}}},
        "commit": "abc",
        "data": ["some data"],
        "clips": {"train": 5, "validation": 6, "test": 7},
        "untaught": ["angry"],
        "quantisation": {"uar_int8": 0.51, "uar_float": 0.52, "bytes_int8": 2**20, "bytes_float": 3 * 2**20},
        "before_adaptation": {"uar": 0.61, "ece": 0.62},
        "adapted_from": {"model_id": "the start", "licence": "its terms"},
    }
    calibration = {"both": {"temperature": 1.7, "uncertain_below": 0.8}}
    card = " ".join(render_run_card("a run", training, calibration, "").split())
    for expected in (
        "5 clips to learn from, 6 to choose and calibrate by, 7 to measure on",
        "Mind: no clip of angry to learn from, so that it names them less often than the model that it was made from",
        "UAR 0.210 (95 % interval over 2 speakers: 0.310 to 0.320",
        "accuracy 0.220, macro-F1 0.230, ECE 0.240.",
        "| clean | 17 | 0.110 | 0.120 | 0.130 |",
        "UAR 0.510 where the same bundle in 32-bit floats has 0.520; the encoders take 1.00 MiB instead of 3.00.",
        "Adapted from the start, which had UAR 0.610 and ECE 0.620 on the same test speakers.",
        "Its terms hold for these weights, too: its terms",
        "| both | 1.7 | 0.8 |",
        "0.41 times those of the joint network, 0.42 times those of the face alone, 0.43 times those of the voice",
    ):
        assert expected in card


def test_the_configuration_for_own_recordings_makes_a_bundle_like_the_one_that_ships(folder, tmp_path, capsys):
    data = ["--data.corpus.root", str(folder / "corpus"), "--data.split", str(folder / "split.json")]
    short = ["--trainer.max_epochs", "1", "--threads", "1", "--out", str(tmp_path / "out")]
    assert train.main(["--config", str(CONFIG_FOLDER / "own_av.yaml"), *data, *short]) == 0
    checkpoint = tmp_path / "out" / LAST
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{checkpoint}: UAR ")
    assert export.main(export_arguments(folder, checkpoint, tmp_path / "bundle")) == 0
    said = capsys.readouterr().err
    assert all(f"{work}: 100%" in said for work in ("encode validation", "encode test", "export"))
    made, ships = (load_bundle(path) for path in (tmp_path / "bundle", package_share("emotion_perception") / SHIPS))
    assert made.labels == ships.labels
    for name in ("size_px", "bins", "bin_s"):
        assert getattr(made.face, name) == getattr(ships.face, name)
    for name in ("sample_rate_hz", "window_s", "hop_s"):
        assert getattr(made.audio, name) == getattr(ships.audio, name)


def test_8_bit_encoders_load_and_the_card_says_what_they_cost(folder, checkpoint, tmp_path):
    assert export.main(export_arguments(folder, checkpoint, tmp_path / "bundle", "--int8")) == 0
    cost = json.loads((tmp_path / "bundle" / "model.json").read_text())["training"]["quantisation"]
    assert cost["uar_int8"] == pytest.approx(cost["uar_float"], abs=0.2)
    assert "8-bit" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    load_bundle(tmp_path / "bundle")  # checks all files against their checksums


def test_a_quantisation_that_fails_leaves_what_was_there(folder, checkpoint, tmp_path, monkeypatch):
    def fail(*given):
        raise ParityError("integers differ")

    (tmp_path / "model.json").write_text("of before")
    monkeypatch.setattr(export, "quantise_encoders", fail)
    assert export.main(export_arguments(folder, checkpoint, tmp_path, "--int8")) == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of before"]


def test_the_finished_encoders_of_a_bundle_are_not_quantised_again(folder, of_bundle, tmp_path, capsys):
    assert export.main(export_arguments(folder, of_bundle / BEST, tmp_path, "--int8")) == 1
    expected = "error: the encoders are those of emotion-av-tiny as they are; export without --int8\n"
    assert capsys.readouterr().err == expected
    assert not any(tmp_path.iterdir())


def test_a_model_of_features_is_not_exported(folder, tmp_path, capsys):
    checkpoint = read_experiment(changed(experiment_tree(folder), {"trainer.max_epochs": 1})).run(tmp_path / "trained")
    assert export.main(export_arguments(folder, checkpoint, tmp_path / "bundle")) == 1
    assert "the robot has crops and samples" in capsys.readouterr().err
    assert not any((tmp_path / "bundle").iterdir())


@pytest.mark.parametrize("train_encoders", [False, True])
def test_adaptation_trains_the_fusion_and_the_encoders_only_if_asked(folder, checkpoint, tmp_path, train_encoders):
    arguments = ["--checkpoint", str(checkpoint), "--data", str(folder / "corpus"), "--out", str(tmp_path)]
    arguments += ["--split", str(folder / "split.json"), "--epochs", "2"]
    assert adapt.main([*arguments, *(["--train-encoders"] if train_encoders else [])]) == 0
    before, after = (load_checkpoint(path)["state_dict"] for path in (checkpoint, tmp_path / BEST))
    moved = {
        part: any(not torch.equal(after[name], before[name]) for name in before if name.startswith(f"averaged.{part}."))
        for part in ("face_encoder", "audio_encoder", "fusion")
    }
    assert moved == {"face_encoder": train_encoders, "audio_encoder": train_encoders, "fusion": True}
    figures = json.loads((tmp_path / adapt.ADAPTATION).read_text())
    assert set(figures["before"]) == set(figures["after"])
    assert figures["speakers"] == ["tone-4", "tone-5"]
    assert (figures["split"], figures["protocol"]) == ("tones", "two folds")


def test_an_adaptation_keeps_the_best_epoch_whatever_the_training_kept(folder, tmp_path):
    last = read_experiment(changed(experiment_tree(folder), {"selection.keep": "last"})).run(tmp_path / "run")
    assert last.name == LAST
    given = ["--data", str(folder / "corpus"), "--split", str(folder / "split.json"), "--out", str(tmp_path / "out")]
    assert adapt.main(["--checkpoint", str(last), *given, "--epochs", "2"]) == 0
    kept = load_checkpoint(tmp_path / "out" / BEST)["emotion_training"]["configuration"]["selection"]
    assert (kept["keep"], kept["monitor"]) == ("best", "validation_loss")


@pytest.mark.parametrize("train_encoders", [False, True])
def test_what_learns_in_an_adaptation_learns_with_dropout_and_what_does_not_stays_as_it_is(
    folder, checkpoint, tmp_path, monkeypatch, train_encoders
):
    learning, training_step = [], EmotionModule.training_step

    def step(module, *given):
        model = module.model
        learning.append([part.training for part in (model.fusion, model.face_encoder, model.audio_encoder)])
        return training_step(module, *given)

    monkeypatch.setattr(EmotionModule, "training_step", step)
    arguments = ["--checkpoint", str(checkpoint), *own_corpus(folder, tmp_path, "--epochs", "2")]
    assert adapt.main([*arguments, *(["--train-encoders"] if train_encoders else [])]) == 0
    assert len(learning) > 2 and all(modes == [True, train_encoders, train_encoders] for modes in learning)


@pytest.fixture
def encodings(monkeypatch):
    """How many crops and windows of sound bundles encode, but those that a bundle is tried by as it is loaded."""
    counts = {"crops": 0, "windows": 0}
    encode_faces, encode_audio = ModelBundle.encode_faces, ModelBundle.encode_audio

    def of_faces(bundle, crops):
        counts["crops"] += len(crops)
        return encode_faces(bundle, crops)

    def of_audio(bundle, samples):
        counts["windows"] += 1
        return encode_audio(bundle, samples)

    monkeypatch.setattr("emotion_perception.core.model_bundle._try_out", lambda bundle: None)
    monkeypatch.setattr(ModelBundle, "encode_faces", of_faces)
    monkeypatch.setattr(ModelBundle, "encode_audio", of_audio)
    return counts


def test_an_adaptation_of_any_length_encodes_each_clip_once_and_shows_it(folder, tiny, tmp_path, encodings, capsys):
    data = of_own_corpus(folder, tiny.directory).data
    assert adapt.main(["--bundle", str(tiny.directory), *own_corpus(folder, tmp_path, "--epochs", "3")]) == 0
    assert len(data.train) + len(data.validation) + len(data.test) == len(data.clips)
    assert encodings == {"crops": int(data.clips.face_mask.sum()), "windows": len(data.clips)}
    said = capsys.readouterr().err
    assert all(f"encode {part}: 100%" in said for part in ("train", "validation", "test"))


@pytest.mark.parametrize("start", ["bundle", "checkpoint"])
def test_a_fusion_learns_from_embeddings_what_it_learns_from_crops_and_samples(
    folder, checkpoint, tiny, tmp_path, monkeypatch, start
):
    given = {"bundle": tiny.directory, "checkpoint": checkpoint}[start]
    arguments = [f"--{start}", str(given), "--epochs", "3", "--learning-rate", "0.02"]
    assert adapt.main([*arguments, *own_corpus(folder, tmp_path / "once")]) == 0
    monkeypatch.setattr(adapt, "encode_once", lambda experiment: None)
    assert adapt.main([*arguments, *own_corpus(folder, tmp_path / "in every epoch")]) == 0
    names = ("once", "in every epoch")
    kept = [load_checkpoint(tmp_path / name / LAST)["emotion_training"] for name in names]
    assert [of["configuration"]["model"]["optimiser"]["learning_rate"] for of in kept] == [0.02, 0.02]
    histories = [of["history"] for of in kept]
    assert [len(history) for history in histories] == [3, 3]
    for once, again in zip(*histories, strict=True):
        assert once == pytest.approx(again, rel=1e-5)
    figures = [json.loads((tmp_path / name / adapt.ADAPTATION).read_text()) for name in names]
    assert figures[0] == figures[1]


@pytest.mark.parametrize(
    "change",
    [{"data.augmentation.face": {}}, {"data.augmentation.voice": {}}, {"model.regularisation.mix_up_alpha": 0.2}],
)
def test_training_clips_that_are_changed_in_every_epoch_stay_crops_and_samples(folder, checkpoint, change):
    experiment = restore_experiment(checkpoint, change)
    encode_once(experiment)
    data = experiment.data
    assert data.train.has_crops and data.train.has_samples
    assert not any(clips.has_crops or clips.has_samples for clips in (data.validation, data.test))


def test_encoders_that_learn_no_more_encode_as_they_judge(folder, checkpoint):
    experiment = restore_experiment(checkpoint, {})
    model, clips = experiment.module.evaluated, experiment.data.test
    expected = encoded(model, clips, "")
    model.train()
    found = encoded(model, clips, "")
    assert torch.equal(found.face, expected.face) and torch.equal(found.audio, expected.audio)


@pytest.mark.parametrize("left_out, fusion", [("face", "voice_only"), ("audio", "face_only")])
def test_what_a_model_has_no_encoder_for_is_not_encoded(folder, left_out, fusion):
    changes = {f"model.{left_out}_encoder": None, "model.fusion": {"name": fusion}}
    experiment = read_experiment(changed(changed(experiment_tree(folder), ROBOT), changes))
    clips = experiment.data.test
    found = encoded(experiment.module.evaluated, clips, "")
    same = {name: getattr(found, name) is getattr(clips, name) for name in ("face", "audio")}
    assert same == {name: name == left_out for name in same}


def test_adaptation_makes_a_new_bundle_that_names_the_figures_before(folder, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("emotion_training.calibration.FEWEST", 3)
    arguments = ["--checkpoint", str(checkpoint), "--data", str(folder / "corpus"), "--out", str(tmp_path)]
    arguments += ["--split", str(folder / "split.json"), "--epochs", "1", "--name", "tones-2", "--licence", "for tests"]
    assert adapt.main(arguments) == 0
    load_bundle(tmp_path / "bundle")
    assert "Adapted from another model" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert export.main(export_arguments(folder, checkpoint, tmp_path / "unadapted")) == 0
    as_it_was = json.loads((tmp_path / "unadapted" / "metrics.json").read_text())
    assert json.loads((tmp_path / adapt.ADAPTATION).read_text())["before"] == as_it_was["figures"]


def own_corpus(folder, out, *more):
    return ["--data", str(folder / "corpus"), "--split", str(folder / "split.json"), "--out", str(out), *more]


@pytest.fixture(scope="module")
def of_bundle(folder, tiny, tmp_path_factory):
    """The tiny bundle adapted to the corpus, whose three labels are among its seven."""
    out = tmp_path_factory.mktemp("of_bundle")
    more = ["--epochs", "12", "--learning-rate", "0.03", "--name", "tones-3", "--licence", "for tests"]
    assert adapt.main(["--bundle", str(tiny.directory), *own_corpus(folder, out, *more)]) == 0
    return out


def of_own_corpus(folder, bundle):
    data = {"data.corpus.root": str(folder / "corpus"), "data.split": str(folder / "split.json")}
    return bundle_experiment(bundle, data | {"data.empty_classes": "allow"})


def test_an_experiment_of_a_bundle_says_what_the_bundle_says(folder, tiny):
    experiment, bundle = of_own_corpus(folder, tiny.directory), load_bundle(tiny.directory)
    clips, shape = experiment.data.test, experiment.data.shape
    face, audio = bundle.face, bundle.audio
    assert (shape.face_px, shape.face_bins, shape.face_bin_s) == (face.size_px, face.bins, face.bin_s)
    assert (shape.sample_rate_hz, shape.window_s) == (audio.sample_rate_hz, audio.window_s)
    expected = predict_by_bundle(bundle, clips).logits
    temperature = json.loads((tiny.directory / "model.json").read_text())["calibration"]["both"]["temperature"]
    found = torch.from_numpy(predict(experiment.module.evaluated, clips).logits / temperature).log_softmax(dim=1)
    np.testing.assert_allclose(np.maximum(found.numpy(), np.log(LEAST_PROBABILITY)), expected, atol=1e-3)


def test_a_bundle_is_adapted_by_its_fusion_and_keeps_its_encoders(folder, tiny, of_bundle):
    adapted = of_bundle / "bundle"
    load_bundle(adapted)
    same = {
        name: (adapted / name).read_bytes() == (tiny.directory / name).read_bytes()
        for name in ("face_encoder.onnx", "audio_encoder.onnx", "fusion.onnx")
    }
    assert same == {"face_encoder.onnx": True, "audio_encoder.onnx": True, "fusion.onnx": False}
    clips = of_own_corpus(folder, tiny.directory).data.test
    before, after = (
        predict_by_bundle(load_bundle(directory), clips).logits[np.arange(len(clips)), clips.labels].mean()
        for directory in (tiny.directory, adapted)
    )
    assert after > before + 0.5  # the new speakers' own labels are more probable
    assert str(tiny.directory) not in (adapted / "model.json").read_text()
    card = " ".join((adapted / "MODEL_CARD.md").read_text().split())
    assert "face encoder emotion-av-tiny, audio encoder emotion-av-tiny" in card
    assert "emotion-av-tiny: generated stripes and tones" in card
    assert "Adapted from emotion-av-tiny" in card
    assert load_bundle(adapted).calibration == load_bundle(tiny.directory).calibration  # of 9 clips, none new
    assert f"a pool of three: {tiny.trained.networks.fusion.pool[0]:.2f} times those of the joint network" in card
    assert "The weights did not learn: they are those of emotion-av-tiny" in card
    assert "Its terms hold for these weights, too: Apache-2.0, for tests only" in card


def test_a_checkpoint_of_an_adapted_bundle_is_exported_where_its_bundle_is(folder, tiny, tmp_path, monkeypatch, capsys):
    moved = shutil.copytree(tiny.directory, tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    assert adapt.main(["--bundle", "moved", *own_corpus(folder, tmp_path / "out", "--epochs", "1")]) == 0
    monkeypatch.chdir(folder)
    arguments = export_arguments(folder, tmp_path / "out" / BEST, tmp_path / "bundle")
    assert export.main(arguments) == 0
    load_bundle(tmp_path / "bundle")
    shutil.rmtree(moved)
    bundle_encoders._loaded.cache_clear()
    assert export.main(arguments) == 1
    assert "moved/model.json does not exist" in capsys.readouterr().err


def test_an_adapted_bundle_can_be_adapted_again(folder, of_bundle, tmp_path):
    assert adapt.main(["--bundle", str(of_bundle / "bundle"), *own_corpus(folder, tmp_path, "--epochs", "1")]) == 0
    found = {path: json.loads((path / adapt.ADAPTATION).read_text()) for path in (of_bundle, tmp_path)}
    assert found[tmp_path]["before"] == pytest.approx(found[of_bundle]["after"], abs=1e-3)


def on_the_robot(bundle, clips):
    """Figures by condition, as the bundle's own graphs and calibration give them."""
    tests = {state: predict_by_bundle(load_bundle(bundle), clips, state) for state in STATES}
    names = ("accuracy", "uar", "macro_f1", "ece")
    return {
        evaluate.STATE_NAMES[state]: {name: pytest.approx(figures(test, 1.0)[name], abs=1e-3) for name in names}
        for state, test in tests.items()
    }


def without_ece_before(found):
    return {name: value for name, value in found.items() if name != "ece_before"}


def test_an_adaptation_says_what_it_brought_to_whom(folder, tiny, tmp_path, monkeypatch, capsys):
    after = {"figures": {"uar": 0.5}, "speakers": ["anna", "ben"], "split": "tones"}
    monkeypatch.setattr(adapt, "adapt", lambda *_: ({"uar": 0.25}, after))
    assert adapt.main(["--bundle", str(tiny.directory), *own_corpus(folder, tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "UAR 0.250 before, 0.500 after, on anna, ben; no clip of sad, scared, disgusted, surprised to learn" in said


def test_an_adaptation_that_helps_nobody_is_refused(folder, tiny, tmp_path, capsys):
    given = ["--bundle", str(tiny.directory), *own_corpus(folder, tmp_path), "--epochs", "1", "--learning-rate", "100"]
    assert adapt.main(given) == 1
    assert "no epoch says more of the validation speakers than the model did before (loss" in capsys.readouterr().err


def test_an_adaptation_loses_no_training_that_is_there(folder, tiny, tmp_path, capsys):
    given = own_corpus(folder, tmp_path)
    out = Path(given[given.index("--out") + 1])
    out.mkdir(exist_ok=True)
    (out / LAST).write_bytes(b"of hours")
    assert adapt.main(["--bundle", str(tiny.directory), *given]) == 1
    assert "last.ckpt is of an earlier training, which would be lost; give another --out" in capsys.readouterr().err
    assert (out / LAST).read_bytes() == b"of hours"


def test_the_figures_before_and_after_are_those_of_both_bundles(folder, tiny, tmp_path, monkeypatch):
    mixed = tmp_path / "mixed"
    shutil.copytree(folder / "corpus", mixed / "corpus")
    shutil.copy(folder / "split.json", mixed)
    lacking = ({"audio": None}, {"video": None}, {})  # by take
    clips = [replace(clip, **lacking[number % 3]) for number, clip in enumerate(PreparedCorpus(mixed / "corpus").clips)]
    save_clips(clips, mixed / "corpus")
    data = of_own_corpus(mixed, tiny.directory).data
    assert {state: len(in_state(data.validation, state)) for state in STATES} == {"both": 3, "face": 6, "audio": 6}
    monkeypatch.setattr("emotion_training.calibration.FEWEST", 6)
    more = ["--epochs", "2", "--learning-rate", "0.01", "--name", "mixed-1", "--licence", "for tests"]
    assert adapt.main(["--bundle", str(tiny.directory), *own_corpus(mixed, tmp_path / "out", *more)]) == 0
    adapted = tmp_path / "out" / "bundle"
    kept, new = load_bundle(tiny.directory).calibration, load_bundle(adapted).calibration
    assert [kept[state] == new[state] for state in STATES] == [True, False, False]

    before, after = on_the_robot(tiny.directory, data.test), on_the_robot(adapted, data.test)
    found = json.loads((tmp_path / "out" / adapt.ADAPTATION).read_text())
    assert without_ece_before(found["before"]) == before["as recorded"]
    assert without_ece_before(found["after"]) == after["as recorded"]
    metrics = json.loads((adapted / "metrics.json").read_text())
    assert {name: without_ece_before(values) for name, values in metrics["conditions"].items()} == after
    card = (adapted / "MODEL_CARD.md").read_text()
    assert f"and ECE {found['before']['ece']:.3f} on the same" in card
    assert f"macro-F1 {found['after']['macro_f1']:.3f}, ECE {found['after']['ece']:.3f}." in card
    arguments = ["--checkpoint", str(tmp_path / "out" / BEST), "--data", str(mixed / "corpus")]
    assert evaluate.main([*arguments, "--out", str(tmp_path / "evaluation")]) == 0
    assert json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())["conditions"] == metrics["conditions"]


def test_a_training_on_the_encoders_of_a_bundle_knows_whom_and_what_it_knows(folder, tiny, tmp_path):
    bundle = shutil.copytree(tiny.directory, tmp_path / "bundle")
    description = json.loads((bundle / "model.json").read_text())
    description["training"] |= {"data": ["elsewhere, 9 speakers"], "speakers": {"train": ["else-1"]}}
    (bundle / "model.json").write_text(json.dumps(description))
    encoder = {"name": "bundle", "options": {"bundle": str(bundle)}}
    encoders = {f"model.{kind}": encoder for kind in ("face_encoder", "audio_encoder")}
    corpus = corpus_of(load_bundle(bundle)) | {"root": str(folder / "corpus")}
    tree = changed(experiment_tree(folder), ROBOT | encoders | {"data.corpus": corpus, "data.empty_classes": "allow"})
    experiment = read_experiment(tree)
    assert experiment.trained_on == [f"{load_bundle(bundle).model_id}: elsewhere, 9 speakers"]
    assert experiment.known == {"train": ["else-1"], "validation": []}
    description["training"]["speakers"] = {"train": [experiment.data.fold.test[0]]}
    (bundle / "model.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match="bundle knows tone-4 from its training"):
        read_experiment(tree)


def test_whom_a_model_knows_from_any_of_its_trainings_judges_it_no_more(folder, checkpoint, tmp_path, capsys):
    shutil.copytree(folder / "corpus", tmp_path / "corpus")
    clips = PreparedCorpus(tmp_path / "corpus").clips
    save_clips([clip for clip in clips if clip.speaker_id > "tone-2"], tmp_path / "corpus")
    others = Split("others", "tones", "one fold", None, (Fold(("tone-3",), ("tone-4",), ("tone-5",)),))
    save_split(others, tmp_path / "split.json")
    more = ["--epochs", "1", "--name", "others-1", "--licence", "for tests"]
    assert adapt.main(["--checkpoint", str(checkpoint), *own_corpus(tmp_path, tmp_path / "out", *more)]) == 0
    assert "always uncertain in the states both, face, audio" in capsys.readouterr().out
    training = json.loads((tmp_path / "out" / "bundle" / "model.json").read_text())["training"]
    assert training["data"] == ["tones, 3 speakers", "tones, 6 speakers"]
    assert training["speakers"] == {
        "train": ["tone-0", "tone-1", "tone-2", "tone-3"],
        "validation": ["tone-3", "tone-4"],
    }
    for start in (["--checkpoint", str(tmp_path / "out" / BEST)], ["--bundle", str(tmp_path / "out" / "bundle")]):
        assert adapt.main([*start, *own_corpus(folder, tmp_path / "again", "--fold", "1")]) == 1
        said = capsys.readouterr().err
        assert f"{start[1]} knows tone-0, tone-1, tone-2 from its training; expected strangers" in said
        assert "--option corpus=NAME" in said
    chosen_by = Split("chosen", "tones", "one fold", None, (Fold(("tone-5",), ("tone-4",), ("tone-3",)),))
    save_split(chosen_by, tmp_path / "split.json")
    assert adapt.main(["--checkpoint", str(checkpoint), *own_corpus(tmp_path, tmp_path / "again")]) == 1
    assert "best.ckpt knows tone-3 from its training" in capsys.readouterr().err


def test_what_no_bundle_can_be_adapted_by_is_said(folder, tiny, tmp_path, capsys):
    with pytest.raises(SystemExit):
        adapt.main(["--bundle", str(tiny.directory), *own_corpus(folder, tmp_path, "--train-encoders")])
    assert "--train-encoders needs --checkpoint" in capsys.readouterr().err
    assert adapt.main(["--bundle", str(tmp_path), *own_corpus(folder, tmp_path)]) == 1
    assert "model.json does not exist" in capsys.readouterr().err
    silent = shutil.copytree(tiny.directory, tmp_path / "silent")
    description = json.loads((silent / "model.json").read_text())
    del description["training"]["networks"]
    (silent / "model.json").write_text(json.dumps(description))
    assert adapt.main(["--bundle", str(silent), *own_corpus(folder, tmp_path)]) == 1
    assert "does not say of what network the fusion is; export it again" in capsys.readouterr().err
    wider = {"name": "cross_attention", "options": {"width": 48, "heads": 2, "dropout": 0.0}}
    for other in (wider, {"name": "gated", "options": {}}):
        description["training"]["networks"] = {"fusion": other}
        (silent / "model.json").write_text(json.dumps(description))
        assert adapt.main(["--bundle", str(silent), *own_corpus(folder, tmp_path)]) == 1
        assert "fusion.onnx has no weights " in capsys.readouterr().err


def evaluation_of(bundle, data, out, *more):
    assert evaluate.main(["--bundle", str(bundle), "--data", str(data), "--out", str(out), *more]) == 0
    return json.loads((out / "evaluation.json").read_text())


def test_a_bundle_is_judged_on_everybody_as_on_the_robot(folder, tiny, tmp_path):
    found = evaluation_of(tiny.directory, folder / "corpus", tmp_path, "--robustness")
    clips = of_own_corpus(folder, tiny.directory).data
    assert found["speakers"] == sorted({*clips.fold.train, *clips.fold.validation, *clips.fold.test})
    expected = predict_by_bundle(load_bundle(tiny.directory), clips.test)
    of_test = np.mean([found["uar_by_speaker"][speaker] for speaker in clips.fold.test])
    by_speaker = [
        (expected.predicted == expected.labels)[expected.speaker_ids == speaker].mean() for speaker in clips.fold.test
    ]
    assert of_test == pytest.approx(np.mean(by_speaker), abs=1e-3)  # classes are in equal numbers
    assert {"as recorded", "voice missing", "face missing", "noise at 0 dB"} < set(found["conditions"])
    assert found["conditions"]["as recorded"] == found["figures"]
    everybody = predict_by_bundle(load_bundle(tiny.directory), clips.clips)
    sure = np.exp(everybody.logits).max(axis=1) >= load_bundle(tiny.directory).calibration["both"]["uncertain_below"]
    assert found["figures"]["certain_share"] == pytest.approx(sure.mean(), abs=1e-3)
    text = (tmp_path / "evaluation.md").read_text()
    assert "certain of" in text and load_bundle(tiny.directory).model_id in text
    assert f"| as recorded | {len(clips.clips)} | {found['figures']['uar']:.3f} |" in text


def test_an_evaluation_encodes_each_clip_once_in_a_condition_and_shows_it(folder, tiny, tmp_path, encodings, capsys):
    clips = of_own_corpus(folder, tiny.directory).data.clips
    assert len(evaluation_of(tiny.directory, folder / "corpus", tmp_path)["conditions"]) == 3
    assert encodings == {"crops": int(clips.face_mask.sum()), "windows": len(clips)}
    found = evaluation_of(tiny.directory, folder / "corpus", tmp_path, "--robustness")
    said = capsys.readouterr().err
    for condition in found["conditions"].keys() - {"voice missing", "face missing"}:
        assert f"{condition}: 100%" in said and f"{len(clips)}/{len(clips)}" in said


def test_a_bundle_is_not_judged_by_whom_it_knows(folder, tiny, tmp_path, capsys):
    clips = of_own_corpus(folder, tiny.directory).data
    knowing = shutil.copytree(tiny.directory, tmp_path / "knowing")
    description = json.loads((knowing / "model.json").read_text())

    def know(train, validation):
        description["training"]["speakers"] = {"train": [*train, "somebody"], "validation": list(validation)}
        (knowing / "model.json").write_text(json.dumps(description))

    know(clips.fold.train, clips.fold.validation)
    found = evaluation_of(knowing, folder / "corpus", tmp_path / "out", "--robustness")
    everybody = evaluation_of(tiny.directory, folder / "corpus", tmp_path / "all")
    assert found["speakers"] == sorted(clips.fold.test)
    assert found["uar_by_speaker"] == {name: everybody["uar_by_speaker"][name] for name in clips.fold.test}
    assert found["left_out"] == sorted({*clips.fold.train, *clips.fold.validation}) and everybody["left_out"] == []
    text = (tmp_path / "out" / "evaluation.md").read_text()
    assert f"knows them from its training: {', '.join(found['left_out'])}." in text

    know(everybody["speakers"], [])
    arguments = ["--bundle", str(knowing), "--data", str(folder / "corpus"), "--out", str(tmp_path / "none")]
    assert evaluate.main(arguments) == 1
    assert "knows everybody in" in (said := capsys.readouterr().err) and "--option corpus=NAME" in said


def test_where_there_are_votes_an_evaluation_says_that_their_majority_counts(folder, tiny, tmp_path):
    shutil.copytree(folder / "corpus", tmp_path / "voted")
    first, second, *others = PreparedCorpus(tmp_path / "voted").clips
    assert first.label == second.label == "neutral"
    outvoted = [replace(clip, votes={"neutral": 1.0, "angry": 2.0}) for clip in (first, second)]
    save_clips([*outvoted, *others], tmp_path / "voted")
    said = {}
    for data in (folder / "corpus", tmp_path / "voted"):
        found = evaluation_of(tiny.directory, data, tmp_path / "out")
        shown = dict(zip(found["labels"], (sum(row) for row in found["confusion"]), strict=True))
        said[data.name] = found["voted"], shown["neutral"], shown["angry"]
        text = (tmp_path / "out" / "evaluation.md").read_text()
        sentence = "the raters' majority among these classes where there are votes, as on 2 of the clips"
        assert (sentence in text) == (data.name == "voted")
    assert said == {"corpus": (0, 18, 18), "voted": (2, 16, 20)}


@pytest.fixture(scope="module")
def voices(folder):
    """A folder with the corpus and its split, without any face."""
    shutil.copytree(folder / "corpus", folder / "voices" / "corpus")
    shutil.copy(folder / "split.json", folder / "voices")
    clips = PreparedCorpus(folder / "voices" / "corpus").clips
    save_clips([replace(clip, video=None) for clip in clips], folder / "voices" / "corpus")
    return folder / "voices"


def test_without_any_face_a_bundle_is_judged_by_the_voices(folder, voices, tiny, tmp_path):
    found = evaluation_of(tiny.directory, voices / "corpus", tmp_path / "out", "--robustness")
    assert set(found["conditions"]) == {"as recorded", *(f"noise at {snr} dB" for snr in (20, 10, 5, 0))}
    both = evaluation_of(tiny.directory, folder / "corpus", tmp_path / "both")
    assert found["figures"] == both["conditions"]["face missing"]
    assert found["clips"] == len(PreparedCorpus(folder / "corpus").clips)


def test_adapted_to_voices_a_bundle_knows_faces_as_before(voices, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("emotion_training.calibration.FEWEST", 3)
    out = ["--epochs", "1", "--name", "voices-1", "--licence", "for tests"]
    assert adapt.main(["--bundle", str(tiny.directory), *own_corpus(voices, tmp_path, *out)]) == 0
    before, after = load_bundle(tiny.directory).calibration, load_bundle(tmp_path / "bundle").calibration
    assert [before[state] == after[state] for state in ("both", "face", "audio")] == [True, True, False]
    assert "voice missing" not in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()


def test_one_speaker_gives_no_interval(folder, tiny, tmp_path):
    shutil.copytree(folder / "corpus", tmp_path / "one")
    clips = PreparedCorpus(tmp_path / "one").clips
    save_clips([clip for clip in clips if clip.speaker_id == clips[0].speaker_id], tmp_path / "one")
    assert evaluation_of(tiny.directory, tmp_path / "one", tmp_path / "out")["uar_interval"] is None
    assert "clips of one speaker" in (tmp_path / "out" / "evaluation.md").read_text()
    assert "no interval, as there is one speaker" in (tmp_path / "out" / "evaluation.md").read_text()
