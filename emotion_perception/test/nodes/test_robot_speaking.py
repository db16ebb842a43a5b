"""While the robot speaks it is not listened to, whoever says that it speaks."""

import numpy as np
import pytest
from action_msgs.msg import GoalInfo, GoalStatus, GoalStatusArray
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import qos_profile_action_status_default
from std_msgs.msg import Bool, Header

from emotion_msgs.msg import AudioChunk, AudioWindow
from emotion_perception.core.stamps import to_nanoseconds
from emotion_perception.nodes import perception_node
from emotion_perception.nodes.audio_window_node import AudioWindowNode
from emotion_perception.nodes.conversions import to_float_array, to_stamp

RATE_HZ = 16_000
TAIL_S = 0.5


class Room:
    """A microphone that hears the same loud sound all the time, as this clock goes."""

    def __init__(self, graph):
        self.graph = graph
        self.node = graph.start(AudioWindowNode, mute_tail_s=TAIL_S)
        self.windows = graph.listen(AudioWindow, "/emotion/audio_window")
        self.sound = graph.speak(AudioChunk, "/emotion/microphone/audio")
        self.now_ns = self.node.get_clock().now().nanoseconds - 2 * 10**9  # what it will hear first is past

    def hear(self, duration_s):
        """Let the node hear on, from where it stopped; the newest window."""
        for _ in range(round(10 * duration_s)):
            header = Header(stamp=to_stamp(self.now_ns))
            samples = to_float_array(np.full(RATE_HZ // 10, 0.5))
            self.sound.publish(AudioChunk(header=header, sample_rate_hz=RATE_HZ, channels=1, samples=samples))
            self.now_ns += 10**8
        end_ns = self.now_ns - 10**8  # the last window may wait for what is still in the resampler
        self.graph.wait_for(lambda: self.windows and self.newest_ns() > end_ns, "the windows")
        return self.windows[-1]

    def newest_ns(self):
        return to_nanoseconds(self.windows[-1].header.stamp)

    def is_muted(self):
        return self.node._robot_speech.sounds(self.node.get_clock().now().nanoseconds / 1e9)


@pytest.fixture
def room(graph):
    return Room(graph)


def status(*numbers):
    return GoalStatusArray(status_list=[GoalStatus(goal_info=GoalInfo(), status=number) for number in numbers])


def test_what_was_captured_while_the_robot_spoke_is_in_no_window(graph, room):
    assert not room.hear(1.0).muted
    topic = graph.speak(Bool, "/emotion/robot_speaking")
    topic.publish(Bool(data=True))
    graph.wait_for(room.is_muted, "the robot's speech")
    began_s = room.node._robot_speech._utterances[0].start_s
    window = room.hear(began_s - room.now_ns / 1e9 + 0.3)  # less than the echo will last
    assert window.muted and not window.speaking
    assert window.muted_s == pytest.approx(0.3, abs=0.1)
    samples = np.array(window.samples)
    newest_s = room.newest_ns() / 1e9
    assert not samples[-int((newest_s - began_s) * RATE_HZ) :].any(), "the robot's voice is silenced"
    before = samples[: -int((newest_s - began_s) * RATE_HZ) - 2]
    assert (before[-RATE_HZ // 4 :] > 0.4).all(), "what was heard before is kept"

    topic.publish(Bool(data=False))
    graph.wait_for(lambda: not room.node._robot_speech._current, "the end of the speech")
    ended_s = room.node._robot_speech._utterances[0].end_s
    window = room.hear(ended_s - room.now_ns / 1e9 + 0.5)
    assert not window.muted and window.muted_s == pytest.approx(ended_s - began_s, abs=0.01)


def test_node_that_was_deactivated_while_the_robot_spoke_begins_anew(graph, room):
    room.hear(1.0)
    graph.speak(Bool, "/emotion/robot_speaking").publish(Bool(data=True))
    graph.wait_for(room.is_muted, "the robot's speech")
    room.node.trigger_deactivate()
    graph.wait_for(lambda: not room.sound.get_subscription_count(), "the end of the subscription")
    room.node.trigger_activate()
    assert not room.is_muted(), "whoever said meanwhile that it ended was not heard"
    graph.wait_for(room.sound.get_subscription_count, "a subscription")
    window = room.hear(0.5)
    assert not window.muted and window.captured_s <= 0.5, "nothing of what was heard before"


@pytest.mark.parametrize("spoken", [GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING])
def test_goal_that_the_speech_action_executes_mutes_and_its_end_unmutes(graph, room, spoken):
    action = graph.speak(GoalStatusArray, "/tts_engine/tts/_action/status", qos_profile_action_status_default)
    action.publish(status(GoalStatus.STATUS_SUCCEEDED, spoken))
    graph.wait_for(room.is_muted, "the robot's speech")
    action.publish(status(GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_SUCCEEDED))
    graph.wait_for(lambda: not room.is_muted(), "the end of the echo")


def test_speaker_that_died_is_said_and_no_longer_believed(graph, monkeypatch):
    monkeypatch.setattr(perception_node, "DIAGNOSTICS_PERIOD_S", 0.2)
    diagnostics = graph.listen_to_diagnostics()
    room = Room(graph)
    topic = graph.speak(Bool, "/emotion/robot_speaking")
    topic.publish(Bool(data=True))
    graph.wait_for(room.is_muted, "the robot's speech")

    def values():
        return [(value.key, value.value) for status in diagnostics for value in status.values]

    graph.wait_for(lambda: ("muted", "True") in values(), "the diagnosis that it is muted")
    room.node._robot_speech._current["emotion/robot_speaking"].end_s -= 30.0  # as if that had been half a minute ago

    def warning():
        room.hear(0.1)
        return [status.message for status in diagnostics if "emotion/robot_speaking said" in status.message]

    assert "more than mute_limit_s = 30 s ago" in graph.wait_for(warning, "the warning")[0]
    assert diagnostics[-1].level == DiagnosticStatus.WARN
    assert not room.is_muted()
    room.node._arrivals.refuse("The sound is broken.")
    assert room.node.diagnose().message == "The sound is broken.", "which is worse"
