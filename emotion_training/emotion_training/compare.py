"""Trains and tests several models on the same folds with the same seeds, and writes one report.

    python -m emotion_training.compare --config CONFIG.yaml --data PREPARED --out OUT

Every cell of the grid (model, fold, seed) is a file under OUT/cells; what is finished is not done again, so a run that
was stopped goes on. Writes OUT/report.md, OUT/report.html, OUT/results.json and OUT/figures/. Where there is an
OUT/notes.yaml, a list of texts, the report begins with what it says of these figures.
"""

import argparse
import hashlib
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .calibration import fit_temperature
from .command import end_with_parent, in_processes, make_out, run_command, write_whole
from .comparison import whole_runs
from .comparison_config import DEFAULT_COMPARISON, ComparisonConfig, ModelEntry, load_comparison
from .configuration import ConfigurationError, changed, find_config, load_tree
from .corpus_tensors import is_usable
from .data_module import find_split, split_among
from .experiment import EXPERIMENT_ERRORS, read_corpus_config, read_experiment
from .machine import machine
from .predictions import figures, predict, states_of
from .prepared_corpus import PreparedCorpus
from .report import Command, write_report
from .report_pages import load_notes
from .splits import PARTS, Split, load_split, shared_sessions

FORMAT = 2  # of the cells; another number makes them again
LOGIT_DIGITS = 4  # kept in a cell
# Said in the report where it is so; of the number of sessions, and of one.
SHARED = (
    "People who talked with each other are in different parts of a fold; sessions of which that is so: {}, such as {}. "
    "What they said to each other, and a microphone that heard both, is then learnt from and tested on; "
    "`leave_one_session_out` keeps them together."
)
GO_ON = "run the same command again to go on"


class ComparisonError(Exception):
    """A cell that cannot be finished; the message names it and why. Finished cells are kept."""


@dataclass(frozen=True)
class Cell:
    """One training of the grid: `tree` is its whole experiment, `key` tells whether a finished file is of it.

    data: hash of the clips and of who is in which part, as the tree names but their places.
    """

    model: str
    entry: ModelEntry
    fold: int
    seed: int
    tree: dict[str, Any]
    data: str
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.model}, fold {self.fold}, seed {self.seed}"

    @property
    def key(self) -> str:
        corpus = {name: value for name, value in self.tree["data"]["corpus"].items() if name not in ("root", "cache")}
        plain = [FORMAT, self.data, changed(self.tree, {"data.corpus": corpus})]
        return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]

    @property
    def path(self) -> Path:
        """One of other options has another, so that neither is lost by a trial."""
        return self.folder / f"fold{self.fold}-seed{self.seed}-{self.key}.json"

    @property
    def kind(self) -> dict[str, str]:
        """What the comparison says of the model, on which its training does not depend."""
        return {"fusion": self.entry.fusion, "modalities": "+".join(self.entry.modalities)}


def data_hash(corpus: PreparedCorpus, split: Split) -> str:
    """Another one where a clip, its face or sound, what is known of it, or the part of a speaker is another."""
    rows = [corpus.facts(clip) for clip in corpus.clips]
    return hashlib.sha256(json.dumps([rows, asdict(split)], default=dict).encode()).hexdigest()[:16]


def grid(
    config: ComparisonConfig, experiment: dict[str, Any], split: Split, data: str, chosen: argparse.Namespace
) -> list[Cell]:
    """The cells in the order of their work: a whole fold of all models first.

    split: as far as it concerns the speakers at hand. data: see `Cell`.
    """
    seeds = chosen.seeds if chosen.seeds is not None else config.seeds
    folds = chosen.folds if chosen.folds is not None else split.numbers
    cells = []
    for seed in dict.fromkeys(seeds):  # what is named twice is run once
        for fold in dict.fromkeys(folds):
            for model in dict.fromkeys(chosen.models or config.models):
                changes = config.models[model].changes | {
                    "seed_everything": seed,
                    "data.fold": fold,
                    "data.corpus.root": str(chosen.data),
                    "data.corpus.cache": str(chosen.out / "cache"),
                    "trainer.enable_progress_bar": False,
                }
                folder = chosen.out / "cells" / model
                cells.append(Cell(model, config.models[model], fold, seed, changed(experiment, changes), data, folder))
    return cells


