"""The face encoder as it ships: in 8-bit integers but for its first frozen layers, about a quarter of the size."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from .bundle_writer import export_graph, face_encoder_spec
from .face_set import FaceSet
from .face_training import FaceClassifier, LabelledFaceEncoder, predict_faces
from .quantisation import check_agreement, cost_of_integers, graph_session, quantised_graph, with_encoder

# Sums and activations, too: less goes back to float32 between convolutions, and no range is spent on what an activation
# cuts off. What weighs channels, and the projection to the embedding, stay in float32: they take no time, and cost
# accuracy.
OPERATORS = ("Conv", "Add", "Relu", "Clip")
CALIBRATION_PICTURES = 512


class GraphFaceEncoder(nn.Module):
    """An ONNX graph of a face encoder behind the methods of the module that it was made of."""

    def __init__(self, graph: bytes, embedding: int):
        super().__init__()
        self.session = graph_session(graph)
        self.embedding = embedding

    def embed_grey(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) grey in [0, 1], in the 256 steps of a camera -> (B, D)."""
        pixels = (grey * 255.0).round().clamp(0.0, 255.0).to(torch.uint8)
        face = pixels.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).contiguous()  # (B, S, S, 3)
        return torch.from_numpy(self.session.run(["embedding"], {"face": face.numpy()})[0])


def quantise_face(classifier: FaceClassifier, size_px: int, faces: FaceSet, validation: FaceSet, seed: int) -> bytes:
    """face_encoder.onnx in 8-bit integers, whose ranges are those of some of `faces`.

    Raises:
        ParityError: it names another emotion than the exact network too often on `validation`.
    """
    chosen = np.random.default_rng(seed).permutation(len(faces))[:CALIBRATION_PICTURES]
    with TemporaryDirectory() as work:
        exact = Path(work) / "face_encoder.onnx"
        export_graph(face_encoder_spec(LabelledFaceEncoder(classifier), size_px), exact)
        crops = np.repeat(faces.images[chosen][..., np.newaxis], 3, axis=3)  # (M, S, S, 3)
        graph = quantised_graph(exact, "face", crops, OPERATORS)
    check_agreement("face_encoder.onnx", face_cost(classifier, face_as_shipped(classifier, graph), validation))
    return graph


def face_as_shipped(classifier: FaceClassifier, graph: bytes) -> FaceClassifier:
    """The classifier with its encoder run by the graph."""
    return with_encoder(classifier, GraphFaceEncoder(graph, classifier.encoder.embedding))


def face_cost(exact: FaceClassifier, shipped: FaceClassifier, faces: FaceSet) -> dict[str, float]:
    """Accuracy against the FER+ majority of both, and how often both name the same class."""
    named = [predict_faces(model, faces.images)[0].argmax(axis=1) for model in (exact, shipped)]
    return cost_of_integers(faces.majority_labels, *named)
