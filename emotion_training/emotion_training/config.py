"""The configuration of the default bundle: one YAML file, typed, every key required, unknown keys refused."""

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass
from pathlib import Path

from .configuration import ConfigurationError, load_yaml
from .face_augmentation import FaceAugmentation
from .robot_face_augmentation import RobotFaceAugmentation
from .robot_voice_augmentation import RobotVoiceAugmentation
from .voice_augmentation import VoiceAugmentation


@dataclass(frozen=True)
class FaceCycle:
    """One rise and fall of the learning rate."""

    epochs: int
    teacher_share: float  # of the labels: what the networks trained so far say together, this one's last cycle included

    def __post_init__(self) -> None:
        if not 0.0 <= self.teacher_share <= 1.0:
            raise ConfigurationError(
                f"face_encoder.members.cycles.teacher_share is {self.teacher_share}; expected 0 to 1"
            )


@dataclass(frozen=True)
class FaceMemberConfig:
    name: str  # in the registry of face encoders
    options: dict[str, object]  # of that encoder
    start_from: str | None  # weights for the encoder, a file in the folder of the data
    cycles: tuple[FaceCycle, ...]  # each goes on from the averaged weights of the one before
    learning_rate: float
    ema_decay: float  # of the weights kept, per step
    bfloat16: bool  # activations in bfloat16 where the processor has it: 1.6 times as fast on a CPU with AMX
    ships: bool  # or only teaches those after it


@dataclass(frozen=True)
class DistillationConfig:
    """How a network that computes less learns to say what it said before, see `distil`."""

    steps: int
    batch: int
    learning_rate: float

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise ConfigurationError(
                f"distillation has {self.steps} steps of {self.batch} inputs; expected 1 or more of both, or null"
            )


@dataclass(frozen=True)
class FaceDistillationConfig(DistillationConfig):
    """Of a MobileNet that looks at fewer places in its first blocks."""

    input_px: int  # that crops are enlarged to from now on
    halving_blocks: tuple[int, ...]
    learning_blocks: int  # the first ones; behind them nothing changes


@dataclass(frozen=True)
class FaceEncoderConfig:
    size_px: int  # of the crops
    members: tuple[FaceMemberConfig, ...]
    distillation: FaceDistillationConfig | None  # of each member that ships, once it is trained

    def __post_init__(self) -> None:
        share = self.members[0].cycles[0].teacher_share
        if share != 0.0:
            raise ConfigurationError(
                f"face_encoder.members.cycles.teacher_share is {share} where nothing was trained before; set it to 0"
            )
        if not self.shipped:
            raise ConfigurationError("face_encoder.members.ships is false for all; expected true for one at least")

    @property
    def shipped(self) -> tuple[FaceMemberConfig, ...]:
        return tuple(member for member in self.members if member.ships)


@dataclass(frozen=True)
class FaceTrainingConfig:
    validation_share: float
    batch: int
    weight_decay: float
    fer2013_weight: float  # of the loss on FER2013's labels, beside that on the votes of FER+
    augmentation: FaceAugmentation
    robot_share: float  # of a batch, for the changes of robot_augmentation
    robot_augmentation: RobotFaceAugmentation


@dataclass(frozen=True)
class AudioEncoderConfig:
    sample_rate_hz: int
    window_s: float
    name: str  # in the registry of audio encoders
    options: dict[str, object]  # of that encoder
    start_from: str | None  # weights for the encoder, a file in the folder of the data
    distillation: DistillationConfig | None  # of these weights, from the corpora of which nobody is judged


@dataclass(frozen=True)
class AudioTrainingConfig:
    emodb_boredom: bool  # whether EmoDB's boredom joins neutral; it is left out otherwise
    balance: float  # 0: all clips come equally often, 1: all classes of all corpora do
    shares: dict[str, float]  # by corpus of which nobody is judged: how much of what comes is of it
    views: int  # windows of each clip that are learnt from
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    ema_decay: float
    head_dropout: float  # of the embedding, before the linear head
    label_smoothing: float
    bfloat16: bool
    augmentation: VoiceAugmentation
    robot_augmentation: RobotVoiceAugmentation

    def __post_init__(self) -> None:
        numbers = all(isinstance(share, float) and share > 0.0 for share in self.shares.values())
        if not (numbers and sum(self.shares.values()) < 1.0):
            raise ConfigurationError(
                f"audio_training.shares is {self.shares}; expected corpora with numbers above 0, together below 1"
            )


