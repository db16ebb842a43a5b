r"""Makes a bundle for the robot out of a checkpoint of `train`.

    python -m emotion_training.export --checkpoint OUT/best.ckpt --data PREPARED --out BUNDLE \
        --name ID --licence TERMS

The graphs are checked to compute what the model computes, and the model card says what it was trained and tested on.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from emotion_perception.core.model_bundle import STATES, load_bundle

from .bundle_writer import BundleModels, BundleShape, ParityError, write_bundle
from .calibration import CERTAIN_ACCURACY, FEWEST, NEVER_CERTAIN
from .command import make_out, run_command
from .evaluate import evaluate
from .experiment import EXPERIMENT_ERRORS, Experiment, restore_experiment
from .fusion_training import pool_of
from .labels import VALENCE_AROUSAL
from .machine import code_commit
from .models import AudioVisualModel
from .models.bundle_encoders import encoders_of_bundles, start_of
from .models.fusion import JOINT_ALONE, IntermediateFusion
from .predictions import figures, predict_by_bundle
from .quantisation import quantise_encoders
from .run_card import render_run_card
from .splits import PARTS

HOP_S = 0.1  # between audio windows on the robot
ENCODERS = ("face_encoder.onnx", "audio_encoder.onnx")


class ExportError(Exception):
    """A model that a robot cannot run; the message says why."""


def export(
    experiment: Experiment, out: Path, name: str, licence: str, int8: bool, before: dict[str, float] | None = None
) -> dict[str, Any]:
    """Writes the bundle of a trained experiment into `out`, or nothing where it fails.

    Args:
        experiment: on crops and samples, as the robot has them.
        out: folder of the bundle; its files are replaced.
        name: the model's id.
        licence: terms of the weights, which follow from those of the data.
        int8: whether the encoders compute in 8-bit integers.
        before: figures before an adaptation.

    Returns:
        The section `training` of model.json.

    Raises:
        ExportError: a model without a face or voice encoder, on features, or with labels of unknown valence; `int8` for
            the finished encoders of a bundle.
        ParityError: a graph differs from its torch module.
    """
    _check(experiment, int8)
    data, model, shape = experiment.data, experiment.module.evaluated, experiment.data.shape
    start, metrics = start_of(model), evaluate(experiment, robustness=False)
    calibration = metrics["calibration"]
    if isinstance(model.fusion, IntermediateFusion) and tuple(model.fusion.pool.tolist()) != JOINT_ALONE:
        metrics["pool"] = pool_of(model.fusion)
    # Folders of the machine that it was trained on are nobody's business.
    configuration = experiment.configuration | {"data": _without_folders(experiment.configuration["data"])}
    training: dict[str, Any] = {
        "data": experiment.trained_on,
        "speakers": experiment.known,
        "clips": {part: len(getattr(data, part)) for part in PARTS},
        "untaught": data.untaught,
        "configuration": _with_model_ids(configuration, model),
        "networks": _with_model_ids({kind: asdict(of) for kind, of in experiment.module.networks.items()}, model),
        "commit": code_commit(),
        "seed": experiment.seed,
        "metrics": metrics,
    }
    if before is not None:
        training["before_adaptation"] = before
    if start is not None:
        training["adapted_from"] = {"model_id": start.model_id, "licence": start.licence}
    bundle_shape = BundleShape(
        name,
        shape.labels,
        shape.face_px,
        shape.face_bins,
        shape.face_bin_s,
        shape.sample_rate_hz,
        shape.window_s,
        HOP_S,
    )

    def write(directory: Path, graphs: Mapping[str, bytes]) -> None:
        models = BundleModels(model.face_encoder, model.audio_encoder, model.fusion, graphs)
        card = render_run_card(name, training, calibration, licence)
        write_bundle(directory, models, bundle_shape, calibration, training, licence, card)

    graphs = {encoder.file: encoder.graph for encoder in encoders_of_bundles(model)}
    if int8:
        with TemporaryDirectory() as work:
            exact = Path(work) / "bundle"
            write(exact, graphs)
            training["quantisation"] = _quantise(experiment, exact)
            graphs = {file: (exact / file).read_bytes() for file in ENCODERS}
    write(out, graphs)
    return training


def _check(experiment: Experiment, int8: bool) -> None:
    networks, corpus = experiment.module.networks, experiment.data.corpus
    if experiment.module.members > 1:
        raise ExportError(
            f"the model is the mean of {experiment.module.members}; a bundle has one, so set members to 1"
        )
    for kind in ("face_encoder", "audio_encoder"):
        if networks[kind] is None:
            raise ExportError(f"the model has no {kind.replace('_', ' ')}; a bundle has both, and a fusion")
    if corpus.face != "crops" or corpus.audio != "samples":
        raise ExportError(
            f"the model sees {corpus.face} of faces and {corpus.audio} of voices; the robot has crops and samples"
        )
    unknown = [label for label in corpus.labels if label not in VALENCE_AROUSAL]
    if unknown:
        raise ExportError(
            f"valence and arousal of {', '.join(unknown)} are not known; train with labels among "
            f"{', '.join(VALENCE_AROUSAL)}"
        )
    finished = encoders_of_bundles(experiment.module.evaluated)
    if int8 and finished:
        raise ExportError(f"the encoders are those of {finished[0].bundle.model_id} as they are; export without --int8")


def _without_folders(data: dict[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in data["corpus"].items() if key not in ("root", "cache")}
    return data | {"corpus": plain, "split": Path(data["split"]).name}


def _with_model_ids(value: Any, model: AudioVisualModel) -> Any:
    """Plain values in which a bundle's id stands for its folder."""
    if isinstance(value, dict):
        return {key: _with_model_ids(item, model) for key, item in value.items()}
    ids = {str(encoder.bundle.directory): encoder.bundle.model_id for encoder in encoders_of_bundles(model)}
    return ids.get(value, value) if isinstance(value, str) else value


