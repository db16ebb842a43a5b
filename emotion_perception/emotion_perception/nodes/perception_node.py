"""What every node of the suite has in common: parameters from one file, a symmetric life cycle, diagnostics."""

import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidTopicNameException, ParameterException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from emotion_perception.core.stamps import NANOSECONDS_PER_S
from emotion_perception.nodes.arrivals import Diagnosis, node_of

DIAGNOSTICS_PERIOD_S = 1.0
# Diagnoses without a complaint until the log says that all is well: each broken image in ten is no news.
WELL_AFTER = 5
TOPIC_SUFFIX = "_topic"  # a parameter so named is the name of a topic
# A simulated time that has stood still for so long is worth a warning; the player of a bag begins paused.
CLOCK_LIMIT_S = 10.0
# So is another publisher of a node's own topics after so long. That of a killed process lives on in the graph until its
# lease ends, after 20 s with Fast DDS.
RIVAL_LIMIT_S = 30.0


@dataclass(frozen=True)
class Parameter:
    """A parameter of a node; its default stands in config/emotion_perception.yaml."""

    name: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    may_be_empty: bool = False  # of a topic's name: for no topic


class RefusedParameterError(Exception):
    """A value that a parameter cannot have; the message is one sentence for the user."""


def share_directory() -> Path:
    """The installed config/ and models/ of this package."""
    return Path(get_package_share_directory("emotion_perception"))


@cache
def default_parameters() -> dict[str, dict[str, Any]]:
    """Every parameter of every node of the suite, by the node's name."""
    text = (share_directory() / "config" / "emotion_perception.yaml").read_text(encoding="utf-8")
    return {name.rpartition("/")[2]: entry["ros__parameters"] for name, entry in yaml.safe_load(text).items()}


