"""Greets people who are happy, and slows down for people who are scared.

ros2 run emotion_bringup greet_and_slow_down --ros-args -p greeting:="Buenos días" -p locale:=es_ES
"""

import argparse
import signal
import sys

import rclpy
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from emotion_bringup.examples.reactions import Reaction, Reactions
from emotion_bringup.examples.robot_skills import RobotSkills
from emotion_msgs.msg import EmotionState, EmotionStateArray

LOOK_S = 0.1  # how often Ctrl-C is looked for
COMPLAINT_S = 10.0  # how often it is said that states are passed over
MAX_DELAY_S = 1.0  # a state of a sample that was captured longer before it came says nothing of the present


class GreetAndSlowDown(Node):
    """Passes states to the decisions, and reactions to the robot."""

    def __init__(self) -> None:
        super().__init__("greet_and_slow_down")
        self._reactions = Reactions(
            greet="happy",
            caution="scared",
            dwell_s=self._seconds("dwell_s", 1.0, "How long a state must hold before the robot acts on it"),
            greet_again_s=self._seconds("greet_again_s", 300.0, "How long the same face is not greeted again"),
            release_s=self._seconds("release_s", 5.0, "How long nobody must seem scared before the limit is lifted"),
        )
        self._slow_percent = self._number(
            "slow_percent", 40.0, "Limit of the speed while somebody is scared, in percent of the highest", 1.0, 100.0
        )
        self._motion_name = self._text("motion_name", "wave", "Motion of play_motion2 that greets; empty: none")
        self._greeting = self._text("greeting", "Hello! Nice to see you.", "What is said as a greeting")
        self._locale = self._text("locale", "en_US", "Language of the greeting")
        self._skills = RobotSkills(self)
        self.create_subscription(EmotionStateArray, "emotion/states", self._on_states, 10)
        self.create_subscription(EmotionState, "emotion/state", self._on_state, 10)

    def end(self) -> None:
        """Leave the robot as it was."""
        self._skills.end()

    def _on_states(self, everybody: EmotionStateArray) -> None:
        for state in everybody.states:
            self._reactions.see(self._now_s(), state.label)

    def _on_state(self, state: EmotionState) -> None:
        # Decisions go by the arrival: the stamp, of the newest sample, goes back when the newer modality ends.
        time_s = self._now_s()
        if time_s == 0.0:  # a simulated clock that has not ticked yet
            return
        delay_s = time_s - (state.header.stamp.sec + state.header.stamp.nanosec / 1e9)
        if abs(delay_s) > MAX_DELAY_S:
            self.get_logger().warning(
                f"States are {delay_s:.1f} s old when they come, expected at most {MAX_DELAY_S:g} s, and are passed "
                "over; on the clock of a simulation or a bag set use_sim_time to true, and see that the clocks of all "
                "computers agree.",
                throttle_duration_sec=COMPLAINT_S,
            )
            return
        for reaction in self._reactions.update(time_s, state.track_id, state.label, state.uncertain):
            self._react(reaction, state)

    def _now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds / 1e9)

    def _react(self, reaction: Reaction, state: EmotionState) -> None:
        now = f"{state.track_id or 'somebody'} is {state.label} ({state.confidence:.0%})"
        if reaction is Reaction.FULL_SPEED:
            now = "nobody is scared any more"
        self.get_logger().info(f"{now}: {reaction.value}")
        if reaction is Reaction.GREET:
            is_said = self._skills.say(self._greeting, self._locale)
            is_shown = bool(self._motion_name) and self._skills.play(self._motion_name)
            if not is_said and not is_shown:
                self._reactions.forget_greeting(state.track_id)
        else:
            self._skills.limit_speed(self._slow_percent if reaction is Reaction.SLOW_DOWN else 0.0)

    def _text(self, name: str, default: str, description: str) -> str:
        return str(self.declare_parameter(name, default, ParameterDescriptor(description=description)).value)

    def _seconds(self, name: str, default: float, description: str) -> float:
        return self._number(name, default, f"{description}, in seconds", 0.0, 3600.0)

    def _number(self, name: str, default: float, description: str, minimum: float, maximum: float) -> float:
        limits = [FloatingPointRange(from_value=minimum, to_value=maximum)]
        descriptor = ParameterDescriptor(description=description, floating_point_range=limits)
        return float(self.declare_parameter(name, default, descriptor).value)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="greet_and_slow_down", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(remove_ros_args(sys.argv)[1:])  # there are no options but --help
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # rclpy's own handlers would end the graph before the limit of the speed is lifted.
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = GreetAndSlowDown()
        try:
            while True:
                rclpy.spin_once(node, timeout_sec=LOOK_S)
        except KeyboardInterrupt:
            node.end()
    except ParameterException as error:
        sys.exit(f"{error}; ros2 param describe says what is expected.")
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
