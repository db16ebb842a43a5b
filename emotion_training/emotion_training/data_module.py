"""The data of one fold for Lightning: batches drawn from tensors in memory."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from .balancing import BalancingError, oversampled, perceptual_border, smote, vote_border
from .clip_tensors import AT_ONCE, ClipTensors, DataError, Rows
from .committed_splits import FOLDER as SPLITS_FOLDER
from .corpus_tensors import SAMPLE_RATE_HZ, CorpusConfig, load_corpus
from .robot_face_augmentation import RobotFaceAugmentation, augment_robot_faces
from .robot_voice_augmentation import RobotVoiceAugmentation, RobotVoiceAugmenter
from .splits import Fold, Split, SplitError, load_split, require_every_class

Balancing = Literal[
    "none",
    "random_oversampling",
    "smote",
    "perceptual_borderline",
    "perceptual_borderline_smote",
    "vote_borderline",
    "vote_borderline_smote",
]
EPOCHS_PER_SEED = 1_000_003  # keeps the draws of two seeds apart


@dataclass(frozen=True)
class DataShape:
    """What a model has to know of the data.

    labels: of the classes, in output order; face_features: clip-level ones, None with crops or without faces;
    audio_features: functionals, None with samples or without voices.
    """

    labels: tuple[str, ...]
    face_features: int | None
    face_bins: int
    face_bin_s: float
    face_px: int
    audio_features: int | None
    window_s: float
    sample_rate_hz: int = SAMPLE_RATE_HZ


@dataclass(frozen=True)
class AugmentationConfig:
    """How clips are changed in training; none of it touches validation and test.

    re_pairing: share of the clips with a face whose face is that of another clip of the same class, of any speaker, so
    that a model sees many more pairs of a face and a voice than were recorded. face: of crops. voice: of samples.
    """

    re_pairing: float = 0.0
    face: RobotFaceAugmentation | None = None
    voice: RobotVoiceAugmentation | None = None


DEFAULT_AUGMENTATION = AugmentationConfig()


class EmotionDataModule(lightning.LightningDataModule):
    """The clips of one fold of a split.

    Args:
        corpus: where the clips come from.
        split: a split file, or the name of one that this package brings.
        fold: which of its folds, from 0.
        batch: clips of a training step, on each device.
        balancing: how small classes are filled up in the training part; those with SMOTE need clip-level features of
            every modality.
        augmentation: of the training part.
        empty_classes: whether the training and the test part may lack a class.
        workers: processes that cut batches; 0 is fastest where nothing is augmented, as the data are in memory.

    Attributes:
        seed: of balancing, order and augmentation; to be set before `train` is asked for.
    """

    def __init__(
        self,
        corpus: CorpusConfig,
        split: Path,
        fold: int = 0,
        batch: int = 64,
        balancing: Balancing = "none",
        augmentation: AugmentationConfig = DEFAULT_AUGMENTATION,
        empty_classes: Literal["refuse", "allow"] = "refuse",
        workers: int = 0,
    ):
        super().__init__()
        self.corpus = corpus
        self.batch = batch
        self.balancing = balancing
        self.augmentation = augmentation
        self.empty_classes = empty_classes
        self.workers = workers
        self.fold_number = fold
        self.whole_split = load_split(find_split(split))
        self.clips = load_corpus(corpus)
        self.split = split_among(self.whole_split, self.clips.speaker_ids, [fold])
        self.seed = 0
        self._check()
        self.validation = self.clips.of_speakers(self.fold.validation)
        self.test = self.clips.of_speakers(self.fold.test)

    @property
    def fold(self) -> Fold:
        return self.split.fold(self.fold_number)

    @cached_property
    def train(self) -> ClipTensors:
        """The training part, with its small classes filled up by other clips in every seed and fold.

        Raises:
            DataError, BalancingError: as of `balanced`.
        """
        drawn = np.random.SeedSequence((self.seed, self.fold_number)).generate_state(1)
        plain = self.clips.of_speakers(self.fold.train)
        try:
            return balanced(plain, self.balancing, int(drawn[0]))
        except BalancingError as error:
            raise error.named(self.corpus.labels, plain.clip_ids) from None

    @property
    def class_counts(self) -> Tensor:
        """(C,), of what is trained on: a class that was filled up needs no weight as well."""
        return self.train.target.sum(dim=0)

    @property
    def untaught(self) -> list[str]:
        """The emotions that no training clip shows."""
        return [label for label, count in zip(self.corpus.labels, self.class_counts, strict=True) if not count]

    @property
    def shape(self) -> DataShape:
        face, audio, corpus = self.clips.face, self.clips.audio, self.corpus
        return DataShape(
            labels=tuple(corpus.labels),
            face_features=face.shape[1] if face is not None and face.ndim == 2 else None,
            face_bins=self.clips.face_mask.shape[1] if face is not None else 1,
            face_bin_s=corpus.face_bin_s,
            face_px=corpus.face_px,
            audio_features=audio.shape[2] if corpus.audio == "functionals" else None,
            window_s=corpus.window_s,
        )

    def train_dataloader(self) -> DataLoader:
        """Batches in an order drawn from the seed and the epoch, so that a resumed run goes on with the same ones."""
        trainer = self.trainer
        sampler = ShuffledBatches(
            self.train,
            self.batch,
            self.augmentation.re_pairing,
            self.seed,
            epoch=lambda: trainer.current_epoch,
            rank=trainer.global_rank,
            processes=trainer.world_size,
        )
        clips = ClipBatches(self.train)
        if self.augmentation.face or self.augmentation.voice:
            clips = AugmentedBatches(self.train, self.augmentation)
        # A generator of its own: a loader draws once when it begins, which a resumed run does at another moment.
        return DataLoader(
            clips,
            sampler=sampler,
            batch_size=None,
            num_workers=self.workers,
            generator=torch.Generator().manual_seed(self.seed),
        )

    def val_dataloader(self) -> DataLoader:
        rows = [Rows.plain(part) for part in torch.arange(len(self.validation)).split(AT_ONCE)]
        return DataLoader(ClipBatches(self.validation), sampler=rows, batch_size=None)

    def _check(self) -> None:
        """SplitError for a fold that does not exist, and for a class without a clip where one is needed."""
        fold = self.fold
        for part in ("train", "test") if self.empty_classes == "refuse" else ():
            found = {self.corpus.labels[i] for i in self.clips.of_speakers(getattr(fold, part)).labels.unique()}
            name = f"the {part} part of fold {self.fold_number} of {self.split.name}"
            require_every_class(name, self.corpus.labels, found)


def find_split(split: Path) -> Path:
    """The file itself, or that of this package with its name."""
    brought = SPLITS_FOLDER / f"{split.name.removesuffix('.json')}.json"
    return brought if not split.is_file() and split.parent == Path() and brought.is_file() else split


def split_among(split: Split, speakers: Iterable[str], folds: Collection[int] | None) -> Split:
    """As `Split.among`; where it lacks speakers, the error names the splits of this package that have them all."""
    speakers = set(speakers)
    if not speakers <= split.speakers:
        others = [load_split(path) for path in sorted(SPLITS_FOLDER.glob("*.json"))]
        if fitting := [other.name for other in others if speakers <= other.speakers]:
            raise SplitError(
                f"{split.name} has {len(speakers & split.speakers)} of the {len(speakers)} speakers of this corpus; "
                f"expected all of them, as in {' or '.join(fitting)}: name it by data.split, in compare by --split"
            )
    return split.among(speakers, folds)


class ClipBatches(Dataset):
    """Whole batches: an item is what `ClipTensors.batch` makes of rows."""

    def __init__(self, clips: ClipTensors):
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, rows: Rows) -> dict[str, Tensor]:
        return self.clips.batch(rows)


class AugmentedBatches(ClipBatches):
    """Batches with changed faces and voices; what is drawn follows from the seed of the rows."""

    def __init__(self, clips: ClipTensors, options: AugmentationConfig):
        """Raises DataError for clip-level features, which have no picture and no sound to change."""
        super().__init__(clips)
        for name, option, there in (
            ("face", options.face, clips.has_crops),
            ("voice", options.voice, clips.has_samples),
        ):
            if option and not there:
                raise DataError(f"augmentation.{name} changes {name}s, and there are none; set it to null")
        self.face = options.face
        self.voice = options.voice and RobotVoiceAugmenter(options.voice, SAMPLE_RATE_HZ)

    def __getitem__(self, rows: Rows) -> dict[str, Tensor]:
        batch = super().__getitem__(rows)
        generator = torch.Generator().manual_seed(rows.seed)  # of both, or a face and its voice would change together
        if self.face:
            crops = batch["face"].flatten(0, 1).permute(0, 3, 1, 2).to(torch.float32) / 255.0  # (B * Tf, 3, S, S)
            crops = augment_robot_faces(crops, self.face, generator)
            crops = (255.0 * crops).round().to(torch.uint8).permute(0, 2, 3, 1)  # (B * Tf, S, S, 3)
            batch["face"] = crops.unflatten(0, batch["face"].shape[:2])
        if self.voice:
            batch["audio"] = self.voice(batch["audio"], generator)
        return batch


class ShuffledBatches(Sampler):
    """Rows of every batch of an epoch, drawn from the seed and the epoch, so that a resumed run goes on with the same.

    With several processes each takes every so-many-th batch. The last clips of an epoch, fewer than a batch, wait for
    another epoch, unless they are all there is.
    """

    def __init__(
        self,
        clips: ClipTensors,
        batch: int,
        re_pairing: float,
        seed: int,
        epoch: Callable[[], int],
        rank: int = 0,
        processes: int = 1,
    ):
        self.labels, self.re_pairing, self.seed = clips.labels, re_pairing, seed
        self.seen = torch.ones_like(clips.labels, dtype=torch.bool)  # (N,)
        if clips.face_mask is not None:
            self.seen = clips.face_mask.any(dim=1)
        self.batch = min(batch, max(1, len(clips) // processes))
        self.views = 1 if clips.audio is None else len(clips.audio)
        self.epoch = epoch  # asked when an epoch begins
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return len(self.labels) // self.batch // self.processes

    def __iter__(self) -> Iterator[Rows]:
        generator = torch.Generator().manual_seed(EPOCHS_PER_SEED * self.seed + self.epoch())
        count = len(self.labels)
        order = torch.randperm(count, generator=generator)
        views = torch.randint(self.views, (count,), generator=generator)
        faces = self._paired(order, generator)
        seeds = torch.randint(2**31, (count,), generator=generator)
        for number in range(self.rank, len(self) * self.processes, self.processes):
            part = slice(number * self.batch, (number + 1) * self.batch)
            yield Rows(order[part], views[part], faces[part], int(seeds[number]))

    def _paired(self, order: Tensor, generator: torch.Generator) -> Tensor:
        """For each of the rows (N,) the row of its face; a clip without one neither gives nor takes one."""
        faces = order.clone()
        anew = (torch.rand(len(order), generator=generator) < self.re_pairing) & self.seen[order]
        for label in self.labels[self.seen].unique():
            members = ((self.labels == label) & self.seen).nonzero()[:, 0]
            chosen = anew & (self.labels[order] == label)
            faces[chosen] = members[torch.randint(len(members), (int(chosen.sum()),), generator=generator)]
        return faces


def balanced(clips: ClipTensors, kind: Balancing, seed: int) -> ClipTensors:
    """The clips with small classes filled up, by copies or, on clip-level features, by SMOTE.

    Raises:
        DataError: SMOTE on samples or crops, or a border by votes where there are none.
        BalancingError: data that cannot be balanced this way.
    """
    if kind == "none":
        return clips
    if kind.startswith("vote") and not clips.voted.any():
        raise DataError(
            f"balancing is {kind}, and no clip has votes; expected data.corpus.votes with a corpus of votes"
        )
    labels = clips.labels.numpy()
    border = np.ones(len(labels), bool)  # of a class without one all samples are drawn from
    if kind.startswith("perceptual"):
        border = perceptual_border(labels, *clips.perceived.T)
    elif kind.startswith("vote"):
        border = vote_border(labels, clips.target.numpy())
    if not kind.endswith("smote"):
        return clips.of(oversampled(labels, border, seed))
    rows = _vectors(clips, kind)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    # Standardised, else the feature with the largest numbers says who is a neighbour.
    made = smote((rows - mean) / deviation, labels, border, seed)
    return _with_made(clips, made.embeddings * deviation + mean, made.labels)


def _vectors(clips: ClipTensors, kind: str) -> np.ndarray:
    """All clip-level features side by side, (N, F + Fa)."""
    masks = [mask for mask in (clips.face_mask, clips.audio_mask) if mask is not None]
    if clips.has_crops or clips.has_samples or not all(mask.all() for mask in masks):
        raise DataError(
            f"balancing {kind} needs clip-level features of every modality in every clip; use random_oversampling"
        )
    audio = None if clips.audio is None else clips.audio[0]
    return torch.cat([part for part in (clips.face, audio) if part is not None], dim=1).numpy()


def _with_made(clips: ClipTensors, vectors: np.ndarray, labels: np.ndarray) -> ClipTensors:
    """The clips and, after them, made ones; these have one view of the voice, repeated."""
    rows = torch.from_numpy(vectors.astype(np.float32))
    face, audio = clips.face, clips.audio
    if face is not None:
        face, rows = torch.cat([face, rows[:, : face.shape[1]]]), rows[:, face.shape[1] :]
    if audio is not None:
        audio = torch.cat([audio, rows.expand(len(audio), -1, -1)], dim=1)
    count = len(labels)
    made = torch.from_numpy(labels.astype(np.int64))
    target = torch.nn.functional.one_hot(made, clips.target.shape[1]).to(torch.float32)
    there = torch.ones(count, dtype=torch.bool)
    return ClipTensors(
        np.concatenate([clips.clip_ids, np.array([f"made-{number}" for number in range(count)], "U")]),
        np.concatenate([clips.speaker_ids, np.full(count, "made")]),
        torch.cat([clips.labels, made]),
        torch.cat([clips.target, target]),
        np.concatenate([clips.voted, np.zeros(count, bool)]),
        face,
        None if face is None else torch.cat([clips.face_mask, there.unsqueeze(1)]),
        audio,
        None if audio is None else torch.cat([clips.audio_mask, there]),
        np.concatenate([clips.perceived, np.full((count, 2), np.nan)]),
        clips.sound,
    )
