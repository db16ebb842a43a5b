"""From training to files: what is exported is what was trained."""

import hashlib
import itertools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from emotion_perception.core.model_bundle import STATES
from emotion_training import build_default_bundle, latency
from emotion_training.bundle_report import write_bundle_report
from emotion_training.bundle_writer import BundleShape, ParityError, bundle_specs, check_parity, write_bundle
from emotion_training.face_set import FaceSet
from emotion_training.face_training import train_face_classifier
from emotion_training.judgements import GAIN, LATE_FUSION
from emotion_training.labels import LABELS
from emotion_training.model_card import licence, render_model_card, training_data
from emotion_training.models.start_weights import WeightsError
from emotion_training.quantised_face import quantise_face
from emotion_training.speech_clips import speech_folds
from emotion_training.stage_cache import StageCache
from emotion_training.tiny_bundle import SPEAKERS, SPLIT, generated_clips, generated_faces, tiny_config
from emotion_training.train_bundle import judge_fold, train_bundle
from emotion_training.voice_features import voice_features
from emotion_training.voice_windows import plain_windows

CONFIG = tiny_config()


def state_of(networks):
    return {
        f"{name}.{key}": value
        for name in ("face", "audio", "fusion")
        for key, value in getattr(networks, name).state_dict().items()
    }


def read_metrics(tiny):
    return json.loads((tiny.directory / "metrics.json").read_text())


def generated_folds():
    return speech_folds({"tones": SPLIT}, generated_clips(CONFIG, 0))


@pytest.fixture(scope="module")
def features():
    return voice_features(CONFIG, generated_clips(CONFIG, 0), generated_folds(), Path(), StageCache(None))


def judgements_of(tiny):
    return [fold.judgements for fold in tiny.folds]


def test_the_same_seed_gives_the_same_weights_and_figures(tiny, tmp_path, features):
    cache, faces, clips = StageCache(tmp_path), generated_faces(CONFIG, 0), generated_clips(CONFIG, 0)
    again = train_bundle(CONFIG, faces, clips, features, judgements_of(tiny), tmp_path, cache)
    first, second = state_of(tiny.trained.networks), state_of(again.networks)
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []
    assert again.metrics == tiny.trained.metrics and again.calibration == tiny.trained.calibration

    from_cache = train_bundle(CONFIG, faces, clips, features, judgements_of(tiny), tmp_path, cache)
    assert all(torch.equal(second[key], value) for key, value in state_of(from_cache.networks).items())


def test_the_same_seed_judges_the_same_people_in_the_same_way(tiny, features):
    again = judge_fold(CONFIG, generated_faces(CONFIG, 0), generated_folds()[0], features, Path(), StageCache(None))
    first, second = tiny.folds[0].judgements, again.judgements
    for state in STATES:
        np.testing.assert_array_equal(first.states[state].logits, second.states[state].logits)
    assert first.pairs.keys() == second.pairs.keys()
    for name, pairs in first.pairs.items():
        for who, predicted in pairs.predicted.items():
            np.testing.assert_array_equal(predicted, second.pairs[name].predicted[who])
    np.testing.assert_array_equal(first.taken_for, second.taken_for)


def test_those_who_are_judged_are_the_test_people_of_the_fold(tiny):
    for fold, person, other in zip(tiny.folds, ("tone-3", "tone-2"), ("tone-2", "tone-3"), strict=True):
        assert fold.people == {"validation": [other], "test": [person]}
        assert set(fold.judgements.voices.speaker_ids) == {person}
        assert all(set(pairs.speaker_ids) == {person} for pairs in fold.judgements.pairs.values())
        clips = sum(clip.speaker_id == person for clip in generated_clips(CONFIG, 0))
        assert fold.judgements.taken_for.sum() == clips * CONFIG.fusion_training.voice_views


@pytest.mark.parametrize("everybody", [False, True])
def test_the_bundle_learns_from_everybody_and_a_fold_from_its_training_people(
    tiny, tmp_path, monkeypatch, everybody, features
):
    class SeenError(Exception):
        pass

    def see(training, clips, *_):
        raise SeenError(*sorted({clip.speaker_id for clip in clips}))

    monkeypatch.setattr("emotion_training.train_bundle.train_audio_classifier", see)
    faces, cache = generated_faces(CONFIG, 0), StageCache(tmp_path)
    with pytest.raises(SeenError) as seen:
        if everybody:
            train_bundle(CONFIG, faces, generated_clips(CONFIG, 0), features, judgements_of(tiny), tmp_path, cache)
        else:
            judge_fold(CONFIG, faces, generated_folds()[0], features, tmp_path, cache)
    assert seen.value.args == (SPEAKERS if everybody else SPEAKERS[:2])


