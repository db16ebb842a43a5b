"""Behaviours learn what the model is, and reset, pause and switch it."""

from dataclasses import replace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header

from emotion_msgs.msg import AudioWindow, EmotionState, EmotionStateArray, FaceCrop, FaceCropArray, ModelInfo
from emotion_msgs.srv import Pause, Reset, SwitchModel
from emotion_perception.core.moments import Source
from emotion_perception.core.person import FaceSample
from emotion_perception.nodes.conversions import rgb_to_image, to_float_array, to_stamp
from emotion_perception.nodes.emotion_fusion_node import EmotionFusionNode
from emotion_perception.testing.graph import TIMEOUT_S
from emotion_perception.testing.tiny_bundle import SIDE_PX, WINDOW_SAMPLES, write_tiny_bundle

GREEN = np.full((SIDE_PX, SIDE_PX, 3), (0, 255, 0), np.uint8)
LOUD = np.full(WINDOW_SAMPLES, 0.5, np.float32)


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / "tiny", licence="for tests", training={"data": ["colours", "tones"]})


@pytest.fixture
def other_bundle(tmp_path):
    """The same model with other names for its numbers."""
    labels = ["calm", "glad", "low"]
    coordinates = {"calm": [0.0, -0.5], "glad": [1.0, 0.5], "low": [-1.0, -0.5]}
    return write_tiny_bundle(
        tmp_path / "other",
        model_id="other",
        labels=labels,
        valence_arousal={"source": "invented", "coordinates": coordinates},
    )


class Robot:
    """A fusion node, a face before it, and the services of the node."""

    def __init__(self, graph, bundle, **parameters):
        self.graph = graph
        # The faces here are of one colour, as if in the dark.
        self.node = graph.start(EmotionFusionNode, model=str(bundle), min_contrast=0.0, **parameters)
        self.states = graph.listen(EmotionState, "/emotion/state")
        self.everybody = graph.listen(EmotionStateArray, "/emotion/states")
        self.faces = graph.speak(FaceCropArray, "/emotion/faces", 10)
        self.windows = graph.speak(AudioWindow, "/emotion/audio_window", 10)

    def show(self, *faces):
        """Show faces now: (track id, left edge, mouth opening) in an image of 100x100, 20 px wide."""
        header = Header(stamp=self.node.get_clock().now().to_msg(), frame_id="camera")
        crops = [
            FaceCrop(
                track_id=track_id,
                score=1.0,
                x_px=float(x_px),
                y_px=40.0,
                width_px=20.0,
                height_px=20.0,
                crop=rgb_to_image(GREEN, header),
                mouth_opening=opening,
            )
            for track_id, x_px, opening in faces
        ]
        self.faces.publish(FaceCropArray(header=header, image_width_px=100, image_height_px=100, faces=crops))

    def sound(self, stamp=None, **fields):
        """Of now, or of that stamp."""
        loud = {"sample_rate_hz": 16_000, "samples": to_float_array(LOUD)}
        fields = {**loud, "voice_activity": 0.9, "speaking": True, "muted": False, **fields}
        header = Header(stamp=stamp or self.node.get_clock().now().to_msg(), frame_id="microphone")
        self.windows.publish(AudioWindow(header=header, **fields))

    def judged(self, model_id="tiny"):
        """Show a face until a state of this model says something of it."""
        already = len(self.states)

        def has_come():
            self.show(("face_1", 40, float("nan")))
            return [state for state in self.states[already:] if state.modalities and state.model_id == model_id]

        return self.graph.wait_for(has_come, "a state of a face")[-1]

    def call(self, service_type, name, **fields):
        client = self.graph.node.create_client(service_type, f"/emotion_fusion_node/{name}")
        self.graph.wait_for(client.service_is_ready, f"the service {name}")
        future = client.call_async(service_type.Request(**fields))
        self.graph.wait_for(future.done, f"the answer of {name}")
        return future.result()


@pytest.fixture
def robot(graph, bundle):
    return Robot(graph, bundle)


def errors_of(diagnostics):
    return [status.message for status in diagnostics if status.level == DiagnosticStatus.ERROR]


def latched(graph):
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    return graph.listen(ModelInfo, "/emotion/model_info", qos)


