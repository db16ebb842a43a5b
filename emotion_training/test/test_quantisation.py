"""Weights in 8-bit integers: as fine as all processors can add them."""

import json
from types import SimpleNamespace

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from torch import nn

from emotion_training import quantisation
from emotion_training.bundle_writer import ParityError, file_entry
from emotion_training.clip_tensors import ClipTensors
from emotion_training.quantisation import (
    check_agreement,
    cost_of_integers,
    graph_session,
    integer_products,
    quantise_encoders,
    quantised_graph,
    with_encoder,
)
from emotion_training.quantised_face import GraphFaceEncoder
from emotion_training.quantised_voice import voice_cost

CHANNELS = 9  # odd: the last one has no neighbour


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """A pointwise, a depthwise and a dense convolution, exact and in integers."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1),
        nn.ReLU6(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS),
        nn.ReLU6(),
        nn.Conv2d(CHANNELS, 5, 1),
        nn.ReLU6(),
        nn.Conv2d(5, 5, 3, padding=1),
    ).eval()
    with torch.no_grad():
        network[4].weight[0] = 1.0  # all neighbours are large and of one sign
        network[4].weight[1] = 0.0
    exact = tmp_path_factory.mktemp("graphs") / "exact.onnx"
    torch.onnx.export(network, (torch.rand(1, 1, 8, 8),), exact, input_names=["face"], dynamo=False)
    items = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
    return exact.read_bytes(), quantised_graph(exact, "face", items), items


def kernel(graph, layer):
    """The integers of a layer's kernel, and how much one step of them is for each channel."""
    values = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(graph).graph.initializer
    }
    return values[f"{layer}.weight_quantized"], values[f"{layer}.weight_scale"]


def test_no_two_neighbouring_weights_overflow_16_bits(graphs):
    weights, scales = kernel(graphs[1], 4)
    pairs = np.pad(weights[:, :, 0, 0].astype(int), ((0, 0), (0, 1))).reshape(5, -1, 2)
    assert 255 * pairs.clip(min=0).sum(axis=2).max() < 2**15
    assert 255 * pairs.clip(max=0).sum(axis=2).min() >= -(2**15)
    assert set(weights[0].flatten()) <= {63, 64}
    assert not weights[1].any() and scales[1] > 0.0
    assert np.abs(weights[2:]).max() > 64  # finer than 7 bits


def test_what_is_added_in_32_bits_keeps_8_bits_and_the_rest_7(graphs):
    for layer, greatest in ((0, 64), (2, 127), (6, 64)):
        weights, _ = kernel(graphs[1], layer)
        assert (np.abs(weights.astype(int)).max(axis=(1, 2, 3)) == greatest).all()


def test_a_graph_gets_a_grey_face_in_the_steps_of_a_camera_and_in_three_channels(monkeypatch):
    seen = []
    session = SimpleNamespace(run=lambda outputs, feed: seen.append(feed["face"]) or [np.ones((1, 4), np.float32)])
    monkeypatch.setattr("emotion_training.quantised_face.graph_session", lambda graph: session)
    grey = torch.tensor([[[[-0.01, 10.4 / 255], [10.6 / 255, 1.01]]]])
    assert GraphFaceEncoder(b"", 4).embed_grey(grey).tolist() == [[1.0] * 4]
    (face,) = seen
    assert face.dtype == np.uint8 and face.tolist() == [[[[0] * 3, [10] * 3], [[11] * 3, [255] * 3]]]


def test_the_cost_of_integers_is_both_accuracies_and_how_often_both_say_the_same():
    labels, exact, shipped = np.array([0, 1, 2, 0]), np.array([0, 1, 2, 1]), np.array([0, 1, 1, 1])
    expected = {"float32_accuracy": 0.75, "accuracy": 0.5, "same_class": 0.75}
    assert cost_of_integers(labels, exact, shipped) == expected
    assert cost_of_integers(exact, exact, labels) == {"float32_accuracy": 1.0, "accuracy": 0.75, "same_class": 0.75}


def test_the_cost_for_a_voice_tells_the_exact_network_from_the_one_that_ships(monkeypatch):
    monkeypatch.setattr("emotion_training.quantised_voice.predict_voices", lambda named, *_: np.eye(3)[named])
    clips = [SimpleNamespace(label=label) for label in (0, 1, 2, 0)]
    found = voice_cost([0, 1, 2, 1], [0, 1, 1, 1], clips, 1)
    assert found == {"float32_accuracy": 0.75, "accuracy": 0.5, "same_class": 0.75}


