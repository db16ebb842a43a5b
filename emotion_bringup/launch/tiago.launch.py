"""The suite on a TIAGo, on its camera and microphone topics."""

from launch import LaunchDescription

from emotion_bringup.launching import graph, graph_arguments, robot_audio_source, sensor_arguments


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [*sensor_arguments(camera="classic", audio_source=robot_audio_source()), *graph_arguments(), graph()]
    )
