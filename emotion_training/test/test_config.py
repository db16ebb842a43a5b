"""The configuration file: typed, complete, and strict about keys."""

import pytest
import yaml

from emotion_training.build_default_bundle import DEFAULT_CONFIG
from emotion_training.config import load_config
from emotion_training.configuration import ConfigurationError, load_tree


@pytest.fixture
def tree():
    return yaml.safe_load(DEFAULT_CONFIG.read_text())


def load(tmp_path, tree):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return load_config(path)


def test_the_shipped_configuration_loads():
    config = load_config(DEFAULT_CONFIG)
    assert [member.name for member in config.face_encoder.members] == ["compact_cnn", "mobilenet", "mobilenet"]
    assert config.audio_training.robot_augmentation.background is None
    assert config.fusion.width % config.fusion.heads == 0


@pytest.mark.parametrize("shares", [{"nemo": 0.0}, {"nemo": 0.5, "savee": 0.5}, {"nemo": "half"}])
def test_shares_that_leave_nothing_for_the_others_are_refused(tmp_path, tree, shares):
    tree["audio_training"]["shares"] = shares
    with pytest.raises(ConfigurationError, match="audio_training.shares is .*; expected corpora with numbers above 0"):
        load(tmp_path, tree)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_face_expects_between_nothing_and_what_its_corpus_has(tmp_path, tree, share):
    tree["fusion"]["face_prior"] = share
    with pytest.raises(ConfigurationError, match=f"fusion.face_prior is {share}; expected 0 to 1"):
        load(tmp_path, tree)


def test_an_unknown_key_fails_with_the_known_ones(tmp_path, tree):
    tree["fusion"]["widht"] = tree["fusion"].pop("width")
    with pytest.raises(
        ConfigurationError, match=r"fusion.widht is unknown; expected one of .*width.*; fusion.width is missing"
    ):
        load(tmp_path, tree)


@pytest.mark.parametrize("value", ["many", True, 1.5, None])
def test_a_wrong_type_fails_with_the_key(tmp_path, tree, value):
    tree["face_training"]["batch"] = value
    with pytest.raises(ConfigurationError, match="face_training.batch is .*expected int"):
        load(tmp_path, tree)


def test_a_wrong_number_of_values_fails_with_the_key(tmp_path, tree):
    tree["audio_training"]["augmentation"]["level_dbfs"] = [1.0]
    with pytest.raises(ConfigurationError, match="level_dbfs .* expected 2 values"):
        load(tmp_path, tree)


def test_an_empty_list_fails_with_the_key(tmp_path, tree):
    tree["face_encoder"]["members"][1]["cycles"] = []
    with pytest.raises(
        ConfigurationError, match="face_encoder.members.cycles is empty; expected a list with something in it"
    ):
        load(tmp_path, tree)


@pytest.mark.parametrize(
    "member, share, expected",
    [(0, 0.5, "0.5 where nothing was trained before; set it to 0"), (1, 1.5, "1.5; expected 0 to 1")],
)
def test_a_teacher_that_cannot_be_is_refused(tmp_path, tree, member, share, expected):
    tree["face_encoder"]["members"][member]["cycles"][0]["teacher_share"] = share
    with pytest.raises(ConfigurationError, match=f"face_encoder.members.cycles.teacher_share is {expected}"):
        load(tmp_path, tree)


def test_a_distillation_without_voices_is_refused(tmp_path, tree):
    tree["audio_training"]["shares"] = {}
    with pytest.raises(ConfigurationError, match="distillation learns from the corpora of audio_training.shares, whi"):
        load(tmp_path, tree)
    tree["audio_encoder"]["distillation"] = None
    assert load(tmp_path, tree).audio_encoder.distillation is None


@pytest.mark.parametrize("encoder", ["face_encoder", "audio_encoder"])
@pytest.mark.parametrize("key", ["steps", "batch"])
def test_a_distillation_of_nothing_is_refused(tmp_path, tree, encoder, key):
    tree[encoder]["distillation"][key] = 0
    with pytest.raises(ConfigurationError, match="distillation has .* expected 1 or more of both, or null"):
        load(tmp_path, tree)


def test_faces_without_a_network_that_ships_are_refused(tmp_path, tree):
    for member in tree["face_encoder"]["members"]:
        member["ships"] = False
    with pytest.raises(ConfigurationError, match="face_encoder.members.ships is false for all; expected true for one"):
        load(tmp_path, tree)


def test_options_that_are_no_mapping_fail_with_the_key(tmp_path, tree):
    tree["audio_encoder"]["options"] = 5
    with pytest.raises(ConfigurationError, match="audio_encoder.options is 5; expected a mapping"):
        load(tmp_path, tree)


def test_whole_numbers_are_taken_as_floats(tmp_path, tree):
    tree["fusion"]["dropout"] = 0
    assert load(tmp_path, tree).fusion.dropout == 0.0


def test_a_missing_file_and_a_broken_one_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match="none.yaml does not exist"):
        load_config(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(ConfigurationError, match="broken.yaml is not YAML"):
        load_config(broken)


@pytest.mark.parametrize("load", [load_config, load_tree])
def test_a_file_that_is_no_text_is_named(tmp_path, load):
    (tmp_path / "latin.yaml").write_bytes(b"model_id: caf\xe9")
    with pytest.raises(ConfigurationError, match="latin.yaml is no text in UTF-8 .* save it as such"):
        load(tmp_path / "latin.yaml")
