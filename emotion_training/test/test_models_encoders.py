"""Every registered encoder: shapes, gradients, independence of the batch; EmoNeXt's attention and weights."""

import numpy as np
import pytest
import torch
from torch import nn

from emotion_training.bundle_writer import GraphSpec, export_graph
from emotion_training.models import ModelConfig, NetworkConfig, build_model
from emotion_training.models.conformer import ConformerBlock, ConvolutionModule, sine_positions
from emotion_training.models.emonext import ARCHITECTURES, ConvNeXtBlock, EmoNeXt, TokenAttention, drop_branch
from emotion_training.models.registry import audio_encoders, face_encoders, feature_encoders
from emotion_training.models.residual_block import ResidualBlock, SqueezeExcite
from emotion_training.models.start_weights import WeightsError

SAMPLES = 8000
FACES = {
    "compact_cnn": {"stem_channels": 8, "stages": [[8, 1], [16, 1]], "embedding": 12, "dropout": 0.0},
    "emonext": {"size": "T", "size_px": 64, "stochastic_depth": 0.0},
    "mobilenet": {"input_px": 32, "blocks": 3, "frozen_blocks": 1, "embedding": 12, "dropout": 0.0},
}
AUDIOS = {
    "log_mel_cnn": {"mels": 64, "channels": [8, 8, 8, 16], "embedding": 16, "dropout": 0.0},
    "conformer": {"embedding": 16, "blocks": 1, "heads": 2, "dropout": 0.0},
    "crnn": {"channels": [8, 8, 16], "embedding": 16, "dropout": 0.0},
    "whisper_tiny": {"merged": [1], "hidden": 24, "embedding": 16, "dropout": 0.0},
}


def build_face(name):
    torch.manual_seed(0)
    return face_encoders.build(name, FACES[name])


def build_audio(name):
    torch.manual_seed(0)
    encoder = audio_encoders.build(name, AUDIOS[name], sample_rate_hz=16000)
    for parameter_name, parameter in encoder.named_parameters():
        if parameter_name.endswith("gate.0.bias"):
            nn.init.ones_(parameter)  # the narrow gates of so small a network start with their units alive
    return encoder


def faces(batch, size_px=48):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, size_px, size_px, 3), generator=generator, dtype=torch.uint8)


def voices(batch):
    return 0.1 * torch.randn(batch, SAMPLES, generator=torch.Generator().manual_seed(0))


def assert_every_parameter_gets_a_gradient(module, output):
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    learning = [(n, p.grad) for n, p in module.named_parameters() if p.requires_grad]
    without = [n for n, gradient in learning if gradient is None or not gradient.abs().sum() > 0]
    assert without == []


def test_all_registered_encoders_are_tested():
    # Those of clip-level features, "functionals" and "clip_features", are in test_training_features.py, those of a
    # bundle in test_training_adapt.py.
    assert {*FACES, "bundle"} == set(face_encoders.names)
    assert {*AUDIOS, "bundle", "functionals"} == set(audio_encoders.names)
    assert feature_encoders.names == ("action_units", "clip_features")


@pytest.mark.parametrize("name", FACES)
def test_face_encoders_give_one_finite_embedding_that_is_independent_of_the_batch(name):
    encoder = build_face(name).eval()
    with torch.inference_mode():
        together = encoder(faces(3))
        assert together.shape == (3, encoder.embedding) and torch.isfinite(together).all()
        np.testing.assert_allclose(encoder(faces(3)[1:2]), together[1:2], atol=1e-4)
        assert torch.isfinite(encoder(torch.zeros(1, 48, 48, 3, dtype=torch.uint8))).all()


@pytest.mark.parametrize("name", AUDIOS)
def test_audio_encoders_give_the_tokens_that_they_announce(name):
    encoder = build_audio(name).eval()
    with torch.inference_mode():
        together = encoder(voices(3))
        assert together.shape == (3, encoder.token_count(SAMPLES), encoder.embedding)
        assert torch.isfinite(together).all()
        np.testing.assert_allclose(encoder(voices(3)[1:2]), together[1:2], atol=1e-4)
        assert torch.isfinite(encoder(torch.zeros(1, SAMPLES))).all()


