"""One training: it can be repeated, resumed and restored, and it stops with a clear sentence."""

import errno
import json
import os
import shutil
import signal
from dataclasses import replace

import lightning
import numpy as np
import onnx
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from training_fixtures import LABELS, ROBOT, SPEAKERS, experiment_tree, smart_turn_graph, write_corpus, write_split

from emotion_training import evaluate, train
from emotion_training.calibration import UNCALIBRATED, fit_temperature
from emotion_training.checkpoints import CheckpointError, load_checkpoint
from emotion_training.configuration import ConfigurationError, changed
from emotion_training.experiment import (
    BEST,
    LAST,
    read_experiment,
    restore_experiment,
)
from emotion_training.models import ModelError
from emotion_training.models.start_weights import WeightsError
from emotion_training.models.whisper import WhisperTiny
from emotion_training.predictions import figures, predict
from emotion_training.prepared_corpus import PreparedCorpus, save_clips
from emotion_training.training_module import TrainingError


def run(folder, out, changes=(), resume=False):
    experiment = read_experiment(changed(experiment_tree(folder), dict(changes)))
    experiment.run(out, resume)
    return experiment


def test_the_same_seed_gives_the_same_figures_and_another_one_others(folder, tmp_path):
    first, again = run(folder, tmp_path / "a"), run(folder, tmp_path / "b")
    other = run(folder, tmp_path / "c", {"seed_everything": 1})
    assert first.module.history == again.module.history
    assert first.module.history != other.module.history
    logits = [predict(e.module.evaluated, e.data.test).logits for e in (first, again, other)]
    assert np.array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


def run_until(epoch, folder, out, monkeypatch, changes=()):
    """A training that fails at the beginning of that epoch."""
    experiment = read_experiment(changed(experiment_tree(folder), dict(changes)))

    def stop(epoch_start=experiment.module.on_train_epoch_start):
        if experiment.module.current_epoch == epoch:
            raise OSError("the power fails")
        epoch_start()

    monkeypatch.setattr(experiment.module, "on_train_epoch_start", stop)
    with pytest.raises(OSError, match="the power fails"):
        experiment.run(out)


def test_a_resumed_run_ends_as_one_that_did_not_stop(folder, tmp_path, monkeypatch):
    whole = run(folder, tmp_path / "whole")
    run_until(2, folder, tmp_path / "stopped", monkeypatch)
    resumed = run(folder, tmp_path / "stopped", resume=True)
    assert resumed.module.history == whole.module.history


WORSE_AND_WORSE = {"model.optimiser.learning_rate": 30.0, "model.optimiser.ema_decay": 0.0}


def test_the_last_epoch_is_kept_though_the_best_one_was_before(folder, tmp_path):
    experiment = run(folder, tmp_path, WORSE_AND_WORSE | {"selection.keep": "last"})
    best, last = (load_checkpoint(tmp_path / name) for name in (BEST, LAST))
    assert (best["epoch"], last["epoch"]) == (0, 2)
    weights = experiment.module.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in last["state_dict"].items())


def test_training_goes_on_with_the_epoch_after_the_last_though_the_best_one_was_before(folder, tmp_path, monkeypatch):
    run_until(2, folder, tmp_path / "stopped", monkeypatch, WORSE_AND_WORSE)
    moved = (tmp_path / "stopped").rename(tmp_path / "moved")
    resumed = run(folder, moved, WORSE_AND_WORSE, resume=True)
    assert resumed.module.history == run(folder, tmp_path / "whole", WORSE_AND_WORSE).module.history
    assert load_checkpoint(moved / BEST)["epoch"] == 0, "is known in another folder, too"


