"""The suite in TIAGo's public simulation, before somebody whose face changes; a file lends the voice."""

import os
import signal
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnShutdown
from launch.events import matches_action
from launch.events.process import ProcessExited, SignalProcess

from emotion_bringup.fast_dds import fast_dds_environment
from emotion_bringup.launching import TOPIC, graph, graph_arguments

CAMERAS = {"classic": "classic", "gazebo": "gz"}  # presets, by tiago_gazebo's names of the simulators
MODEL_PATHS = {"classic": "GAZEBO_MODEL_PATH", "gazebo": "GZ_SIM_RESOURCE_PATH"}
# A launch gives its processes ten seconds to end, and leaves them behind if it is ended itself before.
LAUNCH_END_S = 20.0


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory("emotion_bringup"))
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "gazebo_version",
                default_value="classic" if os.environ.get("ROS_DISTRO") == "humble" else "gazebo",
                choices=tuple(CAMERAS),
                description="Simulator: classic for Gazebo Classic, gazebo for gz",
            ),
            DeclareLaunchArgument(
                "world_name",
                default_value=str(share / "worlds" / "emotion_person"),
                description="World: a path without .world (classic) or .sdf (gazebo), or a name of pal_gazebo_worlds",
            ),
            *_our_arguments(),
            OpaqueFunction(function=_start, args=[share]),
        ]
    )


def _our_arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            "path",
            default_value="",
            description="File whose sound is played again and again as the voice; empty: nobody is heard, "
            "for the simulators have no microphone",
        ),
        *graph_arguments(use_sim_time="true"),
    ]


def _start(context: LaunchContext, share: Path) -> list[LaunchDescriptionEntity]:
    _require_tiago_gazebo()
    version = context.launch_configurations["gazebo_version"]
    players = ["media_player_node"] * bool(context.launch_configurations["path"])
    simulation = _simulation(context, version, share / "models")
    stop = SignalProcess(signal_number=signal.SIGINT, process_matcher=matches_action(simulation))
    return [
        simulation,
        # A SIGINT for this process alone would reach the other launch as SIGTERM, which leaves the simulator behind.
        RegisterEventHandler(OnShutdown(on_shutdown=EmitEvent(event=stop))),
        graph(*players, camera=CAMERAS[version], audio_source=TOPIC, preset=share / "config" / "simulation.yaml"),
    ]


def _simulation(context: LaunchContext, version: str, models: Path) -> ExecuteProcess:
    """tiago_gazebo in a launch of its own, as it resets the environment of its processes to that of their launch.

    Its own arguments reach it, but none of ours: it may have a namespace or a path, too.
    """
    ours = {argument.name for argument in _our_arguments()}
    # Of a launch that includes this one there may be what no command line can say: empty values, and those that
    # launch_ros keeps for SetParameter and SetRemap.
    theirs = {
        name: value
        for name, value in context.launch_configurations.items()
        if name not in ours and isinstance(value, str) and value
    }
    model_path = os.pathsep.join(filter(None, [os.environ.get(MODEL_PATHS[version]), str(models)]))
    return ExecuteProcess(
        cmd=[
            *("ros2", "launch", "tiago_gazebo", "tiago_gazebo.launch.py"),
            *(f"{name}:={value}" for name, value in {**theirs, "is_public_sim": "True"}.items()),
        ],
        output="screen",
        additional_env={MODEL_PATHS[version]: model_path, **fast_dds_environment()},  # profiles for its images
        sigterm_timeout=str(LAUNCH_END_S),
        on_exit=_simulation_ended,
    )


def _simulation_ended(event: ProcessExited, context: LaunchContext) -> Shutdown:
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f"tiago_gazebo failed with status {event.returncode}; the lines that it wrote say why.")
    return Shutdown(reason="the simulation has ended")


def _require_tiago_gazebo() -> None:
    try:
        get_package_share_directory("tiago_gazebo")
    except PackageNotFoundError as error:
        raise RuntimeError(
            "tiago_gazebo is not installed, expected TIAGo's public simulation; install ros-humble-tiago-gazebo, or "
            "build github.com/pal-robotics/tiago_simulation, and source its setup.bash."
        ) from error
