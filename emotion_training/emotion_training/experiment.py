"""One training from its configuration: reading it, running it by Lightning, keeping its checkpoints."""

import json
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from emotion_perception.core.model_bundle import BundleError

from .balancing import BalancingError
from .checkpoints import AtomicCheckpointIO, CheckpointError, load_checkpoint
from .clip_tensors import DataError
from .command import make_out
from .configuration import ConfigurationError, changed
from .corpora import CorpusError
from .corpus_tensors import CorpusConfig
from .data_module import EmotionDataModule
from .models import ModelError
from .models.bundle_encoders import known_speakers, start_of
from .models.start_weights import CHECKPOINT, WeightsError
from .robot_voice_augmentation import BackgroundError
from .splits import Fold, SplitError, listed
from .training_module import MONITORED, EmotionModule, TrainingError

BEST, LAST = "best.ckpt", "last.ckpt"
MODEL_PARTS = ("face_encoder", "audio_encoder", "fusion")
KNOWN_PARTS = ("train", "validation")  # of a split: who learns, and who chooses
# Numbers that the libraries take in silence, or refuse with a traceback, by what is expected of them; networks and the
# loss look to their own.
RANGES: dict[str, tuple[Callable[[float], bool], tuple[str, ...]]] = {
    "1 or more": (
        lambda number: number >= 1,
        ("threads", "trainer.max_epochs", "data.batch", "model.members", "selection.patience"),
    ),
    "0 or more": (
        lambda number: number >= 0,
        (
            "data.workers",
            "model.optimiser.weight_decay",
            "model.regularisation.mix_up_alpha",
            "model.regularisation.face_noise",
            "model.regularisation.audio_noise",
        ),
    ),
    "0 or more and less than 1": (lambda share: 0.0 <= share < 1.0, ("model.optimiser.ema_decay",)),
    "0 to 1": (
        lambda share: 0.0 <= share <= 1.0,
        ("data.augmentation.re_pairing", "model.regularisation.modality_dropout"),
    ),
    "a finite number above 0": (lambda rate: 0.0 < rate < math.inf, ("model.optimiser.learning_rate",)),
}
MAY_BE_NULL = ("selection.patience", "trainer.max_epochs")  # of the numbers
GROUPS = ("data.augmentation", "model.loss", "model.optimiser", "model.regularisation")
SEEDS = 2**32  # as numpy has them
# What the outcome of a training does not depend on: where its files lie and it runs, and what it shows meanwhile.
PLACES = ("data.split", "data.corpus.root", "data.corpus.cache")
SURROUNDINGS = (
    "accelerator",
    "barebones",
    "callbacks",
    "default_root_dir",
    "detect_anomaly",
    "devices",
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
    "log_every_n_steps",
    "logger",
    "num_nodes",
    "profiler",
    "strategy",
)
TRAINER_DEFAULTS = {
    "logger": False,
    "enable_checkpointing": False,  # ours are added for each run, with their folder
    "deterministic": True,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    "use_distributed_sampler": False,  # the data module shares out the batches itself
}


# What can be wrong with an experiment, each with a sentence for the user.
EXPERIMENT_ERRORS = (
    BackgroundError,
    BalancingError,
    BundleError,  # of a model that was adapted from a bundle
    CheckpointError,
    ConfigurationError,
    CorpusError,
    DataError,
    ModelError,
    SplitError,
    TrainingError,
    WeightsError,
)


@dataclass(frozen=True)
class SelectionConfig:
    """Which epoch's weights are kept, and when training ends.

    keep: those of the "best" epoch by `monitor`, or of the "last" one. patience: epochs without a better one before
    training stops early; null goes through all epochs.
    """

    keep: Literal["best", "last"] = "best"
    monitor: Literal["validation_uar", "validation_loss"] = "validation_uar"
    patience: int | None = None


