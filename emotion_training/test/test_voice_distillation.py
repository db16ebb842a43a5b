"""An encoder that merges states learns to say what it says with all."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from emotion_training.config import DistillationConfig
from emotion_training.configuration import ConfigurationError
from emotion_training.models.whisper import WhisperAudioEncoder
from emotion_training.stage_cache import StageCache
from emotion_training.tiny_bundle import generated_clips, tiny_config
from emotion_training.voice_distillation import distil_voice
from emotion_training.voice_features import voice_features
from emotion_training.voice_windows import plain_windows, window_samples

CONFIG = tiny_config()
OPTIONS = {"merged": [4, 2], "hidden": 24, "embedding": 16, "dropout": 0.0}
ENCODER = replace(
    CONFIG.audio_encoder,
    window_s=1.0,
    name="whisper_tiny",
    options=OPTIONS,
    distillation=DistillationConfig(steps=30, batch=4, learning_rate=1e-4),
)
TRAINING = replace(CONFIG.audio_training, shares={"tones": 0.5}, views=1)


@pytest.fixture(scope="module")
def clips():
    return generated_clips(CONFIG, 0)


@pytest.fixture(scope="module")
def started():
    """With weights that make states differ, as those do that were taught."""
    torch.manual_seed(0)
    encoder = WhisperAudioEncoder(16000, **OPTIONS).eval()
    for parameter in encoder.network.blocks.parameters():
        if parameter.ndim > 1:
            parameter.data *= 4.0
    return encoder


def missed(encoder, started, clips):
    """Of the variance of what the started network makes of all states of plain windows."""
    whole = WhisperAudioEncoder(16000, **OPTIONS | {"merged": [1, 1]}).eval()
    whole.load_state_dict(started.state_dict())
    audio = plain_windows(clips[:8], window_samples(ENCODER))
    with torch.inference_mode():
        expected = whole.features(audio)
        return ((encoder.features(audio) - expected).square() / expected.var(dim=(0, 1))).mean().item()


def test_it_says_more_of_what_it_says_with_all_states(clips, started):
    before = {name: value.clone() for name, value in started.state_dict().items()}
    found, history = distil_voice(ENCODER, TRAINING, clips, started, seed=0)
    assert missed(found, started, clips) < 0.9 * missed(started, started, clips)
    assert len(history) == 1 and 0.0 < history[0]["loss"] < 10.0
    torch.testing.assert_close(dict(started.state_dict()), before, rtol=0.0, atol=0.0)
    changed = {name for name, value in found.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("network.blocks.") for name in changed)
    assert not any(parameter.requires_grad for parameter in found.network.parameters())


def test_the_same_seed_teaches_the_same(clips, started):
    first, second = (distil_voice(ENCODER, TRAINING, clips, started, seed=0)[0] for _ in range(2))
    torch.testing.assert_close(dict(first.state_dict()), dict(second.state_dict()), rtol=0.0, atol=0.0)


def test_a_loss_that_is_no_number_is_refused(clips, started):
    wild = replace(ENCODER, distillation=replace(ENCODER.distillation, learning_rate=1e30))
    with pytest.raises(FloatingPointError, match="the loss of merged states is .* lower learning_rate"):
        distil_voice(wild, TRAINING, clips, started, seed=0)


def test_features_are_those_of_the_taught_network_which_nobody_taught_who_is_judged(clips, monkeypatch, tmp_path):
    heard, own = [], distil_voice

    def observed(config, training, learnt_from, *rest):
        heard.append({clip.corpus for clip in learnt_from})
        return own(config, training, learnt_from, *rest)

    monkeypatch.setattr("emotion_training.voice_features.distil_voice", observed)
    others = tuple(replace(clip, corpus="others") for clip in clips[:7])
    config = replace(CONFIG, audio_encoder=ENCODER, audio_training=TRAINING)
    everyone = (*clips, *others)
    features, again = (voice_features(config, everyone, (), Path(), StageCache(tmp_path)) for _ in range(2))
    assert heard == [{"tones"}]  # and kept
    assert torch.equal(features.views, again.views)
    plain = features.encoder.features(plain_windows(clips, window_samples(ENCODER)))
    torch.testing.assert_close(features.views[0, features.places(clips)].float(), plain, atol=0.01, rtol=0.01)
    (stage,) = features.stages.values()
    assert stage["seconds"] > 0.0 and stage["history"][0]["loss"] > 0.0
    untaught = replace(config, audio_encoder=replace(ENCODER, distillation=None))
    assert voice_features(untaught, everyone, (), Path(), StageCache(None)).key != features.key


def test_an_encoder_that_merges_no_states_is_refused(clips):
    encoder = replace(CONFIG.audio_encoder, distillation=ENCODER.distillation)
    config = replace(CONFIG, audio_encoder=encoder, audio_training=TRAINING)
    with pytest.raises(ConfigurationError, match="distillation is for merged states, which log_mel_cnn does not have"):
        voice_features(config, clips, (), Path(), StageCache(None))
