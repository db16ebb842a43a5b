"""The worlds say what SDF allows, name files that are there, and put a face before TIAGo's head camera."""

import itertools
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

PACKAGE = Path(__file__).parents[1]
MODELS = PACKAGE / "models"
WORLDS = sorted((PACKAGE / "worlds").glob("*.*"))
PERSON = MODELS / "emotion_person" / "model.sdf"
SDF_FILES = [*WORLDS, *MODELS.glob("*/model.sdf")]

# What SDF 1.6 lets an element hold, for the elements in use: {element: (required, optional)}.
CHILDREN = {
    "sdf": ("", "world actor model light"),
    "world": ("", "scene physics light model actor include plugin"),
    "scene": ("ambient background shadows", "grid fog sky"),
    "physics": ("max_step_size", "real_time_factor real_time_update_rate"),
    "include": ("uri", "pose name static"),
    "light": ("direction", "pose diffuse specular cast_shadows attenuation intensity"),
    "model": ("link", "static pose"),
    "actor": ("script", "pose link skin animation"),
    "link": ("", "pose collision visual inertial sensor"),
    "collision": ("geometry", "pose surface"),
    "visual": ("geometry", "pose material cast_shadows"),
    "geometry": ("", "box cylinder plane sphere mesh"),
    "box": ("size", ""),
    "cylinder": ("radius length", ""),
    "plane": ("normal size", ""),
    "material": ("", "script ambient diffuse specular emissive pbr"),
    "pbr": ("", "metal"),
    "metal": ("", "albedo_map metalness roughness"),
    "script": ("", "uri name loop auto_start delay_start trajectory"),  # that of a material and that of an actor
    "trajectory": ("waypoint", ""),
    "waypoint": ("time pose", ""),
    "plugin": ("", "render_engine"),
}
NUMBERS = {  # how many a text has
    **dict.fromkeys(("pose",), 6),
    **dict.fromkeys(("ambient", "diffuse", "specular", "background"), 4),
    **dict.fromkeys(("direction", "normal"), 3),
    **dict.fromkeys(("radius", "length", "time", "max_step_size", "metalness", "roughness"), 1),
    **dict.fromkeys(("real_time_factor", "real_time_update_rate"), 1),
}
NAMED = {"world", "model", "actor", "link", "collision", "visual", "light", "plugin"}
TYPED = {"light", "physics", "trajectory"}
# TIAGo's head camera as tiago_description places it, the robot at the origin: with its torso down, where it starts, a
# little up, where it is when the arm is tucked, and at its highest. It looks along x.
IMAGE_SIZE_PX = np.array([640, 480])
FOCAL_LENGTH_PX = 320 / math.tan(math.radians(63) / 2)
CAMERAS_M = ((0.216, 0.022, 1.067), (0.216, 0.022, 1.217), (0.216, 0.022, 1.417))


def numbers(element):
    return [float(text) for text in element.text.split()]


def resolve(uri):
    """The file or folder of a model:// URI, as the simulators find it on their model path."""
    assert uri.startswith("model://"), uri
    return MODELS / uri.removeprefix("model://")


