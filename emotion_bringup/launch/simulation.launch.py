"""The suite in TIAGo's public simulation, before somebody whose face changes; a file lends the voice."""

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    AppendEnvironmentVariable,
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
    UnsetLaunchConfiguration,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from emotion_bringup.fast_dds import fast_dds_environment
from emotion_bringup.launching import graph, graph_arguments

CAMERAS = {"classic": "classic", "gazebo": "gz"}  # presets, by tiago_gazebo's names of the simulators
MODEL_PATHS = {"classic": "GAZEBO_MODEL_PATH", "gazebo": "GZ_SIM_RESOURCE_PATH"}


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
            OpaqueFunction(function=_start, args=[share / "models"]),
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


def _start(context: LaunchContext, models: Path) -> list[LaunchDescriptionEntity]:
    version = context.launch_configurations["gazebo_version"]
    players = ["media_player_node"] * bool(context.launch_configurations["path"])
    return [
        AppendEnvironmentVariable(MODEL_PATHS[version], str(models)),
        # A group, so that what the simulation sets stays with it. Its own arguments reach it, but none of ours: it may
        # have a namespace or a path, too.
        GroupAction(
            [
                *(UnsetLaunchConfiguration(argument.name) for argument in _our_arguments()),
                *(SetEnvironmentVariable(*variable) for variable in fast_dds_environment().items()),  # for its images
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(_tiago_gazebo() / "launch" / "tiago_gazebo.launch.py")),
                    launch_arguments={
                        "is_public_sim": "True",
                        "world_name": LaunchConfiguration("world_name"),
                        "gazebo_version": version,
                    }.items(),
                ),
            ]
        ),
        SetLaunchConfiguration("loop", "true"),
        SetLaunchConfiguration("mouth_from_faces", "2"),  # nobody's mouth moves there with the voice of the file
        graph(*players, camera=CAMERAS[version]),
    ]


def _tiago_gazebo() -> Path:
    try:
        return Path(get_package_share_directory("tiago_gazebo"))
    except PackageNotFoundError as error:
        raise RuntimeError(
            "tiago_gazebo is not installed, expected TIAGo's public simulation; install ros-humble-tiago-gazebo, or "
            "build github.com/pal-robotics/tiago_simulation, and source its setup.bash."
        ) from error
