"""Writes the split files of this package again: python -m emotion_training.committed_splits emotion_training/splits."""

import sys
from pathlib import Path

from .package_share import package_share
from .splits import Fold, Split, k_fold, leave_one_speaker_out, save_split

FOLDER = package_share("emotion_training") / "splits"
SEED = 0

EMODB_GENDERS = dict.fromkeys(("03", "10", "11", "12", "15"), "male") | dict.fromkeys(
    ("08", "09", "13", "14", "16"), "female"
)

# Test and validation actors of the five folds that the authors used; all others train. The code runs the first fold.
# https://github.com/katerynaCh/multimodal-emotion-recognition, ravdess_preprocessing/create_annotations.py. There,
# actor 9 stands in the training part of the third fold where 19 must be meant: 9 is tested in it. And the numbers are
# compared with positions in an unsorted directory listing, counted from 0, so that which people the published figures
# were tested on depends on the file system; here they are actors, as the paper says.
KATERYNACH_ACTORS = tuple(
    (range(first, first + 4), range(first + 4, first + 8)) for first in (1, 5, 9, 13, 17)
)  # (test, validation)


def committed_splits() -> list[Split]:
    """Every split that this package brings, in the order of the file names."""
    ravdess = {f"ravdess-{actor:02d}": "male" if actor % 2 else "female" for actor in range(1, 21)}
    emodb = {f"emodb-{speaker}": gender for speaker, gender in EMODB_GENDERS.items()}
    return [
        k_fold("emodb_5fold", "emodb", emodb, 5, SEED),
        leave_one_speaker_out("emodb_loso", "emodb", emodb, SEED),
        k_fold("ravdess_5fold_20actors", "ravdess", ravdess, 5, SEED),
        _katerynach(),
        leave_one_speaker_out("ravdess_loso_20actors", "ravdess", ravdess, SEED),
    ]


def _katerynach() -> Split:
    names = {actor: f"ravdess-{actor:02d}" for actor in range(1, 25)}
    folds = tuple(
        Fold(
            train=tuple(names[actor] for actor in names if actor not in {*test, *validation}),
            validation=tuple(names[actor] for actor in validation),
            test=tuple(names[actor] for actor in test),
        )
        for test, validation in KATERYNACH_ACTORS
    )
    protocol = "the actors of katerynaCh/multimodal-emotion-recognition: 16 train, 4 validation, 4 test"
    return Split("ravdess_katerynach", "ravdess", protocol, None, folds)


if __name__ == "__main__":
    for split in committed_splits():
        save_split(split, Path(sys.argv[1]) / f"{split.name}.json")