def test_a_training_that_stopped_early_has_no_more_epochs_when_it_is_resumed(folder, tmp_path):
    patient = {"selection.monitor": "validation_uar", "selection.patience": 2, "trainer.max_epochs": 9}
    whole = run(folder, tmp_path, patient)
    assert 3 <= len(whole.module.history) < 9
    assert run(folder, tmp_path, patient, resume=True).module.history == whole.module.history


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"data.fold": 1}, "last.ckpt is of fold 0 of tones, with other speakers than fold 1 of tones has now; resume"),
        ({"trainer.max_epochs": 5}, "last.ckpt began with trainer.max_epochs 3, not 5; resume with what it began with"),
        ({"model.optimiser.learning_rate": 0.1}, "began with model.optimiser.learning_rate 0.01, not 0.1"),
        ({"trainer.accumulate_grad_batches": 4}, "began with trainer.accumulate_grad_batches 1, not 4; resume"),
        ({"trainer.gradient_clip_val": 0.1}, "began with trainer.gradient_clip_val None, not 0.1; resume"),
        ({"trainer.precision": "bf16-mixed"}, "began with trainer.precision None, not bf16-mixed; resume"),
        (
            {"trainer.devices": 2, "trainer.strategy": "ddp_find_unused_parameters_true"},
            "last.ckpt began with 1 processes, not 2, so that its learning rate would not end where it should; set",
        ),
    ],
)
def test_another_training_is_not_resumed(folder, tmp_path, changes, message):
    run(folder, tmp_path)
    with pytest.raises(CheckpointError, match=message):
        run(folder, tmp_path, changes, resume=True)


def altered(folder, where, change):
    """A copy of the corpus whose clips are what `change` makes of them."""
    root = shutil.copytree(folder / "corpus", where)
    save_clips([change(clip) for clip in PreparedCorpus(root).clips], root)
    return str(root)


def test_a_training_is_not_resumed_with_other_votes(folder, tmp_path):
    run(folder, tmp_path)
    voted = altered(folder, tmp_path / "voted", lambda clip: replace(clip, votes={clip.label: 2.0, "angry": 1.0}))
    with pytest.raises(CheckpointError, match="last.ckpt began with other clips, or other labels or votes of them; re"):
        run(folder, tmp_path, {"data.corpus.root": voted}, resume=True)


@pytest.mark.parametrize("name", ["faces", "audio"])
def test_a_training_is_not_resumed_with_other_crops_or_sound_under_the_same_ids(folder, tmp_path, name):
    run(folder, tmp_path)
    root = shutil.copytree(folder / "corpus", tmp_path / "prepared anew")
    path = PreparedCorpus(root).clips[0].audio
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {name: arrays[name][::-1]})
    with pytest.raises(CheckpointError, match="last.ckpt began with other faces or sound of these clips"):
        run(folder, tmp_path, {"data.corpus.root": str(root)}, resume=True)


@pytest.mark.parametrize("lacks, remedy", [("facts", "train into another folder"), ("known_before", "train again")])
def test_a_checkpoint_of_an_earlier_version_is_said_to_be_one(folder, tmp_path, lacks, remedy):
    run(folder, tmp_path)
    checkpoint = load_checkpoint(tmp_path / LAST)
    del checkpoint["emotion_training"][lacks]
    torch.save(checkpoint, tmp_path / LAST)
    with pytest.raises(CheckpointError, match=f"last.ckpt is of an earlier version of this package; {remedy}"):
        run(folder, tmp_path, resume=True)


def test_a_folder_with_a_training_is_not_overwritten(folder, tmp_path, capsys):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(changed(experiment_tree(folder), {"trainer.max_epochs": 1})))
    given = ["--config", str(config), "--out", str(tmp_path / "out")]
    assert train.main(given) == 0
    before = (tmp_path / "out" / LAST).read_bytes()
    assert train.main(given) == 1
    said = "out/last.ckpt is of an earlier training; go on with it by --resume, or give another --out"
    assert said in capsys.readouterr().err and (tmp_path / "out" / LAST).read_bytes() == before
    assert train.main([*given, "--resume"]) == 0


