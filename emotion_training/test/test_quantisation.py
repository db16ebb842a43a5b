"""Weights in 8-bit integers: as fine as all processors can add them."""

from types import SimpleNamespace

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from torch import nn

from emotion_training.quantisation import cost_of_integers, graph_session, integer_products, quantised_graph
from emotion_training.quantised_face import GraphFaceEncoder

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
