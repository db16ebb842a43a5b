"""The condition in a tree of py_trees, with real messages over DDS."""

import subprocess
import sys

import pytest
from rclpy.time import Time

from emotion_msgs.msg import EmotionState

py_trees = pytest.importorskip("py_trees", reason="py_trees is not installed")
from emotion_bringup.examples.person_feels import PersonFeels  # noqa: E402

Status = py_trees.common.Status
WITHOUT_PY_TREES = """
import sys
sys.modules["py_trees"] = None
import emotion_bringup.examples.person_feels
"""


@pytest.fixture
def condition(graph):
    condition = PersonFeels("happy", min_confidence=0.6, max_age_s=30.0, wait_s=60.0, hold_s=0.0)
    tree = py_trees.trees.BehaviourTree(py_trees.composites.Sequence("greet", memory=False, children=[condition]))
    tree.setup(node=graph.node)
    publisher = graph.speak(EmotionState, "emotion/state")

    def tick(track_id="face_1", **fields):
        """The tree's answer to a state."""
        state = EmotionState(labels=["neutral", "happy"], model_id="test", track_id=track_id, **fields)
        state.header.stamp = graph.node.get_clock().now().to_msg()
        seen = condition._state
        publisher.publish(state)
        graph.wait_for(lambda: condition._state is not seen, "the state")
        tree.tick()
        return tree.root.status

    tick.tree, tick.condition = tree, condition
    return tick


def test_person_who_feels_it_is_a_success(condition):
    assert condition(label="happy", confidence=0.8) is Status.SUCCESS


@pytest.mark.parametrize(
    "fields",
    [
        {"label": "neutral", "confidence": 0.9},
        {"label": "happy", "confidence": 0.5},
        {"label": EmotionState.NOBODY, "uncertain": True},
    ],
)
def test_person_who_does_not_is_a_failure(condition, fields):
    assert condition(**fields) is Status.FAILURE


def test_voice_without_a_face_is_a_failure(condition):
    assert condition(track_id="", label="happy", confidence=0.8) is Status.FAILURE
    assert condition.condition.feedback_message == "a voice without a face"


@pytest.fixture
def happy(graph):
    condition = PersonFeels("happy", 0.6)
    condition.setup(node=graph.node)
    condition._now_s = lambda: condition.time_s
    condition.time_s = 100.0

    def happy(for_s, **fields):
        """The condition's answers to states 10 times a second."""
        statuses = []
        for _ in range(round(for_s * 10)):
            condition.time_s = round(condition.time_s + 0.1, 1)
            felt = {"labels": ["happy"], "label": "happy", "confidence": 0.8, "track_id": "face_1"}
            state = EmotionState(**felt | fields)
            state.header.stamp = Time(nanoseconds=round(condition.time_s * 1e9)).to_msg()
            condition._on_state(state)
            statuses.append(condition.update())
        return statuses

    happy.condition = condition
    return happy


def test_what_holds_for_a_second_is_a_success_and_not_known_before(happy):
    assert happy(1.0) == [Status.RUNNING] * 10
    assert happy.condition.feedback_message == "happy (80%), for less than 1 s"
    assert happy(2.0) == [Status.SUCCESS] * 20


def test_one_state_holds_no_longer_by_being_looked_at_again(happy):
    happy(0.8)
    happy.condition.time_s += 0.4
    assert happy.condition.update() is Status.RUNNING


@pytest.mark.parametrize("interruption", [{"track_id": "face_2"}, {"uncertain": True}])
def test_interrupted_state_does_not_hold(happy, interruption):
    for _ in range(3):
        assert happy(0.8) == [Status.RUNNING] * 8
        assert happy(0.1, **interruption) == [Status.RUNNING]


@pytest.mark.parametrize("gap_s", [2.0, -50.0])
def test_state_does_not_hold_over_a_gap_nor_when_time_is_set_back(happy, gap_s):
    assert happy(2.0)[-1] is Status.SUCCESS
    happy.condition.time_s += gap_s
    assert happy(1.0) == [Status.RUNNING] * 10
    assert happy(0.1) == [Status.SUCCESS]


def test_nobody_waits_for_a_time_that_was_set_back(happy):
    happy(2.0)
    happy.condition.time_s -= 50.0
    assert happy.condition.update() is Status.FAILURE


def test_absence_is_known_so_that_a_doubt_after_it_may_last_a_while(happy):
    nobody = {"labels": [], "label": EmotionState.NOBODY, "confidence": 0.0, "track_id": "", "uncertain": True}
    assert happy(5.0, **nobody) == [Status.FAILURE] * 50
    assert happy.condition.feedback_message == "nobody is there"
    assert happy(2.5, uncertain=True) == [Status.RUNNING] * 20 + [Status.FAILURE] * 5


def test_doubt_is_not_known_yet(condition):
    assert condition(label="happy", confidence=0.8, uncertain=True) is Status.RUNNING


def test_nothing_heard_is_not_known_yet_and_says_so(condition):
    condition.tree.tick()
    assert condition.tree.root.status is Status.RUNNING
    assert "no state of the present on emotion/state" in condition.condition.feedback_message


def test_label_that_the_model_lacks_is_a_failure_that_names_those_it_has(condition):
    condition.condition._label = "joyful"
    assert condition(label="happy", confidence=0.8) is Status.FAILURE
    assert condition.condition.feedback_message == "test does not know 'joyful', only neutral, happy"


@pytest.mark.parametrize("second", [0, 2**31 - 1])
def test_a_state_of_another_time_is_not_heard(condition, second):
    assert condition(label="neutral", confidence=0.8) is Status.FAILURE
    heard, state = condition.condition._state, EmotionState(labels=["happy"], label="happy", confidence=0.8)
    state.header.stamp.sec = second
    condition.condition._on_state(state)
    assert condition.condition._state is heard


def test_old_state_says_nothing_and_fails_after_a_while(condition):
    assert condition(label="happy", confidence=0.8) is Status.SUCCESS
    now_s = condition.condition._now_s()
    for age_s, expected in (
        (29.0, Status.SUCCESS),
        (31.0, Status.RUNNING),
        (59.0, Status.RUNNING),
        (61.0, Status.FAILURE),
    ):
        condition.condition._now_s = lambda age_s=age_s: now_s + age_s
        condition.tree.tick()
        assert condition.tree.root.status is expected


def test_tree_that_is_set_up_without_a_node_is_told_how():
    with pytest.raises(KeyError, match=r"set up without a node; call setup\(node=...\)"):
        PersonFeels("happy", min_confidence=0.6).setup()


def test_without_py_trees_the_import_says_what_to_install():
    run = subprocess.run([sys.executable, "-c", WITHOUT_PY_TREES], capture_output=True, text=True)
    assert run.returncode == 1
    assert "py_trees is not installed, expected it for PersonFeels; install ros-$ROS_DISTRO-py-trees" in run.stderr