@pytest.mark.parametrize("name", AUDIOS)
def test_every_parameter_of_an_audio_encoder_learns(name):
    encoder = build_audio(name)
    assert_every_parameter_gets_a_gradient(encoder, encoder(voices(4)))


def test_a_recurrent_encoder_reads_what_the_convolutions_saw_from_the_oldest_time_on():
    encoder, pictures = build_audio("crnn").eval(), []
    encoder.network.register_forward_hook(lambda *given: pictures.append(given[2]))
    found = encoder(voices(2))
    tokens = [encoder.join_bands(at_a_time.flatten(1)) for at_a_time in pictures[0].unbind(dim=3)]
    torch.testing.assert_close(found, encoder.recurrent(torch.stack(tokens, dim=1))[0])


def test_positions_are_sines_and_cosines_of_falling_frequency():
    time, channel = np.arange(7)[:, None], np.arange(4)
    angles = time / 10000.0 ** (2 * channel / 8)
    np.testing.assert_allclose(sine_positions(7, 8), np.hstack([np.sin(angles), np.cos(angles)]), atol=1e-5)


def test_a_conformer_block_is_that_of_the_paper_and_knows_the_places_of_its_tokens():
    torch.manual_seed(0)
    block, tokens = ConformerBlock(8, heads=2, kernel=3, dropout=0.0).eval(), torch.randn(2, 5, 8)
    halfway = tokens + block.first_half(tokens) / 2.0
    attended = halfway + block.attention(*[block.attention_norm(halfway)] * 2)
    near = attended + block.convolution(attended)
    torch.testing.assert_close(block(tokens), block.norm(near + block.second_half(near) / 2.0))
    encoder, seen = build_audio("conformer").eval(), {}
    encoder.join_bands.register_forward_hook(lambda *given: seen.update(joined=given[2]))
    encoder.blocks.register_forward_pre_hook(lambda _, given: seen.update(tokens=given[0]))
    encoder(voices(2))
    torch.testing.assert_close(seen["tokens"] - seen["joined"], sine_positions(12, 16).expand(2, -1, -1))


def test_the_convolution_of_a_conformer_is_gated():
    torch.manual_seed(0)
    module, tokens = ConvolutionModule(4, kernel=3, dropout=0.0).eval(), torch.randn(2, 5, 4)
    values, gates = module.gated(module.norm(tokens)).split(4, dim=2)
    near = module.depthwise_norm(module.depthwise((values * torch.sigmoid(gates)).transpose(1, 2)))
    torch.testing.assert_close(module(tokens), module.out((near * torch.sigmoid(near)).transpose(1, 2)))


def test_squeeze_and_excitation_weighs_channels_by_what_the_picture_shows():
    torch.manual_seed(0)
    layer, picture = SqueezeExcite(16), torch.randn(3, 16, 4, 5)
    squeeze, _, excite, _ = layer.gate
    weights = torch.sigmoid(excite(torch.relu(squeeze(picture.flatten(2).mean(dim=2)))))
    torch.testing.assert_close(layer(picture), torch.einsum("bchw,bc->bchw", picture, weights))


