"""Faces and emotions go to ROS4HRI and come from it. Without hri_msgs, test_hri_msgs.py runs these with its own."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_msgs.msg import EmotionState, EmotionStateArray, FaceCrop, FaceCropArray
from emotion_perception.core.image_messages import image_to_rgb
from emotion_perception.nodes import arrivals
from emotion_perception.nodes.conversions import rgb_to_image, to_stamp
from emotion_perception.nodes.hri_bridge_node import HriBridgeNode
from emotion_perception.nodes.hri_faces_node import HriFacesNode

hri = pytest.importorskip("hri_msgs.msg", reason="hri_msgs is not installed: test_hri_msgs.py builds its own")

RED = np.full((8, 8, 3), (255, 0, 0), np.uint8)


def header(seconds):
    return Header(stamp=to_stamp(round(seconds * 1e9)), frame_id="head")


def faces(seconds, *track_ids):
    """An image of 200x100 pixels with faces that leave it at the left."""
    crops = [
        FaceCrop(
            track_id=track_id,
            score=0.75,
            x_px=-10.0,
            y_px=20.0,
            width_px=60.0,
            height_px=40.0,
            crop=rgb_to_image(RED, header(seconds)),
        )
        for track_id in track_ids
    ]
    return FaceCropArray(header=header(seconds), image_width_px=200, image_height_px=100, faces=crops)


def state(seconds, track_id, label):
    return EmotionState(
        header=header(seconds), track_id=track_id, label=label, confidence=0.5, valence=-0.25, arousal=0.75
    )


@pytest.fixture
def bridge(graph):
    """A bridge that forgets no face, and the means to show it some."""
    graph.start(HriBridgeNode, max_lost_s=60.0)
    return graph.speak(FaceCropArray, "/emotion/faces"), graph.speak(EmotionStateArray, "/emotion/states")


def now_s(graph):
    return graph.node.get_clock().now().nanoseconds * 1e-9


def test_face_is_tracked_and_its_region_is_normalised_and_ends_with_the_image(graph, bridge):
    tracked = graph.listen(hri.IdsList, "/humans/faces/tracked")
    regions = graph.listen(hri.NormalizedRegionOfInterest2D, "/humans/faces/face_1/roi")
    lower_right = graph.listen(hri.NormalizedRegionOfInterest2D, "/humans/faces/face_2/roi")
    show = faces(now_s(graph), "face_1", "face_2")
    show.faces[1].x_px, show.faces[1].y_px = 180.0, 80.0

    def has_come():
        bridge[0].publish(show)
        return tracked and regions and lower_right

    graph.wait_for(has_come, "the face")
    assert tracked[-1].header == show.header and list(tracked[-1].ids) == ["face_1", "face_2"]
    region = regions[-1]
    assert region.header == show.header
    assert (region.xmin, region.ymin, region.xmax, region.ymax, region.c) == pytest.approx((0, 0.2, 0.25, 0.6, 0.75))
    region = lower_right[-1]
    assert (region.xmin, region.ymin, region.xmax, region.ymax) == pytest.approx((0.9, 0.8, 1, 1))


def test_crop_is_published_for_who_wants_it_in_the_order_of_colours_that_libhri_takes_for_granted(graph, bridge):
    crops = graph.listen(Image, "/humans/faces/face_1/cropped")

    def has_come():
        bridge[0].publish(faces(now_s(graph), "face_1"))
        return crops

    graph.wait_for(has_come, "the crop")
    assert crops[-1].encoding == "bgr8" and crops[-1].header.frame_id == "head"
    np.testing.assert_array_equal(image_to_rgb(crops[-1]), RED)


def test_crop_that_is_no_image_is_said_and_the_face_is_tracked(graph):
    node = graph.start(HriBridgeNode, max_lost_s=60.0)
    graph.listen(Image, "/humans/faces/face_1/cropped")
    show = faces(now_s(graph), "face_1")
    show.faces[0].crop.encoding = "16UC1"

    def said():
        node._on_faces(show)
        return node.diagnose().message.startswith("The image has the encoding '16UC1'")

    graph.wait_for(said, "the refusal")
    assert list(node._faces) == ["face_1"]


@pytest.mark.parametrize(
    "word, message_type, remedy",
    [
        ("tracked", hri.IdsList, "end it, or take its faces (faces:=hri, publish_faces false)."),
        ("face_1/expression", hri.Expression, "end one of both."),
    ],
)
def test_another_publisher_is_said_as_long_as_it_is_there(graph, word, message_type, remedy):
    node = graph.start(HriBridgeNode, max_lost_s=60.0)
    node._on_faces(faces(now_s(graph), "face_1"))
    assert node.diagnose().level == DiagnosticStatus.OK
    topic = f"/humans/faces/{word}"
    other = graph.node.create_publisher(message_type, topic, 1)
    graph.wait_for(lambda: node.diagnose().level == DiagnosticStatus.WARN, "the complaint")
    message = f"{graph.node.get_name()} publishes '{topic}', too, expected this node alone; {remedy}"
    assert node.diagnose().message == message
    graph.node.destroy_publisher(other)
    graph.wait_for(lambda: node.diagnose().level == DiagnosticStatus.OK, "its end")


@pytest.mark.parametrize(
    "label, expression", [("scared", "scared"), ("fear", "scared"), ("happy", "happy"), ("calm", "")]
)
def test_emotion_is_named_as_ros4hri_names_it_and_keeps_its_stamp(graph, bridge, label, expression):
    expressions = graph.listen(hri.Expression, "/humans/faces/face_1/expression")
    judged = state(5.0, "face_1", label)

    def has_come():
        bridge[0].publish(faces(now_s(graph), "face_1"))
        bridge[1].publish(EmotionStateArray(states=[judged, state(5.0, "", "sad")]))
        return expressions

    graph.wait_for(has_come, "the expression")
    message = expressions[-1]
    assert message.header == judged.header and message.expression == expression
    assert (message.valence, message.arousal, message.confidence) == (-0.25, 0.75, 0.5)


def test_emotions_of_other_data_sets_have_the_words_of_ros4hri(graph):
    node = graph.start(HriBridgeNode)
    words = {
        "anger": "angry",
        "disgust": "disgusted",
        "fear": "scared",
        "fearful": "scared",
        "happiness": "happy",
        "sadness": "sad",
        "surprise": "surprised",
        **{word: word for word in ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")},
    }
    assert {label: node._to_expression(state(1.0, "face_1", label)).expression for label in words} == words


def test_image_without_a_size_is_said_and_the_next_one_is_taken(graph):
    node = graph.start(HriBridgeNode, max_lost_s=60.0)
    node._on_faces(FaceCropArray(faces=faces(now_s(graph), "face_1").faces))
    assert (diagnosis := node.diagnose()).level == DiagnosticStatus.ERROR
    assert diagnosis.message.startswith("emotion/faces: The faces are those of an image of 0x0; expected its size")
    node._on_faces(faces(now_s(graph), "face_1"))
    assert (diagnosis := node.diagnose()).level == DiagnosticStatus.OK and diagnosis.values["faces"] == 1


def test_bridge_that_is_deactivated_tracks_nobody(graph):
    node = graph.start(HriBridgeNode, max_lost_s=60.0)
    tracked = graph.listen(hri.IdsList, "/humans/faces/tracked", 1)

    def has_come():
        node._on_faces(faces(now_s(graph), "face_1"))
        return tracked and list(tracked[-1].ids) == ["face_1"]

    graph.wait_for(has_come, "the face")
    node.trigger_deactivate()
    graph.wait_for(lambda: not tracked[-1].ids, "its end")
    assert not [publisher for publisher in node.publishers if "face_1" in publisher.topic_name]


def test_lost_face_leaves_no_id_and_no_topic_behind(graph):
    node = graph.start(HriBridgeNode, max_lost_s=0.5)
    publisher = graph.speak(FaceCropArray, "/emotion/faces")
    tracked = graph.listen(hri.IdsList, "/humans/faces/tracked")
    start_s = now_s(graph)

    def has_come():
        publisher.publish(faces(now_s(graph), "face_1"))
        return tracked and list(tracked[-1].ids) == ["face_1"]

    graph.wait_for(has_come, "the face")
    graph.wait_for(lambda: not tracked[-1].ids, "the loss, without any further image")
    assert now_s(graph) - start_s >= 0.5
    assert not [publisher for publisher in node.publishers if "face_1" in publisher.topic_name]


def test_faces_of_the_scene_before_a_cut_are_lost_at_once(graph):
    node = graph.start(HriBridgeNode, max_lost_s=60.0)
    node._on_faces(faces(1.0, "face_1"))
    cut = faces(1.1, "face_2")
    cut.scene = 1
    node._on_faces(cut)
    assert list(node._faces) == ["face_2"]
    kept = node._faces["face_2"]
    node._on_faces(cut)
    assert node._faces["face_2"] is kept, "which is no further cut"
    assert len(node._added_publishers) == 1 + 3, "nothing is kept of who is lost"
    node._on_states(EmotionStateArray(states=[state(1.1, track_id, "sad") for track_id in ("face_2", "face_1")] * 2))
    assert node.diagnose().values == {"faces": 1, "expressions": 2}


def test_face_is_lost_by_when_it_was_seen_last_and_by_a_time_that_was_set_back(graph):
    node = graph.start(HriBridgeNode, max_lost_s=5.0)
    node._on_faces(faces(10.0, "face_1", "face_2"))
    kept = node._faces["face_1"]
    for seconds in (14.0, 18.0):
        node._on_faces(faces(seconds, "face_1"))
    assert list(node._faces) == ["face_1"] and node._faces["face_1"] is kept
    node._on_faces(faces(1.0, "face_3"))
    assert list(node._faces) == ["face_3"]


def test_face_of_a_camera_with_another_clock_is_not_lost_between_two_images(graph):
    node = graph.start(HriBridgeNode, max_lost_s=5.0)
    node._on_faces(faces(now_s(graph) - 100.0, "face_1"))
    before = set(node.publishers)
    node._on_look()
    assert set(node.publishers) == before and any("face_1" in publisher.topic_name for publisher in before)


def test_face_in_the_newest_image_is_tracked_until_the_next_one(graph):
    node = graph.start(HriBridgeNode, max_lost_s=0.0)
    node._on_faces(faces(now_s(graph), "face_1"))
    kept = node._faces["face_1"]
    graph.wait_for(lambda: now_s(graph) * 1e9 > kept.seen_ns + 50_000_000, "the time between two images")
    node._on_look()
    node._on_faces(faces(now_s(graph), "face_1"))
    assert node._faces["face_1"] is kept
    node._on_faces(faces(now_s(graph)))
    assert not node._faces


@pytest.mark.parametrize("ids", [["face_1"], []])
def test_faces_of_ros4hri_are_not_given_back_to_it(graph, ids):
    """hri_faces_node would take them again, without an end."""
    node = graph.start(HriBridgeNode)
    tracked = graph.listen(hri.IdsList, "/humans/faces/tracked")
    given = faces(now_s(graph), *ids)
    given.image_width_px = given.image_height_px = 1
    node._on_faces(given)
    message = "emotion/faces holds the faces of ROS4HRI, which are there already; set publish_faces to false."
    assert node.diagnose().message == message
    node._on_faces(faces(now_s(graph), "face_2"))
    graph.wait_for(lambda: tracked, "what is tracked")
    assert [list(each.ids) for each in tracked] == [["face_2"]]


@pytest.mark.parametrize("track_id", ["", "person-1", "3a", "x" * 300, "{foo}", "{node}", "a/b"])
def test_track_id_that_makes_no_topic_is_said_and_the_others_are_published(graph, track_id):
    node = graph.start(HriBridgeNode, max_lost_s=60.0)
    node._on_faces(faces(now_s(graph), track_id, "face_1"))
    topics = {publisher.topic_name for publisher in node.publishers if "/humans/faces/" in publisher.topic_name}
    assert topics == {
        f"/humans/faces/{name}" for name in ("tracked", "face_1/expression", "face_1/roi", "face_1/cropped")
    }
    message = node.diagnose().message
    if len(track_id) < 300:
        assert f"The face id {track_id!r} makes no topic name; expected letters" in message
    else:
        assert "cannot be the name of a topic; expected at most 247 letters" in message and len(message) < 200


def test_faces_of_hri_face_detect_get_their_expressions_and_nothing_else(graph):
    node = graph.start(HriBridgeNode, publish_faces=False, max_lost_s=60.0, hri_faces_topic="/people/faces")
    graph.speak(FaceCropArray, "/emotion/faces").publish(faces(now_s(graph), "abcde"))

    def topics():
        return {publisher.topic_name for publisher in node.publishers if "/faces" in publisher.topic_name}

    assert graph.wait_for(topics, "the face") == {"/people/faces/abcde/expression"}


def test_faces_of_ros4hri_become_those_of_one_image(graph):
    graph.start(HriFacesNode)
    arrays = graph.listen(FaceCropArray, "/emotion/faces")
    tracked = graph.speak(hri.IdsList, "/humans/faces/tracked", 1)
    tracked.publish(hri.IdsList(header=header(1.0), ids=["one", "two"]))
    regions, crops = [], []
    for face_id in ("one", "two"):
        regions.append(graph.speak(hri.NormalizedRegionOfInterest2D, f"/humans/faces/{face_id}/roi", 1))
        crops.append(graph.speak(Image, f"/humans/faces/{face_id}/cropped", 1))
    bgr = rgb_to_image(RED[..., ::-1], header(2.0))
    bgr.encoding = "bgr8"

    def have_come():
        for publisher in regions:
            publisher.publish(
                hri.NormalizedRegionOfInterest2D(header=header(2.0), xmin=0.25, ymin=0.5, xmax=0.5, ymax=0.75, c=0.5)
            )
        for publisher in crops:
            publisher.publish(bgr)
        return [array for array in arrays if len(array.faces) == 2]

    array = graph.wait_for(have_come, "both faces")[0]
    assert array.header == bgr.header and (array.image_width_px, array.image_height_px) == (1, 1)
    face = array.faces[0]
    assert {face.track_id for face in array.faces} == {"one", "two"}
    assert (face.x_px, face.y_px, face.width_px, face.height_px, face.score) == (0.25, 0.5, 0.25, 0.25, 0.5)
    assert face.crop.encoding == "rgb8" and np.isnan(face.mouth_opening)
    np.testing.assert_array_equal(image_to_rgb(face.crop), RED)

    tracked.publish(hri.IdsList(header=header(3.0)))
    graph.wait_for(lambda: not arrays[-1].faces, "the empty image")
    assert arrays[-1].header == header(3.0)
    graph.wait_for(lambda: not crops[0].get_subscription_count(), "the end of the subscriptions")


def test_crops_that_cannot_be_used_are_no_new_complaint_with_each_new_face(graph, capfd):
    node = graph.start(HriFacesNode)
    graph.listen(FaceCropArray, "/emotion/faces")
    graph.wait_for(node._publisher.get_subscription_count, "the listener")
    image = rgb_to_image(RED, header(1.0))
    image.encoding = "16UC1"
    capfd.readouterr()
    for face_id in ("ada", "bob"):
        node._on_region(face_id, hri.NormalizedRegionOfInterest2D(xmax=0.5, ymax=0.5))
        node._on_cropped(face_id, image)
        node._log(node.diagnose())
    assert capfd.readouterr().err.count("16UC1") == 1


def test_image_of_which_a_crop_is_missing_gives_the_faces_that_came_and_no_former_one(graph):
    node = graph.start(HriFacesNode)
    arrays = graph.listen(FaceCropArray, "/emotion/faces")
    graph.wait_for(node._publisher.get_subscription_count, "the listener")
    node._on_tracked(hri.IdsList(header=header(1.0), ids=["one", "two"]))

    def show(seconds, *face_ids, encoding="rgb8"):
        for face_id in face_ids:
            node._on_region(face_id, hri.NormalizedRegionOfInterest2D(xmax=0.5, ymax=0.5))
            image = rgb_to_image(RED, header(seconds))
            image.encoding = encoding
            node._on_cropped(face_id, image)

    show(2.0, "one", "two")
    show(3.0, "one")
    show(4.0, "one", encoding="16UC1")
    assert node.diagnose().message.startswith("'/humans/faces/one/cropped': The image has the encoding '16UC1'")
    show(5.0, "two", "one")
    graph.wait_for(lambda: arrays and arrays[-1].header == header(5.0), "the last image")
    assert [(array.header, [face.track_id for face in array.faces]) for array in arrays] == [
        (header(2.0), ["one", "two"]),
        (header(3.0), ["one"]),
        (header(5.0), ["two", "one"]),
    ]


def test_face_that_is_missed_but_still_tracked_keeps_the_others_waiting_for_a_moment(graph):
    node = graph.start(HriFacesNode)
    arrays = graph.listen(FaceCropArray, "/emotion/faces")
    graph.wait_for(node._publisher.get_subscription_count, "the listener")
    node._on_tracked(hri.IdsList(header=header(1.0), ids=["one", "two"]))

    def show(seconds, *face_ids):
        for face_id in face_ids:
            node._on_region(face_id, hri.NormalizedRegionOfInterest2D(xmax=0.5, ymax=0.5))
            node._on_cropped(face_id, rgb_to_image(RED, header(seconds)))

    show(2.0, "one", "two")
    show(3.0, "one")
    graph.wait_for(node._patience.is_canceled, "the end of its patience")
    assert node._gathered, "two may still come"
    show(4.0, "one")
    graph.wait_for(lambda: arrays and arrays[-1].header == header(4.0), "the image, as two is missed")
    show(5.0, "one", "two")
    show(6.0, "two")
    show(7.0, "two", "one")
    shown = [("one", "two"), ("one",), ("one",), ("one", "two"), ("two",), ("two", "one")]
    graph.wait_for(lambda: len(arrays) == len(shown), "the images")
    assert [tuple(face.track_id for face in array.faces) for array in arrays] == shown


def test_crop_that_comes_late_is_of_the_same_image(graph):
    node = graph.start(HriFacesNode)
    arrays = graph.listen(FaceCropArray, "/emotion/faces")
    graph.wait_for(node._publisher.get_subscription_count, "the listener")
    node._on_tracked(hri.IdsList(header=header(1.0), ids=["one", "two"]))
    for seconds in (2.0, 3.0):
        for face_id in ("one", "two"):
            node._on_region(face_id, hri.NormalizedRegionOfInterest2D(xmax=0.5, ymax=0.5))
            node._on_cropped(face_id, rgb_to_image(RED, header(seconds)))
            graph.wait_for(node._patience.is_canceled, "the end of its patience")
    graph.wait_for(lambda: arrays and arrays[-1].header == header(3.0), "the images")
    assert [face.track_id for face in arrays[-1].faces] == ["one", "two"]


def test_crop_of_a_new_face_whose_place_is_not_known_yet_takes_no_other_with_it(graph):
    node = graph.start(HriFacesNode)
    arrays = graph.listen(FaceCropArray, "/emotion/faces")
    graph.wait_for(node._publisher.get_subscription_count, "the listener")
    node._on_tracked(hri.IdsList(header=header(1.0), ids=["one", "new"]))
    node._on_region("one", hri.NormalizedRegionOfInterest2D(xmax=0.5, ymax=0.5))
    for face_id in ("one", "new"):
        node._on_cropped(face_id, rgb_to_image(RED, header(2.0)))
    (array,) = graph.wait_for(lambda: arrays, "the image")
    assert [face.track_id for face in array.faces] == ["one"]


def test_tracked_faces_without_crops_are_said(graph, monkeypatch):
    monkeypatch.setattr(arrivals, "SILENCE_LIMIT_S", 0.05)
    node = graph.start(HriFacesNode)
    tracked = graph.speak(hri.IdsList, "/humans/faces/tracked", 1)

    def said():
        tracked.publish(hri.IdsList(header=header(1.0), ids=["one"]))
        node._on_cropped("one", rgb_to_image(RED, header(1.0)))  # but where is it?
        return "/humans/faces/<id>/cropped of the tracked faces" in node.diagnose().message

    graph.wait_for(said, "the diagnosis")
    node._arrivals.refuse("What is tracked is broken.")
    assert node.diagnose().message == "What is tracked is broken."
    node._on_tracked(hri.IdsList(header=header(2.0)))
    assert "cropped" not in node.diagnose().message
    assert len(node._added_subscriptions) == 1, "nothing is kept of who is lost"


def test_face_id_that_makes_no_topic_is_said_and_the_others_are_listened_to(graph):
    node = graph.start(HriFacesNode, hri_faces_topic="/people/faces")
    diagnostics = graph.listen_to_diagnostics()
    tracked = graph.speak(hri.IdsList, "/people/faces/tracked", 1)
    tracked.publish(hri.IdsList(header=header(1.0), ids=["no topic!", "one"]))

    def said():
        return [status.message for status in diagnostics if "'no topic!'" in status.message]

    assert "expected letters, digits and _" in graph.wait_for(said, "the diagnosis")[0]
    assert set(node._subscriptions_of) == {"one"}
    topics = {subscription.topic_name for subscription in node._subscriptions_of["one"]}
    assert topics == {"/people/faces/one/roi", "/people/faces/one/cropped"}