@pytest.mark.parametrize(
    ("lacking", "modality", "fusion"),
    [
        ("face_features", "face", {"name": "gated"}),
        ("audio", "voice", {"name": "gated"}),
        ("face_features", "face", {"name": "early_features"}),
    ],
)
def test_a_modality_that_no_training_clip_has_is_named(folder, tmp_path, lacking, modality, fusion):
    root = altered(
        folder,
        tmp_path / "corpus",
        lambda clip: replace(clip, **{lacking: None}) if clip.speaker_id in SPEAKERS[:3] else clip,
    )
    changes = {"data.corpus.root": root, "model.fusion": fusion}
    if fusion["name"] == "early_features":
        changes |= {"model.face_encoder": None, "model.audio_encoder": None}
    said = f"no clip of the training part has features of the {modality}; expected one or more, so choose another fold"
    with pytest.raises(TrainingError, match=said):
        run(folder, tmp_path / "out", changes)


def test_validation_counts_of_a_tie_what_every_figure_counts(folder, tmp_path):
    def tied(clip):
        return replace(clip, votes={"neutral": 1.0, clip.label: 1.0})

    root = altered(folder, tmp_path / "corpus", tied)
    last = {"selection.keep": "last", "selection.monitor": "validation_uar", "model.fusion": {"name": "face_only"}}
    face = {"data.corpus.audio": "none", "model.audio_encoder": None, "data.corpus.root": root}
    experiment = run(folder, tmp_path / "out", last | face)
    expected = figures(predict(experiment.module.evaluated, experiment.data.validation), 1.0)["uar"]
    assert experiment.module.history[-1]["validation_uar"] == pytest.approx(expected)
    assert set(experiment.data.validation.labels.tolist()) == {0, 1, 2}


def test_a_training_is_resumed_with_a_progress_bar_and_where_the_data_are_now(folder, tmp_path):
    whole = run(folder, tmp_path)
    moved = shutil.copytree(folder / "corpus", tmp_path / "moved")
    places = {"data.corpus.root": str(moved), "trainer.enable_progress_bar": True}
    assert run(folder, tmp_path, places, resume=True).module.history == whole.module.history


def test_a_checkpoint_is_not_tested_on_whom_it_learnt_from(folder, tmp_path):
    split = tmp_path / "split.json"
    split.write_text((folder / "split.json").read_text())
    run(folder, tmp_path, {"data.split": str(split)})
    split.write_text(split.read_text().replace("tone-4", "x").replace("tone-0", "tone-4").replace("x", "tone-0"))
    with pytest.raises(CheckpointError, match="best.ckpt knows tone-0 from its training; expected strangers"):
        restore_experiment(tmp_path / BEST, {"data.split": str(split)})


def test_a_checkpoint_needs_its_split_file_no_more(folder, tmp_path):
    split = tmp_path / "split.json"
    split.write_text((folder / "split.json").read_text())
    trained = run(folder, tmp_path, {"data.split": str(split)})
    split.unlink()
    restored = restore_experiment(tmp_path / BEST, {})
    assert restored.data.split == trained.data.split
    assert {**restored.configuration, "trainer": ...} == {**trained.configuration, "trainer": ...}


def test_a_checkpoint_is_tested_on_whom_it_has_never_met(folder, tmp_path):
    run(folder, tmp_path, {"data.corpus.speakers": [f"tone-{number}" for number in range(5)]})
    restored = restore_experiment(tmp_path / BEST, {"data.corpus.speakers": None})
    assert set(restored.data.test.speaker_ids) == {"tone-4", "tone-5"}


def test_an_option_of_the_loss_out_of_its_range_is_one_sentence(folder, tmp_path):
    with pytest.raises(TrainingError, match=r"model.loss: label_smoothing is 1.5; expected a number in \[0, 1\)"):
        run(folder, tmp_path, {"model.loss.label_smoothing": 1.5})