@pytest.mark.parametrize("by, corpora", [("train_audio_classifier", {"tones", "hums"}), ("learnt_voices", {"tones"})])
def test_a_corpus_of_which_nobody_is_judged_teaches_the_voice_encoder_alone(tiny, tmp_path, monkeypatch, by, corpora):
    class SeenError(Exception):
        pass

    def see(*arguments):
        (clips,) = (argument for argument in arguments if isinstance(argument, tuple) and argument)
        raise SeenError({clip.corpus for clip in clips})

    tones, hums = generated_clips(CONFIG, 0), generated_clips(CONFIG, 1)
    clips = (*tones, *(replace(clip, corpus="hums", speaker_id=f"hum-{clip.speaker_id}") for clip in hums))
    config = replace(CONFIG, audio_training=replace(CONFIG.audio_training, shares={"hums": 0.3}))
    features = voice_features(config, clips, speech_folds({"tones": SPLIT}, clips), Path(), StageCache(None))
    monkeypatch.setattr(f"emotion_training.train_bundle.{by}", see)
    with pytest.raises(SeenError) as seen:
        train_bundle(
            config, generated_faces(CONFIG, 0), clips, features, judgements_of(tiny), tmp_path, StageCache(None)
        )
    assert seen.value.args == (corpora,)


def test_a_network_that_does_not_ship_teaches_all_the_same(tiny, tmp_path, features):
    first, second = CONFIG.face_encoder.members
    encoder = replace(CONFIG.face_encoder, members=(replace(first, ships=False), second))
    config, faces, clips = replace(CONFIG, face_encoder=encoder), generated_faces(CONFIG, 0), generated_clips(CONFIG, 0)
    bundle = train_bundle(config, faces, clips, features, judgements_of(tiny), tmp_path, StageCache(None))
    (alone,) = bundle.networks.face.encoder.members
    beside_it = tiny.trained.networks.face.encoder.members[1].state_dict()
    assert all(torch.equal(value, beside_it[name]) for name, value in alone.state_dict().items())
    given = config.face_training, faces.train, faces.validation, tmp_path, config.seed
    once, _ = train_face_classifier(replace(second, cycles=second.cycles[:1]), *given)
    untaught, _ = train_face_classifier(second, *given, before=once)
    assert not torch.equal(untaught.encoder.project.weight, alone.project.weight)


def test_absent_weights_of_the_voice_are_named_before_a_voice_is_heard(tmp_path, monkeypatch):
    monkeypatch.setattr("emotion_training.voice_features.AugmentedWindows", None)
    options = {"merged": [1], "hidden": 24, "embedding": 16, "dropout": 0.0}
    encoder = replace(CONFIG.audio_encoder, name="whisper_tiny", options=options, start_from="turn.onnx")
    config = replace(CONFIG, audio_encoder=encoder)
    with pytest.raises(WeightsError, match="turn.onnx does not exist; expected pipecat/"):
        voice_features(config, generated_clips(config, 0), generated_folds(), tmp_path, StageCache(None))


@pytest.mark.parametrize("absent", ["weights.json", "weights.bin"])
def test_absent_weights_of_the_face_are_named_before_a_voice_is_heard(tmp_path, monkeypatch, absent):
    if absent == "weights.bin":
        (tmp_path / "weights.json").write_text(json.dumps({"weightsManifest": []}))
    (first, second), faces, clips = CONFIG.face_encoder.members, generated_faces(CONFIG, 0), generated_clips(CONFIG, 0)
    encoder = replace(CONFIG.face_encoder, members=(first, replace(second, start_from="weights.json")))
    read = {"read_faces": faces, "read_voices": clips, "speech_folds": generated_folds(), "voice_features": None}
    for name, value in read.items():
        monkeypatch.setattr(build_default_bundle, name, value and (lambda *_, value=value: value))
    config = replace(CONFIG, face_encoder=encoder)
    with pytest.raises(WeightsError, match=f"{absent} does not exist; expected the weights out of npm's"):
        build_default_bundle.build(tmp_path, tmp_path / "out", tmp_path / "report", config, StageCache(None))