@dataclass
class Experiment:
    """Everything of one training, ready to run.

    configuration: the whole of it in plain values. out, resume: as the command line gave them, for `train`. known: by
    part, train or validation, the speakers whom the model has learnt from or been chosen by so far. trained_on: the
    corpora of these trainings, the last one first.
    """

    module: EmotionModule
    data: EmotionDataModule
    trainer: lightning.Trainer
    selection: SelectionConfig
    seed: int
    configuration: dict[str, Any]
    out: Path | None
    resume: bool
    known: dict[str, list[str]] = field(default_factory=dict)
    trained_on: list[str] = field(default_factory=list)

    def run(self, directory: Path, resume: bool = False) -> Path:
        """Trains; the checkpoints `best.ckpt` and `last.ckpt` in `directory` hold all that is needed to go on.

        The module is left with the weights that were to be kept.

        Returns:
            The checkpoint with these weights.

        Raises:
            TrainingError: the loss is not finite.
            CheckpointError: a checkpoint cannot be written, or read to go on from.
        """
        split = self.data.split
        self.trained_on = list(dict.fromkeys([f"{split.corpus}, {len(split.speakers)} speakers", *self.trained_on]))
        self.module.provenance = {
            "configuration": self.configuration,
            "split": asdict(split),
            "whole_split": asdict(self.data.whole_split),
            "fold": self.data.fold_number,
            "judgements": self.data.clips.judgements,
            "facts": self.data.clips.facts,
            "known_before": self.known,
            "trained_on": self.trained_on,
            "processes": self.trainer.world_size,  # on which the steps of an epoch, and so the schedule, depend
        }
        self.known = _known(self.module.provenance)
        if resume:
            self._check_resumed(directory / LAST)
        self.trainer.callbacks.extend(_callbacks(self.selection, directory))
        kept = directory / (BEST if self.selection.keep == "best" else LAST)
        with quiet_lightning():
            try:
                self.trainer.fit(self.module, datamodule=self.data, ckpt_path=directory / LAST if resume else None)
            except SystemExit:  # so Lightning ends after Ctrl-C and SIGTERM
                raise KeyboardInterrupt from None
        self.module.load_state_dict(load_checkpoint(kept)["state_dict"])
        self.module.eval()
        return kept

    def _check_resumed(self, path: Path) -> None:
        """CheckpointError unless the checkpoint is of this very training."""
        if not path.is_file():
            raise CheckpointError(f"{path} does not exist; train without --resume")
        begun, now = load_checkpoint(path)["emotion_training"], self.module.provenance
        if not now.keys() <= begun.keys():
            raise CheckpointError(f"{path} is of an earlier version of this package; train into another folder")
        remedy = "resume with what it began with, or train into another folder"
        if (begun["split"], begun["fold"]) != (now["split"], now["fold"]):
            raise CheckpointError(
                f"{path} is of fold {begun['fold']} of {begun['split']['name']}, with other speakers than fold "
                f"{now['fold']} of {now['split']['name']} has now; {remedy}"
            )
        if begun["processes"] != now["processes"]:
            raise CheckpointError(
                f"{path} began with {begun['processes']} processes, not {now['processes']}, so that its learning rate "
                f"would not end where it should; set trainer.devices and trainer.num_nodes: {remedy}"
            )
        before, after = (dict(_settings(provenance["configuration"])) for provenance in (begun, now))
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                raise CheckpointError(f"{path} began with {key} {before.get(key)}, not {after.get(key)}; {remedy}")
        if begun["judgements"] != now["judgements"]:
            raise CheckpointError(f"{path} began with other clips, or other labels or votes of them; {remedy}")
        if begun["facts"] != now["facts"]:
            raise CheckpointError(
                f"{path} began with other faces or sound of these clips, or other ratings or features; {remedy}"
            )


