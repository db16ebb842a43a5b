"""Whisper-tiny as an encoder of voices: its spectrogram, the weights that it keeps, its form in integers."""

from dataclasses import replace

import librosa
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch.nn import functional
from training_fixtures import smart_turn_graph

from emotion_training.audio_training import AudioClassifier, train_audio_classifier
from emotion_training.bundle_writer import ParityError
from emotion_training.config import AudioEncoderConfig
from emotion_training.models.smart_turn_weights import LINEAR
from emotion_training.models.start_weights import WeightsError
from emotion_training.models.whisper import HEADS, WIDTH, WhisperAudioEncoder, WhisperTiny
from emotion_training.models.whisper_log_mel import WhisperLogMel
from emotion_training.quantised_voice import GraphAudioEncoder, quantise_voice, voice_as_shipped
from emotion_training.stage_cache import StageCache
from emotion_training.tiny_bundle import generated_clips, tiny_config
from emotion_training.voice_features import start_audio_encoder, voice_features

SAMPLES = 48000
CONFIG = tiny_config()
ENCODER = AudioEncoderConfig(
    16000, 3.0, "whisper_tiny", {"merged": [1], "hidden": 24, "embedding": 16, "dropout": 0.0}, "turn.onnx", None
)
TRAINING = replace(CONFIG.audio_training, epochs=2)


@pytest.fixture(scope="module")
def whisper():
    """Of one block, with weights that nobody taught it."""
    torch.manual_seed(0)
    return WhisperTiny(1)


@pytest.fixture(scope="module")
def whisper_weights(whisper, tmp_path_factory):
    """A file in the layout of smart-turn-v3.2-cpu.onnx with the weights of `whisper`."""
    path = tmp_path_factory.mktemp("weights") / "turn.onnx"
    onnx.save(smart_turn_graph(whisper), path)
    return path


@pytest.fixture(scope="module")
def trained(whisper_weights):
    clips = generated_clips(CONFIG, 0)
    torch.manual_seed(0)
    config = replace(CONFIG, audio_encoder=ENCODER, audio_training=TRAINING)
    features = voice_features(config, clips, (), whisper_weights.parent, StageCache(None))
    started = AudioClassifier(start_audio_encoder(ENCODER, whisper_weights.parent), head_dropout=0.0)
    return train_audio_classifier(TRAINING, clips[:28], features, clips[28:42], started, 0)


