"""What a comparison compares: one experiment, and models that each differ from it in named keys."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentError, ArgumentParser

from .configuration import CONFIG_FOLDER, ConfigurationError, load_tree

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
    """What is compared; what its author says of the figures stands with them, see `report_pages.load_notes`.

    In the file `like` may name another comparison beside it, whose keys stand where this one says nothing.

    title: of the report. experiment: a file beside this one, as `train` takes it. models: by name, in the order of
    the report. seeds: of the trainings. ours: the model that the report tests against the late fusions. changes: of
    the experiment, for all models; see `ModelEntry`. contrasts: pairs of models to be tested beside those
    against late fusion. chosen: by name, models between which every fold chooses by its validation speakers.
    """

    title: str
    experiment: str
    models: dict[str, ModelEntry]
    seeds: tuple[int, ...]
    ours: str
    changes: dict[str, Any] = field(default_factory=dict)
    contrasts: tuple[tuple[str, str], ...] = ()
    chosen: dict[str, tuple[str, ...]] = field(default_factory=dict)


def load_comparison(path: Path) -> ComparisonConfig:
    """Reads a comparison; ConfigurationError names the file and what is wrong."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ComparisonConfig, "comparison")
    tree = load_tree(path)
    if "like" in tree:
        like = tree.pop("like")
        if not isinstance(like, str):
            raise ConfigurationError(f"{path}: like is {like}; expected the name of a comparison beside this one")
        tree = load_tree(path.parent / like) | tree
    try:
        config = parser.instantiate(parser.parse_object({"comparison": tree})).comparison
    except ArgumentError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    if not config.seeds:
        raise ConfigurationError(f"{path}: seeds are none; expected one or more")
    for name in config.models:
        if name == ".." or Path(name).name != name:  # each has a folder for its cells
            raise ConfigurationError(
                f"{path}: models names {name!r}; expected a name that a folder can have, without /"
            )
    named = {"ours": (config.ours,), "contrasts": sum(config.contrasts, ()), "chosen": sum(config.chosen.values(), ())}
    for key, models in named.items():
        for model in models:
            if model not in config.models:
                raise ConfigurationError(f"{path}: {key} names {model!r}; expected one of {', '.join(config.models)}")
    return config