def test_who_comes_late_learns_what_the_model_is(graph, robot, bundle):
    infos = latched(graph)
    (info,) = graph.wait_for(lambda: infos, "the model's description")
    assert (info.model_id, info.format_version, info.licence) == ("tiny", 1, "for tests")
    assert list(info.labels) == ["neutral", "happy", "sad"]
    assert list(info.trained_on) == ["colours", "tones"]
    assert (list(info.valence), list(info.arousal)) == ([0, 1, -1], [0, 0.5, -0.5])
    assert info.path == str(bundle) and len(info.sha256) == 64
    assert list(info.uncertain_below) == pytest.approx([0.5, 0.6, 0.7])
    assert (info.label_enter, info.label_leave) == pytest.approx((0.5, 0.35))


def test_who_asks_for_another_certainty_finds_it_in_the_models_description(graph, bundle):
    infos = latched(graph)
    Robot(graph, bundle, uncertain_below=0.4)
    assert list(graph.wait_for(lambda: infos, "the model's description")[0].uncertain_below) == pytest.approx([0.4] * 3)


def test_state_is_in_the_frame_of_its_sensor(graph, robot):
    assert robot.judged().header.frame_id == "camera"

    def heard():
        robot.sound()
        return [state for state in robot.states if state.modalities == EmotionState.AUDIO]

    assert graph.wait_for(heard, "a state of the voice alone")[0].header.frame_id == "microphone"


def test_state_of_a_face_is_in_the_frame_of_its_camera_whoever_says_that_it_is_gone(graph, robot):
    robot.judged()
    already = len(robot.states)
    robot.faces.publish(FaceCropArray(header=Header(stamp=robot.node.get_clock().now().to_msg())))
    later = graph.wait_for(lambda: [state for state in robot.states[already:] if state.modalities], "a later state")
    assert {state.header.frame_id for state in later} == {"camera"}


def test_model_that_was_named_from_here_is_described_by_its_whole_path(graph, robot, other_bundle, monkeypatch):
    infos = latched(graph)
    monkeypatch.chdir(other_bundle.parent)
    assert robot.call(SwitchModel, "switch_model", model=other_bundle.name).success
    graph.wait_for(lambda: infos and infos[-1].path == str(other_bundle), "the description")


def test_of_two_faces_the_one_in_the_middle_is_in_focus(graph, robot):
    def have_come():
        robot.show(("side", 0, float("nan")), ("middle", 40, float("nan")))
        return [[state.track_id for state in message.states] for message in robot.everybody if len(message.states) > 1]

    assert graph.wait_for(have_come, "both")[0] == ["middle", "side"]


def test_who_begins_to_listen_is_not_told_nobody_before_a_face_could_be_judged(graph, bundle):
    robot = Robot(graph, bundle, face_limit_s=10.0)
    robot.judged()
    assert robot.states[0].modalities == EmotionState.FACE


def test_another_model_takes_over_and_no_state_mixes_their_labels(graph, robot, other_bundle):
    infos = latched(graph)
    assert robot.judged().label == "happy"
    answer = robot.call(SwitchModel, "switch_model", model=str(other_bundle))
    assert (answer.success, answer.message) == (True, "other")
    graph.wait_for(lambda: infos[-1].model_id == "other", "the new model's description")
    # A state of the model before may still be on its way.
    assert robot.judged("other").label == "glad"
    names = {"tiny": ["neutral", "happy", "sad"], "other": ["calm", "glad", "low"]}
    for state in robot.states:
        assert list(state.labels) in ([], names[state.model_id])
        assert state.label in (*names[state.model_id], EmotionState.NOBODY)
    model_ids = [state.model_id for state in robot.states]
    assert model_ids == sorted(model_ids, reverse=True), "tiny, then other, and never back"


@pytest.mark.parametrize(
    "break_it, reason",
    [
        (lambda bundle: (bundle / "fusion.onnx").write_bytes(b""), "SHA-256"),
        (
            lambda bundle: write_tiny_bundle(
                bundle,
                audio={"sample_rate_hz": 8000, "window_s": 0.2, "hop_s": 0.05, "embedding": 1, "tokens": 4},
            ),
            "wants sound of 8000 Hz, expected 16000 Hz",
        ),
    ],
)
def test_model_that_cannot_be_used_leaves_the_present_one_at_work(graph, robot, other_bundle, break_it, reason):
    break_it(other_bundle)
    answer = robot.call(SwitchModel, "switch_model", model=str(other_bundle))
    assert not answer.success
    assert reason in answer.message and answer.message.endswith("tiny stays in use.")
    assert robot.judged("tiny").label == "happy"


