"""Teaches a face encoder that looks at fewer places to see what it sees at more."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from .config import FaceDistillationConfig, FaceTrainingConfig
from .configuration import ConfigurationError
from .distillation import distil
from .face_training import FaceClassifier, augmented_batch
from .machine import training_device
from .models.mobilenet import MobileNetFaceEncoder


def reduced(options: FaceDistillationConfig, whole: FaceClassifier) -> FaceClassifier:
    """The classifier with the same weights at fewer places, which says something else.

    Raises:
        ConfigurationError: its encoder has no such blocks, or they end at other places.
    """
    if not isinstance(whole.encoder, MobileNetFaceEncoder):
        raise ConfigurationError(
            "face_encoder.distillation is for mobilenet, and a member of another name ships; set it to null"
        )
    classifier = copy.deepcopy(whole)
    try:
        classifier.encoder.look_at_fewer(options.input_px, options.halving_blocks, options.learning_blocks)
    except ValueError as error:
        raise ConfigurationError(f"face_encoder.distillation: {error}") from None
    return classifier


def distil_face(
    options: FaceDistillationConfig,
    training: FaceTrainingConfig,
    images: np.ndarray,
    whole: FaceClassifier,
    seed: int,
) -> tuple[FaceClassifier, list[dict[str, float]]]:
    """The reduced classifier whose first blocks have learnt from augmented faces, and the loss of every 50 steps.

    images: uint8 (N, S, S). The loss is what is missed of the variance of the features that the whole network has after
    these blocks. The blocks behind them, and the heads, stay as they are. whole: so does this. Trains on CUDA's first
    graphics processor where there is one.

    Raises:
        ConfigurationError: as `reduced`.
        FloatingPointError: the loss is no number.
    """
    device = training_device()
    teacher = copy.deepcopy(whole).to(device, memory_format=torch.channels_last).eval()
    classifier = reduced(options, teacher).eval()
    expected_of, features_of = (
        nn.Sequential(*model.encoder.first_layers(options.learning_blocks)) for model in (teacher, classifier)
    )
    features_of.requires_grad_(True)  # those that never learn from labels, too
    with device:  # where all tensors are made from here on
        generator = torch.Generator(device).manual_seed(seed)

        def missed() -> Tensor:
            chosen = torch.randint(len(images), (options.batch,), generator=generator)
            grey = augmented_batch(images[chosen.cpu().numpy()], training, generator)
            with torch.no_grad():
                expected = expected_of(teacher.encoder.enlarged(grey))  # (B, C, H, W)
            error = features_of(classifier.encoder.enlarged(grey)) - expected
            return error.square().mean() / expected.var(dim=(0, 2, 3)).mean()

        history = distil(features_of.parameters(), missed, options, "a face at fewer places")
    return classifier.cpu(), history
