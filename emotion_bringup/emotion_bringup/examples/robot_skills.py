"""What a TIAGo can do for a behaviour; where the robot lacks something, a line in the log stands for it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Bool

# A speech server that dies says no more when it ends; nobody may stay unheard for ever.
SPEECH_LIMIT_S = 20.0
ACKNOWLEDGEMENT_S = 0.5
# A limit is told again so often, for a Nav2 that starts later.
REPEAT_S = 1.0


class RobotSkills:
    """Speaks, moves and limits the speed. No call waits, and none fails because a server or its package is missing."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._speech = OptionalAction(node, "/tts_engine/tts", "tts_msgs", "TTS")
        self._motion = OptionalAction(node, "/play_motion2", "play_motion2_msgs", "PlayMotion2")
        self._speaking_publisher = node.create_publisher(Bool, "emotion/robot_speaking", 10)
        self._utterances: set[object] = set()
        self._speed_limit = optional_type("nav2_msgs.msg", "SpeedLimit")
        self._limit_percent = 0.0
        if self._speed_limit:
            self._speed_publisher = node.create_publisher(self._speed_limit, "/speed_limit", 10)
            self._speed_timer = node.create_timer(REPEAT_S, self._tell_limit)
            self._speed_timer.cancel()

    def say(self, text: str, locale: str) -> bool:
        """Speak, and tell the emotion suite that it hears the robot meanwhile; False where nobody could be asked."""
        utterance = object()

        def end() -> None:
            self._node.destroy_timer(limit)
            self._utterances.discard(utterance)
            if not self._utterances:
                self._speaking_publisher.publish(Bool(data=False))

        if not self._speech.is_ready(f"say {text!r}"):
            return False
        limit = self._node.create_timer(SPEECH_LIMIT_S, end)
        self._utterances.add(utterance)
        self._speaking_publisher.publish(Bool(data=True))
        self._speech.send(end, input=text, locale=locale)
        return True

    def play(self, motion_name: str) -> bool:
        """Play a motion of play_motion2, planned around obstacles; False where nobody could be asked."""
        if not self._motion.is_ready(f"play the motion {motion_name}"):
            return False
        self._motion.send(lambda: None, motion_name=motion_name, skip_planning=False)
        return True

    def limit_speed(self, percent: float) -> None:
        """Limit the speed of navigation to a share of its maximum, told again and again; 0 lifts the limit."""
        wish = f"limit the speed to {percent:g} %" if percent else "lift the limit of the speed"
        if not self._speed_limit:
            self._node.get_logger().info(f"Would {wish}: nav2_msgs is not installed.")
            return
        if not self._speed_publisher.get_subscription_count():
            self._node.get_logger().warning(f"Wants to {wish}, but nobody listens to /speed_limit; is Nav2 running?")
        self._limit_percent = percent
        self._tell_limit()
        if percent:
            self._speed_timer.reset()
        else:
            self._speed_timer.cancel()

    def end(self) -> None:
        """Leave nothing behind: the microphone heard again, the speed as it was."""
        if self._utterances:
            self._speaking_publisher.publish(Bool(data=False))
            self._speaking_publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGEMENT_S))
        if self._limit_percent:
            self.limit_speed(0.0)
            self._speed_publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGEMENT_S))

    def _tell_limit(self) -> None:
        message = self._speed_limit(percentage=True, speed_limit=self._limit_percent)
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._speed_publisher.publish(message)


class OptionalAction:
    """A client of an action whose package or server may be missing."""

    def __init__(self, node: Node, name: str, package: str, type_name: str) -> None:
        self._node = node
        self._name = name
        self._package = package
        self._type = optional_type(f"{package}.action", type_name)
        self._client = ActionClient(node, self._type, name) if self._type else None

    def is_ready(self, wish: str) -> bool:
        """Whether a goal can be sent; if not, the log says what would have been done."""
        if self._client is None:
            self._node.get_logger().info(f"Would {wish}: {self._package} is not installed.")
            return False
        if not self._client.server_is_ready():
            self._node.get_logger().warning(f"Cannot {wish}: nobody serves {self._name}; is it running?")
            return False
        return True

    def send(self, then: Callable[[], None], **goal: Any) -> None:
        """Send a goal, and call `then` when it has ended in whatever way."""

        # A server that goes away, or a goal that its type does not take, must not end the behaviour.
        def fail(error: BaseException) -> None:
            self._node.get_logger().warning(f"{self._name} could not be asked for {goal}: {error}")
            then()

        def has_failed(future: Future) -> bool:
            if error := future.exception():
                fail(error)
            return error is not None

        def on_response(future: Future) -> None:
            if has_failed(future):
                return
            handle = future.result()
            if handle.accepted:
                handle.get_result_async().add_done_callback(on_result)
            else:
                self._node.get_logger().warning(f"{self._name} refused {goal}.")
                then()

        def on_result(future: Future) -> None:
            if has_failed(future):
                return
            status = future.result().status
            if status != GoalStatus.STATUS_SUCCEEDED:
                self._node.get_logger().warning(f"{self._name} did not reach {goal}: status {status} of GoalStatus.")
            then()

        request = self._type.Goal()
        try:
            for field, value in goal.items():
                setattr(request, field, value)  # a constructor may take what it does not know, and say nothing
        except (AssertionError, AttributeError) as error:  # as messages refuse fields and values
            fail(error)
            return
        self._client.send_goal_async(request).add_done_callback(on_response)


def optional_type(module: str, name: str) -> Any:
    """A type of an interface package, or None where that is not installed."""
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        return None
