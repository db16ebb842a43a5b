"""What the suite makes of the simulated person, in simulated time: from the drawings, and from Gazebo's own images.

Gazebo Classic 11 runs without a screen in the virtual one of xvfb-run, which needs xauth. Where it is installed
elsewhere, GZSERVER is a command that starts it and that sees this repository and the temporary folder under their
names, for example in a chroot that has both mounted:

    GZSERVER="env -u LD_LIBRARY_PATH chroot /srv/bullseye xvfb-run -a gzserver" python -m pytest -s THIS_FILE

GZSIM is the same for gz from Fortress 6.15 on. Nothing is searched for, as Classic too has a command of that name:

    GZSIM="gz sim" python -m pytest -s THIS_FILE    # Fortress: "ign gazebo"
"""

import math
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_bringup.drawn_face import EXPRESSIONS, draw
from emotion_msgs.msg import EmotionState, FaceCropArray
from emotion_perception.core.stamps import to_nanoseconds
from emotion_perception.nodes.conversions import rgb_to_image, to_stamp
from emotion_perception.nodes.emotion_fusion_node import EmotionFusionNode
from emotion_perception.nodes.face_crop_node import FaceCropNode

PACKAGE = Path(__file__).parents[1]
TEXTURES = PACKAGE / "models" / "emotion_person" / "materials" / "textures"
EXPRESSION_S = 5.0  # each is shown for so long, in the order of EXPRESSIONS
RATE_HZ = 5
SIMULATION_LIMIT_S = 80.0
FRAMES = round(RATE_HZ * EXPRESSION_S * len(EXPRESSIONS))
# TIAGo's, where it is with the robot at the origin and the arm tucked, but without depth and slower.
CAMERA = """
    <model name="head_camera">
      <static>true</static>
      <pose>0.216 0.022 1.217 0 0 0</pose>
      <link name="link">
        <sensor name="camera" type="camera">
          <always_on>true</always_on>
          <update_rate>{rate_hz}</update_rate>
          <camera>
            <horizontal_fov>{field_of_view}</horizontal_fov>
            <image>
              <width>640</width>
              <height>480</height>
              <format>R8G8B8</format>
            </image>
            <save enabled="true">
              <path>{folder}</path>
            </save>
          </camera>
        </sensor>
      </link>
    </model>
  </world>"""
# A camera of gz draws, and saves, nothing while nobody subscribes to it.
SUBSCRIBER = """
    <plugin filename="gz-sim-triggered-publisher-system" name="gz::sim::systems::TriggeredPublisher">
      <input type="Image" topic="/world/meeting/model/head_camera/link/link/sensor/camera/image"/>
      <output type="Empty" topic="/seen"/>
    </plugin>
  </world>"""


def states_of(graph, images):
    """Show the images (H, W, 3) in simulated time: the timed states, and how many images show exactly one face."""
    clock = graph.node.create_publisher(Clock, "/clock", 1)
    camera = graph.node.create_publisher(Image, "/camera", 1)
    faces = graph.listen(FaceCropArray, "/emotion/faces")
    states = graph.listen(EmotionState, "/emotion/state")
    graph.start(FaceCropNode, image_topic="/camera", use_sim_time=True)
    graph.start(EmotionFusionNode, use_sim_time=True)
    graph.wait_for(lambda: clock.get_subscription_count() == 2 and camera.get_subscription_count(), "the nodes")
    for number, image in enumerate(images, start=1):
        stamp = to_stamp(round(number / RATE_HZ * 1e9))
        clock.publish(Clock(clock=stamp))
        camera.publish(rgb_to_image(image, Header(stamp=stamp)))
        graph.wait_for(lambda: len(faces) == number, f"faces of image {number}")  # noqa: B023
        graph.wait_for(lambda: len(states) >= number - 1, f"a state after image {number}")  # noqa: B023
    return (
        [(to_nanoseconds(state.header.stamp) / 1e9, state) for state in states if state.modalities],
        sum(len(array.faces) == 1 for array in faces),
    )


def labels_by_expression(states):
    """The label that most states had in the second half of each expression."""
    labels = {}
    for number, name in enumerate(EXPRESSIONS):
        end_s = (number + 1) * EXPRESSION_S
        late = [state for time_s, state in states if end_s - EXPRESSION_S / 2 < time_s <= end_s]
        (label, count), *_ = Counter(state.label for state in late).most_common()
        confidence = float(np.mean([state.confidence for state in late if state.label == label]))
        print(f"{name}: {label} in {count} of {len(late)} states, confidence {confidence:.2f}")
        labels[name] = label
    return labels


