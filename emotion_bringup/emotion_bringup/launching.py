"""What the launch files share: their arguments, the presets of cameras and microphones, and the start of the nodes.

The nodes configure and activate themselves (emotion_perception/nodes/starting.py says why), so one that died is
respawned and works again. Those of the chain can do without each other and start side by side; the sources, which
are played once, start when the chain is active.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    PopLaunchConfigurations,
    PushLaunchConfigurations,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.logging import launch_config
from launch_ros.actions import Node
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from emotion_bringup.fast_dds import fast_dds_environment
from emotion_perception.nodes.audio_formats import audio_format
from emotion_perception.nodes.perception_node import default_parameters
from emotion_perception.nodes.starting import REFUSED

LOCAL = "local"  # the camera or microphone of this computer
TOPIC = "topic"  # the topic and type that are the default
RESPAWN_DELAY_S = 0.1  # not 0: a launch that has just decided to end could not stop it
FACES = {"camera": "face_crop_node", "hri": "hri_faces_node"}
EXTRAS = {"hri": "hri_bridge_node", "overlay": "overlay_node"}
BOOLEAN = ("true", "false")
OPEN = ("", *BOOLEAN)
ROBOT_AUDIO = "audio_common_msgs/AudioData"  # of its microphone
CAMERA_TEXTS = ("image_topic", "image_transport")  # of where images come from
AUDIO_TEXTS = ("audio_topic",)  # of where sound does
# Arguments that set the parameter of the same name wherever a node has it; where they are empty the parameters prevail.
TEXTS = (*CAMERA_TEXTS, *AUDIO_TEXTS, "model", "path")
TYPED = ("loop", "use_sim_time")  # no texts, but what YAML makes of them


def presets(kind: str) -> dict[str, Path]:
    """The parameter files of config/cameras or config/microphones, by name."""
    return {path.stem: path for path in sorted((_config() / kind).glob("*.yaml"))}


def _config() -> Path:
    return Path(get_package_share_directory("emotion_bringup")) / "config"


def robot_audio_source() -> str:
    """The robot's microphone; where its messages cannot be read the face alone is still worth a start."""
    return TOPIC if _why_robot_is_not_heard() else "audio_in"


def _why_robot_is_not_heard() -> str:
    """Why nobody hears the robot's own microphone; empty if its messages can be read."""
    try:
        audio_format(ROBOT_AUDIO)
    except ValueError as error:
        return f"Only emotion_msgs/AudioChunk is heard, not the robot's own microphone: {error}"
    return ""


def graph_arguments(use_sim_time: str = "") -> list[DeclareLaunchArgument]:
    """What every launch file takes."""
    return [
        DeclareLaunchArgument(
            "model",
            default_value="",
            description="Directory or name of the model bundle; empty: that of the parameters",
        ),
        DeclareLaunchArgument(
            "params",
            default_value="",
            description="File with parameters of the nodes, which prevail over the presets; "
            "/**/face_crop_node: names a node in any namespace",
        ),
        DeclareLaunchArgument(
            "faces",
            default_value="camera",
            choices=tuple(FACES),
            description="Where faces are found: camera for our own detector, hri for those of hri_face_detect",
        ),
        DeclareLaunchArgument(
            "hri",
            default_value="false",
            choices=BOOLEAN,
            description="Whether to publish expressions, and our own faces, for ROS4HRI (REP-155)",
        ),
        DeclareLaunchArgument(
            "overlay",
            default_value="false",
            choices=BOOLEAN,
            description="Whether emotion/image shows the faces and what they seem to feel, while somebody watches",
        ),
        DeclareLaunchArgument(
            "composed",
            default_value="true",
            choices=BOOLEAN,
            description="Whether all nodes share one process, which copies no image twice, or each has its own",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value=use_sim_time,
            choices=BOOLEAN if use_sim_time else OPEN,
            description="Whether time is that of /clock" + ("" if use_sim_time else "; empty: as the parameters say"),
        ),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the nodes and of emotion/..."),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=("info", "warn", "error", "fatal"),
            description="The least severe level that the nodes log",
        ),
    ]