def test_faces_that_are_judged_are_those_of_the_test_part_and_nobody_learns_from_a_copy_of_one(monkeypatch):
    generated = generated_faces(CONFIG, 0)
    learning, test = generated.train, generated.test
    with_copies = FaceSet(
        (*learning.names, *(f"copy of {name}" for name in test.names)),
        *(
            np.concatenate([getattr(of, name) for of in (learning, test)])
            for name in ("images", "soft_labels", "folder_labels")
        ),
    )
    parts = {"train": with_copies, "valid": test}
    monkeypatch.setattr(build_default_bundle, "read_corpus", lambda name, archive, part, votes: part)
    monkeypatch.setattr(build_default_bundle, "load_faces", lambda part, size_px: parts[part])
    faces = build_default_bundle.read_faces(Path("data"), CONFIG)
    assert faces.test is test
    assert sorted((*faces.train.names, *faces.validation.names)) == sorted(learning.names)


def test_voices_are_those_of_the_judged_corpora_and_of_those_that_are_only_learnt_from(monkeypatch):
    read = []
    monkeypatch.setattr(
        build_default_bundle, "read_corpus", lambda name, folder, **options: read.append((name, options)) or [name]
    )
    monkeypatch.setattr(build_default_bundle, "load_voices", lambda clips, rate_hz: clips)
    training = replace(CONFIG.audio_training, shares={"nemo": 0.3}, emodb_boredom=True)
    config = replace(CONFIG, splits={"ravdess": "five", "emodb": "ten"}, audio_training=training)
    assert build_default_bundle.read_voices(Path("data"), config) == ["ravdess", "emodb", "nemo"]
    assert read == [("ravdess", {"classes": 7}), ("emodb", {"boredom": True}), ("nemo", {})]
    clips = generated_clips(CONFIG, 0)
    counts = {"clips": len(clips), "speakers": len(SPEAKERS)}
    assert build_default_bundle._voice_counts(clips, "tones") == counts and len(clips) > len(SPEAKERS)


def test_seed_of_the_command_stands_in_place_of_that_of_the_configuration(monkeypatch, tmp_path, capsys):
    seeds, figures = [], {"synthetic label-matched pairs": {"plain": {"both": {"uar": {"value": 0.5}}}}}

    def build(data, out, report, config, cache):
        seeds.append(config.seed)
        return SimpleNamespace(metrics=figures)

    monkeypatch.setattr(build_default_bundle, "build", build)
    folders = [part for name in ("data", "out", "report", "cache") for part in (f"--{name}", str(tmp_path / name))]
    assert build_default_bundle.main([*folders, "--seed", "23"]) == 0
    assert seeds == [23] and "UAR 0.5 on synthetic label-matched pairs" in capsys.readouterr().out


def test_latency_is_the_median_of_one_thread_and_one_person_in_milliseconds(tiny, monkeypatch):
    seen = []

    class Session:
        def __init__(self, path, options, providers):
            self._threads = options.intra_op_num_threads

        def run(self, outputs, feed):
            seen.append((self._threads, {len(value) for value in feed.values()}))

    ticks_s = itertools.cycle([0.0, 0.001, 1.0, 1.002, 2.0, 2.009])
    monkeypatch.setattr(latency, "RUNS", 3)
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: next(ticks_s)))
    monkeypatch.setattr(latency, "write_graph", lambda models, spec, path: None)
    monkeypatch.setattr(latency.onnxruntime, "InferenceSession", Session)
    found = latency.measure_latency(tiny.trained.networks.models, CONFIG)
    assert found["median_ms_one_core"] == dict.fromkeys(("face_encoder.onnx", "audio_encoder.onnx", "fusion.onnx"), 2.0)
    assert seen == [(1, {1})] * 9


def test_the_tiny_bundle_learnt_its_task(tiny):
    plain = tiny.trained.metrics["synthetic label-matched pairs"]["plain"]
    assert plain["both"]["uar"]["value"] > 0.5