class ExperimentCLI(LightningCLI):
    """Lightning's own command line and configuration for model, data and trainer, with what is ours beside them."""

    def add_arguments_to_parser(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--threads", type=int, default=1, help="of torch; figures are reproduced with the same number"
        )
        parser.add_class_arguments(SelectionConfig, "selection")
        parser.add_argument("--out", type=Path | None, default=None, help="folder of the checkpoints")
        parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
        parser.link_arguments("data.shape", "model.shape", apply_on="instantiate")

    def parse_arguments(self, parser: ArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        seed = self.config.seed_everything  # used before the classes are made
        if seed is False or not 0 <= seed < SEEDS:
            raise ConfigurationError(f"seed_everything is {seed}; expected a whole number from 0 to {SEEDS - 1}")

    def before_instantiate_classes(self) -> None:
        """Finds what would otherwise end the work after the data were read."""
        self._check_numbers()
        if fast := self.config["trainer.fast_dev_run"]:
            raise ConfigurationError(
                f"trainer.fast_dev_run is {fast}; expected false, as Lightning keeps no checkpoint with it; for a "
                "quick try set trainer.max_epochs to 1"
            )
        if self.config.out is not None:
            make_out(self.config.out)
            if (last := self.config.out / LAST).exists() and not self.config.resume:
                raise CheckpointError(
                    f"{last} is of an earlier training; go on with it by --resume, or give another --out"
                )

    def _check_numbers(self) -> None:
        """ConfigurationError for a number out of its range, or a group of them that is null."""
        for key in GROUPS:
            if self.config[key] is None:
                raise ConfigurationError(f"{key} is null; expected keys; leave it out for the usual ones")
        for expected, (holds, keys) in RANGES.items():
            for key in keys:
                number = self.config[key]
                if number is None and key in MAY_BE_NULL:
                    continue
                if number is None or not holds(number):
                    raise ConfigurationError(f"{key} is {'null' if number is None else number}; expected {expected}")
        for key, number in _settings(self.config["data.augmentation"].as_dict(), "data.augmentation."):
            if key.endswith("_probability") and not 0.0 <= number <= 1.0:
                raise ConfigurationError(f"{key} is {number}; expected 0 to 1")


def read_experiment(arguments: Sequence[str] | Mapping[str, Any]) -> Experiment:
    """An experiment from a command line, or from the tree that a YAML file holds.

    Raises:
        ConfigurationError: a number out of its range; unknown or missing keys, or values of another type, for which a
            command line ends as usual, by usage and exit status 2.
        CheckpointError: that folder has a training already, which is not to be resumed.
        OutputError: the folder of the checkpoints cannot be made.
    """
    parsed = list(arguments) if isinstance(arguments, Sequence) else dict(arguments)
    with quiet_lightning():
        try:
            cli = ExperimentCLI(
                EmotionModule,
                EmotionDataModule,
                args=parsed,
                run=False,
                save_config_callback=None,
                auto_configure_optimizers=False,  # model.optimiser says it
                seed_everything_default=0,
                trainer_defaults=TRAINER_DEFAULTS,
                parser_kwargs={"exit_on_error": isinstance(parsed, list)},
            )
        except ArgumentError as error:
            raise ConfigurationError(str(error)) from None
        except MisconfigurationException as error:
            raise ConfigurationError(f"trainer: {error}; choose what this machine has") from None
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"a configuration is no text in UTF-8 ({error}); save it as such") from None
    cli.trainer.strategy.checkpoint_io = AtomicCheckpointIO()
    torch.set_num_threads(cli.config.threads)
    config = cli.config
    configuration = yaml.safe_load(cli.parser.dump(config, skip_link_targets=True))
    configuration = {key: value for key, value in configuration.items() if key not in ("config", "out", "resume")}
    selection = SelectionConfig(**config.selection.as_dict())
    seed = cli.datamodule.seed = config.seed_everything
    experiment = Experiment(
        cli.model, cli.datamodule, cli.trainer, selection, seed, configuration, config.out, config.resume
    )
    for part in MODEL_PARTS:
        start = Path((configuration["model"].get(part) or {}).get("start_from") or "")
        if start.suffix == CHECKPOINT:
            trained = load_checkpoint(start)["emotion_training"]
            _begin_from(start, experiment, _known(trained), trained["trained_on"])
    if (bundle := start_of(experiment.module.model)) is not None:
        corpora = [f"{bundle.model_id}: {corpus}" for corpus in bundle.trained_on]
        _begin_from(bundle.directory, experiment, known_speakers(bundle), corpora)
    return experiment


def _begin_from(
    start: Path, experiment: Experiment, known: Mapping[str, Sequence[str]], trained_on: Sequence[str]
) -> None:
    """Adds whom and what a checkpoint or a bundle learnt from; CheckpointError if that is somebody to judge by."""
    check_strangers(start, known, experiment.data.fold)
    everybody = {part: {*experiment.known.get(part, ()), *known.get(part, ())} for part in KNOWN_PARTS}
    experiment.known = {part: sorted(people) for part, people in everybody.items()}
    experiment.trained_on = list(dict.fromkeys([*trained_on, *experiment.trained_on]))