@dataclass(frozen=True)
class FusionConfig:
    bins: int
    bin_s: float
    width: int
    heads: int
    dropout: float
    face_prior: float  # exponent of the shares that classes have in FER+, which a face alone is expected to follow

    def __post_init__(self) -> None:
        if not 0.0 <= self.face_prior <= 1.0:
            raise ConfigurationError(f"fusion.face_prior is {self.face_prior}; expected 0 to 1")


@dataclass(frozen=True)
class FusionTrainingConfig:
    face_views: int  # augmented embeddings kept per face
    voice_views: int  # embeddings per clip of new people; of the others there are as many as the voice learnt from
    pairs_per_epoch: int
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    other_face_probability: float  # a bin shows another person of the same class
    neutral_face_probability: float  # a bin shows a neutral face
    masked_bin_probability: float
    voice_confusion: float  # of what the voice encoder confuses more on new speakers, the part that pairs show
    label_smoothing: float
    test_pairs_per_class: int


@dataclass(frozen=True)
class BundleConfig:
    model_id: str
    seed: int
    threads: int  # of torch; figures are reproduced with the same number
    hop_s: float
    bootstrap_samples: int
    splits: dict[str, str]  # by corpus of voices, the name of a file in splits/: who is judged by whom
    face_encoder: FaceEncoderConfig
    face_training: FaceTrainingConfig
    audio_encoder: AudioEncoderConfig
    audio_training: AudioTrainingConfig
    fusion: FusionConfig
    fusion_training: FusionTrainingConfig

    def __post_init__(self) -> None:
        if self.audio_encoder.distillation is not None and not self.audio_training.shares:
            raise ConfigurationError(
                "audio_encoder.distillation learns from the corpora of audio_training.shares, which has none; "
                "set it to null"
            )


def load_config(path: Path) -> BundleConfig:
    """Reads a configuration; ConfigurationError with all that is wrong with it."""
    problems: list[str] = []
    config = _build(BundleConfig, load_yaml(path), "", problems)
    if problems:
        raise ConfigurationError(f"{path}: " + "; ".join(problems))
    return config


def configuration_hash(*parts: object) -> str:
    """Short hash of dataclasses and plain values, to tell whether a cached stage still fits."""
    plain = [dataclasses.asdict(part) if dataclasses.is_dataclass(part) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _build(kind: typing.Any, value: object, key: str, problems: list[str]) -> typing.Any:
    """`value` of the YAML tree as `kind`; what does not fit is added to `problems`."""
    if type(None) in typing.get_args(kind):
        if value is None:
            return None
        (kind,) = set(typing.get_args(kind)) - {type(None)}
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, key, problems)
    if origin is tuple:
        if not isinstance(value, list):
            problems.append(f"{key} is {value!r}; expected a list")
            return ()
        kinds = typing.get_args(kind)
        if not value:
            problems.append(f"{key} is empty; expected a list with something in it")
        kinds = [kinds[0]] * len(value) if len(kinds) == 2 and kinds[1] is Ellipsis else kinds
        if len(kinds) != len(value):
            problems.append(f"{key} is {value!r}; expected {len(kinds)} values")
        return tuple(_build(item_kind, item, key, problems) for item_kind, item in zip(kinds, value, strict=False))
    if origin is dict:
        if not isinstance(value, dict):
            problems.append(f"{key} is {value!r}; expected a mapping")
        return value
    if kind is float and type(value) is int:
        return float(value)
    if kind is Path and type(value) is str:
        return Path(value)
    if type(value) is not kind:
        problems.append(f"{key} is {value!r}; expected {kind.__name__}")
    return value


def _build_dataclass(kind: type, value: object, key: str, problems: list[str]) -> typing.Any:
    if not isinstance(value, dict):
        problems.append(f"{key or 'the file'} is {value!r}; expected a mapping")
        return None
    kinds = typing.get_type_hints(kind)
    prefix = f"{key}." if key else ""
    for unknown in sorted(set(value) - set(kinds)):
        problems.append(f"{prefix}{unknown} is unknown; expected one of {', '.join(sorted(kinds))}")
    for missing in sorted(set(kinds) - set(value)):
        problems.append(f"{prefix}{missing} is missing")
    fields = {name: _build(kinds[name], value[name], prefix + name, problems) for name in kinds if name in value}
    return None if problems else kind(**fields)
