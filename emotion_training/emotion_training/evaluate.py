"""Figures of a trained model on people whom it does not know, and how it stands noise, covered faces and lost pictures.

    python -m emotion_training.evaluate --checkpoint OUT/best.ckpt --data PREPARED --out EVALUATION
    python -m emotion_training.evaluate --bundle BUNDLE --data PREPARED --out EVALUATION

A checkpoint is judged on the test speakers of its fold. A bundle is judged on everybody in PREPARED except those whom,
by its model.json, it knows from its training, by the code of the robot and its own calibration, one window of each
clip. Writes evaluation.md, evaluation.html and evaluation.json into --out.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotion_perception.core.model_bundle import ModelBundle, load_bundle

from .adaptation import corpus_of
from .calibration import FEWEST
from .clip_tensors import ClipTensors, DataError
from .command import make_out, run_command, write_whole
from .corpus_tensors import CorpusConfig, load_corpus
from .encoded_clips import encoded, encoded_by_bundle
from .experiment import EXPERIMENT_ERRORS, Experiment, restore_experiment
from .metrics import bootstrap_interval, confusion_counts, coverage, unweighted_average_recall
from .models.bundle_encoders import known_speakers
from .predictions import (
    Predictions,
    calibration_of,
    figures,
    predict,
    predict_by_bundle,
    states_of,
)
from .prepared_corpus import PreparedCorpus
from .report_pages import Heading, Part, Table, Text, html_page, markdown
from .robustness import (
    DROPPED_SHARES,
    OCCLUDED_SHARES,
    SNR_DB,
    with_dropped_frames,
    with_occluded_faces,
)

BOOTSTRAP_SAMPLES = 2000
SEED = 0  # of the bootstrap, and of what is done to the clips
CALIBRATED = 1.0  # temperature of what is calibrated already
COLUMNS = {
    "uar": "UAR",
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "ece_before": "ECE",
    "ece": "calibrated ECE",
    "certain_share": "certain of",
    "accuracy_of_certain": "right when certain",
}
STATE_NAMES = {"both": "as recorded", "face": "voice missing", "audio": "face missing"}


def evaluate(experiment: Experiment, robustness: bool) -> dict[str, Any]:
    """All figures as plain values: of the test part, by speaker, by class, and in every condition; each clip calibrated
    by its state, as in the bundle that `export` makes.
    """
    model, data = experiment.module.evaluated, experiment.data
    calibration = calibration_of(model, encoded(model, data.validation, "encode validation"))

    def figures_of(test: Predictions) -> dict[str, float]:
        return _rounded(figures(test, test.temperatures(calibration)))

    test_clips = encoded(model, data.test, "encode test")
    tests = {STATE_NAMES[state]: predict(model, test_clips, state) for state in states_of(test_clips)}
    if robustness:
        corpus = dataclasses.replace(data.corpus, speakers=data.fold.test)
        for name, clips in spoilt(corpus, data.test):
            tests[name] = predict(model, encoded(model, clips, name))
    return {
        "split": data.split.name,
        "fold": data.fold_number,
        "calibration": calibration,
    } | _found(tests, data.test, data.shape.labels, figures_of)


def evaluate_bundle(bundle: ModelBundle, data: Path, robustness: bool) -> dict[str, Any]:
    """All figures of a prepared corpus, as those of `evaluate`; with how often the bundle is certain. Whom the bundle
    knows from its training is left out.

    Raises:
        CorpusError, DataError: as of any corpus; or all of its speakers are known.
    """
    present = {clip.speaker_id for clip in PreparedCorpus(data).clips}
    known = present & {name for names in known_speakers(bundle).values() for name in names}
    if present and present == known:
        raise DataError(
            f"{bundle.model_id} knows everybody in {data} from its training; expected strangers, so give recordings of "
            "others, or, if these are other people, prepare their manifest with --option corpus=NAME"
        )
    corpus = CorpusConfig(root=data, speakers=tuple(sorted(present - known)), **corpus_of(bundle))
    clips = load_corpus(corpus)
    as_recorded = encoded_by_bundle(bundle, clips, STATE_NAMES["both"])
    tests = {STATE_NAMES[state]: predict_by_bundle(bundle, as_recorded, state) for state in states_of(clips)}
    if robustness:
        for name, changed in spoilt(corpus, clips):
            tests[name] = predict_by_bundle(bundle, encoded_by_bundle(bundle, changed, name))
    found = {"bundle": bundle.model_id, "left_out": sorted(known)}
    return found | _found(tests, clips, bundle.labels, _certain_figures)


def spoilt(corpus: CorpusConfig, clips: ClipTensors) -> Iterator[tuple[str, ClipTensors]]:
    """The clips of a corpus in every condition that their kind allows, with its name."""
    if clips.audio is not None and clips.audio_mask.any():
        for snr_db in SNR_DB:
            noisy = load_corpus(dataclasses.replace(corpus, snr_db=snr_db, views=1), keep=False)
            yield f"noise at {snr_db:g} dB", noisy
    if clips.has_crops and clips.face_mask.any():
        for share in OCCLUDED_SHARES:
            yield f"{100 * share:g} % of the face's side covered", with_occluded_faces(clips, share, SEED)
        for share in DROPPED_SHARES if clips.face_mask.shape[1] > 1 else ():  # the only picture stays
            yield f"{100 * share:g} % of the pictures dropped", with_dropped_frames(clips, share, SEED)


def _found(
    tests: Mapping[str, Predictions],
    clips: ClipTensors,
    labels: Sequence[str],
    figures_of: Callable[[Predictions], dict[str, float]],
) -> dict[str, Any]:
    """Who was judged, and the figures of every condition, of which `clips` as they were recorded is one."""
    test = tests[STATE_NAMES["both"]]
    conditions = {name: figures_of(of) for name, of in tests.items()}
    speakers = sorted(set(test.speaker_ids.tolist()))
    interval = None  # one speaker says nothing of others
    if len(speakers) > 1:
        bounds = bootstrap_interval(
            unweighted_average_recall, test.labels, test.predicted, test.speaker_ids, BOOTSTRAP_SAMPLES, SEED
        )
        interval = [round(bound, 4) for bound in bounds]
    return {
        "figures": conditions[STATE_NAMES["both"]],
        "speakers": speakers,
        "clips": len(clips),
        "voted": int(clips.voted.sum()),
        "uar_interval": interval,
        "uar_by_speaker": _by_speaker(test),
        "labels": list(labels),
        "confusion": confusion_counts(test.labels, test.predicted, len(labels)).tolist(),
        "conditions": conditions,
        "clips_by_condition": {name: len(of.labels) for name, of in tests.items()},
    }


def _certain_figures(test: Predictions) -> dict[str, float]:
    """Of a bundle, whose probabilities are calibrated; how often it is certain, and right then where it ever is."""
    values = figures(test, CALIBRATED)
    del values["ece_before"]
    values["certain_share"] = float(test.certain.mean())
    if test.certain.any():
        values["accuracy_of_certain"] = float((test.predicted == test.labels)[test.certain].mean())
    return _rounded(values)


def report(found: dict[str, Any], title: str) -> list[Part]:
    """The figures as pages."""
    columns = {figure: name for figure, name in COLUMNS.items() if figure in found["figures"]}
    rows = [
        [
            name,
            str(found["clips_by_condition"][name]),
            *(f"{values[figure]:.3f}" if figure in values else "" for figure in columns),
        ]
        for name, values in found["conditions"].items()
    ]
    counts = np.array(found["confusion"])
    return [
        Heading(title, 1),
        Text(_protocol(found)),
        Heading("Conditions"),
        Table(["condition", "clips", *columns.values()], rows),
        *_speakers(found),
        Heading("Confusion: clips of each class (rows) by the predicted one"),
        Table(
            ["", *found["labels"]],
            [[label, *map(str, row)] for label, row in zip(found["labels"], counts, strict=True)],
        ),
    ]


def _speakers(found: dict[str, Any]) -> list[Part]:
    """The UAR of each, unless each has one clip alone, as where nobody knows who is on a picture."""
    if len(found["speakers"]) == found["clips"]:
        return []
    rows = [[name, f"{value:.3f}"] for name, value in found["uar_by_speaker"].items()]
    return [Heading("Speakers"), Table(["speaker", "UAR"], rows)]


def speakers(found: Mapping[str, Any]) -> str:
    """How many were judged."""
    count = len(found["speakers"])
    return "one speaker" if count == 1 else f"{count} speakers"


def interval(found: Mapping[str, Any]) -> str:
    """Of the UAR, over the speakers."""
    if found["uar_interval"] is None:
        return "no interval, as there is one speaker"
    low, high = found["uar_interval"]
    few = coverage(len(found["speakers"]))
    return f"95 % interval over {speakers(found)}: {low:.3f} to {high:.3f} (bootstrap{few})"


def truth(found: Mapping[str, Any]) -> str:
    """What counts as right, where it is not simply the label; else nothing."""
    if not found["voted"]:
        return ""
    return (
        f" Labels are the raters' majority among these classes where there are votes, as on {found['voted']} of the "
        "clips; in a tie the clip's own label where it is among them, else the first of them."
    )


def _protocol(found: dict[str, Any]) -> str:
    """Who was judged, how, and the result."""
    people = f"{found['clips']} clips of {speakers(found)}"
    result = f"UAR {found['figures']['uar']:.3f}, {interval(found)}, over the classes that occur.{truth(found)}"
    if "bundle" in found:
        return (
            f"{people}, judged by the code of the robot and the calibration of {found['bundle']}: {result} Of each "
            "clip the loudest window of the voice is heard, also of a quiet one, and the pictures up to its end are "
            "seen; the newest ones where there are none. "
            "*Certain of*: the share whose confidence is not below what the bundle calls uncertain."
            f"{_left_out(found)}"
        )
    temperatures = ", ".join(f"{state} {of['temperature']}" for state, of in found["calibration"].items())
    return (
        f"Fold {found['fold']} of {found['split']}, {people} that were neither learnt from nor chosen by: {result} "
        f"Each clip has the temperature of what is there of it, as in a bundle: {temperatures}; from the validation "
        f"clips of the state where there are {FEWEST} at least, with fewer that of the bundle that it started from, "
        "or 1.0."
    )


def _left_out(found: Mapping[str, Any]) -> str:
    names = ", ".join(found["left_out"])
    return f" Left out, as {found['bundle']} knows them from its training: {names}." if names else ""


def _by_speaker(test: Predictions) -> dict[str, float]:
    speakers = sorted(set(test.speaker_ids.tolist()))
    of = {speaker: test.speaker_ids == speaker for speaker in speakers}
    return {
        speaker: round(unweighted_average_recall(test.labels[of[speaker]], test.predicted[of[speaker]]), 4)
        for speaker in speakers
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = argparse.ArgumentParser(
        prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    judged = parser.add_mutually_exclusive_group(required=True)
    judged.add_argument("--checkpoint", type=Path, help="of `train`, the one that it names at its end")
    judged.add_argument("--bundle", type=Path, help="folder of a bundle, such as the one that ships")
    parser.add_argument("--data", type=Path, required=True, help="folder that `prepare` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--robustness", action="store_true", help="noise, covered faces and dropped pictures too")
    given = parser.parse_args(arguments)
    return run_command(lambda: _write(given), EXPERIMENT_ERRORS)


def _write(given: argparse.Namespace) -> str:
    make_out(given.out)
    if given.bundle:
        bundle = load_bundle(given.bundle)
        found, name = evaluate_bundle(bundle, given.data, given.robustness), bundle.model_id
    else:
        experiment = restore_experiment(given.checkpoint, {"data.corpus.root": str(given.data)})
        found, name = evaluate(experiment, given.robustness), given.checkpoint.name
    title = f"Figures of {name}"
    write_whole(given.out / "evaluation.json", json.dumps(found, indent=1) + "\n")
    parts = report(found, title)
    write_whole(given.out / "evaluation.md", markdown(parts))
    write_whole(given.out / "evaluation.html", html_page(title, parts, given.out))
    return f"{given.out / 'evaluation.md'}: UAR {found['figures']['uar']:.3f}"


if __name__ == "__main__":
    sys.exit(main())
