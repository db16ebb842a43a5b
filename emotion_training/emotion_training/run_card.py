"""MODEL_CARD.md of a bundle that `export` or `adapt` made, filled from its training."""

from collections.abc import Mapping, Sequence
from typing import Any

from .calibration import FEWEST
from .evaluate import interval, truth
from .labels import VALENCE_AROUSAL_SOURCE
from .model_card import pool_sentence
from .report_pages import Heading, Table, Text, markdown


def render_run_card(name: str, training: Mapping[str, Any], calibration: Mapping[str, Any], licence: str) -> str:
    """Markdown from what model.json holds under `training` and `calibration`."""
    found, networks = training["metrics"], training["networks"]
    figures = found["figures"]
    kinds = ", ".join(
        f"{kind.replace('_', ' ')} {network['options'].get('bundle') or network['name']}"
        for kind, network in networks.items()
    )
    conditions = [
        [
            condition,
            str(found["clips_by_condition"][condition]),
            *(f"{values[figure]:.3f}" for figure in ("uar", "accuracy", "ece")),
        ]
        for condition, values in found["conditions"].items()
    ]
    parts = [
        Heading(name, 1),
        Text(
            f"Estimates from the face and the voice of the last seconds which of these a person shows: "
            f"{', '.join(found['labels'])}. What a person shows is not what a person feels."
        ),
        Text(f"Made of: {kinds}. The whole configuration is in `model.json`, from commit `{training['commit']}`."),
        Heading("Data"),
        Text(
            f"{'; '.join(training['data'])}. {training['clips']['train']} clips to learn from, "
            f"{training['clips']['validation']} to choose and calibrate by, {training['clips']['test']} to measure on; "
            f"nobody is in two of these parts (fold {found['fold']} of {found['split']})."
            + (f" Mind: {of_untaught(training['untaught'])}." if training["untaught"] else "")
        ),
        Heading("Figures"),
        Text(
            f"UAR {figures['uar']:.3f} ({interval(found)}), accuracy {figures['accuracy']:.3f}, "
            f"macro-F1 {figures['macro_f1']:.3f}, ECE {figures['ece']:.3f}.{truth(found)}"
        ),
        Table(["condition", "clips", "UAR", "accuracy", "calibrated ECE"], conditions),
        *_quantisation(training),
        *_adaptation(training),
        Heading("Calibration"),
        Text(
            "Below the last column a state is uncertain; 1.0 is always. Both are measured on the validation clips of "
            f"the state where there are {FEWEST} at least; with fewer, those of the adapted model hold, or 1.0."
        ),
        Table(
            ["state", "temperature", "uncertain below"],
            [[state, str(entry["temperature"]), str(entry["uncertain_below"])] for state, entry in calibration.items()],
        ),
        *_pool(training),
        Heading("Valence and arousal are derived"),
        Text(f"The mean of coordinates under the class probabilities. {VALENCE_AROUSAL_SOURCE}"),
        Heading("Limits"),
        Text(
            "Other people, languages, rooms, cameras and ways to show an emotion than those above were not measured. "
            "Not for decisions about people: hiring, teaching, health, safety, law. It may steer how a robot behaves, "
            "not what it concludes."
        ),
        Heading("Licence"),
        Text(licence),
    ]
    return markdown(parts)


def of_untaught(labels: Sequence[str]) -> str:
    return (
        f"no clip of {', '.join(labels)} to learn from, so that it names them less often than the model that it was "
        "made from, and the UAR counts the emotions of the test clips alone"
    )


def _pool(training: Mapping[str, Any]) -> list[Text]:
    pool = training["metrics"].get("pool")
    if pool is None:
        return []
    start = training["adapted_from"]["model_id"]  # only a bundle brings one along
    return [Text(f"{pool_sentence(pool)} The weights did not learn: they are those of {start}.")]


def _quantisation(training: Mapping[str, Any]) -> list[Heading | Text]:
    cost = training.get("quantisation")
    if cost is None:
        return []
    return [
        Heading("8-bit encoders"),
        Text(
            f"The encoders compute in 8-bit integers: UAR {cost['uar_int8']:.3f} where the same bundle in 32-bit "
            f"floats has {cost['uar_float']:.3f}; the encoders take {cost['bytes_int8'] / 2**20:.2f} MiB instead of "
            f"{cost['bytes_float'] / 2**20:.2f}."
        ),
    ]


def _adaptation(training: Mapping[str, Any]) -> list[Heading | Text]:
    before = training.get("before_adaptation")
    if before is None:
        return []
    start = training.get("adapted_from", {"model_id": "another model"})
    terms = f" Its terms hold for these weights, too: {start['licence']}" if "licence" in start else ""
    return [
        Heading("Adaptation"),
        Text(
            f"Adapted from {start['model_id']}, which had UAR {before['uar']:.3f} and ECE {before['ece']:.3f} on the "
            f"same test speakers.{terms}"
        ),
    ]
