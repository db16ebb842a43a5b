"""A bundle is usable as a whole or refused with one sentence."""

import hashlib
import json

import numpy as np
import onnx
import pytest

from emotion_perception.core.model_bundle import BundleError, load_bundle
from emotion_perception.testing.tiny_bundle import (
    BINS,
    FUSION,
    LABELS,
    SIDE_PX,
    TOKENS,
    WINDOW_SAMPLES,
    write_tiny_bundle,
)


def refusal(directory):
    with pytest.raises(BundleError) as refused:
        load_bundle(directory)
    message = str(refused.value)
    assert "\n" not in message and message.endswith(".")
    return message


def rewrite(directory, change):
    path = directory / "model.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_names_travel_with_the_numbers(tmp_path):
    bundle = load_bundle(write_tiny_bundle(tmp_path))
    assert bundle.labels == LABELS
    assert bundle.model_id == "tiny"
    np.testing.assert_allclose(bundle.coordinates, [[0, 0], [1, 0.5], [-1, -0.5]])
    rewrite(tmp_path, lambda content: content.update(labels=["sad", "neutral", "happy"]))
    np.testing.assert_allclose(load_bundle(tmp_path).coordinates, [[-1, -0.5], [0, 0], [1, 0.5]])


def test_each_row_is_calibrated_for_its_own_modalities(tmp_path):
    bundle = load_bundle(write_tiny_bundle(tmp_path))
    face = np.zeros((3, BINS, 3), np.float32)
    face[:, -1] = 1.0, 0.0, 0.0
    face_mask = np.zeros((3, BINS), bool)
    face_mask[:2, -1] = True
    audio = np.full((3, TOKENS, 1), 0.5, np.float32)
    fused = bundle.fuse(face, face_mask, audio, np.array([True, False, True]))
    # The logits of the tiny model are 4 * (colour + loudness * sad); the temperatures are 2, 1 and 0.5.
    logits = np.array([[4, 0, 2], [4, 0, 0], [0, 0, 2]]) / np.array([[2], [1], [0.5]])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fused.probabilities, expected, rtol=1e-5)
    np.testing.assert_allclose(fused.modality_weights, [[0.5, 0.5], [1, 0], [0, 1]])
    np.testing.assert_allclose(fused.uncertain_below, [0.5, 0.6, 0.7])


def test_encoders_take_what_the_description_says(tmp_path):
    bundle = load_bundle(write_tiny_bundle(tmp_path))
    assert bundle.encode_faces(np.zeros((5, SIDE_PX, SIDE_PX, 3), np.uint8)).shape == (5, 3)
    assert bundle.encode_audio(np.zeros(WINDOW_SAMPLES, np.float32)).shape == (TOKENS, 1)


def test_directory_that_does_not_exist_is_refused(tmp_path):
    assert "model.json does not exist" in refusal(tmp_path / "nowhere")


def test_missing_file_is_named(tmp_path):
    (write_tiny_bundle(tmp_path) / "fusion.onnx").unlink()
    assert "fusion.onnx is missing" in refusal(tmp_path)


def test_changed_file_is_named_with_both_checksums(tmp_path):
    with (write_tiny_bundle(tmp_path) / "face_encoder.onnx").open("ab") as file:
        file.write(b"!")
    assert "face_encoder.onnx has the SHA-256" in refusal(tmp_path)


def test_labels_that_do_not_match_the_logits_are_refused_with_both_numbers(tmp_path):
    write_tiny_bundle(tmp_path, labels=["neutral", "happy"])
    message = refusal(tmp_path)
    assert "2 labels" in message and "3 logits" in message


def test_label_without_coordinates_is_named(tmp_path):
    write_tiny_bundle(tmp_path, labels=["neutral", "happy", "bored"])
    assert "bored" in refusal(tmp_path)


def test_tensor_of_another_size_is_named(tmp_path):
    write_tiny_bundle(tmp_path)
    rewrite(tmp_path, lambda content: content["face"].update(size_px=16))
    message = refusal(tmp_path)
    assert "face_encoder.onnx has face" in message and "(16, 16, 3)" in message


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda content: content.pop("labels"), "'labels' is a required property"),
        (lambda content: content.update(format_version=2), "format_version"),
        (
            lambda content: content["calibration"]["face"].update(temperature=0),
            "calibration.face.temperature",
        ),
        (lambda content: content["calibration"]["face"].update(temperature=10**400), "calibration.face.temperature"),
        (lambda content: content["labels"].__setitem__(0, "neu\ntral"), "labels.0"),
        (lambda content: content.update(colour="red"), "colour"),
        (lambda content: content["audio"].update(window_s=1e300), "audio.window_s"),
        (lambda content: content["audio"].update(window_s="long"), "audio.window_s"),
    ],
)
def test_description_that_breaks_the_format_is_refused_with_the_place(tmp_path, change, where):
    write_tiny_bundle(tmp_path)
    rewrite(tmp_path, change)
    assert where in refusal(tmp_path)


