"""Splits by speaker or session, kept in files, so that everybody tests on the same people."""

import hashlib
import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy.cluster.hierarchy import DisjointSet

from .clip import Clip
from .command import write_whole

PARTS = ("train", "validation", "test")
LISTED = 10  # names in a message


class SplitError(Exception):
    """A split that does not hold, or does not fit the clips; the message names the fold and what is wrong."""


@dataclass(frozen=True)
class Fold:
    """Speakers by their use; SplitError if one is in two parts, or twice in one, or a part is empty."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in PARTS:
            if not getattr(self, part):
                raise SplitError(f"{part} has no speaker; expected one or more")
            twice = sorted(name for name, count in Counter(getattr(self, part)).items() if count > 1)
            if twice:
                raise SplitError(f"{part} has {listed(twice)} more than once; expected each once")
        for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
            both = sorted(set(getattr(self, a)) & set(getattr(self, b)))
            if both:
                raise SplitError(f"speakers {listed(both)} are in {a} and in {b}; expected each in one part")

    @property
    def speakers(self) -> frozenset[str]:
        return frozenset(self.train + self.validation + self.test)

    def among(self, speakers: Collection[str]) -> "Fold | None":
        """The fold as far as it concerns `speakers`; None if it tests none of them, SplitError if they leave another
        part empty.
        """
        kept = {part: tuple(s for s in getattr(self, part) if s in speakers) for part in PARTS}
        if not kept["test"]:
            return None
        for part in PARTS:
            if not kept[part]:
                raise SplitError(
                    f"the speakers of {part}, {listed(getattr(self, part))}, have no clip that can be used; "
                    "expected one of them at least, so complete the corpus or choose other folds"
                )
        return Fold(**kept)


@dataclass(frozen=True)
class Split:
    """Folds over the same speakers.

    Attributes:
        name: of the split, that of its file.
        corpus: the corpus whose speakers these are.
        protocol: in words, how it came about.
        seed: what the order of the speakers was drawn with; None where nothing was drawn.
        folds: each with all speakers, SplitError otherwise; None where a part of the corpus leaves nobody to test, or
            where the fold is not wanted and cannot be run.
    """

    name: str
    corpus: str
    protocol: str
    seed: int | None
    folds: tuple[Fold | None, ...]

    def __post_init__(self) -> None:
        if not self.numbers:
            raise SplitError(f"{self.name} has no fold; expected one or more")
        for number in self.numbers:
            unequal = sorted(self.fold(number).speakers ^ self.speakers)
            if unequal:
                raise SplitError(
                    f"{self.name}, fold {number}: speakers {listed(unequal)} are not in every fold; "
                    "expected the same speakers in all"
                )

    @property
    def speakers(self) -> frozenset[str]:
        return self.fold(self.numbers[0]).speakers

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the folds that can be run."""
        return tuple(number for number, fold in enumerate(self.folds) if fold is not None)

    def fold(self, number: int) -> Fold:
        """The fold of a number; SplitError for one that there is not, or that the speakers at hand leave empty."""
        fold = self.folds[number] if 0 <= number < len(self.folds) else None
        if fold is None:
            raise SplitError(
                f"fold is {number}; expected one of {', '.join(map(str, self.numbers))}, those of {self.name} "
                "that test somebody of the corpus at hand"
            )
        return fold

    def among(self, speakers: Iterable[str], wanted: Collection[int] | None = None) -> "Split":
        """The split as far as it concerns `speakers`, for a corpus of which only a part is at hand.

        Folds keep their numbers; one that loses all that it tests on is None. Figures on it are not those of the
        published protocol, and the protocol says so.

        Args:
            speakers: those at hand.
            wanted: numbers of the folds that are to be run, None for all. Another one that is left without training or
                validation is None, too.

        Raises:
            SplitError: a speaker that the split does not have, a wanted fold left without training or validation, or no
                fold left.
        """
        present = set(speakers)
        unknown = sorted(present - self.speakers)
        if unknown:
            raise SplitError(
                f"{self.name} ({self.protocol}) does not have the speakers {listed(unknown)}; use the split of their "
                "corpus, which names them like this, <corpus>-<speaker>, or have the reader leave out what it does"
            )
        if present == self.speakers:
            return self
        folds = []
        for number, fold in enumerate(self.folds):
            try:
                folds.append(fold and fold.among(present))
            except SplitError as error:
                if wanted is None or number in wanted:
                    raise SplitError(f"{self.name}, fold {number}: {error}") from None
                folds.append(None)
        absent = listed(sorted(self.speakers - present))
        if not any(folds):
            raise SplitError(f"{self.name} has no fold left without {absent}; expected one, so complete the corpus")
        return Split(self.name, self.corpus, f"{self.protocol}; without {absent}", self.seed, tuple(folds))