@pytest.mark.parametrize(
    "key, expected",
    [
        ("threads", "1 or more"),
        ("model.optimiser.learning_rate", "a finite number above 0"),
        ("model.regularisation.mix_up_alpha", "0 or more"),
        ("data.augmentation", "keys; leave it out for the usual ones"),
        ("model.loss", "keys; leave it out for the usual ones"),
        ("model.optimiser", "keys; leave it out for the usual ones"),
        ("model.regularisation", "keys; leave it out for the usual ones"),
    ],
)
def test_null_where_it_stands_for_nothing_is_one_sentence(folder, key, expected):
    with pytest.raises(ConfigurationError, match=f"^{key} is null; expected {expected}$"):
        read_experiment(changed(experiment_tree(folder), {key: None}))


@pytest.mark.parametrize("key", ["face.mirror_probability", "voice.telephone_probability"])
def test_a_probability_out_of_its_range_is_one_sentence(folder, key):
    with pytest.raises(ConfigurationError, match=f"^data.augmentation.{key} is 1.5; expected 0 to 1$"):
        read_experiment(changed(experiment_tree(folder), {f"data.augmentation.{key}": 1.5}))


def test_a_background_that_is_not_there_is_one_sentence(folder, tmp_path, capsys):
    tree = voice_tree(folder, None) | {"seed_everything": 0}
    voice = {"reverberation_probability": 0.0, "background": str(tmp_path / "absent")}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(changed(tree, {"data.augmentation": {"voice": voice}})))
    assert train.main(["--config", str(config), "--out", str(tmp_path / "out")]) == 1
    assert "absent holds no recordings; expected a folder with" in capsys.readouterr().err


def test_a_missing_modality_has_a_temperature_of_its_own(folder, tmp_path, monkeypatch):
    experiment = run(folder, tmp_path)
    model, data = experiment.module.evaluated, experiment.data
    few = evaluate.evaluate(experiment, robustness=False)
    assert few["calibration"] == dict.fromkeys(evaluate.STATE_NAMES, UNCALIBRATED)
    assert few["figures"]["ece"] == few["figures"]["ece_before"]
    monkeypatch.setattr("emotion_training.calibration.FEWEST", len(data.validation))
    found = evaluate.evaluate(experiment, robustness=False)
    for state, name in evaluate.STATE_NAMES.items():
        said = predict(model, data.validation, state)
        temperature = fit_temperature(said.logits, said.labels)
        assert found["calibration"][state]["temperature"] == temperature != 1.0
        expected = figures(predict(model, data.test, state), temperature)["ece"]
        assert found["conditions"][name]["ece"] == pytest.approx(expected, abs=1e-4)


def test_a_checkpoint_holds_configuration_and_split_and_gives_the_same_predictions(folder, tmp_path):
    trained = run(folder, tmp_path)
    kept = load_checkpoint(tmp_path / BEST)["emotion_training"]
    assert kept["split"]["folds"][0]["test"] == ("tone-4", "tone-5")
    assert kept["fold"] == 0
    assert kept["configuration"]["model"]["optimiser"]["learning_rate"] == 0.01
    restored = restore_experiment(tmp_path / BEST, {})
    ours, theirs = (predict(e.module.evaluated, e.data.test).logits for e in (trained, restored))
    assert np.array_equal(ours, theirs)


def test_a_checkpoint_of_a_machine_with_other_processors_is_restored_here(folder, tmp_path):
    run(folder, tmp_path)
    content = load_checkpoint(tmp_path / BEST)
    content["emotion_training"]["configuration"]["trainer"] |= {"accelerator": "gpu", "devices": 4, "strategy": "ddp"}
    torch.save(content, tmp_path / BEST)
    restored = restore_experiment(tmp_path / BEST, {})
    assert restored.configuration["trainer"]["accelerator"] == "auto"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a graphics processor")
def test_a_processor_that_is_not_there_is_one_sentence(folder):
    with pytest.raises(ConfigurationError, match="^trainer: .*; choose what this machine has$"):
        read_experiment(changed(experiment_tree(folder), {"trainer.accelerator": "gpu"}))


