"""The suite on a file, which is played as camera and microphone; its end is the end of all."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument

from emotion_bringup.launching import OPEN, TOPIC, graph, graph_arguments


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument("path", description="The file: anything that FFmpeg reads"),
            DeclareLaunchArgument(
                "loop",
                default_value="",
                choices=OPEN,
                description="Whether to start again at the end; empty: as the parameters say",
            ),
            *graph_arguments(),
            graph("media_player_node", camera=TOPIC, audio_source=TOPIC),
        ]
    )
