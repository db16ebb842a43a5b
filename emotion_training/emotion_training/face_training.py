"""Trains the face encoder on soft labels."""

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from .config import FaceEncoderConfig, FaceTrainingConfig
from .face_augmentation import augment_faces
from .fer2013 import FaceSet
from .labels import LABELS
from .models.face_encoder import FaceEncoder


class FaceClassifier(nn.Module):
    """The encoder with the linear head it is trained by."""

    def __init__(self, config: FaceEncoderConfig):
        super().__init__()
        self.encoder = FaceEncoder(config.stem_channels, config.stages, config.embedding, config.dropout)
        self.head = nn.Linear(config.embedding, len(LABELS))

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, S, S) grey in [0, 1] -> logits (B, C)."""
        return self.head(self.encoder.embed_grey(grey))


def grey_batch(images: np.ndarray) -> Tensor:
    """uint8 (B, S, S) -> float32 (B, 1, S, S) in [0, 1]."""
    return torch.from_numpy(images).to(torch.float32).unsqueeze(1) / 255.0


def predict_faces(model: FaceClassifier, images: np.ndarray, batch: int = 256) -> np.ndarray:
    """uint8 (N, S, S) -> logits float32 (N, C)."""
    model.eval()
    with torch.inference_mode():
        parts = [model(grey_batch(images[i : i + batch])).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts)


def train_face_classifier(
    encoder_config: FaceEncoderConfig,
    config: FaceTrainingConfig,
    faces: FaceSet,
    validation: FaceSet,
    seed: int,
) -> tuple[FaceClassifier, list[dict[str, float]]]:
    """Averaged weights of the last step, and the validation accuracy of every epoch.

    Validation tells how it goes and nothing is chosen by it here: the schedule ends where the configuration
    says.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = FaceClassifier(encoder_config).to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(model)
    optimizer = torch.optim.SGD(
        _parameter_groups(model, config.weight_decay), lr=config.learning_rate, momentum=0.9, nesterov=True
    )
    steps_per_epoch = len(faces) // config.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.epochs * steps_per_epoch, pct_start=0.15
    )
    images, soft_labels = faces.images, torch.from_numpy(faces.soft_labels)
    history = []
    for epoch in range(config.epochs):
        model.train()
        order = torch.randperm(len(faces), generator=generator)
        total_loss = 0.0
        steps = tqdm(
            range(steps_per_epoch),
            desc=f"face epoch {epoch + 1}/{config.epochs}",
            unit="batch",
            mininterval=5,
        )
        for step in steps:
            chosen = order[step * config.batch : (step + 1) * config.batch]
            grey = augment_faces(grey_batch(images[chosen.numpy()]), config.augmentation, generator)
            grey = grey.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
                logits = model(grey)
            loss = functional.cross_entropy(logits.float(), soft_labels[chosen])
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the face loss is {loss.item()} in epoch {epoch + 1}; lower learning_rate")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            update_average(averaged, model, config.ema_decay, epoch * steps_per_epoch + step)
            total_loss += loss.item()
        accuracy = (predict_faces(averaged, validation.images).argmax(1) == validation.majority_labels).mean()
        history.append({"loss": total_loss / steps_per_epoch, "validation_accuracy": float(accuracy)})
        tqdm.write(f"face epoch {epoch + 1}: loss {history[-1]['loss']:.4f}, validation accuracy {accuracy:.4f}")
    return averaged.eval(), history


def update_average(averaged: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Moves the averaged weights (and the statistics of batch normalisation) towards the model's; faster at
    first.
    """
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1.0 - decay)
            else:
                mean.copy_(value)


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Decay for weights only: biases and normalisation scales, the vectors, go without."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