def noise_windows(count, samples):
    """Float32 (count, samples), every other of which begins in the middle of the window."""
    audio = 0.1 * torch.randn(count, samples, generator=torch.Generator().manual_seed(0))
    audio[1::2, : samples // 2] = 0.0
    return audio


def test_its_spectrogram_is_that_of_librosa_at_every_level():
    audio = 0.02 * torch.randn(1, SAMPLES, generator=torch.Generator().manual_seed(0))
    found = WhisperLogMel(16)(audio)[0].numpy()  # 300 frames and 4 of silence before
    standardised = (audio[0].numpy() - audio.mean().item()) / audio.std(correction=0).item()
    power = librosa.feature.melspectrogram(
        y=standardised, sr=16000, n_fft=400, hop_length=160, n_mels=80, pad_mode="constant"
    )
    logarithm = np.log10(np.maximum(power[:, :300], 1e-10))
    expected = (np.maximum(logarithm, logarithm.max() - 8.0) + 4.0) / 4.0
    assert found.shape == (80, 304)
    np.testing.assert_allclose(found[:, 4:], expected, atol=1e-3)
    quieter = WhisperLogMel(16)(0.1 * audio)[0].numpy()
    np.testing.assert_allclose(quieter, found, atol=1e-2)


def test_the_network_starts_from_the_file(whisper, whisper_weights):
    torch.manual_seed(1)
    encoder = WhisperAudioEncoder(16000, merged=[1], hidden=24, embedding=16, dropout=0.0)
    encoder.start_from(whisper_weights)
    for name, value in encoder.network.state_dict().items():
        step = whisper.state_dict()[name].abs().max() / 127.0
        torch.testing.assert_close(value, whisper.state_dict()[name], rtol=0.0, atol=step.item())
    log_mel = encoder.log_mel(noise_windows(2, SAMPLES))
    torch.testing.assert_close(encoder.network(log_mel), whisper(log_mel), rtol=0.0, atol=0.05)


def test_the_newest_state_has_the_last_position():
    torch.manual_seed(0)
    network = WhisperTiny(1)
    log_mel = torch.rand(1, 80, 64)
    (found,) = network(log_mel)
    assert found.shape == (1, 32, 384)
    first = log_mel
    for convolution, stride in ((network.conv1, 1), (network.conv2, 2)):
        first = functional.conv1d(first, convolution.weight, convolution.bias, stride=stride, padding=1)
        first = functional.gelu(first)
    states = first.transpose(1, 2) + network.positions[-32:]
    torch.testing.assert_close(network.blocks[0](states), found)


def test_tokens_are_made_of_the_states_after_every_block():
    torch.manual_seed(0)
    encoder = WhisperAudioEncoder(16000, merged=[1, 1], hidden=24, embedding=16, dropout=0.0).eval()
    audio = noise_windows(2, SAMPLES)
    features = encoder.features(audio)
    for of_block, states in zip(features.split(WIDTH, dim=2), encoder.network(encoder.log_mel(audio)), strict=True):
        torch.testing.assert_close(of_block, states.unflatten(1, (-1, 8)).mean(dim=2))
    assert encoder(audio).shape == (2, 19, 16)


def test_means_of_neighbours_go_on_and_read_every_state():
    torch.manual_seed(0)
    block, states = WhisperTiny(1).blocks[0], torch.randn(2, 8, WIDTH)
    found = block(states, merged=2)
    alone = torch.stack([states[:, :2].mean(dim=1), *states.unbind(dim=1)], dim=1)  # a mean before all that it reads
    assert found.shape == (2, 4, WIDTH)
    with torch.no_grad():
        read = block.attention_norm(alone)
        query, key, value = block.query(read[:, :1]), block.key(read[:, 1:]), block.value(read[:, 1:])
        attended = functional.scaled_dot_product_attention(
            *(part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (query, key, value))
        )
        going_on = alone[:, :1] + block.out(attended.transpose(1, 2).flatten(2))
        stepped = going_on + block.narrow(functional.gelu(block.widen(block.feed_forward_norm(going_on))))
    torch.testing.assert_close(found[:, :1], stepped)


def test_merged_states_make_as_many_tokens():
    torch.manual_seed(0)
    encoder = WhisperAudioEncoder(16000, merged=[2, 4], hidden=24, embedding=16, dropout=0.0).eval()
    audio = noise_windows(2, SAMPLES)
    first, second = encoder.features(audio).split(WIDTH, dim=2)
    states = encoder.network.first_states(encoder.log_mel(audio))
    halved = encoder.network.blocks[0](states, merged=2)
    torch.testing.assert_close(first, halved.unflatten(1, (-1, 4)).mean(dim=2))
    torch.testing.assert_close(second, encoder.network.blocks[1](halved, merged=4))
    assert encoder(audio).shape == (2, 19, 16)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "turn.onnx does not exist; expected pipecat/"),
        (b"no graph", "turn.onnx is no ONNX graph; expected pipecat/"),
        (helper.make_model(helper.make_graph([], "other", [], [])).SerializeToString(), "has no tensor 'inner.encoder"),
    ],
)
def test_a_file_that_is_something_else_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "turn.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        WhisperAudioEncoder(16000, merged=[1], hidden=24, embedding=16, dropout=0.0).start_from(tmp_path / "turn.onnx")


