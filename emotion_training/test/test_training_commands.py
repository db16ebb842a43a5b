"""What the commands refuse before they read any data, and what they say when they are interrupted."""

import json
from pathlib import Path

import pytest
from training_fixtures import experiment_tree

from emotion_training import adapt, compare, export, from_bag, train
from emotion_training.experiment import BEST, LAST
from emotion_training.package_share import package_share


def adapt_arguments(folder, out, *more):
    """No file of these is there."""
    return [
        "--bundle",
        str(folder),
        "--data",
        str(folder),
        "--split",
        str(folder / "own.json"),
        "--out",
        str(out),
        *more,
    ]


def export_arguments(folder, out):
    """No file of these is there."""
    given = ["--checkpoint", str(folder / BEST), "--data", str(folder), "--out", str(out)]
    return [*given, "--name", "own-1", "--licence", "for tests"]


def train_arguments(folder, out, *more):
    (folder / "config.json").write_text(json.dumps(experiment_tree(folder / "nowhere")))
    return ["--config", str(folder / "config.json"), "--out", str(out), *more]


@pytest.mark.parametrize(
    "command, options, message",
    [
        (adapt, ["--learning-rate", "nan"], "--learning-rate must be positive and finite"),
        (adapt, ["--learning-rate", "inf"], "--learning-rate must be positive and finite"),
        (adapt, ["--learning-rate", "-1"], "--learning-rate must be positive and finite"),
        (adapt, ["--learning-rate", "0"], "--learning-rate must be positive and finite"),
        (adapt, ["--epochs", "0"], "--epochs must be 1 or more"),
        (adapt, ["--epochs", "-1"], "--epochs must be 1 or more"),
        (adapt, ["--licence", "foo"], "--licence needs --name"),
        (adapt, ["--name", "foo"], "--name needs --licence"),
        (compare, ["--epochs", "0"], "--workers and --epochs must be 1 or more"),
    ],
)
def test_an_option_out_of_its_range_is_refused(tmp_path, capsys, command, options, message):
    given = adapt_arguments(tmp_path, tmp_path / "out") if command is adapt else ["--data", "x", "--out", "y"]
    with pytest.raises(SystemExit):
        command.main([*given, *options])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "key, value, expected",
    [
        ("trainer.max_epochs", 0, "1 or more"),
        ("trainer.max_epochs", -1, "1 or more"),
        (
            "trainer.fast_dev_run",
            True,
            "false, as Lightning keeps no checkpoint with it; for a quick try set trainer.max_epochs to 1",
        ),
        ("data.batch", 0, "1 or more"),
        ("threads", 0, "1 or more"),
        ("model.members", 0, "1 or more"),
        ("selection.patience", 0, "1 or more"),
        ("data.workers", -1, "0 or more"),
        ("model.optimiser.weight_decay", -0.1, "0 or more"),
        ("model.optimiser.ema_decay", 1.0, "0 or more and less than 1"),
        ("model.optimiser.learning_rate", -1.0, "a finite number above 0"),
        ("model.regularisation.modality_dropout", 1.5, "0 to 1"),
        ("model.regularisation.mix_up_alpha", -1.0, "0 or more"),
        ("data.augmentation.re_pairing", 2.0, "0 to 1"),
        ("data.augmentation.re_pairing", -1.0, "0 to 1"),
        ("seed_everything", -1, "a whole number from 0 to 4294967295"),
        ("seed_everything", 2**32, "a whole number from 0 to 4294967295"),
        ("seed_everything", False, "a whole number from 0 to 4294967295"),
    ],
)
def test_a_number_of_a_configuration_out_of_its_range_is_refused_before_the_data_are_read(
    tmp_path, capsys, key, value, expected
):
    assert train.main(train_arguments(tmp_path, tmp_path / "out", f"--{key}", str(value))) == 1
    assert capsys.readouterr().err == f"error: {key} is {value}; expected {expected}\n"


def test_a_folder_that_cannot_be_made_is_named_before_the_work(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    for work in (
        lambda: train.main(train_arguments(tmp_path, file)),
        lambda: adapt.main(adapt_arguments(tmp_path, file)),
        lambda: compare.main(["--data", str(tmp_path / "nowhere"), "--out", str(file)]),
        lambda: export.main(export_arguments(tmp_path, file)),
        lambda: from_bag.main([str(tmp_path / "nowhere"), "--out", str(file)]),
    ):
        assert work() == 1
        said = f"error: {file} cannot be made (File exists); give another folder with --out\n"
        assert capsys.readouterr().err == said


def test_a_configuration_that_is_no_text_is_one_sentence(tmp_path, capsys):
    arguments = train_arguments(tmp_path, tmp_path / "out")
    (tmp_path / "config.json").write_bytes(b'{"seed_everything": "\xe9"}')
    assert train.main(arguments) == 1
    assert "error: a configuration is no text in UTF-8 ('utf-8' codec can't" in capsys.readouterr().err


def test_an_interrupted_adaptation_says_what_is_kept(tmp_path, capsys, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(adapt, "bundle_experiment", interrupted)
    assert adapt.main(adapt_arguments(tmp_path, tmp_path / "out")) == 130
    said = capsys.readouterr().err
    assert str(tmp_path / "out" / BEST) in said and LAST in said and "nothing was kept" not in said


def test_files_of_a_package_that_is_not_installed_are_those_of_its_sources(monkeypatch):
    def is_not_installed(package):
        raise LookupError(package)

    monkeypatch.setattr("emotion_training.package_share.get_package_share_directory", is_not_installed)
    assert package_share("emotion_perception") == Path(__file__).resolve().parents[2] / "emotion_perception"
