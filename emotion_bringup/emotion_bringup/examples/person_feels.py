"""A condition for behaviour trees made with py_trees: what the person in focus seems to feel.

tree = py_trees.composites.Sequence("greet", memory=False)
tree.add_children([PersonFeels("happy", min_confidence=0.6), Greet()])
"""

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from emotion_msgs.msg import EmotionState

try:
    import py_trees
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "py_trees is not installed, expected it for PersonFeels; install ros-$ROS_DISTRO-py-trees, or pip install "
        "py_trees where there is no ROS.",
        name=error.name,
    ) from None

Status = py_trees.common.Status

MAX_DELAY_S = 1.0  # a state of a sample that was captured longer before it came says nothing of the present


class PersonFeels(py_trees.behaviour.Behaviour):
    """SUCCESS: the person in focus feels it; FAILURE: not, or no face is there; RUNNING: that is not known yet.

    It is not known while the state is uncertain, or while none has come lately. After `wait_s` of that it is a FAILURE,
    so that a tree does not wait for ever for a camera that is off. Nor is it known before the same person has felt it
    for `hold_s`, without doubt and without a gap.
    """

    def __init__(
        self,
        label: str,
        min_confidence: float,
        max_age_s: float = 0.5,
        wait_s: float = 2.0,
        hold_s: float = 1.0,
        name: str | None = None,
    ) -> None:
        """Make the condition; it listens once the tree has been set up with a node.

        Args:
            label: one of those of the model, as /emotion/model_info tells them.
            min_confidence: of the label, in [0, 1].
            max_age_s: a state that came longer ago says nothing; longer than the time between two states.
            wait_s: how long it may be unknown before that is a failure.
            hold_s: how long the same person must have felt it.
            name: of the condition in the tree.
        """
        super().__init__(name or f"person feels {label}")
        self._label = label
        self._min_confidence = min_confidence
        self._max_age_s = max_age_s
        self._wait_s = wait_s
        self._hold_s = hold_s
        self._state: EmotionState | None = None
        self._held: tuple[str, str] | None = None  # track id and label of what holds

    def setup(self, **kwargs: Any) -> None:
        """Listen to emotion/state.

        Raises:
            KeyError: the tree was not set up with `node=`, which py_trees_ros does by itself.
        """
        try:
            node: Node = kwargs["node"]
        except KeyError:
            raise KeyError(
                f"{self.name!r} was set up without a node; call setup(node=...) on the tree, or use py_trees_ros."
            ) from None
        self._now_s: Callable[[], float] = lambda: node.get_clock().now().nanoseconds / 1e9
        # Of the last state, of the last one without doubt, and of the first one of what holds.
        self._arrival_s = self._known_s = self._since_s = self._now_s()
        self._subscription: Subscription = node.create_subscription(EmotionState, "emotion/state", self._on_state, 10)

    def update(self) -> Status:
        status, self.feedback_message = self._judge()
        if status is Status.RUNNING and not 0.0 <= self._now_s() - self._known_s <= self._wait_s:
            return Status.FAILURE
        return status

    def _on_state(self, state: EmotionState) -> None:
        now_s = self._now_s()
        if abs(now_s - (state.header.stamp.sec + state.header.stamp.nanosec / 1e9)) > MAX_DELAY_S:
            return
        held = None if state.uncertain else (state.track_id, state.label)
        if held != self._held or not 0.0 <= now_s - self._arrival_s <= self._max_age_s:
            self._held, self._since_s = held, now_s
        self._state, self._arrival_s = state, now_s
        if not state.uncertain or state.label == EmotionState.NOBODY:
            self._known_s = self._arrival_s

    def _judge(self) -> tuple[Status, str]:
        state = self._state
        # Ages below 0 are those of a simulation that has begun anew.
        if state is None or not 0.0 <= self._now_s() - self._arrival_s <= self._max_age_s:
            return Status.RUNNING, f"no state of the present on emotion/state for {self._max_age_s:g} s"
        if state.label == EmotionState.NOBODY:
            return Status.FAILURE, "nobody is there"
        if not state.track_id:
            return Status.FAILURE, "a voice without a face"
        if self._label not in state.labels:
            return Status.FAILURE, f"{state.model_id} does not know {self._label!r}, only {', '.join(state.labels)}"
        if state.uncertain:
            return Status.RUNNING, f"uncertain, perhaps {state.label}"
        felt = f"{state.label} ({state.confidence:.0%})"
        if state.label != self._label or state.confidence < self._min_confidence:
            return Status.FAILURE, felt
        if self._arrival_s - self._since_s < self._hold_s:
            return Status.RUNNING, f"{felt}, for less than {self._hold_s:g} s"
        return Status.SUCCESS, felt