@pytest.mark.parametrize("batch", [1, 3])
def test_files_and_modules_say_the_same_in_every_state(tiny, batch):
    sampler_rng = np.random.default_rng(0)
    faces = sampler_rng.integers(0, 256, (batch, 48, 48, 3), dtype=np.uint8)
    voices = sampler_rng.normal(0.0, 0.1, (batch, 48000)).astype(np.float32)
    sessions = {
        name: onnxruntime.InferenceSession(str(tiny.directory / f"{name}.onnx"))
        for name in ("face_encoder", "audio_encoder", "fusion")
    }
    face = sessions["face_encoder"].run(["embedding"], {"face": faces})[0]
    audio = sessions["audio_encoder"].run(["embeddings"], {"audio": voices})[0]
    models = tiny.trained.networks.models
    with torch.inference_mode():
        # The graphs of the encoders are in 8-bit integers: what it costs is tested below.
        torch_face, torch_audio = torch.from_numpy(face), torch.from_numpy(audio)
        for face_present, audio_present in ((True, True), (True, False), (False, True)):
            face_mask = np.full((batch, CONFIG.fusion.bins), face_present)
            audio_mask = np.full(batch, audio_present)
            feed = {
                "face_embeddings": np.repeat(face[:, None], CONFIG.fusion.bins, axis=1),
                "face_mask": face_mask,
                "audio_embeddings": audio,
                "audio_mask": audio_mask,
            }
            logits, weights = sessions["fusion"].run(["logits", "modality_weights"], feed)
            bins = torch_face[:, None].expand(-1, CONFIG.fusion.bins, -1)
            expected = models.fusion(bins, torch.from_numpy(face_mask), torch_audio, torch.from_numpy(audio_mask))
            np.testing.assert_allclose(logits, expected[0].numpy(), atol=1e-4)
            np.testing.assert_allclose(weights, expected[1].numpy(), atol=1e-4)
            assert logits.shape == (batch, len(LABELS))


def test_masked_inputs_have_no_influence_on_the_graph(tiny):
    session = onnxruntime.InferenceSession(str(tiny.directory / "fusion.onnx"))
    rng = np.random.default_rng(0)
    feed = {
        "face_embeddings": rng.normal(size=(2, 8, tiny.trained.networks.face.encoder.embedding)).astype(np.float32),
        "face_mask": np.array([[False] * 4 + [True] * 4, [False] * 8]),
        "audio_embeddings": rng.normal(size=(2, 19, CONFIG.audio_encoder.options["embedding"])).astype(np.float32),
        "audio_mask": np.array([False, True]),
    }
    expected = session.run(None, feed)
    feed["face_embeddings"][~feed["face_mask"]] = np.nan
    feed["audio_embeddings"][0] = np.inf
    for ours, theirs in zip(expected, session.run(None, feed), strict=True):
        assert np.isfinite(theirs).all() and (ours == theirs).all()


def test_digital_silence_is_finite_in_the_graph_too(tiny):
    session = onnxruntime.InferenceSession(str(tiny.directory / "audio_encoder.onnx"))
    assert np.isfinite(session.run(None, {"audio": np.zeros((1, 48000), np.float32)})[0]).all()


def test_the_manifest_describes_the_files(tiny):
    manifest = json.loads((tiny.directory / "model.json").read_text())
    assert manifest["format_version"] == 1 and manifest["labels"] == list(LABELS)
    assert manifest["face"] == {"size_px": 48, "embedding": 24 + 16, "bins": 8, "bin_s": 0.25}
    assert manifest["audio"]["tokens"] == 19 and manifest["audio"]["embedding"] == 32
    assert set(manifest["calibration"]) == {"both", "face", "audio"}
    assert set(manifest["valence_arousal"]["coordinates"]) == set(LABELS)
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((tiny.directory / name).read_bytes()).hexdigest() == entry["sha256"]
    assert sorted(path.name for path in tiny.directory.iterdir()) == sorted(
        [*manifest["files"], "model.json", "metrics.json", "MODEL_CARD.md"]
    )


def test_graphs_are_self_contained_and_tell_nothing_of_the_machine(tiny):
    for path in tiny.directory.glob("*.onnx"):
        model = onnx.load(path, load_external_data=False)
        assert not any(tensor.external_data for tensor in model.graph.initializer)
        assert b".py" not in path.read_bytes()


