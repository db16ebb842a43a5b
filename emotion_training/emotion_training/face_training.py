"""Trains the face encoder on two opinions of the same faces: the votes of FER+, and the labels of FER2013."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from .config import FaceMemberConfig, FaceTrainingConfig
from .face_augmentation import augment_faces
from .face_set import FaceSet
from .labels import LABELS
from .machine import half_precision, training_device
from .models.face_ensemble import FaceEnsemble
from .models.registry import face_encoders
from .models.start_weights import WeightsError
from .optimisation import one_cycle, parameter_groups, update_average
from .robot_face_augmentation import augment_robot_faces

STATISTICS_FACES = 1024  # for the normalisations of an encoder that starts from weights
FACES_AT_ONCE = 256  # where nothing learns
BATCHES_AT_ONCE = 8  # are changed together, which keeps a graphics processor busy


class FaceClassifier(nn.Module):
    """An encoder with the linear heads it is trained by.

    head: what the annotators of FER+ see, the one that the fusion goes on with. fer2013_head: the label of FER2013,
    which agrees with their majority on 63 % of the faces; it is learnt beside it because what the two share is in the
    face.
    """

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(self.encoder.embedding, len(LABELS))
        self.fer2013_head = nn.Linear(self.encoder.embedding, len(LABELS))

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, S, S) grey in [0, 1] -> logits (B, C) of FER+, of FER2013."""
        embedding = self.encoder.embed_grey(grey)
        return self.head(embedding), self.fer2013_head(embedding)


def make_member(config: FaceMemberConfig) -> FaceClassifier:
    """A member with fresh weights."""
    return FaceClassifier(face_encoders.build(config.name, config.options))


def start_member(
    member: FaceMemberConfig,
    config: FaceTrainingConfig,
    faces: FaceSet,
    weights: Path,
    generator: torch.Generator,
) -> FaceClassifier:
    """A member as its training begins. weights: folder of the file that it starts from, if it does.

    Raises:
        WeightsError: the file is missing or does not fit, or the member cannot start from any.
    """
    model = make_member(member)
    if member.start_from is not None:
        file = weights / member.start_from
        if not hasattr(model.encoder, "start_on"):
            raise WeightsError(f"{member.name} cannot start from {file}; set its start_from to null")
        model.encoder.start_on(augmented_batch(faces.images[:STATISTICS_FACES], config, generator), file)
    return model


def joined(members: Sequence[FaceClassifier]) -> FaceClassifier:
    """One classifier whose logits are the mean of the members' logits, so that its opinion is the mean of theirs."""
    classifier = FaceClassifier(FaceEnsemble([member.encoder for member in members]))
    with torch.no_grad():
        for name in ("head", "fer2013_head"):
            heads, head = [getattr(member, name) for member in members], getattr(classifier, name)
            head.weight.copy_(torch.cat([one.weight for one in heads], dim=1) / len(heads))
            head.bias.copy_(torch.stack([one.bias for one in heads]).mean(dim=0))
    return classifier.eval()


class LabelledFaceEncoder(nn.Module):
    """What face_encoder.onnx holds: the embedding, and what it says in the labels of FER2013.

    The robot does not use the labels; with them the figure on FER2013 can be measured on the shipped file.
    """

    outputs = ("embedding", "fer2013_logits")

    def __init__(self, classifier: FaceClassifier):
        super().__init__()
        self.encoder, self.fer2013_head = classifier.encoder, classifier.fer2013_head
        self.embedding = classifier.encoder.embedding

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, S, 3) uint8 RGB -> (B, D), logits (B, C)."""
        embedding = self.encoder(face)
        return embedding, self.fer2013_head(embedding)


def grey_batch(images: np.ndarray) -> Tensor:
    """uint8 (B, S, S) -> float32 (B, 1, S, S) in [0, 1]."""
    return torch.as_tensor(images).to(torch.float32).unsqueeze(1) / 255.0


def grey_batches(images: np.ndarray) -> Iterator[Tensor]:
    """As `grey_batch`, FACES_AT_ONCE."""
    return (grey_batch(images[first : first + FACES_AT_ONCE]) for first in range(0, len(images), FACES_AT_ONCE))


def predict_faces(model: FaceClassifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, S, S) -> logits float32 (N, C) of FER+, of FER2013."""
    model.eval()
    with torch.inference_mode():
        parts = [model(grey) for grey in grey_batches(images)]
    ferplus, fer2013 = (torch.cat(logits).cpu().numpy() for logits in zip(*parts, strict=True))
    return ferplus, fer2013


def augmented_batch(images: np.ndarray, config: FaceTrainingConfig, generator: torch.Generator) -> Tensor:
    """uint8 (B, S, S) -> float32 (B, 1, S, S): all changed as by detector and light, the first ones as by a robot."""
    grey = augment_faces(grey_batch(images), config.augmentation, generator)
    count = round(config.robot_share * len(grey))
    seen = augment_robot_faces(grey[:count].expand(-1, 3, -1, -1), config.robot_augmentation, generator)
    return torch.cat([seen.mean(dim=1, keepdim=True), grey[count:]])