@pytest.mark.parametrize("channels_out, stride", [(8, 1), (16, 2)])
def test_a_residual_block_adds_its_branch_to_its_shortcut(channels_out, stride):
    torch.manual_seed(0)
    block, picture = ResidualBlock(8, channels_out, stride).eval(), torch.randn(2, 8, 6, 6)
    found, shortcut = block(picture), picture if stride == 1 else block.shortcut(picture)
    torch.testing.assert_close(found, torch.relu(shortcut + block.branch(picture)))
    assert found.shape == (2, channels_out, 6 // stride, 6 // stride)


@pytest.mark.parametrize("name", ["conformer", "crnn"])
def test_audio_encoders_export(name, tmp_path):
    short = voices(3)[:, :2000]  # the recurrent layer is unrolled, so that its graph grows with the window
    spec = GraphSpec("audio.onnx", build_audio(name), ("audio",), ("embeddings",), ((short[:1],), (short,)))
    export_graph(spec, tmp_path / spec.file)


def test_a_dropped_branch_is_made_up_for_by_the_others_and_kept_outside_of_training():
    torch.manual_seed(0)
    branch = torch.rand(400, 2, 3, 3) + 0.5
    dropped = drop_branch(branch, 0.2, training=True)
    kept = dropped.flatten(1).sum(dim=1) > 0
    assert 0.7 < kept.float().mean() < 0.9
    torch.testing.assert_close(dropped[kept], 1.25 * branch[kept])
    assert not dropped[~kept].any()
    assert drop_branch(branch, 0.2, training=False) is branch


def test_a_convnext_block_starts_as_almost_nothing_and_drops_its_branch_in_training_alone():
    torch.manual_seed(0)
    block, picture = ConvNeXtBlock(4, drop=0.5), torch.randn(64, 4, 8, 8)
    torch.testing.assert_close(block.layer_scale.detach(), torch.full((4,), 1e-6))
    torch.nn.init.ones_(block.layer_scale)
    branch = block.eval()(picture) - picture
    added = block.train()(picture) - picture
    dropped = (added == 0.0).flatten(1).all(dim=1)
    assert 16 < dropped.sum() < 48
    torch.testing.assert_close(added[~dropped], 2.0 * branch[~dropped], rtol=1e-4, atol=1e-5)


def test_the_share_of_dropped_branches_grows_from_none_at_the_first_block_to_the_last():
    with torch.device("meta"):
        stages = EmoNeXt("T", 64, stochastic_depth=0.1).stages
    np.testing.assert_allclose([block.drop for stage in stages for block in stage], np.linspace(0.0, 0.1, 18))


@pytest.mark.parametrize("tokens", [1, 4])
def test_action_units_become_tokens_standardised_by_the_training_data(tokens):
    torch.manual_seed(0)
    encoder = feature_encoders.build("action_units", {"tokens": tokens, "dropout": 0.0}, features=5)
    training = torch.randn(100, 5) * torch.tensor([1.0, 10.0, 0.1, 3.0, 0.0]) + 7.0
    encoder.standardise.fit(training)
    standardised = encoder.standardise(training)
    np.testing.assert_allclose(standardised.mean(dim=0), np.zeros(5), atol=1e-4)
    np.testing.assert_allclose(standardised.std(dim=0, correction=0)[:4], np.ones(4), atol=1e-4)
    assert encoder(training).shape == (100, tokens, encoder.embedding)
    assert "standardise.mean" in encoder.state_dict()
    assert_every_parameter_gets_a_gradient(encoder, encoder(training))


def test_features_that_do_not_fit_are_refused():
    encoder = feature_encoders.build("action_units", {}, features=5)
    with pytest.raises(ValueError, match=r"training features are \(3, 4\); expected \(clips, 5\)"):
        encoder.standardise.fit(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="clip 1 are not finite"):
        encoder.standardise.fit(torch.tensor([[0.0] * 5, [float("nan")] * 5]))


def test_emonext_tiny_trains_a_step_and_exports(tmp_path):
    model = build_face("emonext")
    nn.init.normal_(model.spatial_transformer.affine[2].weight, std=0.01)  # zero hides the layers before it
    nn.init.normal_(model.spatial_transformer.affine[0].bias)  # some units are alive
    head = nn.Linear(model.embedding, 7)
    optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=1e-4)
    embeddings, regularisation = model.forward_regularised(faces(2))
    loss = nn.functional.cross_entropy(head(embeddings), torch.tensor([0, 3])) + regularisation.mean()
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    optimizer.step()
    spec = GraphSpec("face.onnx", model.eval(), ("face",), ("embedding",), ((faces(1),), (faces(3),)))
    export_graph(spec, tmp_path / spec.file)


def test_token_attention_has_a_shortcut_and_tells_the_mean_squared_deviation_of_its_weights():
    torch.manual_seed(0)
    attention, tokens = TokenAttention(16), torch.randn(3, 9, 16)
    attended, regularisation = attention(tokens)
    normed = attention.norm(tokens)
    weights = torch.softmax(attention.query(normed) @ attention.key(normed).transpose(1, 2) / 4.0, dim=2)
    torch.testing.assert_close(attended, normed + weights @ attention.value(normed))
    torch.testing.assert_close(regularisation, weights.var(dim=(1, 2), correction=0))


def test_attention_regularisation_is_of_each_sample_alone():
    model = build_face("emonext").eval()
    with torch.inference_mode():
        _, together = model.forward_regularised(faces(3))
        _, alone = model.forward_regularised(faces(3)[:1])
    assert alone > 0.0  # the official code gives 0 at batch 1
    np.testing.assert_allclose(alone, together[:1], rtol=1e-3)