def run_cell(cell: Cell) -> dict[str, Any]:
    """Trains, calibrates on the validation speakers, tests; returns what is kept in the cell's file."""
    started = time.perf_counter()
    experiment = read_experiment(cell.tree)
    with tempfile.TemporaryDirectory() as directory:
        experiment.run(Path(directory))
    data, model = experiment.data, experiment.module.evaluated
    validation = predict(model, data.validation)
    temperature = fit_temperature(validation.logits, validation.labels)
    tests = {state: predict(model, data.test, state) for state in states_of(data.test)}
    test = tests["both"]
    row = {
        "model": cell.model,
        **cell.kind,
        "fold": cell.fold,
        "seed": cell.seed,
        "speakers_tested": sorted(set(test.speaker_ids.tolist())),
        **{name: round(value, 4) for name, value in figures(test, temperature).items()},
        "seconds": round(time.perf_counter() - started, 1),
    }
    return {
        "key": cell.key,
        "row": row,
        "configuration": experiment.configuration,
        "labels_in_order": list(data.shape.labels),
        "clips": {part: len(getattr(data, part)) for part in PARTS},
        "machine": machine(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "temperature": temperature,
        "clip_ids": test.clip_ids.tolist(),
        "speaker_ids": test.speaker_ids.tolist(),
        "labels": test.labels.tolist(),
        "logits": test.logits.round(LOGIT_DIGITS).tolist(),
        "uar_by_state": {state: round(figures(given, 1.0)["uar"], 4) for state, given in tests.items()},
        "history": experiment.module.history,
    }


def finished(cell: Cell) -> dict[str, Any] | None:
    """What a cell's file holds; None where there is none of this configuration, or a broken one."""
    try:
        content = json.loads(cell.path.read_text())
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(content, dict) or content.get("key") != cell.key:
        return None
    return content | {"row": content["row"] | cell.kind}


def run_grid(cells: Sequence[Cell], workers: int) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Runs the cells, in processes where `workers` is more than 1; keeps each when it is finished.

    Raises:
        ComparisonError: a cell failed, or a process died.
    """
    if cells and workers > 1:
        read_experiment(cells[0].tree)  # reads the corpus, so that the processes find its functionals ready
    for cell, content in _in_processes(cells, workers) if workers > 1 else map(_run_named, cells):
        write_whole(cell.path, json.dumps(content))
        yield cell, content


def _run_named(cell: Cell) -> tuple[Cell, dict[str, Any]]:
    try:
        return cell, run_cell(cell)
    except EXPERIMENT_ERRORS as error:
        raise ComparisonError(f"{cell.name}: {error}") from None


def _in_processes(cells: Sequence[Cell], workers: int) -> Iterator[tuple[Cell, dict[str, Any]]]:
    try:
        yield from in_processes(_run_named, cells, workers, end_with_parent)
    except BrokenProcessPool:
        raise ComparisonError("a process died, for want of memory perhaps; give fewer --workers") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_COMPARISON, help="the comparison (default: %(default)s)")
    parser.add_argument("--data", type=Path, required=True, help="folder that `prepare` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cells and of the report")
    parser.add_argument("--split", help="a split file or the name of one (default: the experiment's)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="only these (default: all of the comparison)")
    parser.add_argument("--folds", nargs="+", type=int, metavar="N", help="only these (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="only these (default: the comparison's)")
    parser.add_argument("--finished", action="store_true", help="train nothing; the report of what is finished so far")
    parser.add_argument("--epochs", type=int, help="instead of the experiment's, for a trial")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.workers < 1 or (given.epochs is not None and given.epochs < 1):
        parser.error("--workers and --epochs must be 1 or more")
    errors = (*EXPERIMENT_ERRORS, ComparisonError)
    return run_command(lambda: compare(given), errors, f"interrupted; finished cells are kept, {GO_ON}")


def _options(given: argparse.Namespace) -> dict[str, str]:
    """The options by which this command does not run all of the comparison, as they were given."""
    epochs, split = ([value] if value is not None else None for value in (given.epochs, given.split))
    options = {"split": split, "models": given.models, "folds": given.folds, "seeds": given.seeds, "epochs": epochs}
    return {name: shlex.join(map(str, values)) for name, values in options.items() if values is not None}


def compare(given: argparse.Namespace) -> str:
    """Runs what is not finished and writes the report, as the command line says."""
    path = find_config(given.config)
    config = load_comparison(path)
    unknown = sorted(set(given.models or ()) - set(config.models))
    if unknown:
        raise ComparisonError(f"--models {' '.join(unknown)} unknown; expected some of {', '.join(config.models)}")
    experiment = changed(load_tree(path.parent / config.experiment), config.changes)
    if given.split is not None:
        experiment = changed(experiment, {"data.split": given.split})
    if given.epochs is not None:
        experiment = changed(experiment, {"trainer.max_epochs": given.epochs})
    data = experiment.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("split"), str):
        raise ConfigurationError(f"{config.experiment} has no data.split; expected a split file, or the name of one")
    whole_split = load_split(find_split(Path(data["split"])))
    notes = load_notes(given.out)
    make_out(given.out)
    corpus = PreparedCorpus(given.data)
    wanted = read_corpus_config({**data.get("corpus", {}), "root": str(given.data)})
    usable = [clip for clip in corpus.clips if is_usable(clip, wanted)]
    split = split_among(whole_split, {clip.speaker_id for clip in usable}, given.folds)
    for fold in given.folds or ():
        split.fold(fold)  # refuses one that cannot be run before the data are read
    if shared := shared_sessions(split, usable, given.folds or split.numbers):
        notes = (*notes, SHARED.format(len(shared), shared[0]))
    cells = grid(config, experiment, split, data_hash(corpus, split), given)
    contents = {cell.name: finished(cell) for cell in cells}
    missing = [cell for cell in cells if contents[cell.name] is None and not given.finished]
    with tqdm(total=len(cells), initial=len(cells) - len(missing), desc="compare", unit="cell") as progress:
        for cell, content in run_grid(missing, given.workers):
            contents[cell.name] = content
            progress.set_postfix_str(f"{cell.name}: UAR {content['row']['uar']:.3f}")
            progress.update()
    kept = whole_runs([content for content in contents.values() if content is not None])
    if not kept:
        raise ComparisonError(f"{given.out / 'cells'} has no seed with all folds finished; run without --finished")
    write_report(given.out, config, split, kept, Command(path, _options(given)), notes)
    return f"{given.out / 'report.md'}: {len(kept)} cells"


if __name__ == "__main__":
    sys.exit(main())
