"""The model bundle: three ONNX graphs and the model.json that says how to use them.

The directory is the contract between training and robot. It is checked as a whole when it is loaded, so that
a wrong bundle is refused before the first frame and not at it.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotion_perception.core.onnx_session import GraphError, open_session

STATES = ("both", "face", "audio")
# What has to be whole in Python, too: to JSON Schema 4.0 is an integer.
WHOLE = {"face": ("size_px", "embedding", "bins"), "audio": ("sample_rate_hz", "embedding", "tokens")}
GRAPHS = ("face_encoder.onnx", "audio_encoder.onnx", "fusion.onnx")

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


class BundleError(ValueError):
    """The directory is no usable model bundle; the message says why and what to do."""


@dataclass(frozen=True)
class FaceInput:
    """What the model wants of a face."""

    size_px: int  # side of a square RGB crop
    embedding: int  # numbers in the embedding of a crop
    bins: int  # time bins that the fusion takes, each with the mean of its embeddings
    bin_s: float  # length of a bin

    @property
    def window_s(self) -> float:
        """How far back it looks."""
        return self.bins * self.bin_s


@dataclass(frozen=True)
class AudioInput:
    """What the model wants of a voice."""

    sample_rate_hz: int
    window_s: float
    hop_s: float  # between windows, as it was trained; the robot's is that of audio_window_node
    embedding: int  # numbers in a token
    tokens: int  # of a window, oldest first

    @property
    def window_samples(self) -> int:
        return round(self.window_s * self.sample_rate_hz)


@dataclass(frozen=True)
class FusionOutput:
    """One row a person."""

    probabilities: FloatArray  # (B, C), calibrated for the modalities in use
    modality_weights: FloatArray  # (B, 2), of face and voice; 0 for a missing one
    uncertain_below: FloatArray  # (B,), confidence below which the modalities in use leave it open


class ModelBundle:
    """A loaded bundle. Make it with `load_bundle`."""

    def __init__(
        self, directory: Path, description: dict[str, Any], sessions: dict[str, onnxruntime.InferenceSession]
    ) -> None:
        self.directory = directory
        self.sha256 = _sha256(directory / "model.json")
        self.format_version: int = description["format_version"]
        self.licence: str = description["licence"]
        self.trained_on: tuple[str, ...] = tuple(description["training"].get("data", ()))
        self.model_id: str = description["model_id"]
        self.labels: tuple[str, ...] = tuple(description["labels"])
        self.face = FaceInput(**description["face"])
        self.audio = AudioInput(**description["audio"])
        coordinates = description["valence_arousal"]["coordinates"]
        self.coordinates: FloatArray = np.array([coordinates[label] for label in self.labels], np.float32)  # (C, 2)
        self.calibration: dict[str, dict[str, float]] = {state: description["calibration"][state] for state in STATES}
        self._temperatures = self._by_modalities("temperature")
        self._uncertain_below = self._by_modalities("uncertain_below")
        self._face_encoder, self._audio_encoder, self._fusion = (sessions[name] for name in GRAPHS)

    def encode_faces(self, crops: NDArray[np.uint8]) -> FloatArray:
        """Embed RGB crops (B, size_px, size_px, 3) as (B, face.embedding)."""
        return self._face_encoder.run(["embedding"], {"face": crops})[0]  # type: ignore[no-any-return]

    def encode_audio(self, samples: FloatArray) -> FloatArray:
        """Embed one window (window_samples,) in [-1, 1] as (audio.tokens, audio.embedding)."""
        return self._audio_encoder.run(["embeddings"], {"audio": samples[np.newaxis]})[0][0]  # type: ignore[no-any-return]

    def fuse(
        self,
        face_embeddings: FloatArray,
        face_mask: BoolArray,
        audio_embeddings: FloatArray,
        audio_mask: BoolArray,
    ) -> FusionOutput:
        """Fuse the embeddings of B people.

        Args:
            face_embeddings: (B, face.bins, face.embedding), oldest first.
            face_mask: (B, face.bins), true where the bin holds a face.
            audio_embeddings: (B, audio.tokens, audio.embedding), oldest first.
            audio_mask: (B,), true where the voice is to be used.
        """
        logits, weights = self._fusion.run(
            ["logits", "modality_weights"],
            {
                "face_embeddings": face_embeddings,
                "face_mask": face_mask,
                "audio_embeddings": audio_embeddings,
                "audio_mask": audio_mask,
            },
        )
        state = face_mask.any(axis=1).astype(int), audio_mask.astype(int)  # (B,) each
        probabilities = softmax(logits / self._temperatures[state][:, np.newaxis])
        return FusionOutput(probabilities, weights, self._uncertain_below[state])

    def _by_modalities(self, name: str) -> FloatArray:
        """A number of the calibration by [face in use, voice in use]; that for neither is never used."""
        of = {state: numbers[name] for state, numbers in self.calibration.items()}
        return np.array([[1.0, of["audio"]], [of["face"], of["both"]]], np.float32)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities (B, C) of logits (B, C)."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def load_bundle(directory: Path) -> ModelBundle:
    """Load and check a bundle.

    Raises:
        BundleError: something is missing, altered or does not fit; nothing of the bundle is usable then.
    """
    description = _read_description(directory)
    _check_files(directory, description)
    sessions = {}
    for name in GRAPHS:
        try:
            sessions[name] = open_session(directory / name)
        except GraphError as error:
            raise BundleError(
                f"{directory / name} is no graph that ONNX Runtime can load ({_one_line(error)}); export it again."
            ) from error
    bundle = ModelBundle(directory, description, sessions)
    _check_graphs(bundle, sessions)
    _try_out(bundle)
    return bundle


def _read_description(directory: Path) -> dict[str, Any]:
    path = directory / "model.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"), parse_float=_finite, parse_constant=_finite)
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{path} does not exist; give the directory of a model bundle, which holds a model.json."
        ) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); give a directory that can.") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not valid JSON ({_one_line(error)}); export the bundle again.") from error

    schema = json.loads(resources.files(__package__).joinpath("model_bundle.schema.json").read_text(encoding="utf-8"))
    violation = jsonschema.exceptions.best_match(jsonschema.Draft7Validator(schema).iter_errors(description))
    if violation is not None:
        where = ".".join(str(part) for part in violation.absolute_path) or "its top level"
        raise BundleError(
            f"{path} does not follow the bundle format at {where}: {_one_line(violation.message)}; export the bundle "
            "again."
        )
    missing = set(description["labels"]) - set(description["valence_arousal"]["coordinates"])
    if missing:
        raise BundleError(f"{path} has no valence_arousal coordinates for {', '.join(sorted(missing))}; add them.")
    for part, names in WHOLE.items():
        description[part].update({name: int(description[part][name]) for name in names})
    return description  # type: ignore[no-any-return]


def _finite(text: str) -> float:
    """ValueError for what JSON has no numbers for, though Python reads them."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())


