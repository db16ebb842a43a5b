"""The corpora by name. Each reader takes the folder of a corpus and gives its clips, ordered by clip_id."""

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, get_args

from ..clip import Clip
from . import ased, cg_mer, crema_d, emodb, fer2013, manifest, nemo, ravdess, savee, urdu
from .table import CorpusError

__all__ = ["CORPORA", "CorpusError", "read_corpus"]

CORPORA: dict[str, Callable[..., list[Clip]]] = {
    module.__name__.rpartition(".")[2]: module.read
    for module in (ravdess, crema_d, savee, emodb, nemo, ased, urdu, fer2013, cg_mer, manifest)
}
SWITCHES = {"true": True, "false": False}


def read_corpus(name: str, root: Path, /, **options: Any) -> list[Clip]:
    """Reads the corpus `name`; `options` are those of its reader, also as text, as a command or a file gives them.

    Raises:
        CorpusError: no such corpus or option, or what the reader finds wrong.
    """
    if name not in CORPORA:
        raise CorpusError(f"corpus is {name!r}; expected one of {', '.join(CORPORA)}")
    if not root.exists():
        raise CorpusError(f"{root} does not exist; give the folder of {name}")
    known = dict(list(inspect.signature(CORPORA[name]).parameters.items())[1:])
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise CorpusError(f"{name} has no option {unknown[0]!r}; expected one of {', '.join(known) or 'none'}")
    typed = {option: _typed(option, value, known[option].annotation) for option, value in options.items()}
    clips = CORPORA[name](root, **typed)
    _require_one_spelling(root, {clip.speaker_id for clip in clips})
    return clips


def _require_one_spelling(root: Path, speakers: Collection[str]) -> None:
    """CorpusError for speakers who differ in the case of their letters alone, who are rather one than two."""
    spellings: dict[str, str] = {}
    for speaker in sorted(speakers):
        other = spellings.setdefault(speaker.casefold(), speaker)
        if other != speaker:
            raise CorpusError(
                f"{root} has the speakers {other} and {speaker}; expected one spelling of each, as a person of two "
                "could be in two parts of a split, so correct one"
            )


def _typed(option: str, value: Any, annotation: Any) -> Any:
    """A text as the type that the reader's option has; anything else as it is."""
    if not isinstance(value, str):
        return value
    if Path in (annotation, *get_args(annotation)):
        return Path(value)
    if annotation is bool:
        if value not in SWITCHES:
            raise CorpusError(f"{option} is {value!r}; expected true or false")
        return SWITCHES[value]
    try:
        return int(value) if annotation is int else value
    except ValueError:
        raise CorpusError(f"{option} is {value!r}; expected a whole number") from None