def test_a_graph_that_differs_from_its_module_is_refused(tiny):
    spec = bundle_specs(tiny.trained.networks.models, BundleShape.of(CONFIG))[2]
    weight = spec.module.face_head.bias
    with torch.no_grad():
        weight.add_(0.01)
        try:
            with pytest.raises(ParityError, match="fusion.onnx: logits differs by 1.00e-02"):
                check_parity(spec, tiny.directory / "fusion.onnx")
        finally:
            weight.sub_(0.01)


def test_the_face_encoder_ships_in_8_bit_integers_and_sees_what_it_saw_in_float32(tiny):
    path = tiny.directory / "face_encoder.onnx"
    kernels = [tensor for tensor in onnx.load(path).graph.initializer if len(tensor.dims) == 4]
    exact = {tensor.name for tensor in kernels if tensor.data_type != onnx.TensorProto.INT8}
    # Of the five frozen layers of the second network, the first two.
    assert exact == {f"encoder.members.1.frozen.{layer}.0.weight" for layer in range(2)}
    face = generated_faces(CONFIG, 5).test.images
    crops = np.repeat(face[..., None], 3, axis=3)
    embedding = onnxruntime.InferenceSession(str(path)).run(["embedding"], {"face": crops})[0]
    with torch.inference_mode():
        exact = tiny.trained.networks.models.face_encoder(torch.from_numpy(crops))[0].numpy()
    assert np.corrcoef(embedding.ravel(), exact.ravel())[0, 1] > 0.99
    assert tiny.trained.metrics["face"]["encoder in 8-bit integers"]["same_class"] > 0.9


def test_the_voice_encoder_ships_in_8_bit_integers_and_hears_what_it_heard_in_float32(tiny):
    windows = plain_windows(generated_clips(CONFIG, 5), 48000)
    session = onnxruntime.InferenceSession(str(tiny.directory / "audio_encoder.onnx"))
    found = session.run(["embeddings"], {"audio": windows.numpy()})[0]
    with torch.inference_mode():
        exact = tiny.trained.networks.models.audio_encoder(windows).numpy()
    assert not np.allclose(found, exact, atol=1e-6)
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.99
    assert tiny.trained.metrics["audio"]["encoder in 8-bit integers"]["same_class"] > 0.9


def test_8_bit_integers_that_change_too_much_are_refused(tiny, monkeypatch):
    monkeypatch.setattr("emotion_training.quantisation.LEAST_AGREEMENT", 1.01)
    faces = generated_faces(CONFIG, 0)
    with pytest.raises(ParityError, match=r"8-bit integers names the same emotion as in float32 on \d+.\d%"):
        quantise_face(tiny.trained.networks.face, CONFIG.face_encoder.size_px, faces.train, faces.validation, 0)