def test_what_is_refused_is_that_both_differ_not_that_both_are_wrong():
    check_agreement("face.onnx", {"same_class": 0.95, "accuracy": 0.5})
    with pytest.raises(ParityError, match=r"face.onnx in 8-bit integers names the same .* 94.9% .* expected 95%"):
        check_agreement("face.onnx", {"same_class": 0.949, "accuracy": 1.0})


def test_a_classifier_with_another_encoder_leaves_the_exact_one_as_it_is():
    exact = nn.Module()
    exact.encoder, exact.head = nn.Linear(2, 2), nn.Linear(2, 2)
    kept, other = exact.encoder, nn.Linear(2, 2)
    changed = with_encoder(exact, other)
    assert changed.encoder is other and exact.encoder is kept and changed.head is exact.head


def test_ranges_are_those_of_some_faces_and_voices_that_are_there(tmp_path, monkeypatch):
    files, count = ("face_encoder.onnx", "audio_encoder.onnx", "fusion.onnx"), 9
    for name in files:
        (tmp_path / name).write_bytes(b"exact")
    (tmp_path / "model.json").write_text(json.dumps({"files": dict.fromkeys(files)}))
    seen = {}
    monkeypatch.setattr(quantisation, "CALIBRATION_CLIPS", 6)
    monkeypatch.setattr(
        quantisation, "quantised_graph", lambda path, name, items: seen.update({name: items}) or name.encode()
    )
    face_mask = torch.arange(2 * count).reshape(count, 2) % 3 > 0
    audio_mask = torch.arange(count) % 2 == 0
    numbers, names = torch.arange(1, count + 1), np.full(count, "")
    face = (numbers[:, None] * face_mask).to(torch.uint8)[..., None, None, None].expand(-1, -1, 4, 4, 3)
    audio = (numbers * audio_mask).to(torch.float32)[None, :, None].expand(-1, -1, 5)
    none = np.zeros((count, 2))
    train = ClipTensors(names, names, numbers, numbers, names, face, face_mask, audio, audio_mask, none, True)
    quantise_encoders(tmp_path, train, seed=0)

    chosen = np.random.default_rng(0).permutation(count)[:6]
    faces, voices = seen["face"][:, 0, 0, 0].tolist(), seen["audio"][:, 0].tolist()
    assert faces == [number + 1 for number in chosen for _ in range(int(face_mask[number].sum()))]
    assert voices == [number + 1 for number in chosen if audio_mask[number]]
    assert [(tmp_path / name).read_bytes() for name in files] == [b"face", b"audio", b"exact"]
    entries = json.loads((tmp_path / "model.json").read_text())["files"]
    assert entries == {name: file_entry(tmp_path / name) for name in files}


def test_a_graph_asks_for_no_operators_that_it_does_not_use(graphs):
    model = onnx.load_from_string(graphs[1])
    domains = [entry.domain for entry in model.opset_import]
    assert sorted(domains) == sorted({node.domain for node in model.graph.node})


def test_integers_say_nearly_what_the_exact_network_says(graphs):
    exact, quantised, items = graphs
    for item in items[:, np.newaxis]:
        expected, said = (graph_session(graph).run(None, {"face": item})[0] for graph in (exact, quantised))
        np.testing.assert_allclose(said, expected, atol=0.02 * np.ptp(expected))


def test_matrices_take_no_pair_that_overflows_and_unsigned_weights_where_neighbours_are_alike(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(9, 64, bias=False), nn.Linear(64, 6, bias=False)).eval()
    with torch.no_grad():
        network[1].weight[:, 1::2] = network[1].weight[:, ::2]
    exact = tmp_path / "exact.onnx"
    rows = torch.rand(1, 4, 9)
    torch.onnx.export(network, (rows,), exact, input_names=["rows"], dynamo=False)
    graph = integer_products(exact)
    stored = onnx.load_from_string(graph).graph.initializer
    matrices = {tensor.dims[0]: onnx.numpy_helper.to_array(tensor) for tensor in stored if len(tensor.dims) == 2}
    pairs = np.pad(matrices[9].astype(int), ((0, 1), (0, 0))).reshape(-1, 2, 64)
    assert matrices[9].dtype == np.int8 and np.abs(matrices[9]).max() > 64
    assert 255 * pairs.clip(min=0).sum(axis=1).max() < 2**15
    assert 255 * pairs.clip(max=0).sum(axis=1).min() >= -(2**15)
    assert matrices[64].dtype == np.uint8
    with torch.inference_mode():
        expected = network(rows).numpy()
    said = graph_session(graph).run(None, {"rows": rows.numpy()})[0]
    np.testing.assert_allclose(said, expected, atol=0.03 * np.ptp(expected))
