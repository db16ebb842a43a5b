"""A comparison: a grid that goes on where it stopped, and one report of it."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from training_fixtures import SPEAKERS, experiment_tree

from emotion_training import compare, corpus_tensors
from emotion_training.command import OutputError, write_whole
from emotion_training.comparison import ModelResult, chosen_in_every_fold, model_results, paired_tests
from emotion_training.comparison_config import load_comparison
from emotion_training.configuration import CONFIG_FOLDER, ConfigurationError, changed, find_config, load_tree
from emotion_training.data_module import find_split, split_among
from emotion_training.experiment import read_experiment
from emotion_training.machine import machine
from emotion_training.prepared_corpus import PreparedCorpus, save_clips
from emotion_training.report_pages import load_notes
from emotion_training.splits import SplitError, load_split, save_split

ROW = {
    "model",
    "fusion",
    "modalities",
    "fold",
    "seed",
    "speakers_tested",
    "accuracy",
    "uar",
    "macro_f1",
    "ece",
    "seconds",
}
COMPARISON = {
    "title": "Tones",
    "experiment": "experiment.yaml",
    "seeds": [0],
    "ours": "gated",
    "contrasts": [["gated", "late_product"]],
    "chosen": {"gated_or_late": ["gated", "late_product"]},
    "models": {
        "face_only": {
            "fusion": "none",
            "modalities": ["face"],
            "changes": {"model.fusion": {"name": "face_only"}, "model.audio_encoder": None},
        },
        "late_product": {"fusion": "late", "modalities": ["face", "voice"]},
        "gated": {
            "fusion": "intermediate",
            "modalities": ["face", "voice"],
            "changes": {"model.fusion": {"name": "gated"}},
        },
    },
}


@pytest.fixture(scope="module")
def folder(folder):
    """With an experiment and a comparison."""
    (folder / "experiment.yaml").write_text(yaml.safe_dump(experiment_tree(folder)))
    (folder / "compare.yaml").write_text(yaml.safe_dump(COMPARISON, sort_keys=False))
    return folder


def arguments(folder, out, *more):
    return ["--config", str(folder / "compare.yaml"), "--data", str(folder / "corpus"), "--out", str(out), *more]


def test_a_comparison_writes_one_report_and_goes_on_where_it_stopped(folder, tmp_path, monkeypatch, capsys):
    assert compare.main(arguments(folder, tmp_path, "--folds", "0")) == 0
    first = (tmp_path / "report.md").read_text()
    assert "Folds run: number 0 (1 of 2)." in first and "Read this before the figures" not in first
    (tmp_path / "notes.yaml").write_text("- Tones are no speech.\n")
    trained = []
    run_cell = compare.run_cell
    monkeypatch.setattr(compare, "run_cell", lambda cell: trained.append(cell.name) or run_cell(cell))
    assert compare.main(arguments(folder, tmp_path)) == 0
    assert trained == [f"{model}, fold 1, seed 0" for model in COMPARISON["models"]]

    rows = json.loads((tmp_path / "results.json").read_text())
    assert len(rows) == 6
    assert all(set(row) >= ROW for row in rows)
    assert {speaker for row in rows for speaker in row["speakers_tested"]} == {*SPEAKERS[:2], *SPEAKERS[4:]}
    report = (tmp_path / "report.md").read_text()
    for said in (
        "gated minus late_product",
        "- Tones are no speech.",
        "## What one change does",
        "| gated_or_late |",
        "two folds",
        "Folds run: numbers 0, 1 (2 of 2).",
        "seed",
        "torch",
        "--models face_only --folds 0 --seeds 0",
        f"--config {folder}/compare.yaml --data PREPARED --out OUT --workers 2",
        "6 trainings of one thread each",
    ):
        assert said in report
    assert "is in emotion_training/config" not in report, "this one is not"
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert 'src="figures' not in page
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "uar.png",
        "confusion.png",
        "speakers.png",
        "reliability.png",
    }

    trained.clear()
    assert compare.main(arguments(folder, tmp_path, "--models", "gated", "--folds", "1", "--epochs", "1")) == 0
    assert trained == ["gated, fold 1, seed 0"], "another configuration is another cell"
    assert "--out OUT --models gated --folds 1 --epochs 1 --workers 2" in (tmp_path / "report.md").read_text()
    trained.clear()
    assert compare.main(arguments(folder, tmp_path)) == 0 and not trained, "a trial costs nothing of what is finished"


def test_a_corrected_kind_of_a_model_counts_without_another_training(folder, tmp_path, monkeypatch):
    given = arguments(folder, tmp_path, "--models", "face_only", "gated")
    assert compare.main(given) == 0
    corrected = changed(COMPARISON, {"models.gated.fusion": "late", "contrasts": [], "chosen": {}})
    (folder / "corrected.yaml").write_text(yaml.safe_dump(corrected, sort_keys=False))
    monkeypatch.setattr(compare, "run_cell", None)
    assert compare.main([*given, "--config", str(folder / "corrected.yaml")]) == 0
    rows = json.loads((tmp_path / "results.json").read_text())
    assert {row["fusion"] for row in rows if row["model"] == "gated"} == {"late"}


def test_one_test_speaker_two_threads_and_odd_names_are_told_as_they_are(folder, tmp_path):
    own = shutil.copytree(folder, tmp_path / "own folder")
    name = "a|b"
    models = {name: COMPARISON["models"]["face_only"], "late_product": COMPARISON["models"]["late_product"]}
    tree = COMPARISON | {"models": models, "ours": name, "contrasts": [], "chosen": {"best": list(models)}}
    save_split(replace(load_split(own / "split.json"), seed=None), own / "split.json")
    changes = {"threads": 2, "trainer.max_epochs": 1, "data.split": str(own / "split.json")}
    (own / "compare.yaml").write_text(yaml.safe_dump(tree | {"changes": changes}))
    save_clips([clip for clip in PreparedCorpus(own / "corpus").clips if clip.speaker_id != "tone-5"], own / "corpus")
    given = ["--models", name, "late_product", name, "--folds", "0", "0", "--seeds", "0", "0"]
    assert compare.main(arguments(own, tmp_path / "out", *given)) == 0
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())) == 2, "what is named twice is run once"
    report = (tmp_path / "out" / "report.md").read_text()
    assert "a|b reaches" in report and "UAR (no interval, as there is one speaker)." in report
    assert report.count("| one speaker |") == 3 and "| a\\|b | none | face | 1 |" in report
    assert "2 trainings of 2 threads each" in report
    assert "Split tones: two folds; without tone-5. Folds run: " in report, "nobody drew its speakers with a seed"
    assert (
        f"--config '{own}/compare.yaml' --data PREPARED --out OUT-TRAINING --models 'a|b' --folds 0 --seeds 0" in report
    )


@pytest.mark.parametrize("broken", [b"[1]", b"\xff\xfe\x00", b"{"])
def test_a_cell_that_cannot_be_read_is_not_finished(tmp_path, broken):
    entry = compare.ModelEntry("late", ("face",))
    cell = compare.Cell("late", entry, 0, 0, {"data": {"corpus": {}}}, "hash", tmp_path)
    cell.path.write_bytes(broken)
    assert compare.finished(cell) is None


@pytest.mark.parametrize("key", ["data.split", "data"])
def test_an_experiment_without_a_split_is_refused(folder, tmp_path, capsys, key):
    tree = experiment_tree(folder)
    tree["data"].pop("split") if key == "data.split" else tree.pop("data")
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(tree))
    shutil.copy(folder / "compare.yaml", tmp_path)
    given = ["--config", str(tmp_path / "compare.yaml"), "--data", str(folder / "corpus")]
    assert compare.main([*given, "--out", str(tmp_path / "out")]) == 1
    assert "experiment.yaml has no data.split; expected a split file, or the name of one" in capsys.readouterr().err


def test_a_comparison_without_late_fusion_has_a_report(folder, tmp_path):
    tree = COMPARISON | {"chosen": {"best": ["face_only", "gated"]}}
    (folder / "without_late.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    given = arguments(folder, tmp_path, "--models", "face_only", "gated")
    assert compare.main([*given, "--config", str(folder / "without_late.yaml")]) == 0
    assert "| best |" in (tmp_path / "report.md").read_text()


def test_what_is_finished_is_reported_while_the_rest_is_to_come(folder, tmp_path, capsys):
    assert compare.main(arguments(folder, tmp_path, "--finished")) == 1
    assert "no seed with all folds finished" in capsys.readouterr().err
    compare.main(arguments(folder, tmp_path, "--models", "gated"))
    compare.main(arguments(folder, tmp_path, "--models", "late_product", "--folds", "0"))
    assert compare.main(arguments(folder, tmp_path, "--finished")) == 0
    rows = json.loads((tmp_path / "results.json").read_text())
    assert {(row["model"], row["fold"]) for row in rows} == {("gated", 0), ("gated", 1)}


def test_cells_of_other_labels_or_other_speakers_are_made_again(folder, tmp_path, monkeypatch):
    own = shutil.copytree(folder, tmp_path / "own")
    (own / "experiment.yaml").write_text(yaml.safe_dump(experiment_tree(own)))
    trained = []
    run_cell = compare.run_cell
    monkeypatch.setattr(compare, "run_cell", lambda cell: trained.append(cell.name) or run_cell(cell))

    def compared():
        trained.clear()
        corpus_tensors._loaded.clear()  # as a new process begins
        assert compare.main(arguments(own, tmp_path / "out", "--models", "face_only")) == 0
        return len(trained)

    assert (compared(), compared()) == (2, 0)
    clips = PreparedCorpus(own / "corpus").clips
    save_clips(
        [replace(clip, label={"happy": "angry", "angry": "happy"}.get(clip.label, clip.label)) for clip in clips],
        own / "corpus",
    )
    assert (compared(), compared()) == (2, 0)
    (own / "split.json").write_text(
        (own / "split.json").read_text().replace("tone-0", "x").replace("tone-1", "tone-0").replace("x", "tone-1")
    )
    assert (compared(), compared()) == (2, 0)
    save_clips([clip for clip in clips if clip.speaker_id != "tone-5"], own / "corpus")
    assert compared() == 2
    report = (tmp_path / "out" / "report.md").read_text()
    assert "without tone-5" in report and "| tone-4 (9) |" in report


@pytest.mark.parametrize("change", ["label", "votes", "valence", "arousal", "sound", "face", "times", "no_face"])
def test_another_recording_or_judgement_of_a_clip_is_other_data(folder, tmp_path, change):
    split = load_split(folder / "split.json")
    root = shutil.copytree(folder / "corpus", tmp_path / "copy")
    before = compare.data_hash(PreparedCorpus(folder / "corpus"), split)
    assert compare.data_hash(PreparedCorpus(root), split) == before, "a copy is the same data"
    clip, *others = PreparedCorpus(root).clips
    known = {"label": "angry", "votes": {"happy": 2.0}, "valence": -1.0, "arousal": -1.0}
    if change in known:
        clip = replace(clip, **{change: known[change]})
    elif change == "no_face":
        clip = replace(clip, video=None)
    else:
        name = {"sound": "audio", "face": "faces", "times": "times_s"}[change]
        with np.load(clip.audio) as arrays:
            content = dict(arrays)
        content[name] = content[name] + 1
        np.savez(clip.audio, **content)
    save_clips([clip, *others], root)
    assert compare.data_hash(PreparedCorpus(root), split) != before


def test_the_report_says_who_talked_with_people_of_another_part(folder, tmp_path):
    own = shutil.copytree(folder, tmp_path / "own")
    clips = PreparedCorpus(own / "corpus").clips
    talked = [replace(clip, session_id="talk") if clip.speaker_id in ("tone-0", "tone-4") else clip for clip in clips]
    save_clips(talked, own / "corpus")
    given = arguments(own, tmp_path / "out", "--models", "face_only", "--folds", "0", "--epochs", "1")
    assert compare.main(given) == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert "are in different parts of a fold; sessions of which that is so: 1, such as talk. What" in report


def test_notes_that_are_no_list_of_texts_are_refused(folder, tmp_path, capsys):
    (tmp_path / "notes.yaml").write_text("title: Tones")
    assert compare.main(arguments(folder, tmp_path)) == 1
    assert "notes.yaml holds dict; expected a list of texts" in capsys.readouterr().err
    (tmp_path / "notes.yaml").write_bytes(b"- \xff\xfe\n")
    assert compare.main(arguments(folder, tmp_path)) == 1
    assert "notes.yaml is no text in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["default_bundle", "ravdess_av", "ravdess_posteriors", "ravdess_speech"])
def test_a_committed_report_has_its_notes_beside_it(name):
    report = Path(__file__).parents[1] / "reports" / name
    notes = load_notes(report)
    assert notes and all(f"- {note}\n" in (report / "report.md").read_text() for note in notes)


@pytest.mark.parametrize("name", ["ravdess_av", "ravdess_posteriors", "ravdess_speech"])
def test_the_commands_of_a_committed_report_find_their_comparison_and_leave_the_report_as_it_is(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    report = (Path(__file__).parents[1] / "reports" / name / "report.md").read_text()
    commands = re.findall(r"python -m emotion_training.compare (.*)", report)
    given = [compare._parser().parse_args(shlex.split(command)) for command in commands]
    assert [find_config(of.config).parent for of in given] == 3 * [CONFIG_FOLDER]
    assert [str(of.out) for of in given] == ["OUT", "OUT-FOLD", "OUT-TRAINING"]
    assert f"`compare_{name}.yaml` is in emotion_training/config; PREPARED is" in report


def test_other_speakers_than_those_of_the_split_are_told_which_one_has_them(tmp_path):
    split = load_split(find_split(Path("ravdess_5fold_20actors")))
    actors = [f"ravdess-{actor:02d}" for actor in range(1, 25)]
    message = (
        "ravdess_5fold_20actors has 20 of the 24 speakers .* in ravdess_5fold or ravdess_katerynach or ravdess_loso"
    )
    with pytest.raises(SplitError, match=message):
        split_among(split, actors, None)
    assert split_among(split, actors[:20], None) == split


def test_folds_of_another_split_are_run(folder, tmp_path):
    path = tmp_path / "other.json"
    split = load_split(folder / "split.json")
    save_split(replace(split, name="other", folds=split.folds[1:]), path)
    assert compare.main(arguments(folder, tmp_path / "out", "--models", "face_only", "--split", str(path))) == 0
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {tuple(row["speakers_tested"]) for row in rows} == {split.fold(1).test}
    assert f"--split {path} --models face_only" in (tmp_path / "out" / "report.md").read_text()


def test_a_report_that_finds_no_room_is_named_and_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "report.md"
    path.write_text("old")

    def write(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(OutputError, match="report.md cannot be written .No space left on device.; make room"):
        write_whole(path, "new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_fold_that_there_is_not_is_refused_before_the_data_are_read(folder, tmp_path, capsys, monkeypatch):
    for reading in ("data_hash", "read_experiment"):
        monkeypatch.delattr(compare, reading)
    assert compare.main(arguments(folder, tmp_path, "--folds", "0", "9")) == 1
    assert "fold is 9; expected one of 0, 1, those of tones" in capsys.readouterr().err


@pytest.mark.parametrize("change", [None, {"label": None}, {"audio": None, "face_features": None}])
def test_a_part_of_a_corpus_leaves_the_folds_that_it_can_run(folder, tmp_path, capsys, change):
    """Also where somebody is there whose clips cannot be used."""
    own = shutil.copytree(folder, tmp_path / "own")
    clips = PreparedCorpus(own / "corpus").clips
    kept = [clip if clip.speaker_id != "tone-2" else change and replace(clip, **change) for clip in clips]
    save_clips([clip for clip in kept if clip], own / "corpus")
    assert compare.main(arguments(own, tmp_path / "out", "--models", "face_only")) == 1
    said = "tones, fold 1: the speakers of validation, tone-2, have no clip that can be used; expected one of them at"
    assert said in capsys.readouterr().err
    given = arguments(own, tmp_path / "out", "--models", "face_only", "--folds", "0", "--epochs", "1")
    assert compare.main(given) == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert "without tone-2" in report and "Folds run: number 0 (1 of 2)." in report


def test_candidates_without_a_common_seed_are_not_chosen_between(folder, tmp_path):
    given = arguments(folder, tmp_path)
    assert compare.main([*given, "--models", "gated", "--seeds", "0"]) == 0
    assert compare.main([*given, "--models", "late_product", "--seeds", "1"]) == 0
    assert compare.main([*given, "--seeds", "0", "1", "--finished"]) == 0
    assert "gated_or_late" not in (tmp_path / "report.md").read_text()


def test_the_report_names_the_machines_that_the_cells_were_made_on(folder, tmp_path):
    given = arguments(folder, tmp_path, "--models", "gated")
    assert compare.main(given) == 0
    (cell,) = (tmp_path / "cells" / "gated").glob("fold0-seed0-*.json")
    cell.write_text(json.dumps(json.loads(cell.read_text()) | {"machine": "a greater machine"}))
    assert compare.main([*given, "--finished"]) == 0
    report = (tmp_path / "report.md").read_text()
    assert f"on {machine()}" in report and "on a greater machine" in report


def test_the_same_cell_gives_the_same_figures(folder, tmp_path):
    found = []
    for name in "ab":
        compare.main(arguments(folder, tmp_path / name, "--models", "gated", "--folds", "0"))
        (cell,) = (tmp_path / name / "cells" / "gated").glob("*.json")
        content = json.loads(cell.read_text())
        found.append([content["logits"], content["history"], content["temperature"]])
    assert found[0] == found[1]


def test_a_failing_cell_is_named_and_the_finished_ones_stay(folder, tmp_path, capsys):
    broken = {"fusion": "late", "modalities": ["face"], "changes": {"model.fusion": {"name": "gatd"}}}
    config = folder / "broken.yaml"
    config.write_text(yaml.safe_dump(changed(COMPARISON, {"models.gated": broken}), sort_keys=False))
    given = ["--config", str(config), "--data", str(folder / "corpus"), "--out", str(tmp_path), "--folds", "0"]
    assert compare.main(given) == 1
    assert "gated, fold 0, seed 0: fusion 'gatd' is unknown" in capsys.readouterr().err
    assert len([*(tmp_path / "cells" / "late_product").glob("fold0-seed0-*.json")]) == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"models.gated.fusoin": "late"}, "fusoin"),
        ({"ours": "mine"}, "ours names 'mine'"),
        ({"contrasts": [["gated", "film"]]}, "contrasts names 'film'"),
        ({"seed": 1}, "seed"),
        ({"notes": ["Tones are no speech."]}, "notes"),
        ({"like": 3}, "like is 3; expected the name of a comparison beside this one"),
        ({"seeds": []}, "seeds are none; expected one or more"),
        ({"models.gated/more": COMPARISON["models"]["gated"]}, "models names 'gated/more'; expected a name that a"),
        ({"models": COMPARISON["models"] | {"..": COMPARISON["models"]["gated"]}}, "models names '..'; expected"),
    ],
)
def test_a_comparison_with_an_unknown_key_or_model_is_refused(tmp_path, change, problem):
    path = tmp_path / "compare.yaml"
    path.write_text(yaml.safe_dump(changed(COMPARISON, change)))
    with pytest.raises(ConfigurationError, match=problem):
        load_comparison(path)


@pytest.mark.parametrize("value", [3, None])
def test_a_key_below_a_plain_value_is_refused(value):
    with pytest.raises(ConfigurationError, match=f"a.b.c cannot be changed, as b is {value}; expected keys in b"):
        changed({"a": {"b": value}}, {"a.b.c": 1})


@pytest.fixture(scope="module")
def results(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("cells")
    compare.main(arguments(folder, out, "--models", "late_product", "gated"))
    cells = [json.loads(path.read_text()) for path in sorted((out / "cells").glob("*/*.json"))]
    return model_results(cells)


def test_a_pair_is_tested_over_the_speakers_of_both(results):
    gated, late = results
    tests = paired_tests([(gated, late), (late, late)])
    assert [(test.model, test.other, test.speakers) for test in tests] == [
        ("gated", "late_product", 4),
        ("late_product", "late_product", 4),
    ]
    assert (tests[1].difference, tests[1].p_sign_flip) == (0.0, 1.0)
    assert late.uar_interval[0] <= late.uar <= late.uar_interval[1]


def test_a_fold_chooses_by_its_validation_speakers_alone(results):
    def with_validation(result, by_fold):
        history = [{"epoch": 1, "validation_loss": 0.5}]
        cells = [
            cell | {"history": [history[0] | {"validation_uar": by_fold[cell["row"]["fold"]]}]} for cell in result.cells
        ]
        return ModelResult(result.name, cells)

    gated, late = (with_validation(result, uar) for result, uar in zip(results, ([0.9, 0.6], [0.7, 0.8]), strict=True))
    chosen = chosen_in_every_fold("chosen", [gated, late])
    assert [cell["row"]["chosen"] for cell in chosen.cells] == ["gated", "late_product"]
    assert [cell["logits"] for cell in chosen.cells] == [gated.cells[0]["logits"], late.cells[1]["logits"]]


def test_a_comparison_like_another_takes_its_keys(tmp_path):
    (tmp_path / "compare.yaml").write_text(yaml.safe_dump(COMPARISON))
    (tmp_path / "other.yaml").write_text("{like: compare.yaml, title: Louder tones}")
    first, other = (load_comparison(tmp_path / name) for name in ("compare.yaml", "other.yaml"))
    assert (other.title, other.models) == ("Louder tones", first.models)


@pytest.mark.parametrize("path", sorted(CONFIG_FOLDER.glob("compare_*.yaml")), ids=lambda path: path.stem)
def test_every_model_of_the_comparisons_that_come_with_the_package_is_built(folder, path):
    config = load_comparison(path)
    experiment = load_tree(CONFIG_FOLDER / config.experiment)
    own = {
        "data.corpus.root": str(folder / "corpus"),
        "data.corpus.labels": experiment_tree(folder)["data"]["corpus"]["labels"],
        "data.corpus.views": 1,
        "data.split": str(folder / "split.json"),
    }
    for entry in config.models.values():
        read_experiment(changed(experiment, entry.changes | own))
