"""The example behaviour on a graph: what the robot is asked to do, and what is said where it cannot."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from action_msgs.msg import GoalStatus
from rclpy.task import Future
from rclpy.time import Time
from std_msgs.msg import Bool, Header

from emotion_bringup.examples import greet_and_slow_down, robot_skills
from emotion_bringup.examples.greet_and_slow_down import GreetAndSlowDown
from emotion_bringup.examples.reactions import Reaction
from emotion_bringup.examples.robot_skills import RobotSkills
from emotion_msgs.msg import EmotionState, EmotionStateArray


class Server:
    """An action's client whose server the test plays."""

    def __init__(self, node, action_type, name):
        self.name, self.goals, self.is_there = name, [], True
        self.response, self.result = Future(), Future()
        SERVERS[name] = self

    def server_is_ready(self):
        return self.is_there

    def send_goal_async(self, goal):
        self.goals.append(goal)
        return self.response

    def respond(self, accepted):
        self.response.set_result(SimpleNamespace(accepted=accepted, get_result_async=lambda: self.result))

    def end(self, status):
        self.result.set_result(SimpleNamespace(status=status))


SERVERS = {}


@pytest.fixture
def servers(monkeypatch):
    """A robot that has the packages of TTS and play_motion2, and not that of Nav2."""
    types = {"TTS": SimpleNamespace(Goal=SimpleNamespace), "PlayMotion2": SimpleNamespace(Goal=SimpleNamespace)}
    monkeypatch.setattr(robot_skills, "optional_type", lambda module, name: types.get(name))
    monkeypatch.setattr(robot_skills, "ActionClient", Server)
    SERVERS.clear()
    return SERVERS


@pytest.mark.parametrize("status", [GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED])
def test_microphone_is_told_of_the_robots_own_words_from_before_they_begin_to_their_end(graph, servers, capfd, status):
    speaking = graph.listen(Bool, "emotion/robot_speaking")
    skills = RobotSkills(graph.node)
    skills.say("Hello!", "en_US")
    assert servers["/tts_engine/tts"].goals == [SimpleNamespace(input="Hello!", locale="en_US")]
    graph.wait_for(lambda: [message.data for message in speaking] == [True], "the beginning")
    servers["/tts_engine/tts"].respond(accepted=True)
    servers["/tts_engine/tts"].end(status)
    graph.wait_for(lambda: [message.data for message in speaking] == [True, False], "the end")
    assert ("did not reach" in capfd.readouterr().err) is (status != GoalStatus.STATUS_SUCCEEDED)


def test_refused_speech_leaves_nobody_unheard(graph, servers):
    speaking = graph.listen(Bool, "emotion/robot_speaking")
    RobotSkills(graph.node).say("Hello!", "en_US")
    servers["/tts_engine/tts"].respond(accepted=False)
    graph.wait_for(lambda: [message.data for message in speaking] == [True, False], "the end")


@pytest.mark.parametrize("at", ["response", "result"])
def test_request_that_fails_is_said_and_leaves_nobody_unheard(graph, servers, capfd, at):
    speaking = graph.listen(Bool, "emotion/robot_speaking")
    RobotSkills(graph.node).say("Hello!", "en_US")
    server = servers["/tts_engine/tts"]
    if at == "result":
        server.respond(accepted=True)
    getattr(server, at).set_exception(RuntimeError("the server is gone"))
    graph.wait_for(lambda: [message.data for message in speaking] == [True, False], "the end")
    assert "/tts_engine/tts could not be asked" in capfd.readouterr().err


def test_action_of_other_fields_is_said_and_leaves_nobody_unheard(graph, servers, monkeypatch, capfd):
    types = {"TTS": SimpleNamespace(Goal=Bool)}  # a message, which knows no `input`
    monkeypatch.setattr(robot_skills, "optional_type", lambda module, name: types.get(name))
    speaking = graph.listen(Bool, "emotion/robot_speaking")
    RobotSkills(graph.node).say("Hello!", "en_US")
    graph.wait_for(lambda: [message.data for message in speaking] == [True, False], "the end")
    assert "/tts_engine/tts could not be asked" in capfd.readouterr().err
    assert not servers["/tts_engine/tts"].goals


def test_speech_server_that_dies_leaves_nobody_unheard_for_ever(graph, servers, monkeypatch):
    monkeypatch.setattr(robot_skills, "SPEECH_LIMIT_S", 0.1)
    speaking = graph.listen(Bool, "emotion/robot_speaking")
    RobotSkills(graph.node).say("Hello!", "en_US")
    graph.wait_for(lambda: [message.data for message in speaking] == [True, False], "the end")


def test_missing_server_is_said_and_nothing_is_sent(graph, servers, capfd):
    speaking = graph.listen(Bool, "emotion/robot_speaking")
    skills = RobotSkills(graph.node)
    servers["/play_motion2"].is_there = servers["/tts_engine/tts"].is_there = False
    skills.say("Hello!", "en_US")
    skills.play("wave")
    log = capfd.readouterr().err
    assert "Cannot say 'Hello!': nobody serves /tts_engine/tts" in log
    assert "Cannot play the motion wave: nobody serves /play_motion2" in log
    assert not speaking and not servers["/tts_engine/tts"].goals and not servers["/play_motion2"].goals


