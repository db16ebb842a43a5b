"""The suite on a rosbag2, in the bag's own time; its end is the end of all."""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration

from emotion_bringup.fast_dds import fast_dds_environment
from emotion_bringup.launching import graph, graph_arguments, robot_audio_source, sensor_arguments

# The player does not wait for its readers, and what is played before they know it is lost. DDS repeats a lost
# announcement within three seconds.
DISCOVERY_S = 4.0


def generate_launch_description() -> LaunchDescription:
    play = ExecuteProcess(
        cmd=["ros2", "bag", "play", LaunchConfiguration("bag"), "--clock", "--delay", str(DISCOVERY_S)],
        output="screen",
        additional_env=fast_dds_environment(),
        on_exit=_played,
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="Folder of the bag"),
            *sensor_arguments(camera="classic", audio_source=robot_audio_source()),
            *graph_arguments(use_sim_time="true"),
            graph(then=[play]),
        ]
    )


def _played(event: ProcessExited, context: LaunchContext) -> Shutdown:
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f"ros2 bag play failed with status {event.returncode}; the lines that it wrote say why.")
    return Shutdown(reason="the bag has been played")
