"""Windows of voices through what never learns of an audio encoder: made once, for all networks that learn from them."""

import copy
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .config import AudioEncoderConfig, BundleConfig, configuration_hash
from .configuration import ConfigurationError
from .distillation import STEPS_AT_ONCE
from .machine import make_reproducible, training_device
from .models.registry import audio_encoders
from .models.spectrogram_encoder import SpectrogramEncoder
from .models.start_weights import start
from .models.whisper import WhisperAudioEncoder
from .robot_voice_augmentation import background_hashes
from .speech_clips import SpeechClip, SpeechSplits, fingerprint_clips
from .splits import PARTS
from .stage_cache import StageCache
from .voice_distillation import distil_voice
from .voice_windows import WINDOWS_AT_ONCE, AugmentedWindows, plain_windows, window_samples


class VoiceFeatures:
    """Of several windows of each clip, the plain one first.

    encoder: whose `features` makes them, as the training of the rest of it begins. stages: history and seconds of what
    it learnt before, by name. views: float16 (V, N, ...). key: hash of all that they depend on.
    """

    def __init__(
        self,
        clips: Sequence[SpeechClip],
        encoder: SpectrogramEncoder,
        stages: dict[str, dict],
        views: Tensor,
        key: str,
    ):
        self.encoder, self.stages, self.views, self.key = encoder, stages, views, key
        self._places = {(clip.corpus, clip.clip_id): place for place, clip in enumerate(clips)}

    def places(self, clips: Sequence[SpeechClip]) -> Tensor:
        """Where along the second axis each clip is, int64 (M,)."""
        return torch.tensor([self._places[clip.corpus, clip.clip_id] for clip in clips], dtype=torch.long)


def start_audio_encoder(config: AudioEncoderConfig, weights: Path) -> SpectrogramEncoder:
    """As its training begins. weights: folder of the file that it starts from, if it does.

    Raises:
        WeightsError: the file is missing or does not fit, or the encoder cannot start from any.
    """
    encoder = audio_encoders.build(config.name, config.options, sample_rate_hz=config.sample_rate_hz)
    start(encoder, config.name, None if config.start_from is None else weights / config.start_from, "audio_encoder")
    return encoder


def voice_features(
    config: BundleConfig, clips: Sequence[SpeechClip], folds: Sequence[SpeechSplits], weights: Path, cache: StageCache
) -> VoiceFeatures:
    """Features of all clips, for the networks of all folds; what makes them is distilled before, if it is to be.

    The babble in a window is of voices that are beside this one in every fold: a network that learns from the window
    hears nobody in it whom it is to judge.

    weights: folder of the file that the encoder starts from.

    Raises:
        ConfigurationError: the encoder merges no states that could be distilled.
        WeightsError: that is missing or does not fit.
    """
    make_reproducible(config.seed, config.threads)
    encoder = start_audio_encoder(config.audio_encoder, weights).eval()
    stages = {}
    if config.audio_encoder.distillation is not None:
        stages[f"merged states, {STEPS_AT_ONCE} steps"] = _distil(config, encoder, clips, cache)
    never_learns = _fingerprint(encoder, window_samples(config.audio_encoder))
    groups = together_in_every_fold(clips, folds)
    keys, parts = [], []
    for group in groups:
        training = config.audio_training
        keys.append(
            configuration_hash(
                never_learns,
                config.audio_encoder.sample_rate_hz,
                training.views,
                training.augmentation,
                training.robot_augmentation,
                background_hashes(training.robot_augmentation.background),
                config.seed,
                config.threads,
                fingerprint_clips(group),
            )
        )
        stage = cache.get("voice-features", keys[-1], partial(_features_of, config, encoder, group))
        parts.append(stage["views"])
    ordered = [clip for group in groups for clip in group]
    return VoiceFeatures(ordered, encoder, stages, torch.cat(parts, dim=1), configuration_hash(keys))


def _distil(config: BundleConfig, encoder: SpectrogramEncoder, clips: Sequence[SpeechClip], cache: StageCache) -> dict:
    """Fills the encoder with what it learns from those of the clips of whom nobody is judged; returns its stage."""
    if not isinstance(encoder, WhisperAudioEncoder):
        raise ConfigurationError(
            f"audio_encoder.distillation is for merged states, which {config.audio_encoder.name} does not have; "
            "set it to null"
        )
    unjudged = tuple(clip for clip in clips if clip.corpus in config.audio_training.shares)
    key = configuration_hash(
        _fingerprint(encoder, window_samples(config.audio_encoder)),
        config.audio_encoder.sample_rate_hz,
        config.audio_encoder.distillation,
        config.audio_training.augmentation,
        config.audio_training.robot_augmentation,
        config.seed,
        config.threads,
        fingerprint_clips(unjudged),
    )
    train = partial(distil_voice, config.audio_encoder, config.audio_training, unjudged, encoder, config.seed)
    return cache.trained(encoder, "merged-states", key, train)


def _fingerprint(encoder: SpectrogramEncoder, samples: int) -> str:
    """Of what the encoder makes of some noise: of all that features of N samples depend on, and of nothing that learns
    from them.
    """
    noise = torch.rand(1, samples, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.inference_mode():
        return hashlib.sha256(encoder.features(noise).numpy().tobytes()).hexdigest()


def together_in_every_fold(clips: Sequence[SpeechClip], folds: Sequence[SpeechSplits]) -> list[tuple[SpeechClip, ...]]:
    """The clips by the part that they have in each fold."""
    part_of = [{clip.speaker_id: part for part in PARTS for clip in getattr(fold, part)} for fold in folds]
    groups: dict[tuple[str, ...], list[SpeechClip]] = {}
    for clip in clips:
        groups.setdefault(tuple(parts[clip.speaker_id] for parts in part_of), []).append(clip)
    return [tuple(group) for group in groups.values()]


def _features_of(config: BundleConfig, encoder: SpectrogramEncoder, clips: Sequence[SpeechClip]) -> dict[str, Tensor]:
    """Of the clips of one group, by the name under which the cache keeps them."""
    device = training_device()
    encoder = copy.deepcopy(encoder).to(device).eval()  # the caller's stays where it is
    generator = torch.Generator(device).manual_seed(config.seed)
    with device, torch.inference_mode():
        augmented = AugmentedWindows(clips, config.audio_encoder, config.audio_training, generator)
        views = []
        for view in tqdm(range(config.audio_training.views), desc="voices", unit="view"):
            # In a new order each time: the babble of a window is made of those beside it.
            order = torch.randperm(len(clips), generator=generator)
            made = []
            for chosen in order.split(WINDOWS_AT_ONCE):
                of_chosen = augmented(chosen) if view else plain_windows([clips[i] for i in chosen], augmented.samples)
                made.append(encoder.features(of_chosen.to(device)).half())
            views.append(torch.cat(made)[order.argsort()].cpu())
    return {"views": torch.stack(views)}