@pytest.mark.parametrize("path", SDF_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_element_is_one_of_sdf_and_complete(path):
    root = ElementTree.parse(path).getroot()
    assert root.tag == "sdf" and root.get("version") == "1.6"
    for element in root.iter():
        tags = [child.tag for child in element]
        required, optional = (names.split() for names in CHILDREN.get(element.tag, ("", "")))
        assert set(tags) <= {*required, *optional}, f"{element.tag} holds {tags}"
        assert set(required) <= set(tags), f"{element.tag} holds {tags}, needs {required}"
        assert (element.tag not in NAMED) or element.get("name")
        assert (element.tag not in TYPED) or element.get("type")
        if element.tag in NUMBERS:
            assert len(numbers(element)) == NUMBERS[element.tag]
        names = [child.get("name") for child in element if child.tag in NAMED - {"plugin"}]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("path", SDF_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_uri_leads_into_the_package(path):
    root = ElementTree.parse(path).getroot()
    for include in root.iter("include"):
        model = resolve(include.find("uri").text)
        sdf = ElementTree.parse(model / "model.config").find("sdf")
        assert (model / sdf.text).is_file() and sdf.get("version") == "1.6"
    for albedo_map in root.iter("albedo_map"):
        assert cv2.imread(str(resolve(albedo_map.text))) is not None
    for script in root.iterfind(".//material/script"):
        scripts, textures = (resolve(uri.text) for uri in script.iterfind("uri"))
        materials = "".join(file.read_text(encoding="utf-8") for file in scripts.glob("*.material"))
        block = re.search(rf"^material {re.escape(script.find('name').text)}\n(.*?)^}}", materials, re.M | re.S)
        (texture,) = re.findall(r"texture (\S+)", block[1])
        assert cv2.imread(str(textures / texture)) is not None


@pytest.mark.parametrize("path", WORLDS, ids=lambda path: path.name)
def test_world_lets_the_person_move_and_has_the_systems_of_its_simulator(path):
    world = ElementTree.parse(path).getroot().find("world")
    included = [
        ElementTree.parse(resolve(uri.text) / "model.sdf").getroot()[0] for uri in world.iterfind("include/uri")
    ]
    # Gazebo Classic mistakes an actor for the world of the same name, and it stands still.
    assert world.get("name") not in {entity.get("name") for entity in [*world, *included]}
    assert ElementTree.parse(PERSON).getroot()[0].tag == "actor" and included
    plugins = {plugin.get("filename") for plugin in world.iterfind("plugin")}
    if path.suffix == ".sdf":
        assert plugins >= {f"gz-sim-{system}-system" for system in ("physics", "sensors", "user-commands", "imu")}
    else:
        assert not plugins


def test_both_worlds_show_the_same():
    def seen(path):
        world = ElementTree.parse(path).getroot().find("world")
        parts = [part for part in world if part.tag not in ("physics", "plugin")]
        return "".join(ElementTree.tostring(part, encoding="unicode").strip() for part in parts)

    assert [path.suffix for path in WORLDS] == [".sdf", ".world"]
    assert seen(WORLDS[0]) == seen(WORLDS[1])


def matrix(pose):
    """(4, 4) of x, y, z and roll, pitch, yaw; those in use only turn about z."""
    x, y, z, roll, pitch, yaw = pose
    assert roll == pitch == 0
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, z], [0, 0, 0, 1]])


def test_each_face_in_turn_looks_into_the_camera_from_1_to_3_m_and_no_other_is_seen():
    actor = ElementTree.parse(PERSON).getroot().find("actor")
    faces = [visual for visual in actor.iter("visual") if visual.find("geometry/box") is not None]
    waypoints = [(numbers(w.find("time"))[0], numbers(w.find("pose"))) for w in actor.iter("waypoint")]
    times_s = [time_s for time_s, _ in waypoints]
    assert times_s == sorted(set(times_s)) and times_s[0] == 0
    start, end = (matrix(pose) for _, pose in (waypoints[0], waypoints[-1]))
    np.testing.assert_allclose(start, end, atol=1e-3)  # a loop without a jump
    rests = [pose for (_, pose), (_, then) in itertools.pairwise(waypoints) if pose == then]
    assert len(rests) == len(faces) == 4
    for number, pose in enumerate(rests):
        for camera_m in CAMERAS_M:
            for face in faces:
                in_world = matrix(pose) @ matrix(numbers(face.find("pose")))
                center = in_world[:3, 3] - camera_m
                outward = in_world[:3, 0] @ -center / np.linalg.norm(center)  # 1: straight into the camera
                if face is not faces[number]:
                    assert outward < 0.05
                    continue
                assert outward > 0.9 and 1 <= np.linalg.norm(center) <= 3
                half = numbers(face.find("geometry/box/size"))[1] / 2
                for y, z in ((-half, -half), (-half, half), (half, -half), (half, half)):
                    forward, left, up = (in_world @ (0, y, z, 1))[:3] - camera_m
                    point_px = IMAGE_SIZE_PX / 2 - FOCAL_LENGTH_PX * np.array([left, up]) / forward
                    assert ((point_px >= 0) & (point_px <= IMAGE_SIZE_PX)).all()
