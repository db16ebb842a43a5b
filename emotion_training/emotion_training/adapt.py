"""Fine-tunes a trained model on somebody's own small corpus, and says what that brought.

    python -m emotion_training.adapt --bundle BUNDLE --data PREPARED --split SPLIT.json --out ADAPTED

BUNDLE is any bundle, the one that ships too: its encoders stay and its fusion learns. With --checkpoint OUT/best.ckpt
of `train` instead, the encoders can learn as well. The figures before and after are of the speakers that the split
leaves out for testing, by the calibration of BUNDLE and by that of the new bundle. A checkpoint has none: before, it is
calibrated by the speakers who validate, as after. Writes best.ckpt, adaptation.json and, with --name and --licence, the
new bundle in ADAPTED/bundle.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .adaptation import bundle_experiment, encode_once
from .bundle_writer import ParityError
from .checkpoints import CheckpointError
from .command import make_out, run_command, write_whole
from .evaluate import evaluate
from .experiment import BEST, EXPERIMENT_ERRORS, LAST, Experiment, restore_experiment
from .export import ExportError, export, never_certain
from .models.bundle_encoders import start_of
from .predictions import calibration_of, figures, predict
from .run_card import of_untaught
from .splits import listed
from .training_module import TrainingError

ADAPTATION = "adaptation.json"


def adapt(
    experiment: Experiment, out: Path, train_encoders: bool, calibration: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Trains a restored experiment further on its data.

    Without `train_encoders` only the fusion learns; the encoders keep their weights and statistics. calibration: by
    state, of the model as it is.

    Returns:
        Figures of the test speakers before, and all figures after.
    """
    module, data = experiment.module, experiment.data
    test = predict(module.evaluated, data.test)
    before = figures(test, test.temperatures(calibration))
    start = _validation_loss(experiment)
    module.begin_adaptation(train_encoders)
    experiment.run(out)
    if not (best := _validation_loss(experiment)) < start:
        raise TrainingError(
            f"no epoch says more of the validation speakers than the model did before (loss {best:.3f} at best, "
            f"{start:.3f} before), which is better than what {out} holds now; lower --learning-rate or record more, "
            "and give another --out"
        )
    return {name: round(value, 4) for name, value in before.items()}, evaluate(experiment, robustness=False)


def _validation_loss(experiment: Experiment) -> float:
    said = predict(experiment.module.evaluated, experiment.data.validation)
    return float(torch.nn.functional.cross_entropy(torch.from_numpy(said.logits), experiment.data.validation.target))


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = argparse.ArgumentParser(
        prog="adapt", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--bundle", type=Path, help="folder of a bundle, such as the one that ships")
    start.add_argument("--checkpoint", type=Path, help="of `train`, the one that it names at its end")
    parser.add_argument("--data", type=Path, required=True, help="folder that `prepare` wrote of the own corpus")
    parser.add_argument("--split", type=Path, required=True, help="of the own corpus's speakers")
    parser.add_argument("--fold", type=int, default=0, help="of the split (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the adapted model")
    parser.add_argument("--train-encoders", action="store_true", help="train the encoders too, not the fusion alone")
    parser.add_argument("--epochs", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="default: %(default)s")
    parser.add_argument("--name", help="id of the new bundle; without it none is made")
    parser.add_argument("--licence", help="terms of the new weights, needed with --name")
    given = parser.parse_args(arguments)
    if given.name and not given.licence:
        parser.error("--name needs --licence, the terms of the new weights")
    if given.licence and not given.name:
        parser.error("--licence needs --name, the id of the new bundle")
    if given.epochs < 1:
        parser.error("--epochs must be 1 or more")
    if not 0.0 < given.learning_rate < math.inf:
        parser.error("--learning-rate must be positive and finite")
    if given.bundle and given.train_encoders:
        parser.error("--train-encoders needs --checkpoint; the encoders of a bundle are finished graphs")
    interrupted = (
        f"interrupted; if an epoch was finished, {given.out / BEST} holds the best so far, {LAST} the last, and the "
        "same command begins anew with another --out"
    )
    return run_command(lambda: _write(given), (*EXPERIMENT_ERRORS, ExportError, ParityError), interrupted)


def _write(given: argparse.Namespace) -> str:
    make_out(given.out)
    if (last := given.out / LAST).exists():
        raise CheckpointError(f"{last} is of an earlier training, which would be lost; give another --out")
    changes = {
        "data.corpus.root": str(given.data),
        "data.split": str(given.split),
        "data.fold": given.fold,
        "data.empty_classes": "allow",
        "trainer.max_epochs": given.epochs,
        "trainer.devices": 1,  # for what is small, and told and written once
        "selection.keep": "best",  # the last one has often learnt the few speakers by heart
        "selection.monitor": "validation_loss",
        "model.optimiser.learning_rate": given.learning_rate,
    }
    if given.bundle:
        experiment = bundle_experiment(given.bundle, changes)
    else:
        experiment = restore_experiment(given.checkpoint, changes)
    if not given.train_encoders:
        encode_once(experiment)
    if given.bundle:
        calibration = start_of(experiment.module.evaluated).calibration
    else:
        calibration = calibration_of(experiment.module.evaluated, experiment.data.validation)
    before, after = adapt(experiment, given.out, given.train_encoders, calibration)
    content = {
        "before": before,
        "after": after["figures"],
        "speakers": after["speakers"],
        "split": after["split"],
        "protocol": experiment.data.split.protocol,
        "untaught": experiment.data.untaught,
    }
    write_whole(given.out / ADAPTATION, json.dumps(content, indent=1) + "\n")
    sentence = f"UAR {before['uar']:.3f} before, {after['figures']['uar']:.3f} after, on {listed(after['speakers'])}"
    if content["untaught"]:
        sentence += f"; {of_untaught(content['untaught'])}"
    if not given.name:
        return sentence
    training = export(experiment, given.out / "bundle", given.name, given.licence, int8=False, before=before)
    return sentence + never_certain(training)


if __name__ == "__main__":
    sys.exit(main())
