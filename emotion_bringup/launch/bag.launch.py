"""The suite on a rosbag2, in the bag's own time; its end is the end of all.

What the suite itself published on emotion/... when the bag was recorded is played below /recorded, beside what it says
now. What it gave to ROS4HRI is not told from what others did, and is played where it was.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown, TimerAction
from launch.events.process import ProcessExited

from emotion_bringup.fast_dds import fast_dds_environment
from emotion_bringup.launching import graph, graph_arguments, robot_audio_source, sensor_arguments, whole_namespace
from emotion_perception.nodes import topics

# The player does not wait for its readers, and what is played before they know it is lost. DDS repeats a lost
# announcement within three seconds.
DISCOVERY_S = 4.0
# It waits paused, and not with --delay: the bag's time would then run all the while and jump back at the end, and
# while the player reads ahead its first images would pile up, of which only the newest counts.
PLAY = ("--clock", "--start-paused", "--remap")
RESUME = ("/rosbag2_player/resume", "rosbag2_interfaces/srv/Resume")


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="Folder of the bag"),
            *sensor_arguments(camera="classic", audio_source=robot_audio_source()),
            *graph_arguments(use_sim_time="true"),
            graph(then=[OpaqueFunction(function=_play)]),
        ]
    )


def _play(context: LaunchContext) -> list[ExecuteProcess | TimerAction]:
    arguments = context.launch_configurations
    ours = [f"{whole_namespace(arguments)}/{topic}" for topic in topics.PUBLISHED] + ["/diagnostics"]
    play = ExecuteProcess(
        cmd=["ros2", "bag", "play", arguments["bag"], *PLAY, *(f"{topic}:=/recorded{topic}" for topic in ours)],
        output="screen",
        additional_env=fast_dds_environment(),
        on_exit=_played,
    )
    resume = ExecuteProcess(
        cmd=["ros2", "service", "call", *RESUME], additional_env=fast_dds_environment(), on_exit=_check
    )
    return [play, TimerAction(period=DISCOVERY_S, actions=[resume])]


def _played(event: ProcessExited, context: LaunchContext) -> Shutdown:
    _check(event, context)
    return Shutdown(reason="the bag has been played")


def _check(event: ProcessExited, context: LaunchContext) -> None:
    if event.returncode and not context.is_shutdown:
        command = " ".join(event.cmd[:3])
        raise RuntimeError(f"{command} failed with status {event.returncode}; the lines that it wrote say why.")