@pytest.mark.parametrize(
    "text", ["{labels: [", '{"window_s": NaN}', '{"window_s": 1e999}', "[" * 100_000, "[" + "9" * 5000], ids=range(5)
)
def test_description_that_is_no_json_is_refused(tmp_path, text):
    (write_tiny_bundle(tmp_path) / "model.json").write_text(text)
    assert "not valid JSON" in refusal(tmp_path)


def test_description_that_is_a_directory_is_refused(tmp_path):
    (tmp_path / "model.json").mkdir()
    assert "model.json cannot be read (Is a directory)" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["fusion.onnx/x", "\0", "n" * 300, "folder"])
def test_listed_file_that_cannot_be_one_is_refused(tmp_path, name):
    write_tiny_bundle(tmp_path)
    (tmp_path / "folder").mkdir()
    rewrite(tmp_path, lambda content: content["files"].update({name: {"sha256": 64 * "0"}}))
    assert f"{name!r} of model.json cannot be read" in refusal(tmp_path)


def test_whole_numbers_may_be_written_with_a_point(tmp_path):
    write_tiny_bundle(tmp_path)
    rewrite(tmp_path, lambda content: content["face"].update(bins=float(BINS), size_px=float(SIDE_PX)))
    bundle = load_bundle(tmp_path)
    assert np.zeros((bundle.face.bins, bundle.face.size_px)).shape == (BINS, SIDE_PX)


def replace_fusion(directory, data):
    """Another fusion graph, with the right checksum."""
    write_tiny_bundle(directory)
    (directory / "fusion.onnx").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    rewrite(directory, lambda content: content["files"]["fusion.onnx"].update(sha256=digest))


def test_graph_that_is_no_onnx_is_refused_even_with_the_right_checksum(tmp_path):
    replace_fusion(tmp_path, b"not a graph")
    assert "fusion.onnx is no graph" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("line", "instead", "what"),
    [
        (
            "logits = Mul (evidence, sharpness)",
            "both = Mul (face_there, audio_there)\n alone = Sub (one, both)\n logits = Div (evidence, alone)",
            "probabilities",
        ),
        ("Div (there, there_divisor)", "Div (there, there)", "modality weights"),
        ("logits = Mul (evidence, sharpness)", "low = Neg (evidence)\n logits = Log (low)", "probabilities"),
        (
            "logits = Mul (evidence, sharpness)",
            "none = Div (evidence, face_there)\n logits = Log (none)",
            "probabilities",
        ),
        ("Div (there, there_divisor)", "Div (there, audio_there)", "modality weights"),
    ],
)
def test_graph_whose_outputs_are_no_numbers_in_any_state_is_refused(tmp_path, line, instead, what):
    replace_fusion(tmp_path, onnx.parser.parse_model(FUSION.replace(line, instead)).SerializeToString())
    assert f"gives {what} that are no numbers in the state" in refusal(tmp_path)


def test_graph_for_one_person_only_is_refused(tmp_path):
    text = FUSION.replace("[B", "[1")
    replace_fusion(tmp_path, onnx.parser.parse_model(text).SerializeToString())
    assert "does not run" in refusal(tmp_path)


def test_logits_of_no_person_are_refused(tmp_path):
    text = FUSION.replace("float[B, 3] logits", "float[B] logits").replace(
        "logits = Mul (evidence, sharpness)",
        "product = Mul (evidence, sharpness)\n logits = ReduceSum <keepdims = 0> (product, first)",
    )
    replace_fusion(tmp_path, onnx.parser.parse_model(text).SerializeToString())
    assert "fusion.onnx has logits" in refusal(tmp_path)


def test_graph_that_fails_when_it_runs_is_refused(tmp_path):
    text = FUSION.replace("logits = Mul (evidence, sharpness)", "logits = Reshape (evidence, beyond)").replace(
        "first =", "beyond = Constant <value_ints = [7, 3]> ()\n    first ="
    )
    replace_fusion(tmp_path, onnx.parser.parse_model(text).SerializeToString())
    assert "does not run" in refusal(tmp_path)


def test_origin_is_told(tmp_path):
    directory = write_tiny_bundle(tmp_path, licence="for tests", training={"data": ["colours"]})
    bundle = load_bundle(directory)
    assert (bundle.format_version, bundle.licence, bundle.trained_on) == (1, "for tests", ("colours",))
    assert bundle.directory == directory
    assert bundle.sha256 == hashlib.sha256((directory / "model.json").read_bytes()).hexdigest()


def test_graphs_of_the_tiny_bundle_are_valid_onnx(tmp_path):
    for path in write_tiny_bundle(tmp_path).glob("*.onnx"):
        onnx.checker.check_model(onnx.load(path), full_check=True)
