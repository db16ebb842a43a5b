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

# Of CREMA-D's VideoDemographics.csv; the other 43 are female.
# fmt: off
CREMA_D_MEN = {
    1001, 1005, 1011, 1014, 1015, 1016, 1017, 1019, 1022, 1023, 1026, 1027, 1031, 1032, 1033, 1034,
    1035, 1036, 1038, 1039, 1040, 1041, 1042, 1044, 1045, 1048, 1050, 1051, 1057, 1059, 1062, 1064,
    1065, 1066, 1067, 1068, 1069, 1070, 1071, 1077, 1080, 1081, 1083, 1085, 1086, 1087, 1088, 1090,
}
# fmt: on

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
    ravdess = {f"ravdess-{actor:02d}": "male" if actor % 2 else "female" for actor in range(1, 25)}
    first_20 = dict(list(ravdess.items())[:20])
    crema_d = {f"crema_d-{actor}": "male" if actor in CREMA_D_MEN else "female" for actor in range(1001, 1092)}
    savee = {f"savee-{speaker}": "male" for speaker in ("DC", "JE", "JK", "KL")}
    emodb = {f"emodb-{speaker}": gender for speaker, gender in EMODB_GENDERS.items()}
    return [
        k_fold("crema_d_5fold", "crema_d", crema_d, 5, SEED),
        k_fold("emodb_5fold", "emodb", emodb, 5, SEED),
        leave_one_speaker_out("emodb_loso", "emodb", emodb, SEED),
        k_fold("ravdess_5fold", "ravdess", ravdess, 5, SEED),
        k_fold("ravdess_5fold_20actors", "ravdess", first_20, 5, SEED),
        _katerynach(),
        leave_one_speaker_out("ravdess_loso", "ravdess", ravdess, SEED),
        leave_one_speaker_out("ravdess_loso_20actors", "ravdess", first_20, SEED),
        leave_one_speaker_out("savee_loso", "savee", savee, SEED),
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