def test_behaviour_that_ends_while_it_speaks_leaves_nobody_unheard(graph, servers):
    skills, told = RobotSkills(graph.node), []
    skills._speaking_publisher = SimpleNamespace(
        publish=lambda message: told.append(message.data), wait_for_all_acked=lambda timeout: told.append("heard")
    )
    skills.end()
    assert told == [], "it had not spoken, but somebody else may"
    skills.say("Hello!", "en_US")
    skills.end()
    assert told == [True, False, "heard"]


def test_end_of_a_speech_that_nobody_answers_is_told_once(graph, servers, monkeypatch):
    monkeypatch.setattr(robot_skills, "SPEECH_LIMIT_S", 0.02)
    speaking = graph.listen(Bool, "emotion/robot_speaking")
    RobotSkills(graph.node).say("Hello!", "en_US")
    graph.wait_for(lambda: [message.data for message in speaking] == [True, False], "the end")
    later = []
    graph.node.create_timer(0.1, lambda: later.append(True))
    graph.wait_for(lambda: later, "five times the limit")
    assert [message.data for message in speaking] == [True, False]


def test_missing_packages_are_said(graph, monkeypatch, capfd):
    monkeypatch.setattr(robot_skills, "optional_type", lambda module, name: None)
    skills = RobotSkills(graph.node)
    skills.say("Hello!", "en_US")
    skills.play("wave")
    skills.limit_speed(40.0)
    skills.limit_speed(0.0)
    skills.end()
    log = capfd.readouterr().err
    for sentence in (
        "Would say 'Hello!': tts_msgs is not installed.",
        "Would play the motion wave: play_motion2_msgs is not installed.",
        "Would limit the speed to 40 %: nav2_msgs is not installed.",
        "Would lift the limit of the speed: nav2_msgs is not installed.",
    ):
        assert sentence in log


def test_limit_is_told_again_until_it_is_lifted_and_a_missing_listener_is_told_of_once(
    graph, servers, monkeypatch, capfd
):
    told, heard = [], []
    publisher = SimpleNamespace(
        publish=lambda message: told.append(message.speed_limit if message.percentage else "metres a second"),
        get_subscription_count=lambda: 0,
        wait_for_all_acked=lambda timeout: heard.extend(told),
    )
    create_publisher = graph.node.create_publisher
    monkeypatch.setattr(
        graph.node,
        "create_publisher",
        lambda kind, topic, qos: publisher if topic == "/speed_limit" else create_publisher(kind, topic, qos),
    )

    def speed_limit(**fields):
        return SimpleNamespace(header=SimpleNamespace(), **fields)

    types = {"SpeedLimit": speed_limit}
    monkeypatch.setattr(robot_skills, "optional_type", lambda module, name: types.get(name))
    monkeypatch.setattr(robot_skills, "REPEAT_S", 0.02)
    skills = RobotSkills(graph.node)

    def repeat():
        later = []
        timer = graph.node.create_timer(0.1, lambda: later.append(True))
        graph.wait_for(lambda: later, "five times the repetition")
        graph.node.destroy_timer(timer)

    repeat()
    assert not told, "there may be a limit of somebody else"
    skills.limit_speed(40.0)
    graph.wait_for(lambda: len(told) >= 4, "the limit, again and again")
    assert capfd.readouterr().err.count("nobody listens to /speed_limit") == 1
    skills.end()
    told_at_the_end = list(told)
    assert told_at_the_end[-1] == 0.0 and set(told_at_the_end[:-1]) == {40.0}
    assert heard == told_at_the_end
    repeat()
    assert told == told_at_the_end


@pytest.mark.parametrize(("missing", "is_due_again"), [(["/tts_engine/tts"], False), (None, True)])
def test_greeting_that_nobody_could_give_is_not_counted_as_given(graph, servers, missing, is_due_again):
    node = graph.add(GreetAndSlowDown)
    for name in missing or servers:
        servers[name].is_there = False
    forgotten = []
    node._reactions.forget_greeting = forgotten.append
    node._react(Reaction.GREET, EmotionState(label="happy", confidence=0.9, track_id="face_1"))
    assert forgotten == ["face_1"] * is_due_again


def test_microphone_is_told_of_the_end_of_the_last_of_several_utterances(graph, servers):
    speaking = graph.listen(Bool, "emotion/robot_speaking")
    skills, results = RobotSkills(graph.node), []
    server = servers["/tts_engine/tts"]

    def say(text):
        server.response, server.result = Future(), Future()
        skills.say(text, "en_US")
        server.respond(accepted=True)
        results.append(server.result)

    def end(number):
        results[number].set_result(SimpleNamespace(status=GoalStatus.STATUS_SUCCEEDED))

    say("Hello!")
    say("How are you?")
    end(0)
    say("Goodbye!")
    end(2)
    end(1)
    graph.wait_for(lambda: len(speaking) >= 4, "all beginnings and the end")
    assert [message.data for message in speaking] == [True, True, True, False]