def _quantise(experiment: Experiment, bundle: Path) -> dict[str, float]:
    """Quantises the encoders of a written bundle; what it costs on the test speakers, by the robot's own code."""
    data = experiment.data

    def measure() -> tuple[float, int]:
        uar = figures(predict_by_bundle(load_bundle(bundle), data.test), 1.0)["uar"]
        return round(uar, 4), sum((bundle / name).stat().st_size for name in ENCODERS)

    uar_float, bytes_float = measure()
    quantise_encoders(bundle, data.train, experiment.seed)
    uar_int8, bytes_int8 = measure()
    return {"uar_float": uar_float, "uar_int8": uar_int8, "bytes_float": bytes_float, "bytes_int8": bytes_int8}


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = argparse.ArgumentParser(
        prog="export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        help="of `train` on crops and samples, the one that it names at its end",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that `prepare` wrote")
    parser.add_argument("--name", required=True, help="the model's id")
    parser.add_argument("--licence", required=True, help="terms of the weights, which follow from those of the data")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; its files are replaced")
    parser.add_argument("--int8", action="store_true", help="encoders in 8-bit integers; the card says what it costs")
    given = parser.parse_args(arguments)
    return run_command(lambda: _write(given), (*EXPERIMENT_ERRORS, ExportError, ParityError))


def _write(given: argparse.Namespace) -> str:
    make_out(given.out)
    experiment = restore_experiment(given.checkpoint, {"data.corpus.root": str(given.data)})
    training = export(experiment, given.out, given.name, given.licence, given.int8)
    uar, card = training["metrics"]["figures"]["uar"], given.out / "MODEL_CARD.md"
    return f"{given.out}: UAR {uar:.3f}; all figures are in {card}{never_certain(training)}"


def never_certain(training: Mapping[str, Any]) -> str:
    """A clause on the states in which the robot would never act on a bundle's opinion; nothing where there are none.

    training: of the bundle, as `export` gives it.
    """
    calibration = training["metrics"]["calibration"]
    states = [state for state in STATES if calibration[state]["uncertain_below"] >= NEVER_CERTAIN]
    if not states:
        return ""
    return (
        f"; on the robot it is always uncertain in the states {', '.join(states)}, as it takes {FEWEST} validation "
        f"clips of a state, and {100 * CERTAIN_ACCURACY:.0f} % of the confident ones right, to be certain"
    )


if __name__ == "__main__":
    sys.exit(main())
