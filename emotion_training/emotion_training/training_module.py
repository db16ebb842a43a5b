"""An audiovisual model in training, for Lightning."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from .clip_tensors import ClipTensors
from .data_module import DataShape, EmotionDataModule
from .losses import LossConfig, build_loss
from .metrics import unweighted_average_recall
from .models.audio_visual import AudioVisualModel, FusionOutput, ModelConfig, NetworkConfig, build_model
from .models.member_ensemble import MemberEnsemble, per_member
from .models.modality_dropout import modality_dropout
from .models.registry import joint_models
from .optimisation import one_cycle, parameter_groups, update_average

MONITORED = {"validation_uar": "max", "validation_loss": "min"}  # and which of them is best


class TrainingError(Exception):
    """A training that cannot go on; the message says where it stopped and what to do."""


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW with one cycle of the learning rate.

    learning_rate: at its highest. ema_decay: per step, of the averaged weights that are evaluated and kept; 0 keeps
    the weights themselves.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.0


@dataclass(frozen=True)
class RegularisationConfig:
    """What makes training harder.

    modality_dropout: probability of a clip to lose face or voice. mix_up_alpha: of the beta distribution that two clips
    are mixed by; 0 mixes none. face_noise, audio_noise: deviation of what is added to clip-level features, in units of
    their own deviations.
    """

    modality_dropout: float = 0.0
    mix_up_alpha: float = 0.0
    face_noise: float = 0.0
    audio_noise: float = 0.0


DEFAULT_LOSS, DEFAULT_OPTIMISER, DEFAULT_REGULARISATION = LossConfig(), OptimiserConfig(), RegularisationConfig()


class EmotionModule(lightning.LightningModule):
    """Model, loss, optimiser, and the figures of each epoch.

    Args:
        shape: of the data; follows from them.
        fusion, face_encoder, audio_encoder: networks by their registered names, with their options.
        members: models of that make, computed at once and averaged in evaluation.
        loss: what is minimised.
        optimiser: how.
        regularisation: what is done to the batches of training.
    """

    def __init__(
        self,
        shape: DataShape,
        fusion: NetworkConfig,
        face_encoder: NetworkConfig | None = None,
        audio_encoder: NetworkConfig | None = None,
        members: int = 1,
        loss: LossConfig = DEFAULT_LOSS,
        optimiser: OptimiserConfig = DEFAULT_OPTIMISER,
        regularisation: RegularisationConfig = DEFAULT_REGULARISATION,
    ):
        super().__init__()
        self.shape, self.loss_config = shape, loss
        self.optimiser, self.regularisation = optimiser, regularisation
        self.networks = {"fusion": fusion, "face_encoder": face_encoder, "audio_encoder": audio_encoder}
        config = model_config(shape, fusion, face_encoder, audio_encoder)
        self.members = members
        self.model = build_model(config)
        if members > 1:
            self.model = MemberEnsemble([self.model, *(build_model(config) for _ in range(members - 1))])
        self.averaged = copy.deepcopy(self.model).requires_grad_(False) if optimiser.ema_decay else None
        self.provenance: dict[str, Any] = {}  # of the training, for the checkpoints
        self.history: list[dict[str, float]] = []
        self.has_statistics = False  # of the data that the weights were trained on
        self.frozen: list[torch.nn.Module] = []
        self._outputs: list[tuple[Tensor, Tensor, Tensor]] = []  # logits, targets and labels of the validation

    @property
    def evaluated(self) -> torch.nn.Module:
        """The model that figures are made with: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged

    def setup(self, stage: str) -> None:
        data: EmotionDataModule = self.trainer.datamodule
        try:
            self.loss = build_loss(self.loss_config, data.class_counts)
        except ValueError as error:
            raise TrainingError(f"model.loss: {error}") from None
        if not self.has_statistics:
            for model in models_of(self.model):
                fit_statistics(model, data.train)
            if self.averaged is not None:
                self.averaged.load_state_dict(self.model.state_dict())
        options = self.regularisation
        face, audio = present_rows(data.train)
        self.noise = {  # deviation by feature (F,)
            name: share * rows.std(dim=0)
            for name, share, rows, features in (
                ("face", options.face_noise, face, self.shape.face_features),
                ("audio", options.audio_noise, audio, self.shape.audio_features),
            )
            if share and features is not None and len(rows) > 1
        }

    def on_train_epoch_start(self) -> None:
        # Drawn anew from seed and epoch, so that a resumed run goes on as if it had not stopped.
        seed = self.trainer.datamodule.seed + 7919 * (self.current_epoch + 1)
        torch.manual_seed(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.rng = np.random.default_rng(seed)

    def training_step(self, batch: Mapping[str, Tensor], number: int) -> Tensor:
        batch = self._harder(dict(batch))
        terms = self.loss(*per_member(self.model(batch), batch["target"], *masks(batch)))
        _require_finite(terms.total, "the loss", f"epoch {self.current_epoch + 1}, batch {number + 1}")
        clips = len(batch["target"])
        self.log("train_loss", terms.total, on_step=False, on_epoch=True, prog_bar=True, batch_size=clips)
        return terms.total

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            update_average(self.averaged, self.model, self.optimiser.ema_decay, self.global_step)

    def transfer_batch_to_device(self, batch: dict[str, Tensor], device: torch.device, index: int) -> dict[str, Tensor]:
        # Lightning searches a batch of any kind for tensors, which takes longer than a step of a small model.
        return {name: value.to(device) for name, value in batch.items()}

    def validation_step(self, batch: Mapping[str, Tensor], number: int) -> None:
        output: FusionOutput = self.evaluated(batch)
        self._outputs.append((output.logits.float(), batch["target"], batch["label"]))

    def on_validation_epoch_end(self) -> None:
        logits, target, labels = (torch.cat(parts) for parts in zip(*self._outputs, strict=True))
        self._outputs.clear()
        loss = torch.nn.functional.cross_entropy(logits, target)
        _require_finite(loss, "the validation loss", f"epoch {self.current_epoch + 1}")
        uar = unweighted_average_recall(labels.cpu().numpy(), logits.argmax(dim=1).cpu().numpy())
        figures = {"validation_loss": loss.item(), "validation_uar": uar}
        self.log_dict(figures, prog_bar=True, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        found = self.trainer.callback_metrics
        if not found.keys() >= MONITORED.keys():
            raise TrainingError(
                f"epoch {self.current_epoch + 1} ended without validation; expected one after every epoch, so leave "
                "the options of trainer that say how often and how much is validated"
            )
        row = {name: float(found[name]) for name in ("train_loss", *MONITORED)}
        self.history.append({"epoch": self.current_epoch + 1} | row)

    def configure_optimizers(self) -> dict[str, Any]:
        groups = parameter_groups(self.model, self.optimiser.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=self.optimiser.learning_rate, fused=True)
        schedule = one_cycle(optimizer, max(2, self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["emotion_training"] = self.provenance | {
            "shape": asdict(self.shape) | {"labels": list(self.shape.labels)},
            "networks": {name: network and asdict(network) for name, network in self.networks.items()},
            "history": self.history,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["emotion_training"]["history"])
        self.has_statistics = True

    def begin_adaptation(self, train_encoders: bool) -> None:
        """Makes the weights that were kept the start of another training, of all of them or of the fusion alone."""
        self.model.load_state_dict(self.evaluated.state_dict())
        self.history = []
        if not train_encoders:
            encoders = [e for model in models_of(self.model) for e in (model.face_encoder, model.audio_encoder)]
            self.frozen = [encoder.requires_grad_(False) for encoder in encoders if encoder is not None]
        self.train()  # Lightning keeps the mode that it finds, which is that of what was judged last

    def train(self, mode: bool = True) -> "EmotionModule":
        super().train(mode)
        for module in self.frozen:
            module.eval()  # neither dropout nor new statistics
        return self

    def _harder(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        options = self.regularisation
        for name, deviation in self.noise.items():
            drawn = torch.randn(batch[name].shape, generator=self.generator)
            batch[name] = batch[name] + (drawn * deviation).to(batch[name])
        if options.mix_up_alpha:
            shares = self.rng.beta(options.mix_up_alpha, options.mix_up_alpha, len(batch["target"]))
            batch = mix_up(batch, torch.from_numpy(shares).to(batch["target"]))
        if options.modality_dropout and "face_mask" in batch and "audio_mask" in batch:
            batch["face_mask"], batch["audio_mask"] = modality_dropout(
                batch["face_mask"], batch["audio_mask"], options.modality_dropout, self.generator
            )
        return batch


def masks(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Bool (B, Tf), bool (B,) of a batch; a modality that the data do not have is missing in every clip."""
    target = batch["target"]
    nothing = torch.zeros(len(target), dtype=torch.bool, device=target.device)
    return batch.get("face_mask", nothing.unsqueeze(1)), batch.get("audio_mask", nothing)


def mix_up(batch: Mapping[str, Tensor], shares: Tensor) -> dict[str, Tensor]:
    """Each clip and its target blended with the next one's (Zhang et al. 2018), by shares (B,) in [0, 1].

    The larger part of a clip stays its own. One whose neighbour has other modalities stays as it is.
    """
    there = torch.cat([masks(batch)[0], masks(batch)[1].unsqueeze(1)], dim=1)  # (B, Tf + 1)
    same = (there == there.roll(1, 0)).all(dim=1)  # (B,)
    own = torch.where(same, torch.maximum(shares, 1.0 - shares), 1.0)  # (B,)
    mixed = dict(batch)
    for name in ("face", "audio", "target"):
        if name in batch:
            value = batch[name]
            part = own.view(-1, *[1] * (value.ndim - 1))  # (B, 1, ...)
            mixed[name] = (part * value + (1.0 - part) * value.roll(1, 0)).to(value.dtype)
    return mixed


def models_of(model: AudioVisualModel | MemberEnsemble) -> Sequence[AudioVisualModel]:
    """The members, or the model alone."""
    return list(model.members) if isinstance(model, MemberEnsemble) else [model]


def _require_finite(loss: Tensor, name: str, where: str) -> None:
    if not torch.isfinite(loss):
        raise TrainingError(
            f"{name} is {loss.item()} in {where}; lower model.optimiser.learning_rate, or look for values in the data "
            "that are not finite"
        )


def present_rows(clips: ClipTensors) -> tuple[Tensor | None, Tensor | None]:
    """Faces (N', ...) and all views of voices (V * N'', ...) of the clips that have them."""
    face = None if clips.face is None else clips.face[clips.face_mask.any(dim=1)]
    audio = None if clips.audio is None else clips.audio[:, clips.audio_mask].flatten(0, 1)
    return face, audio


def fit_statistics(model: AudioVisualModel, clips: ClipTensors) -> None:
    """Gives the clip-level features of the training data to the layers that standardise them.

    Raises:
        TrainingError: no clip has a modality that the model has a layer for.
    """
    face, audio = present_rows(clips)
    layers = (
        (getattr(model.face_encoder, "standardise", None), face, "face"),
        (getattr(model.audio_encoder, "standardise", None), audio, "voice"),
        (getattr(model.fusion, "face_standardise", None), face, "face"),
        (getattr(model.fusion, "audio_standardise", None), audio, "voice"),
    )
    for layer, rows, modality in layers:
        if layer is None:
            continue
        if not len(rows):
            raise TrainingError(
                f"no clip of the training part has features of the {modality}; expected one or more, so choose another "
                f"fold, or train a model without the {modality}"
            )
        layer.fit(rows)


def model_config(
    shape: DataShape,
    fusion: NetworkConfig,
    face_encoder: NetworkConfig | None,
    audio_encoder: NetworkConfig | None,
) -> ModelConfig:
    """The networks, with what follows from the data filled in."""
    if shape.audio_features is not None:
        if audio_encoder is not None:
            audio_encoder = _with_option(audio_encoder, "features", shape.audio_features)
        elif fusion.name in joint_models:
            fusion = _with_option(fusion, "audio_features", shape.audio_features)
    return ModelConfig(
        fusion=fusion,
        classes=len(shape.labels),
        face_encoder=face_encoder,
        audio_encoder=audio_encoder,
        face_features=shape.face_features,
        face_bins=shape.face_bins,
        window_s=shape.window_s,
        sample_rate_hz=shape.sample_rate_hz,
    )


def _with_option(network: NetworkConfig, name: str, value: int) -> NetworkConfig:
    return replace(network, options=network.options | {name: value})
