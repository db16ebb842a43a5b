"""The voice encoder as it ships: its products with matrices in 8-bit integers, less than a third of the size."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from .audio_training import AudioClassifier, predict_voices
from .bundle_writer import audio_encoder_spec, export_graph
from .models.spectrogram_encoder import SpectrogramEncoder
from .quantisation import check_agreement, cost_of_integers, graph_session, integer_products, with_encoder
from .speech_clips import SpeechClip


class GraphAudioEncoder(nn.Module):
    """An ONNX graph of an audio encoder in place of the module that it was made of."""

    def __init__(self, graph: bytes, exact: SpectrogramEncoder):
        super().__init__()
        self.session = graph_session(graph)
        self.embedding, self.token_count = exact.embedding, exact.token_count

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) mono in [-1, 1] -> (B, Ta, D): each window alone, as on the robot, as its range scales integers."""
        embeddings = [self.session.run(["embeddings"], {"audio": window[None]})[0] for window in audio.numpy()]
        return torch.from_numpy(np.concatenate(embeddings))


def quantise_voice(classifier: AudioClassifier, samples: int, clips: Sequence[SpeechClip]) -> bytes:
    """audio_encoder.onnx for windows of `samples`.

    Raises:
        ParityError: it names another emotion than the exact network too often on `clips`.
    """
    with TemporaryDirectory() as work:
        exact = Path(work) / "audio_encoder.onnx"
        export_graph(audio_encoder_spec(classifier.encoder, samples), exact)
        graph = integer_products(exact)
    check_agreement("audio_encoder.onnx", voice_cost(classifier, voice_as_shipped(classifier, graph), clips, samples))
    return graph


def voice_as_shipped(classifier: AudioClassifier, graph: bytes) -> AudioClassifier:
    """The classifier with its encoder run by the graph."""
    return with_encoder(classifier, GraphAudioEncoder(graph, classifier.encoder))


def voice_cost(
    exact: AudioClassifier, shipped: AudioClassifier, clips: Sequence[SpeechClip], samples: int
) -> dict[str, float]:
    """Accuracy of both, and how often both name the same class."""
    named = [predict_voices(model, clips, samples).argmax(axis=1) for model in (exact, shipped)]
    return cost_of_integers(np.array([clip.label for clip in clips]), *named)