class PerceptionNode(LifecycleNode):
    """A lifecycle node that takes its defaults from the parameter file and reports its condition.

    Publishers and services are added in `configure` and destroyed at cleanup; subscriptions, timers and a thread are
    added in `activate` and end at deactivation. A ValueError in `configure` or `activate` is the user's to mend: it is
    logged as one sentence and the transition fails. No callback may raise: each catches the errors its input can cause.
    A parameter whose name ends in `_topic` is the name of a topic, which is seen to before `configure`.
    """

    PARAMETERS: Sequence[Parameter] = ()

    def __init__(self, name: str) -> None:
        try:
            super().__init__(name)
        except ParameterException as error:  # of those that each node has, such as use_sim_time
            raise RefusedParameterError(f"{name} cannot start: {error}; give that parameter another value") from None
        self._change_state = self._service_change_state.callback
        self._service_change_state.callback = self._on_change_state
        defaults = default_parameters()[name]
        for parameter in self.PARAMETERS:
            default = defaults[parameter.name]
            try:
                self.declare_parameter(parameter.name, default, _describe(parameter, default))
                self.value(parameter.name)  # which an empty list has none of
            except ParameterException as error:
                raise RefusedParameterError(
                    f"{self.get_fully_qualified_name()} cannot have that value of {parameter.name}: {error}; expected "
                    f"one like its default, {default!r}"
                ) from None
        self.add_on_set_parameters_callback(self._refuse_unless_unconfigured)
        # Called by a node that has nothing more to give.
        self.on_end: Callable[[], None] = lambda: None
        self._added_publishers: list[Publisher] = []
        self._added_services: list[Service] = []
        self._added_subscriptions: list[Subscription] = []
        self._added_timers: list[Timer] = []
        self._thread: threading.Thread | None = None
        self.stopping = threading.Event()  # asks the thread to end
        self._complaints: set[str] = set()  # that the log has heard since all was well, without their values
        self._well_for = 0  # diagnoses
        self._transition_refusal = ""  # why the last transition failed
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._clock_ns = 0  # what it showed at the last diagnosis
        self._clock_moved_s = time.monotonic()  # when it was first seen to show that
        self._clock_stands = False  # whether it had not moved then
        self._alone_s = time.monotonic()  # when nobody else was last seen to publish what this node publishes
        # A simulation that stands still is a reason to say so: the timer follows no simulated clock.
        self._diagnostics_timer = self.create_timer(
            DIAGNOSTICS_PERIOD_S, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _on_change_state(self, request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
        """A transition that is not possible now is refused with a sentence; rclpy itself would end the process."""
        try:
            return self._change_state(request, response)
        except rclpy_implementation.RCLError:
            wanted = request.transition.label or request.transition.id
            self.get_logger().warning(
                f"Transition {wanted} is not possible now; ask for one that `ros2 lifecycle list` names."
            )
            response.success = False
            return response

    def value(self, name: str) -> Any:
        """The value of a parameter, which stays from `configure` to cleanup."""
        return self.get_parameter(name).value

    def add_publisher(self, message_type: type, topic: str, qos: QoSProfile) -> Publisher:
        """Create a publisher that lives until cleanup; ValueError for a topic that cannot be had."""
        with _explained(message_type, topic):
            publisher = self.create_publisher(message_type, topic, qos)
        self._added_publishers.append(publisher)
        return publisher

    def add_service(self, service_type: type, name: str, callback: Callable[[Any, Any], Any]) -> None:
        """Create a service that lives until cleanup; it answers also while the node is inactive."""
        self._added_services.append(self.create_service(service_type, name, callback))

    def add_subscription(
        self, message_type: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> Subscription:
        """Create a subscription that lives until deactivation; ValueError for a topic that cannot be had."""
        with _explained(message_type, topic):
            subscription = self.create_subscription(message_type, topic, callback, qos)
        self._added_subscriptions.append(subscription)
        return subscription

    def remove_publisher(self, publisher: Publisher) -> None:
        """Destroy an added publisher before cleanup."""
        self._added_publishers.remove(publisher)
        self.destroy_publisher(publisher)

    def remove_subscription(self, subscription: Subscription) -> None:
        """Destroy an added subscription before deactivation."""
        self._added_subscriptions.remove(subscription)
        self.destroy_subscription(subscription)

    def add_timer(self, period_s: float, callback: Callable[[], None], is_steady: bool = False) -> Timer:
        """Create a timer that lives until deactivation and follows a simulated clock where there is one.

        Not the system's: set back by an hour, it would stop the timer for an hour. With `is_steady` no simulated one,
        either, as what is waited for are other processes and not the world.
        """
        is_simulated = self.get_parameter("use_sim_time").value and not is_steady
        clock = self.get_clock() if is_simulated else Clock(clock_type=ClockType.STEADY_TIME)
        self._added_timers.append(self.create_timer(period_s, callback, clock=clock))
        return self._added_timers[-1]

    def start_thread(self, work: Callable[[], None], purpose: str) -> None:
        """Start the thread that works until deactivation; `work` returns soon after `self.stopping` is set.

        An error that nobody expected would end the thread only, in silence. It ends the process, as one of a callback.
        """

        def run() -> None:
            try:
                work()
            except Exception as error:
                self.get_logger().fatal(f"Cannot {purpose}, which is a bug of ours: {error!r}")
                self.fail(error)

        self.stopping.clear()
        self._thread = threading.Thread(target=run, name=purpose, daemon=True)
        self._thread.start()

    def wait_before_start(self, stop: threading.Event) -> None:
        """Wait, before an activation that nobody asked for by hand, until it makes sense, or until `stop` is set."""

    def fail(self, error: Exception) -> None:
        """Raise an error of the thread where the executor spins, which ends the process."""

        def raise_error() -> None:
            raise error

        self.create_guard_condition(raise_error).trigger()

    def configure(self) -> None:
        """Read the parameters, load what is heavy, add publishers."""

    def activate(self) -> None:
        """Add subscriptions and timers, start the thread."""

    def deactivate(self) -> None:
        """Stop what else `activate` started; may be called twice."""

    def cleanup(self) -> None:
        """Close what else `configure` opened; may be called twice."""

    def diagnose(self) -> Diagnosis:
        """How an active node is."""
        return Diagnosis()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        if not self._attempt("configure", self._check_topics, self.configure):
            self._undo_configure()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if not self._attempt("activate", self.activate):
            self._undo_activate()
            return TransitionCallbackReturn.FAILURE
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_activate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_configure()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_activate()
        self._undo_configure()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        self._undo_activate()
        self._undo_configure()
        # rclpy leaves the state machine to the garbage collector, and until then it holds the node in the graph.
        self._state_machine.destroy_when_not_in_use()
        super().destroy_node()

    @property
    def is_active(self) -> bool:
        return self._state == "active"

    @property
    def _state(self) -> str:
        return str(self._state_machine.current_state[1])

    def _attempt(self, transition: str, *steps: Callable[[], None]) -> bool:
        try:
            for step in steps:
                step()
        except ValueError as error:
            self._transition_refusal = f"Cannot {transition}: {error}"
        except Exception:  # rclpy would swallow it without a word
            self._transition_refusal = f"Cannot {transition}, which is a bug of ours:\n{traceback.format_exc()}"
        else:
            self._transition_refusal = ""
            return True
        self.get_logger().fatal(self._transition_refusal)
        return False

    def _check_topics(self) -> None:
        """Raise ValueError unless topics can have the names that the parameters give them."""
        for parameter in self.PARAMETERS:
            topic = self.value(parameter.name)
            if not parameter.name.endswith(TOPIC_SUFFIX) or (parameter.may_be_empty and not topic):
                continue
            try:
                self.resolve_topic_name(topic)
            except rclpy_implementation.RCLError:
                raise ValueError(
                    f"{parameter.name} is {topic!r}; expected the name of a topic, of letters, digits, _ and /."
                ) from None

    def _undo_activate(self) -> None:
        self.deactivate()
        self.stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        while self._added_subscriptions:
            self.destroy_subscription(self._added_subscriptions.pop())
        while self._added_timers:
            self.destroy_timer(self._added_timers.pop())

    def _undo_configure(self) -> None:
        self.cleanup()
        while self._added_publishers:
            self.destroy_publisher(self._added_publishers.pop())
        while self._added_services:
            self.destroy_service(self._added_services.pop())

    def _refuse_unless_unconfigured(self, parameters: list[RosParameter]) -> SetParametersResult:
        fixed = {parameter.name for parameter in self.PARAMETERS} & {parameter.name for parameter in parameters}
        if fixed and self._state != "unconfigured":
            return SetParametersResult(
                successful=False,
                reason=f"{', '.join(sorted(fixed))} takes effect when {self.get_name()} is configured; "
                f"bring it to unconfigured first (ros2 lifecycle set {self.get_fully_qualified_name()} cleanup).",
            )
        return SetParametersResult(successful=True)

    def _diagnose(self) -> None:
        if self.is_active:
            diagnosis = self._diagnose_clock(self._diagnose_rivals(self.diagnose()))
        else:
            diagnosis = self._diagnose_inactive()
            self._alone_s = time.monotonic()  # for all that is known
        self._log(diagnosis)
        status = DiagnosticStatus(
            level=diagnosis.level,
            name=self.get_fully_qualified_name(),
            message=diagnosis.message,
            hardware_id="emotion_perception",
            values=[KeyValue(key=key, value=str(value)) for key, value in diagnosis.values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(message)

    def _diagnose_rivals(self, diagnosis: Diagnosis) -> Diagnosis:
        """The diagnosis, or, where all is well but for another publisher of the same topics, that."""
        own, now_s = self.get_fully_qualified_name(), time.monotonic()
        topics = (publisher.topic_name for publisher in self._added_publishers)
        topic = next((topic for topic in topics if self.count_publishers(topic) > 1), None)
        if topic is None:
            self._alone_s = now_s
        if topic is None or now_s - self._alone_s <= RIVAL_LIMIT_S or diagnosis.level != DiagnosticStatus.OK:
            return diagnosis
        names = sorted(node_of(publisher) for publisher in self.get_publishers_info_by_topic(topic))
        if own in names:  # one of that name is this one
            names.remove(own)
        # In quotes, as the log need not hear it of every topic.
        message = (
            f"'{topic}' is published by {' and '.join(names)}, too, expected this node alone; end what was started "
            "twice or is played from a bag, or give it a namespace of its own."
        )
        return Diagnosis(DiagnosticStatus.WARN, message, diagnosis.values)

    def _diagnose_clock(self, diagnosis: Diagnosis) -> Diagnosis:
        """The diagnosis, or, while a simulated time stands still, that: no sensor can be expected to send then.

        What came and could not be used is worth saying all the same.
        """
        clock_ns, now_s = int(self.get_clock().now().nanoseconds), time.monotonic()
        stood, self._clock_stands = self._clock_stands, clock_ns == self._clock_ns
        if not self._clock_stands:
            self._clock_ns, self._clock_moved_s = clock_ns, now_s
        is_still = self.get_parameter("use_sim_time").value and (stood or self._clock_stands)
        if not is_still or diagnosis.level == DiagnosticStatus.ERROR:
            return diagnosis
        if now_s - self._clock_moved_s > CLOCK_LIMIT_S:
            message = (
                f"The time on /clock has stood still at {clock_ns / NANOSECONDS_PER_S:.1f} s for more than "
                f"{CLOCK_LIMIT_S:.0f} s; start the simulation or `ros2 bag play --clock`, or set use_sim_time to false."
            )
            return Diagnosis(DiagnosticStatus.WARN, message, diagnosis.values)
        if diagnosis.level == DiagnosticStatus.WARN:
            return Diagnosis(message="waits for the time on /clock", values=diagnosis.values)
        return diagnosis

    def _log(self, diagnosis: Diagnosis) -> None:
        """Log a complaint once until all is well again; one of other numbers or other quoted values is the same."""
        if not self.is_active:  # why it is not, the transition has said
            self._complaints.clear()
        elif diagnosis.level != DiagnosticStatus.OK:
            self._well_for = 0
            complaint = re.sub(r"'[^']*'|\d+", "", diagnosis.message)
            if complaint not in self._complaints:
                self._complaints.add(complaint)
                self.get_logger().warning(diagnosis.message)
        elif self._complaints and not self._clock_stands:  # then nobody can tell
            self._well_for += 1
            if self._well_for == WELL_AFTER:
                self._complaints.clear()
                self.get_logger().info("All is well again.")

    def _diagnose_inactive(self) -> Diagnosis:
        if self._transition_refusal:
            return Diagnosis(DiagnosticStatus.ERROR, self._transition_refusal)
        return Diagnosis(message=self._state)


@contextmanager
def _explained(message_type: type, topic: str) -> Iterator[None]:
    """ValueError, with a sentence for the user, where the graph refuses the topic."""
    try:
        yield
    except InvalidTopicNameException:
        raise ValueError(
            f"{topic[:80]!r} cannot be the name of a topic; expected at most 247 letters, digits, _ and /."
        ) from None
    except rclpy_implementation.RCLError:
        raise ValueError(
            f"{topic} cannot carry {message_type.__name__}, as this process has it with another type; expected one "
            "type a topic, so check the parameters that name topics and choose their types."
        ) from None


def _describe(parameter: Parameter, default: Any) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=parameter.description)
    if parameter.minimum is not None and parameter.maximum is not None:
        if isinstance(default, int):
            descriptor.integer_range = [
                IntegerRange(from_value=int(parameter.minimum), to_value=int(parameter.maximum))
            ]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(parameter.minimum), to_value=float(parameter.maximum))
            ]
    return descriptor
