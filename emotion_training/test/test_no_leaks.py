"""Nothing of the test speakers but their own figures enters a cell."""

import shutil
from dataclasses import replace
from pathlib import Path

from training_fixtures import LABELS, SPEAKERS, experiment_tree

from emotion_training import compare
from emotion_training.comparison_config import ModelEntry
from emotion_training.prepared_corpus import PreparedCorpus, save_clips


def test_other_labels_of_the_test_speakers_change_no_weight_no_epoch_and_no_temperature(folder, tmp_path):
    root = shutil.copytree(folder / "corpus", tmp_path / "corpus")
    turned = dict(zip(LABELS, (*LABELS[1:], LABELS[0]), strict=True))
    clips = [
        replace(c, label=turned[c.label]) if c.speaker_id in SPEAKERS[4:] else c for c in PreparedCorpus(root).clips
    ]
    save_clips(clips, root)
    kept = []
    for corpus in (folder / "corpus", root):
        tree = experiment_tree(folder)
        tree["data"]["corpus"]["root"] = str(corpus)
        kept.append(compare.run_cell(compare.Cell("gated", ModelEntry("late", ("face",)), 0, 0, tree, "", Path())))
    assert kept[0]["labels"] != kept[1]["labels"]
    for name in ("temperature", "history", "logits"):
        assert kept[0][name] == kept[1][name], name