@pytest.mark.parametrize("name", ["", "no such model", "x" * 5000, "/proc/1/mem"])
def test_name_of_no_model_is_answered(robot, name):
    answer = robot.call(SwitchModel, "switch_model", model=name)
    assert not answer.success and answer.message.endswith("tiny stays in use.")


def test_paused_nothing_is_published_until_it_goes_on(graph, robot):
    diagnostics = graph.listen_to_diagnostics()
    robot.judged()
    assert robot.call(Pause, "pause", paused=True).success
    graph.wait_for(lambda: "paused" in [status.message for status in diagnostics], "the diagnosis")
    encoded, published = robot.node._stream.counts.faces_encoded, robot.node._states_published
    robot.show(("face_1", 40, float("nan")))
    assert robot.call(Pause, "pause", paused=True).success, "an answer comes after the face"
    graph.wait_for(lambda: len(diagnostics) > 3, "some seconds of diagnoses")
    assert (robot.node._stream.counts.faces_encoded, robot.node._states_published) == (encoded, published)
    assert robot.call(Pause, "pause", paused=False).success
    assert robot.judged().label == "happy"


def test_reset_forgets_everybody(robot):
    robot.judged()
    person = robot.node._stream._people["face_1"]
    assert robot.call(Reset, "reset").success
    assert robot.node._stream._people.get("face_1") is not person, "or another, of an image that was still to come"


def reset(robot, _):
    assert robot.call(Reset, "reset").success


def pause_and_go_on(robot, _):
    assert robot.call(Pause, "pause", paused=True).success
    assert robot.call(Pause, "pause", paused=False).success


def switch_model(robot, other_bundle):
    assert robot.call(SwitchModel, "switch_model", model=str(other_bundle)).success


def pause_and_switch_model(robot, other_bundle):
    pause_and_go_on(robot, other_bundle)
    switch_model(robot, other_bundle)


def begin_anew(robot, _):
    robot.node.trigger_deactivate()
    robot.node.trigger_activate()


def listen_no_more_and_again(robot, _):
    """Nobody else does."""
    listeners = [s for s in robot.graph.node.subscriptions if s.topic_name in ("/emotion/state", "/emotion/states")]
    for listener in listeners:
        robot.graph.node.destroy_subscription(listener)
    robot.graph.wait_for(lambda: not robot.node.is_wanted(), "the end of the subscriptions")
    robot.graph.wait_for(lambda: robot.node._wanted_since_ns is None, "a look of the node")
    robot.graph.listen(EmotionState, "/emotion/state")
    robot.graph.wait_for(robot.node.is_wanted, "the new subscription")


@pytest.mark.parametrize(
    "interrupt", [reset, pause_and_go_on, switch_model, pause_and_switch_model, begin_anew, listen_no_more_and_again]
)
def test_what_was_said_before_an_interruption_is_not_judged(graph, robot, other_bundle, interrupt):
    """It may be another's who has left, and the next windows still hold it."""
    robot.judged()
    before = robot.node.get_clock().now().to_msg()
    interrupt(robot, other_bundle)
    counts = robot.node._stream.counts
    windows, encoded = counts.audio_windows, counts.audio_windows_encoded
    robot.sound(before)
    graph.wait_for(lambda: counts.audio_windows > windows, "the window")
    assert counts.audio_windows_encoded == encoded
    graph.wait_for(
        lambda: robot.sound() or counts.audio_windows_encoded > encoded, "a window with enough of what came after"
    )


def test_what_nobody_looks_at_is_in_no_diagnosis(graph, bundle):
    robot, diagnostics = Robot(graph, bundle), graph.listen_to_diagnostics()
    robot.judged()

    def in_focus():
        return next((pair.value for status in diagnostics[-1:] for pair in status.values if pair.key == "in_focus"), "")

    graph.wait_for(lambda: robot.judged() and in_focus() == "face_1", "a diagnosis of the face")
    for listener in [*graph.node.subscriptions]:
        if listener.topic_name in ("/emotion/state", "/emotion/states"):
            graph.node.destroy_subscription(listener)
    graph.wait_for(lambda: in_focus() == "nobody", "a diagnosis of nobody")


def test_a_face_limit_beyond_what_the_model_looks_at_is_said(graph, bundle, capfd):
    Robot(graph, bundle, face_limit_s=2.0)
    assert "face_limit_s is 2, but the model looks at the last 1 s of a face" in capfd.readouterr().err