def require_every_class(part: str, labels: Sequence[str], found: Collection[str | None]) -> None:
    """SplitError for labels of which a part has no clip. part: its name, as it begins the sentence."""
    empty = [label for label in labels if label not in found]
    if empty:
        raise SplitError(
            f"{part} has no clip of {', '.join(empty)}; expected every class, so choose other speakers, leave the "
            "class out of the labels, or allow empty classes"
        )


def k_fold(name: str, corpus: str, groups: Mapping[str, str], folds: int, seed: int) -> Split:
    """Tests on each speaker once; the folds are balanced by group, such as gender.

    The order of the speakers is drawn by hashing seed and name, so it depends neither on the order of files nor on a
    library's version. One speaker of each group, a test speaker of the next fold that has one, is for validation.

    Args:
        name: of the split.
        corpus: whose speakers these are.
        groups: the group of each speaker.
        folds: how many, from 2 to the number of speakers.
        seed: of the order.
    """
    if not 2 <= folds <= len(groups):
        raise SplitError(f"{name}: {folds} folds of {len(groups)} speakers; expected 2 to {len(groups)}")
    ordered = sorted(groups, key=lambda speaker: (groups[speaker], _draw(seed, speaker)))
    tests = [ordered[number::folds] for number in range(folds)]
    return Split(
        name,
        corpus,
        f"speaker-disjoint {folds}-fold, balanced by group",
        seed,
        tuple(_fold(test, _one_of_each(groups, _after(tests, number)), groups) for number, test in enumerate(tests)),
    )


def leave_one_speaker_out(name: str, corpus: str, groups: Mapping[str, str], seed: int) -> Split:
    """One fold a speaker; validation as in `k_fold`."""
    split = k_fold(name, corpus, groups, len(groups), seed)
    return Split(name, corpus, "leave one speaker out", seed, split.folds)


def leave_one_session_out(name: str, corpus: str, sessions: Mapping[str, str], seed: int) -> Split:
    """One fold a session: all its speakers are tested, those of the session drawn next are for validation.

    Args:
        name: of the split.
        corpus: whose speakers these are.
        sessions: the session of each speaker, as `speaker_sessions` gives it.
        seed: of the order.
    """
    members = defaultdict(list)
    for speaker, session in sessions.items():
        members[session].append(speaker)
    if len(members) < 3:
        raise SplitError(f"{name}: {len(members)} sessions; expected 3 or more, for training, validation and test")
    tests = [members[session] for session in sorted(members, key=lambda session: _draw(seed, session))]
    folds = tuple(_fold(test, tests[(number + 1) % len(tests)], sessions) for number, test in enumerate(tests))
    return Split(name, corpus, "leave one session out", seed, folds)


def speaker_sessions(clips: Iterable[Clip]) -> dict[str, str]:
    """The session of each speaker; SplitError for one of none.

    The sessions of one person count as one, `a + b`, as neither that person nor those whom he or she talks with may be
    in two parts.
    """
    sessions_of: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.session_id is None:
            raise SplitError(f"clip {clip.clip_id} has no session; split {clip.corpus} by speaker")
        sessions_of[clip.speaker_id].add(clip.session_id)
    connected = DisjointSet(sorted(set().union(*sessions_of.values())))
    for first, *others in sessions_of.values():
        for other in others:
            connected.merge(first, other)
    names = {session: " + ".join(sorted(group)) for group in connected.subsets() for session in group}
    return {speaker: names[min(sessions)] for speaker, sessions in sessions_of.items()}


