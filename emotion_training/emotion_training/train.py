"""Trains one model on one fold, by Lightning's Trainer and command line.

    python -m emotion_training.train --config CONFIG.yaml --data.corpus.root PREPARED --out OUT

Any key of the configuration can be given as an option, such as --data.fold 2 or --trainer.precision bf16-mixed. OUT
gets best.ckpt and last.ckpt, which hold configuration and split, and evaluation.json; --resume goes on from last.ckpt.
"""

import json
import sys

from .checkpoints import CheckpointError
from .command import run_command, write_whole
from .encoded_clips import encoded
from .experiment import EXPERIMENT_ERRORS, read_experiment
from .predictions import calibration_of, figures, predict

EVALUATION = "evaluation.json"


def train(arguments: list[str]) -> str:
    """Trains as the command line says; one sentence on what came of it, nothing from the helping processes of DDP."""
    experiment = read_experiment(arguments)
    if experiment.out is None:
        raise CheckpointError("--out is not given; expected a folder for the checkpoints")
    checkpoint = experiment.run(experiment.out, experiment.resume)
    if not experiment.trainer.is_global_zero:
        return ""  # of several processes one judges the model and tells
    model, data = experiment.module.evaluated, experiment.data
    clips = {part: encoded(model, getattr(data, part), f"encode {part}") for part in ("validation", "test")}
    calibration = calibration_of(model, clips["validation"])
    said = {part: predict(model, of) for part, of in clips.items()}
    found = {
        part: {name: round(value, 4) for name, value in figures(of, of.temperatures(calibration)).items()}
        for part, of in said.items()
    }
    content = {"calibration": calibration, **found, "history": experiment.module.history}
    write_whole(experiment.out / EVALUATION, json.dumps(content, indent=1) + "\n")
    return f"{checkpoint}: UAR {found['test']['uar']:.3f} on {len(data.fold.test)} test speakers"


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    given = sys.argv[1:] if arguments is None else arguments
    return run_command(
        lambda: train(given), EXPERIMENT_ERRORS, "interrupted; if --out holds a last.ckpt, --resume goes on from it"
    )


if __name__ == "__main__":
    sys.exit(main())