def check(labels):
    """The clear expressions are named; of the others, which a model may see otherwise, only that they are others."""
    assert labels["happy"] == "happy" and labels["surprised"] == "surprised"
    assert not {labels["neutral"], labels["sad"]} & {"happy", "surprised"}


def test_drawings_are_what_the_code_draws():
    for name, expression in EXPRESSIONS.items():
        shipped = cv2.cvtColor(cv2.imread(str(TEXTURES / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
        assert np.abs(shipped.astype(int) - draw(expression)).mean() < 2


def test_state_follows_the_drawn_face_at_1_5_m(graph):
    side_px = round(0.5 / 1.5 * 320 / math.tan(math.radians(63) / 2))
    images = []
    for name in EXPRESSIONS:
        drawing = cv2.cvtColor(cv2.imread(str(TEXTURES / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
        image = np.full((480, 640, 3), 180, np.uint8)
        poster = cv2.resize(drawing, (side_px, side_px), interpolation=cv2.INTER_AREA)
        image[60 : 60 + side_px, 233 : 233 + side_px] = poster
        images += [image] * round(RATE_HZ * EXPRESSION_S)
    states, images_with_a_face = states_of(graph, images)
    assert images_with_a_face == len(images)
    check(labels_by_expression(states))


def gzserver():
    if command := os.environ.get("GZSERVER"):
        return shlex.split(command)
    missing = [name for name in ("gzserver", "xvfb-run") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)}: not installed, and GZSERVER names no command that starts Gazebo 11")
    return ["xvfb-run", "-a", "gzserver"]


def test_state_follows_the_face_in_the_images_of_gazebo(graph, tmp_path):
    command = gzserver()
    world = write_world(tmp_path, "emotion_person.world")
    environment = {
        "GAZEBO_MODEL_PATH": str(PACKAGE / "models"),
        "GAZEBO_MODEL_DATABASE_URI": "",  # asks no server
        "GAZEBO_IP": "127.0.0.1",
        "GAZEBO_MASTER_URI": "http://127.0.0.1:11345",  # a bare chroot does not know localhost
    }
    # In lockstep the camera misses no image, however slow the machine.
    command = [*command, "--verbose", "--lockstep", str(world)]
    check_images(graph, simulate(graph, command, environment, tmp_path)[:FRAMES])


def test_state_follows_the_face_in_the_images_of_gz(graph, tmp_path):
    if not (command := shlex.split(os.environ.get("GZSIM", ""))):
        pytest.skip("GZSIM names no command that starts gz, such as 'gz sim'")
    world = write_world(tmp_path, "emotion_person.sdf", SUBSCRIBER)
    environment = {
        "GZ_SIM_RESOURCE_PATH": str(PACKAGE / "models"),
        "GZ_IP": "127.0.0.1",
        "IGN_IP": "127.0.0.1",
        "GZ_PARTITION": str(tmp_path),  # no other simulator of this machine takes part
        "IGN_PARTITION": str(tmp_path),
    }
    command = [*command, "-s", "-r", "--headless-rendering", str(world)]
    # In the first image, of 0 s, gz has not put the actor on its trajectory yet.
    check_images(graph, simulate(graph, command, environment, tmp_path)[1 : FRAMES + 1])


def write_world(folder, name, more="  </world>"):
    """folder/NAME: the world of that name with a camera that saves its images in folder/frames."""
    text = (PACKAGE / "worlds" / name).read_text(encoding="utf-8")
    camera = CAMERA.format(rate_hz=RATE_HZ, field_of_view=math.radians(63), folder=folder / "frames")
    (folder / name).write_text(text.replace("  </world>", camera).replace("  </world>", more), encoding="utf-8")
    return folder / name


def check_images(graph, paths):
    images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
    states, images_with_a_face = states_of(graph, images)
    print(f"a face in {images_with_a_face} of {len(images)} images")
    assert images_with_a_face >= 0.95 * len(images)
    check(labels_by_expression(states))


def simulate(graph, command, environment, folder):
    """Run the simulator until folder/frames has more than FRAMES complete images: those, in their order."""
    environment = {**os.environ, "LIBGL_ALWAYS_SOFTWARE": "1", **environment}
    log_path = folder / "simulator.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def frames():
        # Classic numbers them with leading zeros, gz without.
        return sorted((folder / "frames").glob("*.*"), key=lambda path: int(re.findall(r"\d+", path.stem)[-1]))

    try:
        # One more than is used: the last may still be being written.
        graph.wait_for(
            lambda: process.poll() is not None or len(frames()) > FRAMES + 1,
            "the simulator's images",
            SIMULATION_LIMIT_S,
        )
        assert process.poll() is None, log_path.read_text(errors="replace")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    return frames()
