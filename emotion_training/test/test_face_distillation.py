"""A face encoder that looks at fewer places learns to see what it sees at more."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from emotion_training.config import FaceDistillationConfig
from emotion_training.configuration import ConfigurationError
from emotion_training.face_distillation import distil_face, reduced
from emotion_training.face_training import grey_batch, make_member
from emotion_training.stage_cache import StageCache
from emotion_training.tiny_bundle import generated_faces, tiny_config
from emotion_training.train_bundle import _train_faces, try_face_weights

CONFIG = tiny_config()
COMPACT, MOBILENET = CONFIG.face_encoder.members
OPTIONS = FaceDistillationConfig(
    steps=30, batch=8, learning_rate=0.01, input_px=16, halving_blocks=(), learning_blocks=2
)


@pytest.fixture(scope="module")
def faces():
    return generated_faces(CONFIG, 0)


@pytest.fixture(scope="module")
def whole():
    """With weights by which the features differ from place to place."""
    torch.manual_seed(0)
    member = make_member(MOBILENET).eval()
    for layer in member.encoder.first_layers(3):
        torch.nn.init.kaiming_normal_(layer[0].weight, mode="fan_out")
        layer[1].bias.data.uniform_(0.0, 1.0)
    return member


def missed(classifier, whole, images):
    """Of the variance of what the whole network has after the blocks that learnt, of faces as they are."""
    grey = grey_batch(images)
    with torch.inference_mode():
        found, expected = (
            torch.nn.Sequential(*model.encoder.first_layers(2))(model.encoder.enlarged(grey))
            for model in (classifier, whole)
        )
        return ((found - expected).square().mean() / expected.var(dim=(0, 2, 3)).mean()).item()


def test_it_sees_more_of_what_it_sees_at_all_places(faces, whole):
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    untaught = reduced(OPTIONS, whole)
    found, history = distil_face(OPTIONS, CONFIG.face_training, faces.train.images, whole, seed=0)
    images = faces.validation.images
    assert missed(found, whole, images) < 0.8 * missed(untaught, whole, images)
    assert len(history) == 1 and 0.0 < history[0]["loss"] < 10.0
    torch.testing.assert_close(dict(whole.state_dict()), before, rtol=0.0, atol=0.0)
    changed = {name for name, value in found.state_dict().items() if not torch.equal(value, before[name])}
    first = {f"encoder.frozen.{number}.{part}" for number in range(5) for part in ("0.weight", "1.weight", "1.bias")}
    assert changed == first
    assert found.encoder.input_px == 16 and whole.encoder.input_px == 32


def test_the_same_seed_teaches_the_same(faces, whole):
    first, second = (
        distil_face(replace(OPTIONS, steps=2), CONFIG.face_training, faces.train.images, whole, seed=0)[0]
        for _ in range(2)
    )
    torch.testing.assert_close(dict(first.state_dict()), dict(second.state_dict()), rtol=0.0, atol=0.0)


def test_a_loss_that_is_no_number_is_refused(faces, whole):
    wild = replace(OPTIONS, learning_rate=1e38)
    with pytest.raises(FloatingPointError, match="the loss of a face at fewer places is .* lower learning_rate"):
        distil_face(wild, CONFIG.face_training, faces.train.images, whole, seed=0)


@pytest.mark.parametrize(
    "member, options, expected",
    [
        (COMPACT, OPTIONS, "is for mobilenet, and a member of another name ships; set it to null"),
        (
            MOBILENET,
            replace(OPTIONS, halving_blocks=(2,)),
            r"a face has \[4, 4\] places a side where blocks end from number 2 on; expected \[8, 8\]",
        ),
        (MOBILENET, replace(OPTIONS, halving_blocks=(4,)), r"is 2 and halving_blocks \[4\]; expected 1 to 3"),
        (MOBILENET, replace(OPTIONS, learning_blocks=0), r"is 0 and halving_blocks \[\]; expected 1 to 3"),
        (MOBILENET, replace(OPTIONS, input_px=32), r"has \[16, 16\] places .*; expected \[8, 8\], as before; change"),
    ],
)
def test_what_cannot_be_reduced_is_refused_before_anything_is_trained(faces, member, options, expected):
    encoder = replace(CONFIG.face_encoder, members=(member,), distillation=options)
    with pytest.raises(ConfigurationError, match=f"face_encoder.distillation.*{expected}"):
        try_face_weights(replace(CONFIG, face_encoder=encoder), faces, Path())


def test_what_ships_is_distilled_and_the_teachers_are_not(faces, monkeypatch, tmp_path):
    taught, own = [], distil_face

    def observed(options, training, images, member, seed):
        taught.append(member)
        return own(options, training, images, member, seed)

    monkeypatch.setattr("emotion_training.train_bundle.distil_face", observed)
    members = (replace(COMPACT, ships=False), MOBILENET)
    encoder = replace(CONFIG.face_encoder, members=members, distillation=replace(OPTIONS, steps=60))
    config = replace(CONFIG, face_encoder=encoder)
    (first,), stages = _train_faces(config, faces, Path(), StageCache(tmp_path))
    (again,), _ = _train_faces(config, faces, Path(), StageCache(tmp_path))
    (member,) = taught  # and kept
    torch.testing.assert_close(dict(first.state_dict()), dict(again.state_dict()), rtol=0.0, atol=0.0)
    assert first.encoder.input_px == again.encoder.input_px == 16 and member.encoder.input_px == 32
    assert list(stages) == ["face 1, compact_cnn", "face 2, mobilenet", "face 2, fewer places, 50 steps"]
    assert len(stages["face 2, fewer places, 50 steps"]["history"]) == 2
    untaught = replace(config, face_encoder=replace(encoder, distillation=None))
    (as_trained,), _ = _train_faces(untaught, faces, Path(), StageCache(tmp_path))
    torch.testing.assert_close(dict(as_trained.state_dict()), dict(member.state_dict()), rtol=0.0, atol=0.0)