@dataclass(frozen=True)
class FaceTargets:
    """What both heads are to say of each face: float32 (N, C), rows sum to 1."""

    ferplus: Tensor
    fer2013: Tensor

    @classmethod
    def of(cls, faces: FaceSet) -> "FaceTargets":
        """The annotators' opinions."""
        labels = functional.one_hot(torch.as_tensor(faces.folder_labels), len(LABELS))
        return cls(torch.as_tensor(faces.soft_labels), labels.to(torch.float32))

    def taught(self, teacher: FaceClassifier, images: np.ndarray, share: float) -> "FaceTargets":
        """With `share` of them from a teacher, who sees each face and its mirror image as they are.

        A mistake in a label is not what similar faces say (born-again networks, Furlanello et al. 2018).
        """
        mirrored = np.ascontiguousarray(images[:, :, ::-1])
        views = [predict_faces(teacher, images), predict_faces(teacher, mirrored)]
        said = (torch.as_tensor(sum(logits) / len(views)).softmax(dim=1) for logits in zip(*views, strict=True))
        own = (self.ferplus, self.fer2013)
        return FaceTargets(*((1.0 - share) * mine + share * theirs for mine, theirs in zip(own, said, strict=True)))


def train_face_classifier(
    member: FaceMemberConfig,
    config: FaceTrainingConfig,
    faces: FaceSet,
    validation: FaceSet,
    weights: Path,
    seed: int,
    earlier: Sequence[FaceClassifier] = (),
    before: FaceClassifier | None = None,
) -> tuple[FaceClassifier, list[dict[str, float]]]:
    """One cycle: averaged weights of its last step, and the validation accuracies of each of its epochs.

    Validation tells how it goes and nothing is chosen by it here: the schedule ends where the configuration says.
    member: up to the cycle, its last one. weights: folder of the file that the encoder starts from, if it does.
    earlier: trained members, who are teachers too. before: the member after the cycle before, who is one; none at the
    first. Trains on CUDA's first graphics processor where there is one, which gives other weights than the CPU does; in
    PyTorch's deterministic mode the same ones each time.

    Raises:
        WeightsError: the file is missing or does not fit, or the member cannot start from any.
        FloatingPointError: the loss is no number.
    """
    device, number, cycle = training_device(), len(member.cycles) - 1, member.cycles[-1]
    with device:  # where all tensors are made from here on
        torch.manual_seed(seed + number)
        generator = torch.Generator(device).manual_seed(seed + number)
        targets = FaceTargets.of(faces)
        if cycle.teacher_share > 0.0:
            teachers = [*earlier, *([] if before is None else [before])]
            teacher = joined([copy.deepcopy(one).to(device) for one in teachers])
            targets = targets.taught(teacher, faces.images, cycle.teacher_share)
        if before is None:
            model = start_member(member, config, faces, weights, generator)
        else:
            model = make_member(member)
            model.load_state_dict(before.state_dict())
        averaged, history = _train_cycle(
            model, cycle.epochs, member, config, faces.images, targets, validation, generator
        )
    return averaged.cpu().eval(), history


def _train_cycle(
    model: FaceClassifier,
    epochs: int,
    member: FaceMemberConfig,
    config: FaceTrainingConfig,
    images: np.ndarray,
    targets: FaceTargets,
    validation: FaceSet,
    generator: torch.Generator,
) -> tuple[FaceClassifier, list[dict[str, float]]]:
    """One rise and fall of the learning rate; see `train_face_classifier`."""
    model = model.to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(model)
    optimizer = torch.optim.SGD(
        parameter_groups(model, config.weight_decay), lr=member.learning_rate, momentum=0.9, nesterov=True
    )
    steps_per_epoch = len(images) // config.batch
    schedule = one_cycle(optimizer, epochs * steps_per_epoch)
    history = []
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(images), generator=generator)[: steps_per_epoch * config.batch]
        losses = []
        for chosen in tqdm(
            order.split(BATCHES_AT_ONCE * config.batch),
            desc=f"{member.name} epoch {epoch + 1}/{epochs}",
            unit=f"{BATCHES_AT_ONCE} batches",
            mininterval=5,
        ):
            grey = augmented_batch(images[chosen.cpu().numpy()], config, generator)
            # Those changed as by a robot come first: a normalisation should see some in each batch.
            for rows in torch.randperm(len(grey), generator=generator).split(config.batch):
                # Entered anew in each step, as it keeps the rounded weights as long as it lasts.
                with half_precision(generator.device, member.bfloat16):
                    ferplus, fer2013 = model(grey[rows].contiguous(memory_format=torch.channels_last))
                loss = functional.cross_entropy(ferplus.float(), targets.ferplus[chosen[rows]])
                loss = loss + config.fer2013_weight * functional.cross_entropy(
                    fer2013.float(), targets.fer2013[chosen[rows]]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                update_average(averaged, model, member.ema_decay, epoch * steps_per_epoch + len(losses))
                losses.append(loss.detach())
        loss = torch.stack(losses).mean().item()  # read once an epoch: a graphics processor would wait in every step
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss of {member.name} is {loss} in epoch {epoch + 1}; lower its learning_rate"
            )
        ferplus, fer2013 = predict_faces(averaged, validation.images)
        history.append(
            {
                "loss": loss,
                "validation_ferplus_accuracy": float((ferplus.argmax(1) == validation.majority_labels).mean()),
                "validation_fer2013_accuracy": float((fer2013.argmax(1) == validation.folder_labels).mean()),
            }
        )
        figures = ", ".join(f"{name} {value:.4f}" for name, value in history[-1].items())
        tqdm.write(f"{member.name} epoch {epoch + 1}: {figures}")
    return averaged, history
