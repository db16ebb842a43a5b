"""The README says what is so."""

import re
from pathlib import Path

import pytest
import rclpy

from emotion_msgs.msg import EmotionState
from emotion_perception.emotion_pipeline import NODES, node_class
from emotion_training.clip import Clip
from emotion_training.prepared_corpus import save_clips
from emotion_training.splits import load_split

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = (ROOT / "emotion_bringup/emotion_bringup/examples/README.md").read_text(encoding="utf-8")
TYPES = {bool: "bool", int: "int", float: "double", str: "string"}


def row(node, parameter):
    """The line of a parameter in the README's table."""
    value = node.value(parameter.name)
    default = f'"{value}"' if value == "" else str(value).lower() if isinstance(value, bool) else value
    limits = "" if parameter.minimum is None else f"{parameter.minimum:g} to {parameter.maximum:g}"
    return f"| `{parameter.name}` | {TYPES[type(value)]} | `{default}` | {limits} | {parameter.description} |"


@pytest.mark.parametrize("name", NODES)
def test_parameter_table_is_that_of_the_node(name):
    rclpy.init()
    try:
        node = node_class(name)()
        expected = [row(node, parameter) for parameter in node.PARAMETERS]
        section = README.split(f"**{node.get_name()}**")[1].split("**")[0]
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    assert [line for line in section.splitlines() if line.startswith("| `")] == expected


def test_every_linked_file_exists():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("text", [README, EXAMPLES], ids=["README", "examples"])
def test_every_linked_section_exists(text):
    sections = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    linked = re.findall(r"\]\([^)#]*#([^)]+)\)", text)
    assert linked and set(linked) - sections == set()


def test_every_make_target_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", README)) | set(re.findall(r"^\$? ?make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_the_listener_of_the_examples_prints_what_the_person_feels(graph, start):
    (listener,) = re.findall(r"^```python\n(import rclpy\n.*?)^```", EXAMPLES, re.MULTILINE | re.DOTALL)
    process = start("-c", listener)
    publisher = graph.speak(EmotionState, "/emotion/state")
    state = EmotionState(label="happy", uncertain=True)
    graph.wait_for(lambda: publisher.publish(state) or "happy True" in process.output, "a line of the listener")


def test_the_folds_of_the_readme_test_everybody_once(tmp_path, monkeypatch):
    (program,) = re.findall(r"^```python\n(from pathlib.*?)^```", README, re.MULTILINE | re.DOTALL)
    speakers = [f"manifest-{name}" for name in "abcdef"]
    (tmp_path / "PREPARED").mkdir()
    save_clips([Clip(name, "manifest", name) for name in speakers], tmp_path / "PREPARED")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    split = load_split(tmp_path / "my_folds.json")
    assert sorted(name for number in split.numbers for name in split.fold(number).test) == speakers
    assert (split.corpus, len(split.numbers)) == ("manifest", 5)
