"""What a comparison compares: one experiment, and models that each differ from it in named keys."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from .configuration import CONFIG_FOLDER, ConfigurationError

DEFAULT_COMPARISON = CONFIG_FOLDER / "compare_ravdess_av.yaml"
Fusion = Literal["none", "early", "late", "intermediate"]


@dataclass(frozen=True)
class ModelEntry:
    """One model of a comparison.

    fusion: its kind, "none" for one modality alone. modalities: what it sees. changes: dotted keys of the experiment
    and what stands there instead, whole.
    """

    fusion: Fusion
    modalities: tuple[Literal["face", "voice"], ...]
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ComparisonConfig:
    """title: of the report. experiment: a file beside this one, as `train` takes it. models: by name, in the order of
    the report. seeds: of the trainings. ours: the model that the report tests against the late fusions. changes: of
    the experiment, for all models; see `ModelEntry`.
    """

    title: str
    experiment: str
    models: dict[str, ModelEntry]
    seeds: tuple[int, ...]
    ours: str
    changes: dict[str, Any] = field(default_factory=dict)


def load_comparison(path: Path) -> ComparisonConfig:
    """Reads a comparison; ConfigurationError names the file and what is wrong."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ComparisonConfig, "comparison")
    try:
        tree = yaml.safe_load(path.read_text())
        config = parser.instantiate(parser.parse_object({"comparison": tree})).comparison
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist; expected a comparison in YAML") from None
    except (yaml.YAMLError, ArgumentError) as error:
        raise ConfigurationError(f"{path}: {error}") from None
    if config.ours not in config.models:
        raise ConfigurationError(f"{path}: ours is {config.ours!r}; expected one of {', '.join(config.models)}")
    return config