def _check_files(directory: Path, description: dict[str, Any]) -> None:
    for name, entry in description["files"].items():
        path = directory / name
        try:
            digest = _sha256(path)
        except FileNotFoundError:
            raise BundleError(f"{path} is missing though model.json lists it; copy the whole bundle again.") from None
        except (OSError, ValueError) as error:  # a directory, or no possible name of a file
            raise BundleError(
                f"{name!r} of model.json cannot be read ({_one_line(error)}); copy the whole bundle again."
            ) from error
        if digest != entry["sha256"]:
            raise BundleError(
                f"{path} has the SHA-256 {digest[:12]}… where model.json says {entry['sha256'][:12]}…; "
                "the file was changed or damaged: copy the whole bundle again."
            )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_graphs(bundle: ModelBundle, sessions: dict[str, onnxruntime.InferenceSession]) -> None:
    """Compare every tensor with what model.json says. The batch, axis 0, is free."""
    face, audio, labels = bundle.face, bundle.audio, len(bundle.labels)
    uint8, float32, boolean = "tensor(uint8)", "tensor(float)", "tensor(bool)"
    expected = {
        "face_encoder.onnx": {
            "face": (uint8, (face.size_px, face.size_px, 3)),
            "embedding": (float32, (face.embedding,)),
        },
        "audio_encoder.onnx": {
            "audio": (float32, (audio.window_samples,)),
            "embeddings": (float32, (audio.tokens, audio.embedding)),
        },
        "fusion.onnx": {
            "face_embeddings": (float32, (face.bins, face.embedding)),
            "face_mask": (boolean, (face.bins,)),
            "audio_embeddings": (float32, (audio.tokens, audio.embedding)),
            "audio_mask": (boolean, ()),
            "logits": (float32, (labels,)),
            "modality_weights": (float32, (2,)),
        },
    }
    for name, tensors in expected.items():
        found = {
            node.name: (node.type, tuple(node.shape[1:]))
            for node in (*sessions[name].get_inputs(), *sessions[name].get_outputs())
        }
        for tensor, wanted in tensors.items():
            if found.get(tensor) == wanted:
                continue
            if tensor == "logits" and len(found.get(tensor, ("", ()))[1]) == 1:
                raise BundleError(
                    f"{bundle.directory / 'model.json'} names {labels} labels but fusion.onnx gives "
                    f"{found[tensor][1][-1]} logits a person; the label list and the graph must come from one export."
                )
            raise BundleError(
                f"{bundle.directory / name} has {tensor} {found.get(tensor, 'nowhere')} where model.json asks for "
                f"{wanted}; export the bundle again."
            )


def _try_out(bundle: ModelBundle) -> None:
    """Run every graph once: what cannot work must not be found out at the first face, or the second at once."""
    rng = np.random.default_rng(0)  # noise; silence is never judged, and has no loudness to be scaled by
    people = len(STATES)
    faces = rng.integers(0, 256, (people, bundle.face.size_px, bundle.face.size_px, 3), np.uint8)
    sound = rng.normal(0.0, 0.1, bundle.audio.window_samples).astype(np.float32)
    has_face, has_voice = (np.array([state in ("both", modality) for state in STATES]) for modality in STATES[1:])
    try:
        with np.errstate(all="ignore"):  # what is no number then is refused below
            face_bins = np.repeat(bundle.encode_faces(faces)[:, np.newaxis], bundle.face.bins, axis=1)
            audio = np.repeat(bundle.encode_audio(sound)[np.newaxis], people, axis=0)
            face_mask = np.repeat(has_face[:, np.newaxis], bundle.face.bins, axis=1)
            fused = bundle.fuse(face_bins, face_mask, audio, has_voice)
    except Exception as error:  # ONNX Runtime's own share no other base class
        raise BundleError(f"{bundle.directory} does not run ({_one_line(error)}); export it again.") from error
    for name, given in (("probabilities", fused.probabilities), ("modality weights", fused.modality_weights)):
        states = [state for state, row in zip(STATES, given, strict=True) if not np.isfinite(row).all()]
        if states:
            raise BundleError(
                f"{bundle.directory} gives {name} that are no numbers in the state {states[0]}; train and export it "
                "again."
            )
