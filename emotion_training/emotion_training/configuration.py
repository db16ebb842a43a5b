"""Configurations as trees of plain values, as they stand in YAML files."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .package_share import package_share

CONFIG_FOLDER = package_share("emotion_training") / "config"


class ConfigurationError(Exception):
    """A configuration that cannot be used; the message names the file or the key."""


def load_yaml(path: Path) -> Any:
    """The plain values of a YAML file; ConfigurationError if it is none."""
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist; expected a file of YAML") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text in UTF-8 ({error}); save it as such") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from None


def find_config(path: Path) -> Path:
    """The file itself, or that of this package with its name."""
    brought = CONFIG_FOLDER / path.name
    return brought if not path.is_file() and path.parent == Path() and brought.is_file() else path


def load_tree(path: Path) -> dict[str, Any]:
    """The keys of a YAML file and their plain values; ConfigurationError if there are none."""
    tree = load_yaml(path)
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{path} holds no keys; expected some, in YAML")
    return tree


def changed(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the tree in which each dotted key holds its new value.

    Raises:
        ConfigurationError: a key below a value that has no keys.
    """
    result = copy.deepcopy(dict(tree))
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigurationError(f"{key} cannot be changed, as {parent} is {place}; expected keys in {parent}")
        place[last] = copy.deepcopy(value)
    return result
