"""Trains the audio encoder on what it hears in random windows of labelled clips."""

import copy
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from .config import AudioTrainingConfig
from .labels import LABELS
from .machine import half_precision, training_device
from .metrics import unweighted_average_recall
from .models.spectrogram_encoder import SpectrogramEncoder
from .models.unimodal_heads import AttentivePooling
from .optimisation import one_cycle, update_average
from .speech_clips import SpeechClip
from .voice_features import VoiceFeatures
from .voice_windows import WINDOWS_AT_ONCE, plain_windows


class AudioClassifier(nn.Module):
    """The encoder with the pooling and linear head it is trained by."""

    def __init__(self, encoder: SpectrogramEncoder, head_dropout: float):
        super().__init__()
        self.encoder = encoder
        self.pool = AttentivePooling(self.encoder.embedding)
        self.dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(self.encoder.embedding, len(LABELS))

    def classify(self, features: Tensor) -> Tensor:
        """What `features` of the encoder made -> logits (B, C)."""
        return self._judge(self.encoder.encode(features))

    def forward(self, audio: Tensor) -> Tensor:
        """(B, N) in [-1, 1] -> logits (B, C)."""
        return self._judge(self.encoder(audio))

    def _judge(self, tokens: Tensor) -> Tensor:
        return self.head(self.dropout(self.pool(tokens)))


def sampling_weights(clips: Sequence[SpeechClip], balance: float, shares: Mapping[str, float]) -> Tensor:
    """How often each clip comes, float64 (N,) that sum to 1: less where its class is frequent in its corpus.

    shares: of corpora, what their clips sum to; those of all others sum to the rest.
    """
    groups = [(clip.corpus, clip.label) for clip in clips]
    counts = Counter(groups)
    weights = torch.tensor([counts[group] ** -balance for group in groups], dtype=torch.float64)
    sharing = np.array([clip.corpus if clip.corpus in shares else "" for clip in clips])
    for corpus, share in {"": 1.0 - sum(shares.values()), **shares}.items():
        of_corpus = torch.from_numpy(sharing == corpus)
        weights[of_corpus] *= share / weights[of_corpus].sum()
    return weights


def predict_voices(model: AudioClassifier, clips: Sequence[SpeechClip], samples: int) -> np.ndarray:
    """Logits of the plain window of each clip, float32 (N, C)."""
    model.eval()
    with torch.inference_mode():
        parts = [
            model(plain_windows(clips[first : first + WINDOWS_AT_ONCE], samples))
            for first in range(0, len(clips), WINDOWS_AT_ONCE)
        ]
    return torch.cat(parts).numpy()


def train_audio_classifier(
    config: AudioTrainingConfig,
    clips: Sequence[SpeechClip],
    features: VoiceFeatures,
    validation: Sequence[SpeechClip],
    started: AudioClassifier,
    seed: int,
) -> tuple[AudioClassifier, list[dict[str, float]]]:
    """Averaged weights of the last step, and the figures of every epoch; nothing is chosen by them here.

    features: of all these clips, and maybe of others. validation: new people who tell how it goes; may be none.
    started: stays as it is. Trains on CUDA's first graphics processor where there is one.

    Raises:
        FloatingPointError: the loss is no number.
    """
    device = training_device()
    with device:  # where all tensors are made from here on
        torch.manual_seed(seed)
        generator = torch.Generator(device).manual_seed(seed)
        views, places = features.views.to(device), features.places(clips)
        model = copy.deepcopy(started).to(device, memory_format=torch.channels_last)
        averaged = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        steps_per_epoch = len(clips) // config.batch
        schedule = one_cycle(optimizer, config.epochs * steps_per_epoch)
        labels = torch.tensor([clip.label for clip in clips])
        sampling = sampling_weights(clips, config.balance, config.shares).to(device)
        plain_of_validation = views[0, features.places(validation)].float()
        validation_labels = np.array([clip.label for clip in validation])
        history = []
        progress = tqdm(range(config.epochs), desc="audio", unit="epoch", mininterval=5)
        for epoch in progress:
            model.train()
            order = torch.multinomial(sampling, len(clips), replacement=True, generator=generator)
            losses = []
            for step, chosen in enumerate(order[: steps_per_epoch * config.batch].split(config.batch)):
                heard = views[torch.randint(len(views), (config.batch,), generator=generator), places[chosen]]
                with half_precision(device, config.bfloat16):
                    logits = model.classify(heard.float())
                loss = functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=config.label_smoothing)
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
                averaged.eval()
                with torch.inference_mode():
                    predicted = averaged.classify(plain_of_validation).argmax(dim=1).cpu().numpy()
                history[-1]["validation_uar"] = unweighted_average_recall(validation_labels, predicted)
            progress.set_postfix({name: f"{value:.3f}" for name, value in history[-1].items()})
    return averaged.cpu().eval(), history
