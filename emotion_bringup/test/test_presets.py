"""A preset is a parameter file that its node takes, in any namespace."""

from pathlib import Path

import pytest
import rclpy
import yaml

from emotion_perception.core.audio_messages import READERS
from emotion_perception.emotion_pipeline import node_class
from emotion_perception.nodes.conversions import image_format

CONFIG = Path(__file__).parents[1] / "config"
NODES = {"cameras": ("face_crop_node", "overlay_node"), "microphones": ("audio_window_node",)}
PRESETS = sorted(CONFIG.glob("*/*.yaml"))


def parameters(preset):
    """What a preset gives to each of its nodes, which is the same."""
    content = yaml.safe_load(preset.read_text(encoding="utf-8"))
    assert set(content) == {f"/**/{name}" for name in NODES[preset.parent.name]}
    first, *others = (entry["ros__parameters"] for entry in content.values())
    assert all(other == first for other in others)
    return first


@pytest.mark.parametrize("namespace", ["/", "/robot"])
@pytest.mark.parametrize("preset", [*PRESETS, CONFIG / "simulation.yaml"], ids=lambda path: path.stem)
def test_every_parameter_of_a_preset_exists_on_its_node_and_reaches_it(preset, namespace):
    rclpy.init(args=["--ros-args", "-r", f"__ns:={namespace}", "--params-file", str(preset)])
    try:
        for name, entry in yaml.safe_load(preset.read_text(encoding="utf-8")).items():
            node, expected = node_class(name.removeprefix("/**/"))(), entry["ros__parameters"]
            assert {parameter.name for parameter in node.PARAMETERS} >= expected.keys()
            assert {parameter: node.value(parameter) for parameter in expected} == expected
            node.destroy_node()
    finally:
        rclpy.try_shutdown()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_preset_names_an_absolute_topic_and_a_known_form(preset):
    values = parameters(preset)
    topics = [value for name, value in values.items() if name.endswith("_topic")]
    assert len(topics) == 1 and topics[0].startswith("/")
    image_format(values.get("image_transport", "raw"))  # refuses one that it does not know
    assert values.get("audio_type", "emotion_msgs/AudioChunk") in READERS


def test_every_camera_of_a_tiago_has_a_preset():
    topics = {parameters(preset)["image_topic"] for preset in PRESETS if preset.parent.name == "cameras"}
    assert topics == {
        "/head_front_camera/rgb/image_raw",
        "/head_front_camera/color/image_raw",
        "/head_front_camera/head_front_camera/color/image_raw",
        "/head_front_camera/image_raw/compressed",
    }
