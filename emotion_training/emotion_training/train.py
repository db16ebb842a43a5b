"""Trains one model on one fold, by Lightning's Trainer and command line.

    python -m emotion_training.train --config CONFIG.yaml --data.corpus.root PREPARED --out OUT

Any key of the configuration can be given as an option, such as --data.fold 2 or --trainer.precision bf16-mixed. OUT
gets best.ckpt and last.ckpt, which hold configuration and split, and evaluation.json; --resume goes on from last.ckpt.
"""

import json
import sys

from .experiment import EXPERIMENT_ERRORS, CheckpointError, read_experiment
from .predictions import calibrated_temperature, figures, predict

EVALUATION = "evaluation.json"


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 1 after one sentence on what is wrong, 130 when interrupted."""
    try:
        experiment = read_experiment(sys.argv[1:] if arguments is None else arguments)
        if experiment.out is None:
            raise CheckpointError("--out is not given; expected a folder for the checkpoints")
        checkpoint = experiment.run(experiment.out, experiment.resume)
        model, data = experiment.module.evaluated, experiment.data
        temperature = calibrated_temperature(predict(model, data.validation))
        found = {
            part: {name: round(value, 4) for name, value in figures(predict(model, clips), temperature).items()}
            for part, clips in (("validation", data.validation), ("test", data.test))
        }
        content = {"temperature": temperature, **found, "history": experiment.module.history}
        (experiment.out / EVALUATION).write_text(json.dumps(content, indent=1) + "\n")
    except EXPERIMENT_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; go on with --resume", file=sys.stderr)
        return 130
    print(f"{checkpoint}: UAR {found['test']['uar']:.3f} on {len(data.fold.test)} test speakers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
