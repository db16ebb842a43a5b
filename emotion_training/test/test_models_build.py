"""From a configuration to a model that takes batches with missing parts."""

import dataclasses

import pytest
import torch
from jsonargparse import ArgumentParser

from emotion_training.models import ModelConfig, ModelError, NetworkConfig, build_model
from emotion_training.models.registry import Registry

CROPS = NetworkConfig("compact_cnn", {"stem_channels": 8, "stages": [[8, 1], [8, 1]], "embedding": 12, "dropout": 0.0})
UNITS = NetworkConfig("action_units", {"embedding": 12, "tokens": 3, "dropout": 0.0})
VOICE = NetworkConfig("crnn", {"channels": [8, 8], "embedding": 8, "dropout": 0.0})
GATED = NetworkConfig("gated", {"width": 8, "dropout": 0.0})
CROP_CONFIG = ModelConfig(GATED, 8, CROPS, VOICE, face_bins=4, window_s=0.5)
UNIT_CONFIG = ModelConfig(
    NetworkConfig("cross_attention", {"width": 8, "heads": 2, "dropout": 0.0}),
    8,
    UNITS,
    VOICE,
    face_features=5,
    window_s=0.5,
)
EARLY = NetworkConfig("early", {"channels": [8, 8], "embedding": 8})
EARLY_CONFIG = ModelConfig(EARLY, 8, face_features=5, window_s=0.5)


@pytest.fixture
def crops():
    torch.manual_seed(0)
    return {
        "face": torch.randint(0, 256, (3, 4, 48, 48, 3), dtype=torch.uint8),
        "face_mask": torch.tensor([[True] * 4, [False] * 4, [True, False, True, True]]),
        "audio": 0.1 * torch.randn(3, 8000),
        "audio_mask": torch.tensor([True, True, False]),
    }


@pytest.fixture
def units(crops):
    face = torch.randn(3, 5)
    return {**crops, "face": face, "face_mask": torch.tensor([[True], [False], [True]])}


def test_a_batch_of_crops_gives_an_output(crops):
    output = build_model(CROP_CONFIG).eval()(crops)
    assert output.logits.shape == (3, 8) and torch.isfinite(output.logits).all()
    assert (output.modality_weights > 0).tolist() == [[True, True], [False, True], [True, False]]
    assert output.face_logits is None and output.face_regularisation is None


def test_a_batch_of_features_gives_logits_per_modality_too(units):
    output = build_model(UNIT_CONFIG).eval()(units)
    assert output.face_logits.shape == output.audio_logits.shape == (3, 8)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("config", [UNIT_CONFIG, EARLY_CONFIG])
def test_masked_nan_reaches_neither_output_nor_gradient_nor_statistics(config, training, units):
    models = []
    for value in (0.0, float("nan")):
        torch.manual_seed(0)
        model = build_model(config).train(training)
        face = torch.where(units["face_mask"], units["face"], value)
        audio = torch.where(units["audio_mask"].unsqueeze(1), units["audio"], value)
        torch.manual_seed(1)  # of dropout
        output = model({**units, "face": face, "audio": audio})
        output.logits.sum().backward()
        models.append((model, output))
    (clean, expected), (soiled, got) = models
    assert torch.equal(expected.logits, got.logits)
    assert all(torch.equal(v, soiled.state_dict()[n]) for n, v in clean.state_dict().items())
    gradients = zip(clean.parameters(), soiled.parameters(), strict=True)
    assert all(a.grad is None or torch.equal(a.grad, b.grad) for a, b in gradients)


def test_a_batch_that_lacks_a_modality_throughout_still_works(crops, units):
    for config, batch in ((CROP_CONFIG, crops), (UNIT_CONFIG, units)):
        model = build_model(config)
        no_voice = {**batch, "audio_mask": torch.zeros(3, dtype=torch.bool)}
        no_face = {**batch, "face_mask": torch.zeros_like(batch["face_mask"])}
        assert torch.isfinite(model(no_voice).logits).all() and torch.isfinite(model(no_face).logits).all()


def test_a_model_of_one_modality_needs_no_other_in_the_batch(crops):
    voice = build_model(ModelConfig(NetworkConfig("voice_only"), 8, audio_encoder=VOICE))
    face = build_model(ModelConfig(NetworkConfig("face_only"), 8, face_encoder=CROPS))
    only_voice = {key: crops[key] for key in ("audio", "audio_mask")}
    only_face = {key: crops[key] for key in ("face", "face_mask")}
    assert voice(only_voice).modality_weights.tolist() == [[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    assert face(only_face).modality_weights.tolist() == [[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]


def test_early_fusion_takes_crops_or_features(crops, units):
    on_crops = build_model(dataclasses.replace(EARLY_CONFIG, face_features=None)).eval()(crops)
    on_units = build_model(EARLY_CONFIG).eval()(units)
    assert on_crops.logits.shape == on_units.logits.shape == (3, 8)
    assert on_crops.modality_weights.tolist() == [[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]


def test_emonext_hands_on_its_regularisation(crops):
    emonext = NetworkConfig("emonext", {"size": "T", "size_px": 64})
    output = build_model(ModelConfig(NetworkConfig("face_only"), 8, emonext))(crops)
    assert output.face_regularisation.shape == () and output.face_regularisation > 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fusion": NetworkConfig("sum")}, "fusion 'sum' is unknown; expected one of bottleneck, .*early"),
        ({"face_encoder": NetworkConfig("vgg")}, "face encoder 'vgg' is unknown; expected one of bundle, compact_cnn"),
        ({"fusion": NetworkConfig("gated", {"wide": 3})}, "fusion gated has no option 'wide'; expected one of dropout"),
        ({"fusion": NetworkConfig("gated", {"width": "a"})}, "the options of fusion gated do not fit: .*width"),
        ({"face_encoder": NetworkConfig("compact_cnn", {})}, "face encoder compact_cnn do not fit: .*stem_channels"),
        (
            {"audio_encoder": NetworkConfig("crnn", {"channels": []})},
            "audio encoder crnn do not fit: channels is empty",
        ),
        ({"audio_encoder": None}, "fusion gated has no audio encoder; expected the name of one"),
        ({"fusion": NetworkConfig("early")}, "fusion early takes no face encoder and has 'compact_cnn'"),
        ({"face_encoder": UNITS}, "'action_units' is a feature encoder and face_features is None"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_sentence(change, message):
    with pytest.raises(ModelError, match=message) as error:
        build_model(dataclasses.replace(CROP_CONFIG, **change))
    assert "\n" not in str(error.value)


def test_a_name_is_registered_once():
    registry = Registry("fusion")
    registry.register("mine")(torch.nn.Identity)
    with pytest.raises(ModelError, match="fusion 'mine' is registered twice"):
        registry.register("mine")(torch.nn.Identity)


def test_the_configuration_is_read_by_jsonargparse():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ModelConfig, "model")
    tree = {
        "fusion": {"name": "gated", "options": {"width": 8}},
        "classes": 8,
        "audio_encoder": {"name": "crnn", "options": {"channels": [8, 8]}},
    }
    config = parser.instantiate(parser.parse_object({"model": tree})).model
    assert config.fusion.options == {"width": 8} and config.audio_encoder.name == "crnn"
