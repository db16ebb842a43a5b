"""What parameter files say to nobody is complained of, and nothing else is."""

import pytest
import rclpy

from emotion_perception.nodes.audio_window_node import AudioWindowNode
from emotion_perception.nodes.face_crop_node import FaceCropNode
from emotion_perception.nodes.parameter_files import unheeded
from emotion_perception.nodes.perception_node import share_directory

DEFAULT_PX, GIVEN_PX = 96, 48


@pytest.fixture
def read(tmp_path):
    """Make a node in a namespace with a parameter file; gives its crop_px and the complaints."""
    file, nodes = tmp_path / "mine.yaml", []

    def start(text, *remappings):
        file.write_text(text)
        remapped = [part for rule in ("__ns:=/lab/robot1", *remappings) for part in ("-r", rule)]
        arguments = ["process", "--ros-args", *remapped, "--params-file", str(file)]
        rclpy.init(args=arguments)
        nodes.extend([FaceCropNode(), AudioWindowNode()])
        return nodes[0].value("crop_px"), [line.replace(str(file), "FILE") for line in unheeded(arguments, nodes)]

    yield start
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


def section(name, **parameters):
    return "".join(
        [f'"{name}":\n  ros__parameters:\n', *(f"    {key}: {value}\n" for key, value in parameters.items())]
    )


@pytest.mark.parametrize(
    "name",
    ["/**/face_crop_node", "**/face_crop_node", "/*/*/face_crop_node", "/lab/**/face_crop_node", "/lab/**", "/**"]
    + ["/lab/robot1/face_crop_node", "lab/robot1/face_crop_node"],
)
def test_section_that_ros_takes_is_no_reason_to_complain(read, name):
    assert read(section(name, crop_px=GIVEN_PX)) == (GIVEN_PX, [])


@pytest.mark.parametrize("line", ["crop_px:\t48", "crop_px: 48\t# small", "crop_px: &side 48"])
def test_what_ros_reads_is_read_here_too(read, line):
    assert read(f"/**/face_crop_node:\n  ros__parameters:\n    {line}\n") == (GIVEN_PX, [])


def test_file_that_ros_alone_can_read_is_said_to_be_unchecked(read):
    size_px, (complaint,) = read(section("/**/face_crop_node", crop_px=f"&a {GIVEN_PX}", min_score="&a 0.5"))
    assert size_px == GIVEN_PX
    assert complaint.startswith("FILE was not looked through for names that no node knows: found duplicate anchor")


@pytest.mark.parametrize(
    "name", ["face_crop_node", "/robot1/face_crop_node", "/*/face_crop_node", "lab/face_crop_node"]
)
def test_section_of_another_namespace_is_told_with_the_one_for_all(read, name):
    whole = f"/{name.lstrip('/')}"
    assert read(section(name, crop_px=GIVEN_PX)) == (
        DEFAULT_PX,
        [
            f"FILE has parameters of {whole}, expected /lab/robot1/face_crop_node; "
            "write /**/face_crop_node: for any namespace."
        ],
    )


def test_mistyped_parameter_is_told_with_those_that_there_are(read):
    _, (complaint,) = read(section("/**/face_crop_node", min_scor=0.4, max_lost_s=2.0))
    assert "FILE sets min_scor of /lab/robot1/face_crop_node, expected one of image_topic, " in complaint


def test_mistyped_node_is_told_with_those_that_there_are(read):
    _, (complaint,) = read(section("/**/face_crop_nod", crop_px=GIVEN_PX))
    assert "FILE has parameters of /**/face_crop_nod, expected a node of this suite" in complaint


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_empty_file_is_told(read, text):
    _, (complaint,) = read(text)
    assert complaint.startswith("FILE holds no parameters, expected sections such as /**/face_crop_node:")


@pytest.mark.parametrize(
    "text",
    [
        section("/**/face_crop_node", use_sim_time=True),
        section("/**/face_crop_node", qos_overrides="{/parameter_events: {publisher: {depth: 10}}}"),
        section("/**/overlay_node", image_topic="of_another_process"),
        section("/**", of_another_node=1),
        section("/lab/robot1/face_crop_node", crop_px=48) + section("/lab/robot2/face_crop_node", crop_px=64),
        "lab:\n  robot1:\n    face_crop_node:\n      ros__parameters:\n        crop_px: 48\n",
    ],
)
def test_what_may_be_so_is_no_reason_to_complain(read, text):
    assert read(text)[1] == []


def test_a_node_of_another_name_is_known_by_it(read):
    assert read(section("/**/eyes", crop_px=GIVEN_PX), "face_crop_node:__node:=eyes") == (GIVEN_PX, [])


def test_the_suites_own_file_is_for_any_namespace(read):
    assert read((share_directory() / "config" / "emotion_perception.yaml").read_text())[1] == []