def test_a_failed_export_leaves_the_old_bundle(tiny, tmp_path, monkeypatch):
    def fail(spec, path):
        raise ParityError("fusion.onnx: differs")

    monkeypatch.setattr("emotion_training.bundle_writer.export_graph", fail)
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "model.json").write_text("old")
    with pytest.raises(ParityError):
        write_bundle(out, tiny.trained.networks.models, BundleShape.of(CONFIG), {}, {"metrics": {}}, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (out / "model.json").read_text() == "old"


def test_the_model_card_says_what_the_figures_are(tiny):
    training = {
        "data": training_data(CONFIG, []),
        "speakers": {"train": []},
        "counts": {"faces": {"train": 1, "validation": 1, "test": 1}, "voices": {"tones": {"clips": 3, "speakers": 2}}},
        "commit": "abc",
        "seed": 0,
        "metrics": read_metrics(tiny)
        | {
            "latency": {
                "median_ms_one_core": {"fusion.onnx": 0.1},
                "machine": "a machine",
                "onnxruntime": "1",
            }
        },
    }
    card = render_model_card(CONFIG, training, tiny.trained.calibration)
    pool = tiny.trained.networks.fusion.pool
    assert f"{pool[0]:.2f} times those of the joint network" in card
    assert "synthetic label-matched pairs" in card and licence(CONFIG) in card and "FER2013 for research" in card
    assert "RAVDESS" not in " ".join(training["data"]) + licence(CONFIG)
    assert "uint8 (B, 48, 48, 3)" in card and "float32 (B, 40)" in card and "derived" in card
    assert "`compact_cnn` and `mobilenet` per face crop" in card and "3 clips of 2 speakers of tones" in card


def test_the_model_card_names_the_people_who_were_learnt_from_and_sends_nobody_to_them(tiny):
    speakers = [f"ravdess-{actor:02d}" for actor in range(1, 25) if actor != 7] + ["emodb-03", "emodb-08", "emodb-09"]
    learnt = replace(CONFIG.audio_training, emodb_boredom=True, shares={"nemo": 0.3})
    encoder = replace(CONFIG.audio_encoder, start_from="smart-turn-v3.2-cpu.onnx")
    splits = {"ravdess": "", "emodb": ""}
    config = replace(CONFIG, audio_training=learnt, audio_encoder=encoder, splits=splits)
    data = " ".join(training_data(config, speakers))
    assert "voice only, actors 01 to 06, 08 to 24 (Livingstone" in data
    assert "EmoDB with boredom as neutral, speakers 03, 08 to 09 (Burkhardt" in data
    assert "nEMO" in data and "Whisper-tiny" in data and "VGGFace2" not in data
    assert "(FER2013 for research; RAVDESS CC BY-NC-SA 4.0; EmoDB for research; nEMO CC BY-NC-SA 4.0)" in licence(
        config
    )
    latency = {"median_ms_one_core": {"fusion.onnx": 0.1}, "machine": "a machine", "onnxruntime": "1"}
    counts = {"faces": {"train": 1, "validation": 1, "test": 1}, "voices": {}}
    training = {"data": [], "speakers": {"train": speakers}, "counts": counts, "commit": "abc", "seed": 0}
    training["metrics"] = read_metrics(tiny) | {"latency": latency}
    card = " ".join(render_model_card(config, training, tiny.trained.calibration).split())
    assert "take other people of these corpora: RAVDESS's actors 07 and EmoDB's speakers 10 to 16." in card


def with_figures_apart(tree, rng):
    """The same tree with every number that is no count drawn anew, so that none is taken for another."""
    if isinstance(tree, dict):
        return {name: with_figures_apart(value, rng) for name, value in tree.items()}
    if isinstance(tree, list):
        return [with_figures_apart(value, rng) for value in tree]
    return float(rng.uniform(0.1, 1.0)) if isinstance(tree, float) else tree


def test_each_figure_of_the_model_card_stands_in_its_own_row(tiny):
    metrics = with_figures_apart(read_metrics(tiny), np.random.default_rng(0))
    latency = {"median_ms_one_core": {"fusion.onnx": 0.1}, "machine": "a machine", "onnxruntime": "1"}
    counts = {"faces": {"train": 1, "validation": 2, "test": 3}, "voices": {}}
    training = {"data": [], "speakers": {"train": []}, "counts": counts, "commit": "abc", "seed": 0}
    training["metrics"] = metrics | {"latency": latency}
    calibration = with_figures_apart(tiny.trained.calibration, np.random.default_rng(1))
    card = " ".join(render_model_card(CONFIG, training, calibration).split())

    def row(title, figure):
        low, high = figure["ci95"]
        return f"| {title} | {figure['value']:.3f} | {low:.3f} to {high:.3f} | {figure['n']} |"

    face, pairs = metrics["face"]["bundle"], metrics["synthetic label-matched pairs"]
    of_votes = "against the FER+ majority, 7 classes, PublicTest"
    assert row(f"face only: accuracy {of_votes}", face["ferplus_majority_accuracy"]) in card
    assert row(f"face only: UAR {of_votes}", face["ferplus_majority_uar"]) in card
    for protocol, figures in pairs.items():
        for state in (*STATES, LATE_FUSION):
            assert row(f"synthetic label-matched pairs, {protocol}, {state}: UAR", figures[state]["uar"]) in card
        gain, (low, high) = figures[GAIN], figures[GAIN]["uar_ci95"]
        p_values = f"{gain['p_clips']:.2g} | {gain['p_speakers']:.2g} |"
        assert f"| {protocol} | {low:+.3f} to {high:+.3f} | {p_values}" in card
    cost = {name: metrics[name]["encoder in 8-bit integers"] for name in ("face", "audio")}
    assert f"is {cost['face']['float32_accuracy']:.3f} instead of {cost['face']['accuracy']:.3f}" in card
    voice = f"{cost['audio']['float32_accuracy']:.3f} in float32 and {cost['audio']['accuracy']:.3f} as it ships"
    assert voice in card
    for state, entry in calibration.items():
        figure, (least, greatest) = metrics["calibration"][state], metrics["calibration"][state]["ece_after_of_folds"]
        after = f"{figure['ece_after']:.3f} ({least:.3f} to {greatest:.3f})"
        assert f"| {state} | {entry['temperature']} | {figure['ece_before']:.3f} | {after} " in card
        assert f"{greatest:.3f}) | {entry['uncertain_below']} | {100 * figure['certain_share']:.0f} % |" in card
    pool = [f"{metrics['pool'][name]:.2f} times those of the {name}" for name in ("joint", "face", "audio")]
    assert f"{pool[0]} network, {pool[1]} alone, {pool[2].replace('audio', 'voice')} alone" in card


def test_each_figure_of_the_report_stands_in_its_own_row(tiny, tmp_path):
    rng = np.random.default_rng(0)
    metrics, history = (with_figures_apart(of, rng) for of in (read_metrics(tiny), tiny.trained.networks.history))
    seconds = {stage: 600.0 * (1 + number) for number, stage in enumerate(history)}
    counts = {"faces": {"train": 1, "validation": 2, "test": 3}, "voices": {"tones": {"clips": 4, "speakers": 5}}}
    training = {"counts": counts, "metrics": metrics, "seconds": seconds, "commit": "abc"}
    write_bundle_report(tmp_path, CONFIG, training, history, ("a note", "another"))
    report = (tmp_path / "report.md").read_text()
    for number, (stage, epochs) in enumerate(history.items()):
        minutes = f"{10 + 10 * number}.0"
        assert f"| {stage} | {len(epochs)} | {minutes} | loss {epochs[-1]['loss']:.3f}" in report
    for name, figures in metrics["synthetic label-matched pairs"].items():
        both, late, gain = figures["both"]["uar"], figures[LATE_FUSION]["uar"], figures[GAIN]
        intervals = (f"{of['value']:.3f} ({of['ci95'][0]:.3f} to {of['ci95'][1]:.3f})" for of in (both, late))
        low, high = gain["uar_ci95"]
        difference = f"{both['value'] - late['value']:+.3f} ({low:+.3f} to {high:+.3f})"
        p_values = f"{gain['p_clips']:.2g} | {gain['p_speakers']:.2g} | {gain['speakers_better']} of 2"
        assert f"| {name} | {' | '.join(intervals)} | {difference} | {p_values} |" in report
    for fold in metrics["folds"]:
        people = f"| {', '.join(fold['test'])} | {', '.join(fold['validation'])} | {fold['seconds'] / 60.0:.0f} |"
        assert people in report
    assert "## What the log does not show\n\n- a note\n- another\n\n## Make it again" in report


def test_the_report_tells_how_it_went(tiny, tmp_path):
    training = {
        "counts": {"faces": {"train": 1, "validation": 2, "test": 3}, "voices": {"tones": {"clips": 4, "speakers": 5}}},
        "metrics": read_metrics(tiny),
        "seconds": tiny.trained.networks.durations_s,
        "commit": "abc",
    }
    write_bundle_report(tmp_path, CONFIG, training, tiny.trained.networks.history)
    log = json.loads((tmp_path / "training_log.json").read_text())
    assert {stage: len(epochs) for stage, epochs in log.items()} == {
        "face 1, compact_cnn": 8,
        "face 2, mobilenet": 2 + 2,
        "audio": CONFIG.audio_training.epochs,
        "fusion": CONFIG.fusion_training.epochs,
    }
    report = (tmp_path / "report.md").read_text()
    assert "1 train, 2 validation, 3 test" in report and "Voice clips: 4 tones." in report and "commit `abc`" in report
    assert cv2.imread(str(tmp_path / "figures" / "learning_curves.png")).std() > 1.0


def test_one_sentence_for_a_data_folder_that_is_not_there(tmp_path, capsys):
    status = build_default_bundle.main(
        [
            *("--data", str(tmp_path), "--out", str(tmp_path / "out")),
            *("--report", str(tmp_path / "report"), "--cache", str(tmp_path / "cache")),
        ]
    )
    assert status == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'fer2013.zip'} does not exist;")
    assert not (tmp_path / "out").exists()