def test_a_loss_that_is_not_a_number_names_epoch_and_batch(folder, tmp_path):
    experiment = read_experiment(experiment_tree(folder))
    with torch.no_grad():
        experiment.module.model.fusion.face_head.weight.fill_(torch.nan)
    with pytest.raises(TrainingError, match="loss is nan in epoch 1, batch 1; lower"):
        experiment.run(tmp_path)


def test_a_validation_loss_that_is_not_a_number_ends_the_training(folder, tmp_path):
    experiment = read_experiment(experiment_tree(folder))
    experiment.data.validation.face.fill_(torch.nan)
    with pytest.raises(TrainingError, match="the validation loss is nan in epoch 1; lower"):
        experiment.run(tmp_path)


@pytest.mark.parametrize("change", [{"check_val_every_n_epoch": 2}, {"limit_val_batches": 0}])
def test_an_epoch_without_validation_ends_the_training(folder, tmp_path, change):
    changes = {f"trainer.{name}": value for name, value in change.items()}
    with pytest.raises(TrainingError, match="epoch 1 ended without validation; expected one after every epoch"):
        run(folder, tmp_path, changes)


def test_noise_is_measured_by_the_features_that_are_there(tmp_path):
    clips = write_corpus(tmp_path / "corpus", clips_per_class=1)
    write_split(tmp_path / "split.json")
    hidden = [
        replace(clip, face_features=None if number % 4 == 0 else tuple(50.0 + value for value in clip.face_features))
        for number, clip in enumerate(clips)
    ]
    save_clips(hidden, tmp_path / "corpus")
    changes = {"trainer.max_epochs": 1, "model.regularisation.face_noise": 0.5}
    experiment = run(tmp_path, tmp_path / "out", changes)
    train = experiment.data.train
    assert not train.face_mask.all()
    own = train.face[train.face_mask[:, 0]].std(dim=0)
    torch.testing.assert_close(experiment.module.noise["face"], 0.5 * own)


def test_a_full_disk_keeps_the_previous_checkpoint(folder, tmp_path, monkeypatch):
    saved, save = [], torch.save

    def save_until_full(content, path, *args, **kwargs):
        if len(saved) == 2:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        saved.append(path)
        save(content, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", save_until_full)
    with pytest.raises(CheckpointError, match="be written, with .* MiB free .*No space left.*the previous one is kept"):
        run(folder, tmp_path)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / BEST)["epoch"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, LAST]


def test_a_training_that_is_told_to_end_ends_as_an_interrupted_one(folder, tmp_path):
    experiment = read_experiment(experiment_tree(folder))
    ending = LambdaCallback(on_train_batch_start=lambda *given: os.kill(os.getpid(), signal.SIGTERM))
    experiment.trainer.callbacks.append(ending)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(tmp_path)


@pytest.mark.parametrize(
    "key", ["model.optimiser.learning_rat", "data.corpus.rot", "trainer.epochs", "model.loss.gamma", "patience"]
)
def test_an_unknown_key_fails_and_is_named(folder, key):
    with pytest.raises(ConfigurationError, match=key.rpartition(".")[2]):
        read_experiment(changed(experiment_tree(folder), {key: 1}))


def test_samples_and_crops_train_with_the_robots_encoders(folder, tmp_path):
    experiment = run(folder, tmp_path, ROBOT | {"trainer.max_epochs": 1, "trainer.precision": "bf16-mixed"})
    assert np.isfinite(predict(experiment.module.evaluated, experiment.data.test).logits).all()