def test_more_blocks_than_the_file_has_are_named(whisper_weights):
    with pytest.raises(WeightsError, match=r"has no tensor 'inner.encoder.layers.1.self_attn_layer_norm.weight'"):
        WhisperAudioEncoder(16000, merged=[1, 1], hidden=24, embedding=16, dropout=0.0).start_from(whisper_weights)


def test_its_weights_are_kept_while_what_reads_its_states_learns(trained, whisper_weights):
    classifier, history = trained
    start = WhisperAudioEncoder(16000, merged=[1], hidden=24, embedding=16, dropout=0.0)
    start.start_from(whisper_weights)
    for name, value in start.network.state_dict().items():
        assert torch.equal(classifier.encoder.network.state_dict()[name], value)
    assert history[1]["loss"] < history[0]["loss"]


def test_an_encoder_that_cannot_start_from_weights_says_so(whisper_weights):
    with pytest.raises(WeightsError, match="log_mel_cnn cannot start from .*turn.onnx; set its start_from to null"):
        start_audio_encoder(replace(CONFIG.audio_encoder, start_from="turn.onnx"), whisper_weights.parent)


@pytest.mark.parametrize(
    "rate_hz, merged, message",
    [
        (8000, [1], "sample_rate_hz is 8000"),
        (16000, [], "merged is \\[\\]; expected 1 to 4 numbers above 0, whose product divides 8"),
        (16000, [1] * 5, "merged is"),
        (16000, [2, 8], "merged is"),
        (16000, [2, 0], "merged is"),
        (16000, [-2, -1], "merged is"),
    ],
)
def test_what_it_has_not_is_refused(rate_hz, merged, message):
    with pytest.raises(ValueError, match=message):
        WhisperAudioEncoder(rate_hz, merged, hidden=24, embedding=16, dropout=0.0)


def test_a_window_longer_than_its_positions_is_refused():
    encoder = WhisperAudioEncoder(16000, merged=[1], hidden=24, embedding=16, dropout=0.0)
    assert encoder.token_count(8 * 16000) == 50
    with pytest.raises(ValueError, match="the window has 128001 samples; expected at most 128000"):
        encoder.token_count(8 * 16000 + 1)


def test_in_integers_it_hears_the_same(trained, tmp_path):
    graph = quantise_voice(trained[0], SAMPLES, generated_clips(CONFIG, 0)[28:42])
    stored = onnx.load_from_string(graph).graph.initializer
    integers = (TensorProto.INT8, TensorProto.UINT8)
    matrices = [tensor for tensor in stored if tensor.data_type in integers and len(tensor.dims) == 2]
    assert len(matrices) == 2 + len(LINEAR) + 1 + 2  # convolutions; of the block, with the keys; what makes tokens
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "as_run.onnx")
    session = onnxruntime.InferenceSession(graph, options)
    operations = {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}
    assert "Gelu" in operations and "Erf" not in operations  # one operation
    with torch.inference_mode():
        exact = trained[0].encoder(noise_windows(4, SAMPLES)).numpy()
    found = session.run(["embeddings"], {"audio": noise_windows(4, SAMPLES).numpy()})[0]
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.99


def test_what_a_window_is_in_integers_does_not_depend_on_those_beside_it(trained):
    graph = quantise_voice(trained[0], SAMPLES, generated_clips(CONFIG, 0)[28:42])
    encoder = voice_as_shipped(trained[0], graph).encoder
    assert torch.equal(encoder(noise_windows(4, SAMPLES))[1:2], encoder(noise_windows(4, SAMPLES)[1:2]))


def test_integers_that_change_too_much_are_refused(trained, monkeypatch):
    def deaf(encoder, audio):
        return torch.zeros(len(audio), encoder.token_count(SAMPLES), encoder.embedding)

    monkeypatch.setattr(GraphAudioEncoder, "forward", deaf)
    with pytest.raises(ParityError, match=r"audio_encoder.onnx in 8-bit integers names the same emotion .* validation"):
        quantise_voice(trained[0], SAMPLES, generated_clips(CONFIG, 0)[28:42])