def shared_sessions(split: Split, clips: Iterable[Clip], folds: Iterable[int]) -> list[str]:
    """The sessions whose people are not all in one part of each of the folds, given by their numbers."""
    members = defaultdict(set)
    for clip in clips:
        if clip.session_id is not None:
            members[clip.session_id].add(clip.speaker_id)
    parts = [[set(getattr(split.fold(number), part)) for part in PARTS] for number in folds]
    return sorted(
        session
        for session, speakers in members.items()
        if any(not any(speakers <= part for part in fold) for fold in parts)
    )


def load_split(path: Path) -> Split:
    """Reads what `save_split` wrote, and checks it; SplitError names the file and what is wrong."""
    try:
        tree = json.loads(path.read_text())
        folds = tuple(_read_fold(number, fold) for number, fold in enumerate(tree.pop("folds")))
        for key in ("name", "corpus", "protocol"):
            if not isinstance(tree[key], str):
                raise SplitError(f"{key} is {tree[key]!r}; expected text")
        if not isinstance(tree["seed"], int | None):
            raise SplitError(f"seed is {tree['seed']!r}; expected a whole number, or null where nothing was drawn")
        return Split(**tree, folds=folds)
    except FileNotFoundError:
        raise SplitError(f"{path} does not exist; expected a split file") from None
    except UnicodeDecodeError as error:
        raise SplitError(f"{path} is no text in UTF-8 ({error}); save it as such") from None
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SplitError(f"{path} is no split file ({error!r}); write it with save_split") from None
    except SplitError as error:
        raise SplitError(f"{path}: {error}") from None


def listed(names: Sequence[str]) -> str:
    """For a message: those that it takes to see which are meant, and how many others."""
    others = len(names) - LISTED
    return ", ".join(names) if others <= 1 else f"{', '.join(names[:LISTED])} and {others} others"


def save_split(split: Split, path: Path) -> None:
    """Raises OutputError for a file that cannot be written."""
    write_whole(path, json.dumps(asdict(split), indent=2) + "\n")


def _read_fold(number: int, tree: Mapping[str, Any]) -> Fold:
    try:
        return Fold(**{part: _names(part, tree[part]) for part in PARTS})
    except SplitError as error:
        raise SplitError(f"fold {number}: {error}") from None


def _names(part: str, value: Any) -> tuple[str, ...]:
    """The speakers of a part as a file has them; SplitError for anything but a list of names."""
    if not isinstance(value, list):
        raise SplitError(f"{part} is {value!r}; expected a list of speakers")
    for name in value:
        if not isinstance(name, str):
            raise SplitError(f"{part} has {name!r}; expected names of speakers, in quotes")
    return tuple(unicodedata.normalize("NFC", name) for name in value)  # as `corpora.table` has them


def _draw(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _after(tests: Sequence[Sequence[str]], number: int) -> list[str]:
    """The test speakers of the other folds, beginning with the next."""
    return [speaker for step in range(1, len(tests)) for speaker in tests[(number + step) % len(tests)]]


def _one_of_each(groups: Mapping[str, str], candidates: Sequence[str]) -> list[str]:
    """The first of the candidates of each group."""
    first: dict[str, str] = {}
    for speaker in candidates:
        first.setdefault(groups[speaker], speaker)
    return list(first.values())


def _fold(test: Iterable[str], validation: Iterable[str], speakers: Iterable[str]) -> Fold:
    held_out = {*test, *validation}
    train = sorted(speaker for speaker in speakers if speaker not in held_out)
    return Fold(tuple(train), tuple(sorted(validation)), tuple(sorted(test)))
