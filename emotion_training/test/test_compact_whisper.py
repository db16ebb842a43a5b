"""The small network in the form of Whisper's encoder: its states, the time that they cover, its form in integers."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from torch.nn import functional
from training_fixtures import compact_voice_config, noise_windows

from emotion_training.audio_training import start_audio_classifier, train_audio_classifier
from emotion_training.models.compact_whisper import CompactWhisper, CompactWhisperEncoder
from emotion_training.models.registry import ModelError, audio_encoders
from emotion_training.models.smart_turn_weights import LINEAR
from emotion_training.models.whisper import WIDTH, WhisperAudioEncoder
from emotion_training.quantised_voice import quantise_voice
from emotion_training.tiny_bundle import generated_clips, tiny_config

SAMPLES = 48000
SIZES = {"channels": 16, "feed_forward": 32}


def make_encoder(sample_rate_hz=16000, blocks=1):
    torch.manual_seed(0)
    return CompactWhisperEncoder(sample_rate_hz, **SIZES, blocks=blocks, embedding=16, dropout=0.0).eval()


def test_three_seconds_are_19_tokens_of_the_states_after_every_block():
    encoder = make_encoder(blocks=2)
    log_mel = encoder.normalised_log_mel(noise_windows(2, SAMPLES))
    after = encoder.network(log_mel)
    assert [states.shape for states in after] == [(2, 76, WIDTH)] * 2  # half as many as Whisper's
    pooled = encoder.pooled_states(log_mel)
    assert pooled.shape == (2, 19, 2 * WIDTH)
    for part, states in zip(pooled.split(WIDTH, dim=2), after, strict=True):
        torch.testing.assert_close(part, states.unflatten(1, (19, 4)).mean(dim=2))
    assert encoder(noise_windows(2, SAMPLES)).shape == (2, 19, 16) and encoder.token_count(SAMPLES) == 19


def test_the_newest_state_has_the_last_position():
    torch.manual_seed(0)
    network = CompactWhisper(**SIZES, blocks=1)
    log_mel = torch.rand(1, 80, 64)
    (found,) = network(log_mel)
    heard = functional.gelu(functional.conv1d(log_mel, network.conv1.weight, network.conv1.bias, padding=1))
    heard = functional.gelu(functional.conv1d(heard, network.conv2.weight, network.conv2.bias, stride=2, padding=1))
    states = functional.avg_pool1d(heard, 2).transpose(1, 2) + network.positions[-16:]
    torch.testing.assert_close(network.blocks[0](states), found)


def test_a_window_is_heard_alike_whatever_is_beside_it():
    encoder = make_encoder()
    windows = noise_windows(4, SAMPLES)
    together = encoder(windows)
    for number, window in enumerate(windows):
        torch.testing.assert_close(encoder(window[None])[0], together[number], rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("make", [make_encoder, lambda: WhisperAudioEncoder(16000, 1, 16, 0.0)])
def test_a_token_covers_the_same_time_as_one_of_whisper(make):
    torch.manual_seed(0)
    encoder = make()
    with torch.no_grad():  # a block that changes nothing, so that no token hears of the others
        for layer in (encoder.network.blocks[0].out, encoder.network.blocks[0].narrow):
            layer.weight.zero_()
            layer.bias.zero_()
    silence = encoder.pooled_states(torch.zeros(1, 80, 304))
    for token in (0, 1, 9, 18):
        clap = torch.zeros(1, 80, 304)
        clap[:, :, 16 * token + 4 : 16 * token + 12] = 1.0
        apart = (encoder.pooled_states(clap) - silence).abs().amax(dim=(0, 2))
        assert torch.nonzero(apart > 1e-5).flatten().tolist() == [token]


def test_another_rate_and_a_longer_window_than_whisper_hears_are_refused():
    with pytest.raises(ValueError, match="sample_rate_hz is 8000; expected 16000"):
        make_encoder(sample_rate_hz=8000)
    encoder = make_encoder()
    assert encoder.token_count(8 * 16000) == 50
    assert encoder(torch.zeros(1, 8 * 16000)).shape == (1, 50, 16)
    with pytest.raises(ValueError, match="the window has 128001 samples; expected at most 128000"):
        encoder.token_count(8 * 16000 + 1)


@pytest.mark.parametrize(
    "size, message",
    [
        ({"channels": WIDTH + 1}, "channels is 385; expected 1 to 384, as many as Whisper-tiny has"),
        ({"feed_forward": 4 * WIDTH + 1}, "feed_forward is 1537; expected 1 to 1536"),
        ({"blocks": 5}, "blocks is 5; expected 1 to 4"),
        ({"blocks": 0}, "blocks is 0; expected 1 to 4"),
    ],
)
def test_more_than_whisper_has_is_refused(size, message):
    options = SIZES | {"blocks": 1, "embedding": 16, "dropout": 0.0} | size
    with pytest.raises(ModelError, match=message):
        audio_encoders.build("compact_whisper", options, sample_rate_hz=16000)


def test_in_integers_it_hears_the_same():
    config, clips = compact_voice_config(), generated_clips(tiny_config(), 0)
    torch.manual_seed(0)
    started = start_audio_classifier(config.audio_encoder, config.audio_training, None)
    trained, _ = train_audio_classifier(
        config.audio_encoder, config.audio_training, clips[:28], clips[28:42], started, 0
    )
    graph = quantise_voice(trained, 16000, clips[28:42])
    stored = onnx.load_from_string(graph).graph.initializer
    integers = (TensorProto.INT8, TensorProto.UINT8)
    matrices = [tensor for tensor in stored if tensor.data_type in integers and len(tensor.dims) == 2]
    assert len(matrices) == 2 + len(LINEAR) + 1 + 1  # convolutions; of the block, with the keys; the projection
    spectrogram = {tensor.name: tensor.data_type for tensor in stored if "log_mel." in tensor.name}
    assert len(spectrogram) == 3 and set(spectrogram.values()) == {TensorProto.FLOAT}
    windows = noise_windows(4, 16000)
    found = onnxruntime.InferenceSession(graph).run(["embeddings"], {"audio": windows.numpy()})[0]
    with torch.inference_mode():
        exact = trained.encoder(windows).numpy()
    assert found.shape == (4, 7, 16)
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.99