def sensor_arguments(camera: str, audio_source: str) -> list[DeclareLaunchArgument]:
    """Where images and sound come from, when the launch file leaves that open; its defaults are given."""
    return [
        DeclareLaunchArgument(
            "camera",
            default_value=camera,
            choices=(*presets("cameras"), LOCAL, TOPIC),
            description="Camera: a preset of config/cameras, local for that of this computer, or topic for image_topic",
        ),
        DeclareLaunchArgument(
            "image_topic", default_value="", description="Topic of the images; empty: that of the preset"
        ),
        DeclareLaunchArgument(
            "image_transport",
            default_value="",
            choices=("", "raw", "compressed"),
            description="Form of the images; empty: that of the preset",
        ),
        DeclareLaunchArgument(
            "audio_source",
            default_value=audio_source,
            choices=(*presets("microphones"), LOCAL, TOPIC),
            description="Microphone: a preset of config/microphones, local for that of this computer, "
            "or topic for emotion_msgs/AudioChunk on audio_topic",
        ),
        DeclareLaunchArgument(
            "audio_topic", default_value="", description="Topic of the sound; empty: that of the preset"
        ),
    ]


def graph(
    *sources: str,
    then: Sequence[LaunchDescriptionEntity] = (),
    camera: str | None = None,
    audio_source: str | None = None,
    preset: Path | None = None,
) -> OpaqueFunction:
    """The nodes, as the arguments want them.

    Args:
        sources: nodes that are played once; the launch ends with them.
        then: what else is started when the nodes are active.
        camera: a preset, LOCAL or TOPIC; None for the argument of that name, which the launch file declares then.
        audio_source: likewise.
        preset: parameters of the launch file, over which those of the user prevail.
    """
    return OpaqueFunction(function=_start, args=[sources, then, camera, audio_source, preset])


def _start(
    context: LaunchContext,
    played: Sequence[str],
    then: Sequence[LaunchDescriptionEntity],
    camera: str | None,
    audio_source: str | None,
    preset: Path | None,
) -> list[LaunchDescriptionEntity]:
    arguments, is_open = dict(context.launch_configurations), audio_source is None
    # Where the launch file does not leave them open, arguments of these names are another's, as of a launch file that
    # includes this one.
    for given, others in ((camera, CAMERA_TEXTS), (audio_source, AUDIO_TEXTS)):
        for name in others if given is not None else ():
            arguments.pop(name, None)
    camera = arguments["camera"] if camera is None else camera
    audio_source = arguments["audio_source"] if audio_source is None else audio_source
    chain = [FACES[arguments["faces"]], "audio_window_node", "emotion_fusion_node"]
    chain += [node for argument, node in EXTRAS.items() if arguments[argument] == "true"]
    live = [*["camera_node"] * (camera == LOCAL), *["microphone_node"] * (audio_source == LOCAL)]
    sources = [*live, *played]
    common = {
        "package": "emotion_perception",
        "namespace": arguments["namespace"],
        "output": "screen",
        "additional_env": fast_dds_environment(),
        "ros_arguments": _ros_arguments(
            arguments,
            [presets("cameras").get(camera), presets("microphones").get(audio_source), preset],
            [*chain, *sources],
        ),
    }

    def process(executable: str, *options: str, ends: bool) -> Node:
        return Node(
            executable=executable,
            arguments=list(options),
            respawn=True,
            respawn_delay=RESPAWN_DELAY_S,
            on_exit=lambda event, context: _on_exit(event, context, ends),
            **common,
        )

    if arguments["composed"] == "true":
        processes = [process("emotion_pipeline", "--nodes", *chain, *sources, ends=bool(played))]
        later = list(then)
    else:
        processes = [process(name, "--start", ends=False) for name in chain]
        later = [*(process(name, "--start", ends=name in played) for name in sources), *then]
    if is_open and audio_source == TOPIC and (reason := _why_robot_is_not_heard()):
        processes = [LogInfo(msg=reason), *processes]
    if not later:
        return processes
    # By then the scope of a launch file that includes this one, with the arguments and the namespace, has ended.
    scope = dict(context.launch_configurations)
    restore = OpaqueFunction(function=lambda context: context.launch_configurations.update(scope))
    later = [PushLaunchConfigurations(), restore, *later, PopLaunchConfigurations()]
    gate = Node(executable="wait_until_active", arguments=chain, **common)
    start_later = OnProcessExit(target_action=gate, on_exit=lambda event, context: _on_gate_exit(event, context, later))
    return [RegisterEventHandler(start_later), *processes, gate]


