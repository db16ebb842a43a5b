"""Trains the audio encoder on random windows of labelled clips."""

import copy
import math
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from .config import AudioEncoderConfig, AudioTrainingConfig
from .face_training import update_average
from .labels import LABELS
from .machine import training_device
from .metrics import unweighted_average_recall
from .models.registry import audio_encoders
from .models.start_weights import start
from .models.unimodal_heads import AttentivePooling
from .robot_voice_augmentation import RobotVoiceAugmenter
from .robustness import with_noise
from .speech_clips import SpeechClip
from .voice_augmentation import (
    VoiceBank,
    augment_windows,
    mask_spectrogram,
    plain_window,
)


class AudioClassifier(nn.Module):
    """The encoder with the pooling and linear head it is trained by."""

    def __init__(self, config: AudioEncoderConfig, head_dropout: float):
        super().__init__()
        self.encoder = audio_encoders.build(config.name, config.options, sample_rate_hz=config.sample_rate_hz)
        self.pool = AttentivePooling(self.encoder.embedding)
        self.dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(self.encoder.embedding, len(LABELS))

    def classify(self, log_mel: Tensor) -> Tensor:
        """(B, mels, T) normalised log-mel -> logits (B, C)."""
        return self._judge(self.encoder.encode(log_mel))

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) in [-1, 1] -> logits (B, C)."""
        return self._judge(self.encoder(audio))

    def _judge(self, tokens: Tensor) -> Tensor:
        return self.head(self.dropout(self.pool(tokens)))


def start_audio_classifier(
    encoder_config: AudioEncoderConfig, config: AudioTrainingConfig, weights: Path | None
) -> AudioClassifier:
    """A classifier as its training begins: its encoder from `weights` where there are any.

    Raises:
        WeightsError: the weights are missing or do not fit, or the encoder cannot start from any.
    """
    model = AudioClassifier(encoder_config, config.head_dropout)
    start(model.encoder, encoder_config.name, weights)
    return model


def window_samples(config: AudioEncoderConfig) -> int:
    return round(config.window_s * config.sample_rate_hz)


def plain_windows(clips: Sequence[SpeechClip], samples: int) -> Tensor:
    """One window a clip, float32 (B, N)."""
    return torch.from_numpy(np.stack([plain_window(clip, samples) for clip in clips]))


def noisy_windows(clips: Sequence[SpeechClip], samples: int, snr_db: float) -> Tensor:
    """The plain window of each clip with noise of its own, float32 (B, N)."""
    return torch.from_numpy(
        np.stack([with_noise(plain_window(clip, samples), snr_db, zlib.crc32(clip.clip_id.encode())) for clip in clips])
    )


class AugmentedWindows:
    """Random windows of clips as a robot would hear them: first the room and the line, then the microphone.

    The generator goes on from call to call, and decides everything; windows are made on its device.
    """

    def __init__(
        self,
        clips: Sequence[SpeechClip],
        encoder_config: AudioEncoderConfig,
        config: AudioTrainingConfig,
        generator: torch.Generator,
    ):
        self.bank = VoiceBank(clips, generator.device)
        self.generator = generator
        self.samples = window_samples(encoder_config)
        self.options = config.augmentation
        self.robot = RobotVoiceAugmenter(config.robot_augmentation, encoder_config.sample_rate_hz)

    def __call__(self, chosen: Tensor) -> Tensor:
        """One window of each clip, by its position (B,): float32 (B, N)."""
        windows = self.bank.random_windows(chosen, self.samples, self.options, self.generator)
        return augment_windows(self.robot(windows, self.generator), self.options, self.generator)


def sampling_weights(clips: Sequence[SpeechClip], balance: float) -> Tensor:
    """How often each clip comes, in proportion, float64 (N,): less where its class is frequent in its corpus."""
    groups = [(clip.corpus, clip.label) for clip in clips]
    counts = Counter(groups)
    return torch.tensor([counts[group] ** -balance for group in groups], dtype=torch.float64)


def predict_voices(model: AudioClassifier, clips: Sequence[SpeechClip], samples: int, batch: int = 32) -> np.ndarray:
    """Logits of the plain window of each clip, float32 (N, C)."""
    model.eval()
    device = model.head.weight.device
    with torch.inference_mode():
        parts = [
            model(plain_windows(clips[i : i + batch], samples).to(device)).cpu().numpy()
            for i in range(0, len(clips), batch)
        ]
    return np.concatenate(parts)


def train_audio_classifier(
    encoder_config: AudioEncoderConfig,
    config: AudioTrainingConfig,
    clips: Sequence[SpeechClip],
    validation: Sequence[SpeechClip],
    started: AudioClassifier,
    seed: int,
) -> tuple[AudioClassifier, list[dict[str, float]]]:
    """Averaged weights of the last step, and the figures of every epoch; nothing is chosen by them here.

    validation: new people who tell how it goes; may be none. started: see `start_audio_classifier`; it stays as it is.
    Trains on CUDA's first graphics processor where there is one.

    Raises:
        FloatingPointError: the loss is no number.
    """
    device = training_device()
    with device:  # where all tensors are made from here on
        torch.manual_seed(seed)
        augmented = AugmentedWindows(clips, encoder_config, config, torch.Generator(device).manual_seed(seed))
        model = copy.deepcopy(started).to(device, memory_format=torch.channels_last)
        averaged = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        steps_per_epoch = len(clips) // config.batch
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=config.epochs * steps_per_epoch, pct_start=0.15
        )
        labels = torch.tensor([clip.label for clip in clips])
        sampling = sampling_weights(clips, config.balance).to(device)
        validation_labels = np.array([clip.label for clip in validation])
        rng = np.random.default_rng(seed)
        history = []
        progress = tqdm(range(config.epochs), desc="audio", unit="epoch", mininterval=5)
        for epoch in progress:
            model.train()
            order = torch.multinomial(sampling, len(clips), replacement=True, generator=augmented.generator)
            losses = []
            for step, chosen in enumerate(order[: steps_per_epoch * config.batch].split(config.batch)):
                log_mel = model.encoder.normalised_log_mel(augmented(chosen))
                log_mel = mask_spectrogram(log_mel, config.augmentation, augmented.generator)
                targets = functional.one_hot(labels[chosen], len(LABELS)).to(torch.float32)
                log_mel, targets = _mix_up(log_mel, targets, config.mixup_alpha, rng)
                with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
                    logits = model.classify(log_mel)
                loss = functional.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                update_average(averaged, model, config.ema_decay, epoch * steps_per_epoch + step)
                losses.append(loss.detach())
            mean_loss = torch.stack(losses).mean().item()  # once an epoch: a graphics processor would wait in each step
            if not math.isfinite(mean_loss):
                raise FloatingPointError(f"the audio loss is {mean_loss} in epoch {epoch + 1}; lower learning_rate")
            history.append({"loss": mean_loss})
            if validation:
                predicted = predict_voices(averaged, validation, augmented.samples).argmax(axis=1)
                history[-1]["validation_uar"] = unweighted_average_recall(validation_labels, predicted)
            progress.set_postfix({name: f"{value:.3f}" for name, value in history[-1].items()})
    return averaged.cpu().eval(), history


def _mix_up(log_mel: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Each window and its target blended with the next one's; the larger part stays its own."""
    if alpha == 0.0:
        return log_mel, targets
    share = rng.beta(alpha, alpha)
    share = max(share, 1.0 - share)
    return share * log_mel + (1.0 - share) * log_mel.roll(1, 0), share * targets + (1.0 - share) * targets.roll(1, 0)