def read_corpus_config(tree: Mapping[str, Any]) -> CorpusConfig:
    """What an experiment's tree has under data.corpus; ConfigurationError for unknown or missing keys or values of
    another type.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--corpus", type=CorpusConfig)
    try:
        return parser.instantiate(parser.parse_object({"corpus": dict(tree)})).corpus
    except ArgumentError as error:
        raise ConfigurationError(str(error)) from None


def restore_experiment(checkpoint: Path, changes: Mapping[str, Any]) -> Experiment:
    """The experiment of a checkpoint, with its weights; `changes` replace dotted keys of its configuration.

    Without a change of `data.split` the split is the one that the checkpoint holds, wherever its file is now.

    Raises:
        CheckpointError: no checkpoint of `train`, weights that do not fit what was changed, or speakers to judge it by
            whom it knows.
    """
    content = load_checkpoint(checkpoint)
    trained = content["emotion_training"]
    # Where it was trained is not where it is now: a machine without that one's graphics processors, for example.
    trainer = {name: value for name, value in trained["configuration"]["trainer"].items() if name not in SURROUNDINGS}
    tree = changed(trained["configuration"] | {"trainer": trainer}, changes)
    for part in MODEL_PARTS:
        if tree["model"].get(part):
            tree["model"][part]["start_from"] = None  # the checkpoint has the weights, and that file may be gone
    split = tree["data"]["split"]
    with tempfile.TemporaryDirectory() as folder:
        if "data.split" not in changes:
            tree["data"]["split"] = str(Path(folder) / "split.json")
            Path(tree["data"]["split"]).write_text(json.dumps(trained["whole_split"]))
        experiment = read_experiment(tree)
    experiment.configuration["data"]["split"] = split
    # The loss, with weights of the classes, is built anew from the data of each training.
    weights = {name: value for name, value in content["state_dict"].items() if not name.startswith("loss.")}
    try:
        experiment.module.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint} does not fit the data ({error}); give those it was trained on") from None
    _begin_from(checkpoint, experiment, _known(trained), trained["trained_on"])
    experiment.module.on_load_checkpoint(content)
    experiment.module.eval()
    return experiment


def check_strangers(model: Path, known: Mapping[str, Sequence[str]], fold: Fold) -> None:
    """CheckpointError if the model learnt from somebody of the validation or test part, or was chosen by one to test.

    known: as of an `Experiment`; empty where it is not known.
    """
    learnt_from, chosen_by = (set(known.get(part, ())) for part in KNOWN_PARTS)
    met = sorted(learnt_from.intersection(fold.validation + fold.test) | chosen_by.intersection(fold.test))
    if met:
        raise CheckpointError(
            f"{model} knows {listed(met)} from its training; expected strangers for validation and test, so choose "
            "others, or, if these are other people, prepare their manifest with --option corpus=NAME"
        )


def _known(trained: Mapping[str, Any]) -> dict[str, list[str]]:
    """Whom the model of a checkpoint knows, from its last training and those before."""
    before, fold = trained["known_before"], trained["split"]["folds"][trained["fold"]]
    return {part: sorted({*before.get(part, ()), *fold[part]}) for part in KNOWN_PARTS}


@contextmanager
def quiet_lightning():
    """No advertisements, and no advice on loaders that are fast as they are."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _EarlyStopping(EarlyStopping):
    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Resumed, a training that had stopped would have one epoch more."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class _Checkpoint(ModelCheckpoint):
    """The file of that name, written again at each epoch that is to be kept: all, or those best by `monitor`."""

    def __init__(self, directory: Path, name: str, **which: Any) -> None:
        super().__init__(
            directory,
            filename=name.removesuffix(".ckpt"),
            save_on_train_epoch_end=True,  # when the epoch is counted, so that a resumed run begins with the next
            enable_version_counter=False,
            **which,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """In a folder that was moved Lightning would forget which epoch was the best, and overwrite it."""
        paths = {name: self._here(state_dict[name]) for name in ("best_model_path", "kth_best_model_path")}
        best_k = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state_dict | paths | {"dirpath": self.dirpath, "best_k_models": best_k})

    def _here(self, path: str) -> str:
        return str(Path(str(self.dirpath)) / Path(path).name) if path else ""


def _callbacks(selection: SelectionConfig, directory: Path) -> list[lightning.Callback]:
    mode = MONITORED[selection.monitor]
    callbacks: list[lightning.Callback] = []
    if selection.patience is not None:  # before the checkpoint, which holds how patient it still is
        callbacks.append(_EarlyStopping(selection.monitor, patience=selection.patience, mode=mode, check_finite=False))
    callbacks.append(_Checkpoint(directory, BEST, monitor=selection.monitor, mode=mode))
    # After the best one, whose state it holds. Lightning's own `save_last` writes only where the best one was written.
    callbacks.append(_Checkpoint(directory, LAST))
    return callbacks


def _settings(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What a training's outcome depends on, by dotted keys."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in PLACES or (prefix == "trainer." and name in SURROUNDINGS):
            continue
        if isinstance(value, Mapping):
            yield from _settings(value, f"{key}.")
        else:
            yield key, value