def test_emonext_starts_without_warping_and_refuses_too_small_a_picture():
    model = build_face("emonext")
    assert model.attention.key.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not model.attention.key.bias.any()
    transformer = model.spatial_transformer
    picture = torch.rand(2, 3, 64, 64)
    np.testing.assert_allclose(transformer(picture).detach(), picture, atol=1e-5)
    with pytest.raises(ValueError, match="size_px is 48; expected at least 64"):
        EmoNeXt("T", size_px=48)


@pytest.mark.parametrize("size, millions", [("T", 29), ("S", 51), ("B", 91), ("L", 202), ("XL", 358)])
def test_emonext_sizes_are_those_of_convnext(size, millions):
    with torch.device("meta"):
        parameters = sum(
            p.numel()
            for name, p in EmoNeXt(size, 64).named_parameters()
            if name.startswith(("stages", "downsampling", "norm")) and ".gate." not in name
        )
    classifier = 1000 * (ARCHITECTURES[size].widths[-1] + 1)
    assert parameters + classifier == pytest.approx(millions * 1e6, rel=0.03)


def official_names(state):
    parts = {"depthwise": "dwconv", "expand": "pwconv1", "reduce": "pwconv2", "layer_scale": "gamma"}
    for name, value in convnext_part(state):
        for ours, theirs in parts.items():
            name = name.replace(f".{ours}", f".{theirs}")
        yield name.replace("downsampling.", "downsample_layers."), value


def torchvision_names(state):
    parts = {"depthwise": "block.0", "norm": "block.2", "expand": "block.3", "reduce": "block.5"}
    for name, value in convnext_part(state):
        first, *rest = name.split(".")
        if first == "norm":
            yield f"classifier.0.{rest[0]}", value
        elif first == "downsampling":
            yield f"features.{2 * int(rest[0])}.{'.'.join(rest[1:])}", value
        else:
            place = f"features.{2 * int(rest[0]) + 1}.{rest[1]}"
            part = ".".join([parts.get(rest[2], rest[2]), *rest[3:]])
            yield f"{place}.{part}", value.view(-1, 1, 1) if part == "layer_scale" else value


def convnext_part(state):
    own = ("spatial_transformer.", "attention.")
    return [(n, v) for n, v in state.items() if not n.startswith(own) and ".gate." not in n]


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(5)
    return EmoNeXt("T", 64).state_dict()


@pytest.mark.parametrize(
    "layout, names, head", [("official", official_names, "head"), ("torchvision", torchvision_names, "classifier.2")]
)
def test_imagenet_weights_of_both_layouts_arrive(layout, names, head, trained, tmp_path):
    weights = dict(names(trained)) | {f"{head}.weight": torch.zeros(1000, 768)}
    path = tmp_path / "convnext.pth"
    torch.save({"model": weights} if layout == "official" else weights, path)
    before = build_face("emonext").state_dict()
    build = ModelConfig(NetworkConfig("face_only"), 7, NetworkConfig("emonext", FACES["emonext"], str(path)))
    torch.manual_seed(0)
    after = build_model(build).face_encoder.state_dict()
    arrived = {name for name, value in convnext_part(after) if torch.equal(value, trained[name])}
    assert arrived == {name for name, _ in convnext_part(trained)}
    assert all(torch.equal(after[name], before[name]) for name in after.keys() - arrived)


def test_imagenet_weights_that_do_not_fit_change_nothing(trained, tmp_path):
    model, path = build_face("emonext"), tmp_path / "convnext.pth"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = dict(official_names(trained))
    del weights["stages.2.8.gamma"]
    torch.save({"model": weights}, path)
    with pytest.raises(WeightsError, match=r"stages\.2\.8\.layer_scale is missing; take the checkpoint of"):
        model.start_from(path)
    torch.save({"model": {"stem.weight": torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match=r"'stem\.weight'; expected a ConvNeXt checkpoint"):
        model.start_from(path)
    path.write_text("no weights")
    with pytest.raises(WeightsError, match="is no file of weights"):
        model.start_from(path)
    with pytest.raises(WeightsError, match="does not exist"):
        model.start_from(tmp_path / "nothing.pth")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