def _ros_arguments(arguments: Mapping[str, str], ours: Sequence[Path | None], nodes: Sequence[str]) -> list[str]:
    """Parameters from our presets, the user's file and the single arguments; the last one prevails."""
    files = list(ours)
    if params := arguments["params"]:
        if not Path(params).is_file():
            raise RuntimeError(f"params is {params!r}, expected a file with parameters; check the path.")
        files.append(Path(params))
    values: dict[str, Any] = {name: arguments[name] for name in TEXTS if arguments.get(name)}
    values |= {name: yaml.safe_load(arguments[name]) for name in TYPED if arguments.get(name)}
    if arguments["faces"] == "hri":
        values["publish_faces"] = False  # ROS4HRI has them already
    if sections := _sections(values, nodes, whole_namespace(arguments)):
        files.append(_argument_file(sections))
    return [
        *("--log-level", arguments["log_level"]),
        *(part for file in files if file for part in ("--params-file", str(file))),
    ]


def whole_namespace(arguments: Mapping[str, str]) -> str:
    """Where the nodes are: in the namespace of the argument, within that of a launch file that includes ours."""
    namespace = make_namespace_absolute(prefix_namespace(arguments.get("ros_namespace"), arguments["namespace"]))
    return namespace.rstrip("/")


def _sections(values: Mapping[str, Any], nodes: Sequence[str], namespace: str) -> dict[str, dict[str, Any]]:
    """The values as the parameters of each node that has them.

    Each node has its whole name there: `-p name:=value` belongs to all nodes, as the section /** of a user's file does,
    and would be overruled by the sections of single nodes that come after it.
    """
    sections = {}
    for node in nodes:
        known = (*default_parameters()[node], "use_sim_time")
        if own := {name: value for name, value in values.items() if name in known}:
            sections[f"{namespace}/{node}"] = {"ros__parameters": own}
    return sections


def _argument_file(sections: dict[str, dict[str, Any]]) -> Path:
    """A parameter file in the folder of the launch's log."""
    with NamedTemporaryFile(
        "w", dir=launch_config.log_dir, prefix="emotion_arguments_", suffix=".yaml", delete=False, encoding="utf-8"
    ) as file:
        yaml.safe_dump(sections, file)
    return Path(file.name)


def _on_exit(event: ProcessExited, context: LaunchContext, ends: bool) -> Shutdown | None:
    """What follows when a process has ended; without an answer it is respawned."""
    if context.is_shutdown:
        return None
    if event.returncode == REFUSED:
        raise RuntimeError(f"{event.process_name} refused to start; the line that begins with FATAL says why.")
    if ends and event.returncode == 0:
        return Shutdown(reason="everything has been played")
    return None


def _on_gate_exit(
    event: ProcessExited, context: LaunchContext, later: list[LaunchDescriptionEntity]
) -> list[LaunchDescriptionEntity] | None:
    """What starts now that all nodes are active; RuntimeError if the gate ended before they were."""
    if event.returncode == 0:
        return later
    _on_exit(event, context, ends=False)
    if not context.is_shutdown:
        raise RuntimeError(
            f"{event.process_name} ended with status {event.returncode} before all nodes were active, expected it to "
            "wait for them; start the launch again."
        )
    return None