def test_reset_tells_nobody_that_the_person_has_left(graph, bundle):
    robot = Robot(graph, bundle, face_limit_s=2.0)
    clock = robot.node.get_clock()

    def wait_s(seconds):
        end = clock.now() + Duration(seconds=seconds)
        graph.wait_for(lambda: clock.now() > end, "moments that a state could be told of")

    robot.judged()
    wait_s(2.1)  # who listens is not new any more
    robot.judged()
    wait_s(0.2)  # no face is under way any more
    assert robot.call(Reset, "reset").success
    already = len(robot.states)
    wait_s(0.3)
    robot.judged()
    assert all(state.modalities == EmotionState.FACE for state in robot.states[already:])


@pytest.mark.parametrize("service_type, name", [(Reset, "reset"), (Pause, "pause")])
def test_inactive_node_says_that_it_is_inactive(robot, service_type, name):
    robot.node.trigger_deactivate()
    answer = robot.call(service_type, name)
    assert not answer.success and "ros2 lifecycle set /emotion_fusion_node activate" in answer.message


def test_model_of_an_inactive_node_can_be_switched(graph, robot, other_bundle):
    robot.node.trigger_deactivate()
    assert robot.call(SwitchModel, "switch_model", model=str(other_bundle)).success
    robot.node.trigger_activate()
    assert robot.judged("other").label == "glad"


def test_voice_is_that_of_the_mouth_that_moves_and_the_state_says_who_speaks(graph, robot):
    def has_come():
        is_open = robot.node.get_clock().now().nanoseconds // 10**8 % 2  # the mouth opens and shuts each 0.1 s
        robot.show(("left", 10, 0.05 * is_open), ("right", 70, 0.02))
        robot.sound()
        by_person = {state.track_id: state for state in robot.everybody[-1].states} if robot.everybody else {}
        return by_person if by_person and by_person["left"].speaking == EmotionState.SPEAKING else None

    people = graph.wait_for(has_come, "the speaker")
    assert people["left"].modalities == EmotionState.FACE | EmotionState.AUDIO
    assert people["right"].modalities == EmotionState.FACE
    assert people["right"].speaking == EmotionState.SILENT
    assert robot.everybody[-1].states[0].track_id == "left", "who speaks is in focus"


def test_face_whose_box_is_none_is_said_and_the_others_are_judged(graph, robot):
    diagnostics = graph.listen_to_diagnostics()

    def has_come():
        robot.show(("nowhere", float("nan"), float("nan")), ("face_1", 40, float("nan")))
        return [state.track_id for state in robot.states if state.modalities]

    assert set(graph.wait_for(has_come, "a state of a face")) == {"face_1"}
    message = graph.wait_for(lambda: errors_of(diagnostics), "the diagnosis")[0]
    assert message.startswith("emotion/faces: A box is") and "expected finite edges" in message


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"sample_rate_hz": 8000}, "has 8000 Hz and the model wants 16000 Hz"),
        ({"samples": to_float_array(np.full_like(LOUD, np.nan))}, "holds NaN or infinite samples"),
    ],
)
def test_window_that_is_refused_is_said_and_the_next_one_is_heard(graph, robot, fields, reason):
    def error():
        robot.sound(**fields)
        diagnosis = robot.node.diagnose()
        return diagnosis.message if diagnosis.level == DiagnosticStatus.ERROR else ""

    message = graph.wait_for(error, "the diagnosis")
    assert message.startswith(f"emotion/audio_window: The audio window {reason}")
    graph.wait_for(lambda: robot.sound() or robot.node._stream.counts.audio_windows_encoded, "a window after it")


def test_while_the_robot_speaks_no_state_has_a_voice(graph, robot):
    counts = robot.node._stream.counts

    def have_come():
        robot.show(("face_1", 40, float("nan")))
        robot.sound(muted=True)
        return counts.audio_windows > 3 and [state for state in robot.states if state.modalities]

    states = graph.wait_for(have_come, "windows and states")
    assert counts.audio_windows_muted == counts.audio_windows and robot.node.diagnose().values["muted"]
    assert {state.modalities for state in states} == {EmotionState.FACE}
    graph.wait_for(lambda: robot.sound() or counts.audio_windows_encoded, "the voice after it")
    assert not robot.node.diagnose().values["muted"]


def test_refused_message_is_no_reason_why_the_node_is_inactive(robot):
    robot.node._use_faces(FaceCropArray(faces=[FaceCrop()]))
    robot.node.trigger_deactivate()
    assert robot.node._diagnose_inactive().level == DiagnosticStatus.OK


