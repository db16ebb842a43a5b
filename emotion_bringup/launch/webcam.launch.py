"""The suite on the camera and microphone of this computer."""

from launch import LaunchDescription

from emotion_bringup.launching import LOCAL, graph, graph_arguments


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*graph_arguments(), graph(camera=LOCAL, audio_source=LOCAL)])