def test_train_and_evaluate_say_the_same_and_write_nothing_elsewhere(folder, tmp_path, monkeypatch, capfd):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = tmp_path / "config.json"
    config.write_text(json.dumps(experiment_tree(folder)))
    assert train.main(["--config", str(config), "--out", str(tmp_path / "out")]) == 0
    out = capfd.readouterr()
    assert "Tip" not in out.out + out.err
    assert list((tmp_path / "here").iterdir()) == []
    arguments = ["--checkpoint", str(tmp_path / "out" / BEST), "--data", str(folder / "corpus")]
    assert evaluate.main([*arguments, "--out", str(tmp_path / "figures"), "--robustness"]) == 0
    trained = json.loads((tmp_path / "out" / train.EVALUATION).read_text())
    evaluated = json.loads((tmp_path / "figures" / "evaluation.json").read_text())
    assert trained["test"] == evaluated["figures"]
    assert evaluated["labels"] == list(LABELS)
    assert {"as recorded", "face missing", "noise at 10 dB"} < set(evaluated["conditions"])


def test_of_several_processes_one_judges_the_model(folder, tmp_path, monkeypatch, capsys):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(experiment_tree(folder)))
    monkeypatch.setattr(lightning.Trainer, "is_global_zero", False)
    assert train.main(["--config", str(config), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [BEST, LAST]


def test_train_wants_a_folder_and_evaluate_a_checkpoint(folder, tmp_path, capsys):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(experiment_tree(folder)))
    assert train.main(["--config", str(config)]) == 1
    assert "--out is not given" in capsys.readouterr().err
    arguments = ["--checkpoint", str(config), "--data", str(folder / "corpus"), "--out", str(tmp_path / "figures")]
    assert evaluate.main(arguments) == 1
    assert "is no checkpoint" in capsys.readouterr().err


def voice_tree(folder, start_from):
    """On the sound, by Whisper-tiny."""
    encoder = {
        "name": "whisper_tiny",
        "options": {"merged": [1], "hidden": 12, "embedding": 8, "dropout": 0.0},
        "start_from": start_from,
    }
    voice = {"model.audio_encoder": encoder, "trainer.max_epochs": 1}
    return changed(experiment_tree(folder, audio="samples", window_s=0.3), voice)


def test_an_encoder_starts_from_weights_that_its_checkpoint_no_longer_needs(folder, tmp_path):
    torch.manual_seed(1)
    source, weights = WhisperTiny(1), tmp_path / "turn.onnx"
    onnx.save(smart_turn_graph(source), weights)
    trained = read_experiment(voice_tree(folder, str(weights)))
    trained.run(tmp_path / "run")
    positions = trained.module.evaluated.audio_encoder.network.positions
    assert torch.equal(positions, source.positions)
    weights.unlink()
    restored = restore_experiment(tmp_path / "run" / BEST, {})
    ours, theirs = (predict(e.module.evaluated, e.data.test).logits for e in (trained, restored))
    assert np.array_equal(ours, theirs)


def test_weights_that_are_absent_are_named_by_train(folder, tmp_path):
    with pytest.raises(WeightsError, match="absent.onnx does not exist; expected pipecat"):
        read_experiment(voice_tree(folder, str(tmp_path / "absent.onnx")))


@pytest.mark.parametrize("kind, name", [("audio_encoder", "functionals"), ("fusion", "late_product")])
def test_a_network_that_has_no_weights_to_start_from_says_so(folder, kind, name):
    tree = changed(experiment_tree(folder), {f"model.{kind}.start_from": "turn.onnx"})
    with pytest.raises(WeightsError, match=f"{name} cannot start from turn.onnx; set its start_from to null"):
        read_experiment(tree)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"model.audio_encoder.options.merged": [3]},
            r"options of audio encoder whisper_tiny do not fit: merged is \[3\]; expected 1 to 4 numbers",
        ),
        (
            {"data.corpus.window_s": 9.0},
            "window_s 9.0 does not fit whisper_tiny: the window has 144000 samples; expected",
        ),
    ],
)
def test_options_that_a_network_refuses_are_one_sentence(folder, changes, message):
    with pytest.raises(ModelError, match=message):
        read_experiment(changed(voice_tree(folder, None), changes))
