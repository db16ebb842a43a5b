"""Writes the split of FER2013 by its official parts, for `data.split` of a configuration such as fer2013_emonext.yaml.

Nobody knows who is on a picture, so that each counts as a speaker; copies are left out, as the reader does by
`copies: false`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from .command import run_command
from .corpora import CorpusError, read_corpus
from .corpora.fer2013 import CORPUS
from .splits import Fold, Split, SplitError, save_split

VALIDATION_SHARE = 0.1  # of Training, where PrivateTest is not at hand
SEED = 0


def official_split(root: Path, name: str) -> Split:
    """Training, PublicTest and PrivateTest to train, choose and test by; without the last one, to train by nine tenths
    of Training, choose by the others and test by PublicTest.

    Raises:
        CorpusError: as of the reader, so that there is no picture of Training or of PublicTest.
        SplitError: too few pictures for three parts.
    """
    train, public = _speakers(root, "train"), _speakers(root, "valid")
    try:
        private = _speakers(root, "test")
    except CorpusError:
        private = ()
    if private:
        fold = Fold(train=train, validation=public, test=private)
        return Split(name, CORPUS, "the official parts, without copies", None, (fold,))
    names = np.random.default_rng(SEED).permutation(train).tolist()
    count = round(VALIDATION_SHARE * len(names))
    fold = Fold(train=tuple(sorted(names[count:])), validation=tuple(sorted(names[:count])), test=public)
    return Split(name, CORPUS, "Training, a tenth of it to choose by, and PublicTest; without copies", SEED, (fold,))


def _speakers(root: Path, part: str) -> tuple[str, ...]:
    return tuple(clip.speaker_id for clip in read_corpus(CORPUS, root, part=part, copies=False))


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="FER2013 as its reader takes it: a csv, zip or folder")
    parser.add_argument("--out", type=Path, required=True, help="the split's file, such as fer2013_official.json")
    given = parser.parse_args(arguments)
    return run_command(lambda: _write(given), (CorpusError, SplitError), "interrupted; nothing is written")


def _write(given: argparse.Namespace) -> str:
    split = official_split(given.root, given.out.stem)
    save_split(split, given.out)
    fold = split.fold(0)
    counts = ", ".join(f"{len(getattr(fold, part))} {part}" for part in ("train", "validation", "test"))
    return f"{given.out}: {split.protocol}; {counts}"


if __name__ == "__main__":
    sys.exit(main())
