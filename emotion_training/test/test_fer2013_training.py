"""FER2013 by its official parts: its split, a training on it, and its encoder in another model."""

import json

import cv2
import numpy as np
import pytest
import yaml
from training_fixtures import ROBOT, experiment_tree

from emotion_training import evaluate, fer2013_split, train
from emotion_training.checkpoints import CheckpointError, load_checkpoint
from emotion_training.configuration import CONFIG_FOLDER, changed, load_tree
from emotion_training.experiment import read_experiment
from emotion_training.models.start_weights import WeightsError
from emotion_training.splits import load_split

FOLDERS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
NETWORK = {"name": "compact_cnn", "options": {"stem_channels": 8, "stages": [[16, 1]], "embedding": 8, "dropout": 0.0}}


def write_picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six pictures a class to learn from, two to choose or test by; some stand there twice."""
    root = tmp_path_factory.mktemp("fer2013")
    for number, folder in enumerate(FOLDERS):
        for part, count in (("train", 6), ("valid", 2)):
            for take in range(count):
                write_picture(root / part / folder / f"{part}-{number}-{take}.png", [part == "valid", number, take])
    write_picture(root / "train" / "sad" / "within.png", [0, 5, 0])  # as train-5-0
    write_picture(root / "train" / "sad" / "across.png", [1, 3, 1])  # as valid-3-1, which is happy
    return root


def split_of(root, tmp_path):
    path = tmp_path / "official.json"
    assert fer2013_split.main(["--root", str(root), "--out", str(path)]) == 0
    return path


def test_a_copy_of_a_picture_is_in_one_part_alone(root, tmp_path, capsys):
    fold = load_split(split_of(root, tmp_path)).fold(0)
    assert "a tenth of it to choose by" in capsys.readouterr().out
    assert (len(fold.train), len(fold.validation), len(fold.test)) == (38, 4, 14)
    assert len({"fer2013-within", "fer2013-train-5-0"} & fold.speakers) == 1
    assert "fer2013-valid-3-1" in fold.test and "fer2013-across" not in fold.speakers


def test_with_private_test_the_parts_are_the_official_ones(root, tmp_path):
    own = tmp_path / "own"
    for part in ("train", "valid"):
        (own / part).parent.mkdir(exist_ok=True)
        (own / part).symlink_to(root / part)
    for number, folder in enumerate(FOLDERS):
        write_picture(own / "test" / folder / f"test-{number}.png", [9, number, 0])
    write_picture(own / "test" / "sad" / "again.png", [1, 3, 1])  # as valid-3-1
    fold = load_split(split_of(own, tmp_path)).fold(0)
    assert (len(fold.train), len(fold.validation), len(fold.test)) == (42, 13, 8)


def test_a_root_that_is_none_is_refused(tmp_path, capsys):
    assert fer2013_split.main(["--root", str(tmp_path / "no"), "--out", str(tmp_path / "split.json")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_pictures_too_few_for_three_parts_are_refused(tmp_path, capsys):
    for number, part in enumerate(("train", "valid")):
        write_picture(tmp_path / part / "happy" / "1.png", [number, 1, 2])
    assert fer2013_split.main(["--root", str(tmp_path), "--out", str(tmp_path / "new" / "split.json")]) == 1
    assert "error: validation has no speaker" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """The configuration that ships, with a small network for a few steps."""
    out = tmp_path_factory.mktemp("trained")
    changes = {
        "data.corpus.root": str(root),
        "data.split": str(split_of(root, out)),
        "data.workers": 0,
        "data.empty_classes": "allow",
        "model.face_encoder": NETWORK,
        "trainer.max_epochs": 1,
        "threads": 1,
    }
    config = out / "config.yaml"
    config.write_text(yaml.safe_dump(changed(load_tree(CONFIG_FOLDER / "fer2013_emonext.yaml"), changes)))
    assert train.main(["--config", str(config), "--out", str(out / "run")]) == 0
    return out / "run" / "best.ckpt"


def test_an_evaluation_of_single_pictures_tells_nothing_that_they_cannot_show(trained, root, tmp_path):
    assert (
        evaluate.main(["--checkpoint", str(trained), "--data", str(root), "--out", str(tmp_path), "--robustness"]) == 0
    )
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert any("covered" in name for name in found["conditions"])
    assert not any("dropped" in name for name in found["conditions"])
    assert "| speaker |" not in (tmp_path / "evaluation.md").read_text()


def test_an_encoder_begins_in_another_model_as_the_training_left_it(trained, folder):
    tree = changed(experiment_tree(folder), ROBOT | {"model.face_encoder": {**NETWORK, "start_from": str(trained)}})
    experiment = read_experiment(tree)
    kept = face_encoder_of(trained)
    for name, value in experiment.module.model.face_encoder.state_dict().items():
        assert (value == kept[name]).all(), name
    assert any(name.startswith("fer2013-") for name in experiment.known["train"])
    assert [corpus.partition(",")[0] for corpus in experiment.trained_on] == ["fer2013"]


def face_encoder_of(path):
    state, prefix = load_checkpoint(path)["state_dict"], "averaged.face_encoder."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def test_an_encoder_that_does_not_fit_a_checkpoint_is_refused(trained, folder):
    other = {"name": "compact_cnn", "options": NETWORK["options"] | {"embedding": 16}, "start_from": str(trained)}
    with pytest.raises(WeightsError, match="best.ckpt does not fit compact_cnn"):
        read_experiment(changed(experiment_tree(folder), ROBOT | {"model.face_encoder": other}))


def test_whom_an_encoder_knows_does_not_judge_the_model_that_begins_with_it(folder, tmp_path):
    tree = changed(experiment_tree(folder), ROBOT)
    checkpoint = read_experiment(tree).run(tmp_path)
    begun = changed(tree, {"data.fold": 1, "model.face_encoder.start_from": str(checkpoint)})
    with pytest.raises(CheckpointError, match="knows tone-.* from its training; expected strangers"):
        read_experiment(begun)
