"""The report of a comparison."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .command import write_whole
from .comparison import ModelResult, PairedTest, best, chosen_in_every_fold, model_results, paired_tests
from .comparison_config import ComparisonConfig
from .configuration import CONFIG_FOLDER
from .figures import draw_bars, draw_confusions, draw_reliability, draw_speakers
from .metrics import coverage
from .report_pages import Commands, Heading, Part, Picture, Points, Table, Text, html_page, markdown
from .splits import Split

BARS, CONFUSIONS, SPEAKERS, RELIABILITY = (
    f"figures/{name}.png" for name in ("uar", "confusion", "speakers", "reliability")
)


@dataclass(frozen=True)
class Command:
    """What made a report: the path of the comparison, and the options that name its cells, with their values as a shell
    takes them.
    """

    config: Path
    options: Mapping[str, str]

    @property
    def is_brought(self) -> bool:
        """Whether it is a comparison of this package, which `compare` finds by its name."""
        brought = CONFIG_FOLDER / self.config.name
        return brought.is_file() and brought.read_bytes() == self.config.read_bytes()

    def text(self, out: str = "OUT", **other: str) -> str:
        """The command again, or into another folder and with other values of some options."""
        options = [f"--{name} {value}" for name, value in {**self.options, **other}.items()]
        config = self.config.name if self.is_brought else shlex.quote(str(self.config))
        base = f"python -m emotion_training.compare --config {config} --data PREPARED --out {out}"
        return " ".join([base, *options])


def write_report(
    out: Path,
    config: ComparisonConfig,
    split: Split,
    contents: Sequence[Mapping[str, Any]],
    command: Command,
    notes: Sequence[str] = (),
) -> None:
    """Writes `results.json`, `figures/`, `report.md` and `report.html` into `out`.

    Args:
        out: the folder.
        config: the comparison.
        split: whose folds were run.
        contents: of the cells, as `compare` keeps them, not all of the grid maybe.
        command: that makes it again.
        notes: what a reader has to know before the figures, see `report_pages.load_notes`.
    """
    results = model_results(contents)
    rows = [content["row"] for content in contents]
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "results.json", "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    ours = next((result for result in results if result.name == config.ours), None)
    shown = _shown(results, ours)
    draw_bars(results, out / BARS)
    draw_confusions(shown, out / CONFUSIONS)
    draw_speakers(results, out / SPEAKERS)
    draw_reliability(shown, out / RELIABILITY)
    late = [result for result in results if result.fusion == "late"]
    fused = [result for result in results if result.fusion in ("early", "intermediate")]
    tests = paired_tests([(result, rule) for rule in late for result in fused])
    parts = [
        Heading(config.title, 1),
        Text(_summary(results, ours, tests)),
        *_notes(notes),
        *_figures_of_merit(results),
        *_tests(tests),
        *_contrasts(results, config.contrasts),
        *_chosen(results, config.chosen),
        *_pictures(ours or shown[-1]),
        *_missing(results),
        *_protocol(split, contents, results),
        *_again(command, contents),
    ]
    write_whole(out / "report.md", markdown(parts))
    write_whole(out / "report.html", html_page(config.title, parts, out))


def _shown(results: Sequence[ModelResult], ours: ModelResult | None) -> list[ModelResult]:
    """The best of each kind, and ours for the intermediate ones."""
    shown = [best(results, kind) for kind in ("none", "early", "late")]
    shown.append(ours or best(results, "intermediate"))
    return [result for result in shown if result is not None]


def _summary(results: Sequence[ModelResult], ours: ModelResult | None, tests: Sequence[PairedTest]) -> str:
    """The outcome in a few sentences."""
    late, single = best(results, "late"), best(results, "none")
    sentences = []
    if ours is not None:
        told = f"95 % interval {_interval(ours)}" if ours.uar_interval else "no interval, as there is one speaker"
        sentences.append(f"{ours.name} reaches {ours.uar:.3f} UAR ({told}).")
    if late is not None:
        sentences.append(f"The best late fusion, {late.name}, reaches {late.uar:.3f}.")
    if single is not None:
        sentences.append(f"The best single modality, {single.name}, reaches {single.uar:.3f}.")
    test = next((t for t in tests if ours and late and (t.model, t.other) == (ours.name, late.name)), None)
    if test is not None:
        sentences.append(
            f"{test.model} minus {test.other}: {test.difference:+.3f} in the mean of the speakers' UAR, "
            f"better for {test.better} of {test.speakers} speakers, paired p = {_p(test.p_sign_flip)} "
            f"(sign flips, exact up to 20 speakers), {_p(test.p_wilcoxon)} (Wilcoxon), {_p(test.p_holm)} adjusted for "
            "all tests against late fusion (Holm)."
        )
    return " ".join(sentences)


def _notes(notes: Sequence[str]) -> list[Part]:
    return [Heading("Read this before the figures"), Points(notes)] if notes else []


def _figures_of_merit(results: Sequence[ModelResult]) -> list[Part]:
    head = [
        "model",
        "fusion",
        "modalities",
        "seeds",
        "UAR",
        "95 % interval",
        "accuracy",
        "macro-F1",
        "ECE",
        "calibrated ECE",
    ]
    rows, few = [], coverage(min(len(result.speakers) for result in results))
    for result in results:
        before, after = result.ece
        rows.append(
            [
                *(result.name, result.fusion, result.modalities, str(len(result.seeds))),
                _uar(result),
                _interval(result),
                *(f"{value:.3f}" for value in (result.mean("accuracy"), result.mean("macro_f1"), before, after)),
            ]
        )
    return [
        Heading("Figures of merit"),
        Table(head, rows),
        Text(
            "UAR: recall averaged over the classes, all test speakers of all folds together, mean over the seeds ± "
            f"their standard deviation. Interval: bootstrap over speakers, of that mean{few}. Accuracy and macro-F1: "
            "mean over folds and seeds. ECE: 15 bins, all cells together, before and after one temperature a cell, "
            "fitted on the validation speakers."
        ),
        Picture(BARS, "UAR of every model with its interval"),
    ]


def _tests(tests: Sequence[PairedTest]) -> list[Part]:
    if not tests:
        return []
    return [
        Heading("Paired tests against late fusion"),
        Text(
            "For each speaker the UAR of both models, averaged over the seeds that both have; the difference is tested "
            "over the speakers, two-sided. The training parts of the folds overlap, so the speakers are not quite "
            "independent."
        ),
        _test_table(tests),
    ]


def _contrasts(results: Sequence[ModelResult], contrasts: Sequence[tuple[str, str]]) -> list[Part]:
    """Tests of the pairs that were named beforehand, as far as their models were run."""
    by_name = {result.name: result for result in results}
    tests = paired_tests([(by_name[a], by_name[b]) for a, b in contrasts if a in by_name and b in by_name])
    if not tests:
        return []
    return [
        Heading("What one change does"),
        Text("Pairs that were named before they were run, tested in the same way; adjusted for these tests together."),
        _test_table(tests),
    ]


def _chosen(results: Sequence[ModelResult], choices: Mapping[str, Sequence[str]]) -> list[Part]:
    """Rows made of the cells that every fold would have chosen, where all candidates were run."""
    by_name = {result.name: result for result in results}
    chosen = [
        chosen_in_every_fold(name, [by_name[candidate] for candidate in candidates])
        for name, candidates in choices.items()
        if all(candidate in by_name for candidate in candidates)
    ]
    chosen = [result for result in chosen if result.cells]  # the candidates may have no seed in common
    if not chosen:
        return []
    late = [best(results, "late"), *(result for result in chosen if result.fusion == "late")]
    rules = [rule for rule in late if rule is not None]  # a comparison may have no late fusion
    tests = paired_tests([(result, rule) for rule in rules for result in chosen if result.fusion != "late"])
    return [
        Heading("Chosen inside every fold"),
        Text(
            "Each row is a way to choose a model without looking at a test speaker: every fold takes the candidate "
            "with the highest UAR on its validation speakers, averaged over the seeds. The tests are adjusted together."
        ),
        Table(
            ["row", "UAR", "95 % interval", "candidates", "chosen in the folds"],
            [_chosen_row(result, choices[result.name]) for result in chosen],
        ),
        *([_test_table(tests)] if tests else []),
    ]


def _chosen_row(result: ModelResult, candidates: Sequence[str]) -> list[str]:
    picked = {cell["row"]["fold"]: cell["row"]["chosen"] for cell in result.cells}
    return [
        *(result.name, _uar(result), _interval(result)),
        *(str(len(candidates)), ", ".join(picked[fold] for fold in sorted(picked))),
    ]


def _test_table(tests: Sequence[PairedTest]) -> Table:
    rows = [
        [
            *(test.model, test.other, f"{test.difference:+.3f}", f"{test.better} of {test.speakers}"),
            *(_p(p) for p in (test.p_sign_flip, test.p_wilcoxon, test.p_holm)),
        ]
        for test in tests
    ]
    return Table(["model", "against", "difference", "better for", "p, sign flips", "p, Wilcoxon", "p, Holm"], rows)


def _pictures(ours: ModelResult) -> list[Part]:
    values = dict(zip(ours.speakers, ours.uar_by_speaker, strict=True))
    worst, finest = min(values, key=values.get), max(values, key=values.get)
    return [
        Heading("Speakers, classes, confidence"),
        Text(
            f"{ours.name} by speaker: {values[worst]:.3f} ({worst}) to {values[finest]:.3f} ({finest}), median "
            f"{np.median(list(values.values())):.3f}, standard deviation {np.std(list(values.values())):.3f}."
        ),
        Picture(SPEAKERS, "UAR of every speaker"),
        Picture(CONFUSIONS, "Confusion matrices of the best of each kind"),
        Picture(RELIABILITY, "Accuracy by confidence after calibration"),
    ]


def _missing(results: Sequence[ModelResult]) -> list[Part]:
    rows = [
        [result.name, *(f"{result.mean_uar_in(state):.3f}" for state in ("both", "face", "audio"))]
        for result in results
        if result.fusion != "none" and result.mean_uar_in("face") is not None
    ]
    if not rows:
        return []
    return [
        Heading("With a modality missing"),
        Text("The same models, tested with the other modality masked; mean UAR over folds and seeds."),
        Table(["model", "both", "face only", "voice only"], rows),
    ]


def _protocol(split: Split, contents: Sequence[Mapping[str, Any]], results: Sequence[ModelResult]) -> list[Part]:
    experiment, rows = contents[0]["configuration"], [content["row"] for content in contents]
    corpus = experiment["data"]["corpus"]
    folds = sorted({row["fold"] for row in rows})
    seconds = np.array([row["seconds"] for row in rows])
    machines = sorted({content["machine"] for content in contents})
    threads = sorted({content["configuration"]["threads"] for content in contents})
    used = " or ".join("one thread" if count == 1 else f"{count} threads" for count in threads)
    sizes = {content["row"]["fold"]: content["clips"] for content in contents}
    tested = {row["fold"]: row["speakers_tested"] for row in rows}  # of the others no clip has a label
    table = [
        [
            str(fold),
            *(f"{len(getattr(split.fold(fold), part))} ({sizes[fold][part]})" for part in ("train", "validation")),
            f"{', '.join(tested[fold])} ({sizes[fold]['test']})",
        ]
        for fold in folds
    ]
    drawn = "" if split.seed is None else f"; drawn with seed {split.seed}"
    return [
        Heading("Protocol"),
        Text(
            f"Split {split.name}: {split.protocol}{drawn}. Folds run: "
            f"{_numbered(folds)} ({len(folds)} of {len(split.folds)}). Nobody is in two parts of a fold. Seeds of "
            f"the trainings: {', '.join(map(str, sorted({row['seed'] for row in rows})))}."
        ),
        Table(["fold", "train: speakers (clips)", "validation", "test"], table),
        Text(
            f"Data: {split.corpus}, classes {', '.join(corpus['labels'])}; face: {corpus['face']}, voice: "
            f"{corpus['audio']}. Epoch kept: {_selection(experiment)}. Temperature: validation speakers. Test speakers "
            "are used for nothing but the figures of this report."
        ),
        Heading("Time and machine"),
        Text(
            f"{len(rows)} trainings of {used} each, {seconds.sum() / 60:.1f} minutes in all, {seconds.mean():.1f} "
            f"s a training (greatest {seconds.max():.1f} s), on "
            f"{' and on '.join(machines)}."
        ),
        Table(
            ["model", "parameters", "s a training"],
            [[r.name, f"{r.cells[0]['parameters']:,}", f"{r.mean('seconds'):.1f}"] for r in results],
        ),
    ]


def _numbered(numbers: Sequence[int]) -> str:
    return f"{'number' if len(numbers) == 1 else 'numbers'} {', '.join(map(str, numbers))}"


def _selection(experiment: Mapping[str, Any]) -> str:
    selection = experiment["selection"]
    if selection["keep"] == "last":
        return f"the last of {experiment['trainer']['max_epochs']}"
    return f"the best by {selection['monitor']} of {experiment['trainer']['max_epochs']}"


def _again(command: Command, contents: Sequence[Mapping[str, Any]]) -> list[Part]:
    row = contents[0]["row"]
    where = f"`{command.config.name}` is in emotion_training/config; " if command.is_brought else ""
    fold = {"folds": str(row["fold"])}
    training = {"models": shlex.quote(row["model"]), **fold, "seeds": str(row["seed"])}
    return [
        Heading("Make it again"),
        Text(
            f"{where}PREPARED is the folder that `prepare` wrote. All of it; what is finished in OUT is not done again:"
        ),
        Commands(f"{command.text()} --workers 2"),
        Text("The report of one fold, and of one training:"),
        Commands(f"{command.text('OUT-FOLD', **fold)}\n{command.text('OUT-TRAINING', **training)}"),
    ]


def _interval(result: ModelResult) -> str:
    if result.uar_interval is None:
        return "one speaker"
    low, high = result.uar_interval
    return f"{low:.3f} to {high:.3f}"


def _uar(result: ModelResult) -> str:
    """With its deviation over the seeds, where there are several."""
    spread = f" ± {np.std(result.uar_by_seed):.3f}" if len(result.seeds) > 1 else ""
    return f"{result.uar:.3f}{spread}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-5 else "< 0.00001"
