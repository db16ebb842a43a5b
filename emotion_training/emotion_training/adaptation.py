"""A bundle as the start of another training: its encoders stay the graphs that they are, its fusion learns on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from emotion_perception.core.model_bundle import BundleError, ModelBundle, load_bundle

from .configuration import changed
from .encoded_clips import encoded
from .experiment import Experiment, read_experiment
from .models.bundle_encoders import training_of
from .splits import PARTS

BATCH = 32  # clips of a step: own corpora are small


def corpus_of(bundle: ModelBundle) -> dict[str, Any]:
    """How clips become what the bundle takes: fields of a `CorpusConfig`, all but where they are."""
    return {
        "labels": list(bundle.labels),
        "face": "crops",
        "audio": "samples",
        "window_s": bundle.audio.window_s,
        "face_bins": bundle.face.bins,
        "face_bin_s": bundle.face.bin_s,
        "face_px": bundle.face.size_px,
    }


def bundle_experiment(directory: Path, changes: Mapping[str, Any]) -> Experiment:
    """An experiment whose model says what the bundle says; `changes` give its data, by dotted keys.

    Raises:
        BundleError: the folder is no bundle, or one from before its fusion could be trained further.
        CheckpointError: speakers to judge it by whom it knows.
        DataError, CorpusError, SplitError: as of any experiment.
    """
    directory = directory.resolve()  # a checkpoint names it, wherever that is used
    bundle = load_bundle(directory)
    fusion = training_of(directory).get("networks", {}).get("fusion")
    if fusion is None:
        raise BundleError(f"{directory / 'model.json'} does not say of what network the fusion is; export it again.")
    tree: dict[str, Any] = {
        "seed_everything": 0,
        "trainer": {"accelerator": "cpu"},
        "data": {
            "corpus": corpus_of(bundle),
            "batch": BATCH,
        },
        "model": {
            "fusion": fusion,
            "face_encoder": {"name": "bundle", "options": {"bundle": str(directory)}},
            "audio_encoder": {"name": "bundle", "options": {"bundle": str(directory)}},
            "regularisation": {"modality_dropout": 0.2},
        },
    }
    experiment = read_experiment(changed(tree, changes))
    _load_fusion(experiment.module.model.fusion, directory / "fusion.onnx")
    experiment.module.has_statistics = True
    experiment.module.eval()
    return experiment


def encode_once(experiment: Experiment) -> None:
    """Puts what the encoders say in the place of the crops and samples of an experiment whose encoders stay as they
    are: they would say it again in every epoch. Training clips that are changed anew in each epoch are left.
    """
    model, data = experiment.module.evaluated, experiment.data
    changed_anew = data.augmentation.face or data.augmentation.voice or experiment.module.regularisation.mix_up_alpha
    for part in ("validation", "test") if changed_anew else PARTS:
        setattr(data, part, encoded(model, getattr(data, part), f"encode {part}"))


def _load_fusion(fusion: torch.nn.Module, path: Path) -> None:
    """The weights stand in the graph under the names that they have in the module."""
    stored: dict[str, Tensor] = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(path).graph.initializer
    }
    state = fusion.state_dict()
    for name, value in state.items():
        if name not in stored or stored[name].shape != value.shape:
            raise BundleError(f"{path} has no weights {name} of {tuple(value.shape)}; export the bundle again.")
    fusion.load_state_dict({name: stored[name] for name in state})