def test_speed_is_limited_for_who_is_scared_until_nobody_is(graph, servers):
    node = graph.add(GreetAndSlowDown)
    node._motion_name = ""  # for none
    limits, now_s = [], [100.0]
    node._skills.limit_speed, node._now_s = limits.append, lambda: now_s[0]

    def feel(label, for_s):
        for _ in range(round(10 * for_s)):
            now_s[0] += 0.1
            state = EmotionState(label=label, confidence=0.9, track_id="face_1")
            state.header.stamp = Time(nanoseconds=round(now_s[0] * 1e9)).to_msg()
            node._on_state(state)
        return limits

    assert feel("happy", 2.0) == []
    assert len(servers["/tts_engine/tts"].goals) == 1 and not servers["/play_motion2"].goals
    assert feel("scared", 0.9) == [] and feel("scared", 2.0) == [40.0]
    assert feel("happy", 4.0) == [40.0] and feel("happy", 2.0) == [40.0, 0.0]


def test_happy_person_is_greeted_with_words_and_a_motion(graph, servers):
    graph.add(GreetAndSlowDown)
    publisher = graph.speak(EmotionState, "emotion/state")
    state = EmotionState(label="happy", confidence=0.9, track_id="face_1")

    def greeted():
        state.header.stamp = graph.node.get_clock().now().to_msg()
        publisher.publish(state)
        return servers["/tts_engine/tts"].goals and servers["/play_motion2"].goals

    graph.wait_for(greeted, "the greeting")
    assert servers["/play_motion2"].goals == [SimpleNamespace(motion_name="wave", skip_planning=False)]
    assert servers["/tts_engine/tts"].goals == [SimpleNamespace(input="Hello! Nice to see you.", locale="en_US")]


def test_speed_stays_limited_for_a_scared_bystander_and_states_of_another_time_are_not_heard(graph, servers, capfd):
    node = graph.add(GreetAndSlowDown)
    calls = []
    node._reactions = SimpleNamespace(
        see=lambda time_s, label: calls.append(("see", label)),
        update=lambda time_s, track_id, label, uncertain: calls.append((label, uncertain)) or [],
    )
    state, states = graph.speak(EmotionState, "emotion/state"), graph.speak(EmotionStateArray, "emotion/states")
    past, future = EmotionState(label="happy"), EmotionState(label="sad")
    future.header.stamp.sec = 2**31 - 1
    present = EmotionState(label="neutral", uncertain=True)
    state.publish(past)
    state.publish(future)

    def heard():
        present.header.stamp = graph.node.get_clock().now().to_msg()
        state.publish(present)
        states.publish(EmotionStateArray(states=[present, EmotionState(label="scared")]))
        return {("see", "scared"), ("neutral", True)} <= set(calls)

    graph.wait_for(heard, "both topics")
    assert {label for label, _ in calls} == {"see", "neutral"}
    assert capfd.readouterr().err.count("s old when they come, expected at most 1 s, and are passed over") == 1


def test_before_a_simulated_clock_ticks_no_state_is_said_to_be_old(graph, capfd):
    node = graph.add(GreetAndSlowDown)
    node.get_clock = lambda: SimpleNamespace(now=lambda: Time(nanoseconds=0))
    node._on_state(EmotionState(header=Header(stamp=Time(seconds=1000).to_msg())))
    assert "s old when they come" not in capfd.readouterr().err


@pytest.mark.parametrize(("option", "status"), [("--help", 0), ("--greeting", 2)])
def test_what_is_no_parameter_starts_nothing(option, status):
    command = [sys.executable, "-m", "emotion_bringup.examples.greet_and_slow_down", option]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert run.returncode == status
    assert "usage: greet_and_slow_down" in run.stdout + run.stderr


def test_limit_of_no_speed_is_refused_as_it_would_lift_the_limit():
    command = [sys.executable, "-m", "emotion_bringup.examples.greet_and_slow_down"]
    run = subprocess.run(
        [*command, "--ros-args", "-p", "slow_percent:=0.0"], capture_output=True, text=True, timeout=30
    )
    assert run.returncode == 1
    assert "slow_percent" in run.stderr and run.stderr.splitlines()[-1].endswith("says what is expected.")


def test_behaviour_that_is_interrupted_leaves_the_robot_as_it_was(monkeypatch):
    def interrupt(node, timeout_sec):
        raise KeyboardInterrupt

    ended = []
    monkeypatch.setattr(sys, "argv", ["greet_and_slow_down"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # they stay pytest's
    monkeypatch.setattr(greet_and_slow_down.rclpy, "spin_once", interrupt)
    monkeypatch.setattr(RobotSkills, "end", lambda skills: ended.append(skills._node.destroy_node()))
    greet_and_slow_down.main()
    assert len(ended) == 1


def test_behaviour_that_is_told_to_end_ends_as_an_interrupted_one(graph):
    process = subprocess.Popen([sys.executable, "-m", "emotion_bringup.examples.greet_and_slow_down"])
    try:
        graph.wait_for(lambda: graph.node.count_subscribers("emotion/state"), "the behaviour")
        process.terminate()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