def test_people_of_the_scene_before_a_cut_are_judged_no_more(robot):
    robot.judged()
    stamp_ns = robot.node._stream._face_stamp_ns + 1
    assert robot.node._stream.estimate(stamp_ns) != []
    robot.node._use_faces(FaceCropArray(header=Header(stamp=to_stamp(stamp_ns)), scene=1))
    assert robot.node._stream.estimate(stamp_ns) == []


def test_array_of_states_carries_the_newest_of_their_stamps(graph, robot):
    node = robot.node
    graph.wait_for(node._states_publisher.get_subscription_count, "the listener")
    now_ns = node.get_clock().now().nanoseconds
    for age_ns, track_id, area in ((100_000_000, "near", 900.0), (0, "far", 100.0)):
        node._stream.add_faces(now_ns - age_ns, [FaceSample(track_id, GREEN, area, 0.0, float("nan"))])
    node._estimates = node._stream.estimate(now_ns)
    node._publish(now_ns)
    (array,) = graph.wait_for(lambda: [array for array in robot.everybody if array.states], "the states")
    assert [state.track_id for state in array.states] == ["near", "far"]
    assert array.header.stamp == array.states[1].header.stamp != array.states[0].header.stamp


@pytest.mark.parametrize("source, topic", [(Source.FACE, "emotion/faces"), (Source.AUDIO, "emotion/audio_window")])
@pytest.mark.parametrize("delay_s, side", [(3600, "before"), (-3600, "after")])
def test_stamps_of_another_clock_are_said(graph, robot, source, topic, delay_s, side):
    node = robot.node
    graph.wait_for(node.is_wanted, "the listeners")
    node._take(source, (node.get_clock().now() - Duration(seconds=delay_s)).to_msg(), lambda: None)
    diagnosis = node.diagnose()
    told_s = diagnosis.values[f"{source.name.lower()}_delay_s"]
    assert diagnosis.level == DiagnosticStatus.WARN and told_s == pytest.approx(delay_s, abs=10)
    expected = f"{topic} are stamped up to {abs(told_s):.1f} s {side} the present of this node, expected at most"
    assert expected in diagnosis.message
    assert node.diagnose().level == DiagnosticStatus.OK, "nothing more has come"


@pytest.mark.parametrize("source", Source)
def test_lateness_is_measured_by_the_limit_of_the_source(robot, source):
    node, name = robot.node, f"{source.name.lower()}_limit_s"
    node._settings = replace(node._settings, **{name: 2.0})
    (other,) = set(Source) - {source}
    assert node._complain_of_stamps({source: 1.5}) == ""
    assert "expected at most 0.5 s, and are not used" in node._complain_of_stamps({other: 1.5})


def test_stamps_of_another_clock_are_no_matter_while_paused(graph, robot):
    node = robot.node
    graph.wait_for(node.is_wanted, "the listeners")
    node._take(Source.FACE, Time(), lambda: None)
    node._is_paused = True
    node._take(Source.FACE, Time(), lambda: None)
    diagnosis = node.diagnose()
    assert (diagnosis.level, diagnosis.message) == (DiagnosticStatus.OK, "paused")


def test_face_without_a_size_of_its_image_is_said(graph, robot):
    diagnostics = graph.listen_to_diagnostics()
    robot.faces.publish(FaceCropArray(faces=[FaceCrop(width_px=1.0, height_px=1.0)]))

    message = graph.wait_for(lambda: errors_of(diagnostics), "the diagnosis")[0]
    assert "expected its size" in message
    assert robot.judged().label == "happy"


def test_node_that_has_fallen_behind_goes_on_with_the_newest(robot, monkeypatch):
    robot.judged()
    seen, heard = [], []

    def add_faces(stamp_ns, samples, scene):
        seen.extend(sample.track_id for sample in samples)

    def add_audio(stamp_ns, samples, sample_rate_hz, voice_activity, speaking, muted):
        heard.append(round(10 * voice_activity))

    monkeypatch.setattr(robot.node._stream, "add_faces", add_faces)
    monkeypatch.setattr(robot.node._stream, "add_audio", add_audio)
    for number in range(10):  # while the node does nothing
        robot.show((f"face_{number}", 40, float("nan")))
        robot.sound(voice_activity=number / 10)
    for publisher in (robot.faces, robot.windows):
        assert publisher.wait_for_all_acked(Duration(seconds=TIMEOUT_S))
    robot.graph.wait_for(lambda: "face_9" in seen and 9 in heard, "the last ones")
    assert "face_8" not in seen
    assert heard[-3:] == [7, 8, 9] and 5 not in heard
