"""The tracker on made-up boxes: who is who, over time."""

import numpy as np
import pytest

from emotion_perception.core.face_box import Box, FaceDetection
from emotion_perception.core.face_tracker import FaceTracker
from emotion_perception.core.stamps import TIME_JUMP_S

FRAME_S = 1 / 30


def face(x_px: float, y_px: float = 200.0, size_px: float = 100.0, score: float = 0.9) -> FaceDetection:
    return FaceDetection(Box(x_px - size_px / 2, y_px - size_px / 2, size_px, size_px), score)


def make_tracker(max_lost_s: float = 1.0) -> FaceTracker:
    return FaceTracker(max_lost_s=max_lost_s, max_center_distance=1.0, duplicate_overlap=0.6)


def ids(tracker: FaceTracker, detections: list[FaceDetection], stamp_s: float) -> list[str]:
    return [face.track_id for face in tracker.update(detections, stamp_s)]


def test_names_faces_in_the_order_of_their_score():
    faces = make_tracker().update([face(100, score=0.6), face(400, score=0.8)], 0.0)
    assert [(face.track_id, face.score) for face in faces] == [("face_1", 0.8), ("face_2", 0.6)]


def test_gives_the_boxes_of_this_image():
    tracker = make_tracker()
    tracker.update([face(100)], 0.0)
    (tracked,) = tracker.update([face(110)], FRAME_S)
    assert tracked.box == face(110).box


def test_keeps_the_id_of_a_trembling_moving_face():
    tracker, random = make_tracker(), np.random.default_rng(0)
    for frame in range(90):
        x_px = 100 + 6 * frame + random.normal(0, 3)
        assert ids(tracker, [face(x_px, size_px=100 + random.normal(0, 4))], frame * FRAME_S) == ["face_1"]


def test_keeps_the_id_of_a_face_that_moves_by_its_own_size_each_frame():
    tracker = make_tracker()
    for frame in range(20):
        assert ids(tracker, [face(100 + 90 * frame)], frame * 0.2) == ["face_1"]


def test_a_face_keeps_its_id_when_it_returns_soon_where_it_left():
    tracker = make_tracker(max_lost_s=1.0)
    for frame in range(10):
        tracker.update([face(300 + 5 * frame)], frame * FRAME_S)
    left_s = 9 * FRAME_S
    assert ids(tracker, [], left_s + 0.5) == []
    assert ids(tracker, [face(345)], left_s + 0.95) == ["face_1"]


def test_a_face_keeps_its_id_when_it_moves_on_unseen():
    tracker = make_tracker(max_lost_s=1.0)
    for frame in range(10):
        tracker.update([face(100 + 10 * frame)], frame * FRAME_S)
    for frame in range(10, 30):
        assert ids(tracker, [], frame * FRAME_S) == []
    assert ids(tracker, [face(100 + 10 * 30)], 30 * FRAME_S) == ["face_1"]


def test_a_face_that_was_seen_twice_is_expected_where_it_moves_to():
    tracker = make_tracker()
    for frame in range(2):
        tracker.update([face(100 + 10 * frame)], frame * FRAME_S)
    tracker.update([], 10 * FRAME_S)
    assert ids(tracker, [face(100 + 10 * 20)], 20 * FRAME_S) == ["face_1"]


def test_two_images_in_a_moment_do_not_throw_a_trembling_face_away():
    tracker = make_tracker()
    tracker.update([face(300)], 0.0)
    tracker.update([face(303)], 0.0015)
    assert ids(tracker, [face(300)], 2 * FRAME_S) == ["face_1"]


@pytest.mark.parametrize("interval_s", [FRAME_S, 0.2, 0.9])
def test_a_face_in_every_image_keeps_its_id_however_soon_a_lost_one_is_given_up(interval_s):
    tracker = make_tracker(max_lost_s=0.0)
    for image in range(5):
        assert ids(tracker, [face(300)], image * interval_s) == ["face_1"]
    tracker.update([], 5 * interval_s)
    assert ids(tracker, [face(300)], 6 * interval_s) == ["face_2"]


def test_a_face_that_was_there_before_the_camera_stood_still_for_long_is_a_new_one():
    tracker = make_tracker(max_lost_s=0.0)
    tracker.update([face(300)], 0.0)
    assert ids(tracker, [face(300)], 1.05) == ["face_2"]


def test_a_face_that_was_away_for_long_is_a_new_one():
    tracker = make_tracker(max_lost_s=1.0)
    tracker.update([face(300)], 0.0)
    assert ids(tracker, [face(300)], 1.05) == ["face_2"]


def test_a_face_elsewhere_is_a_new_one():
    tracker = make_tracker()
    tracker.update([face(100)], 0.0)
    assert ids(tracker, [face(400)], FRAME_S) == ["face_2"]


@pytest.mark.parametrize(("before_px", "after_px"), [(200, 60), (60, 200)])
def test_a_face_of_another_size_is_a_new_one(before_px, after_px):
    tracker = make_tracker()
    tracker.update([face(300, size_px=before_px)], 0.0)
    assert ids(tracker, [face(300, size_px=after_px)], FRAME_S) == ["face_2"]


@pytest.mark.parametrize(("distance_px", "name"), [(115, "face_1"), (135, "face_2")])
def test_how_far_a_face_may_move_is_told_by_both_its_sizes(distance_px, name):
    tracker = make_tracker()
    tracker.update([face(300, size_px=100)], 0.0)
    assert ids(tracker, [face(300 + distance_px, size_px=150)], FRAME_S) == [name], "its mean size is 125 px"


def test_two_crossing_faces_keep_their_ids():
    tracker = make_tracker()
    for frame in range(60):
        left_to_right, right_to_left = face(100 + 8 * frame, 200), face(572 - 8 * frame, 215, score=0.8)
        detections = [left_to_right, right_to_left]
        if abs(left_to_right.box.x_px - right_to_left.box.x_px) < 60:  # one hides the other
            detections = [left_to_right]
        names = ids(tracker, detections, frame * FRAME_S)
        assert names == ["face_1", "face_2"][: len(detections)]


def test_a_small_face_keeps_its_id_where_it_hides_a_large_one():
    tracker, large = make_tracker(), face(300, size_px=150)
    for x_px in (60, 140, 220):
        names = ids(tracker, [large, face(x_px, size_px=80, score=0.8)], x_px / 800)
        assert names == ["face_1", "face_2"]
    # It is nearer to the middle of the large one than to where it is expected, but covers only a part of that.
    assert ids(tracker, [face(299, size_px=80)], 300 / 800) == ["face_2"]


def test_the_whole_assignment_counts_and_not_the_nearest_pair():
    tracker = make_tracker()
    tracker.update([face(100, score=0.9), face(180, score=0.8)], 0.0)
    # The camera turned: everything moved by 60 px, so the first face is now nearest to where the second was.
    assert ids(tracker, [face(160, score=0.9), face(240, score=0.8)], 0.1) == ["face_1", "face_2"]


def test_a_double_detection_is_one_face():
    tracker = make_tracker()
    doubled = [face(100, score=0.7), face(106, score=0.9), face(102, size_px=60, score=0.6)]
    (tracked,) = tracker.update(doubled, 0.0)
    assert (tracked.track_id, tracked.score) == ("face_1", 0.9)


def test_faces_side_by_side_are_two():
    assert len(make_tracker().update([face(100), face(160)], 0.0)) == 2


def test_time_that_goes_backwards_ends_the_tracks():
    tracker = make_tracker()
    tracker.update([face(100)], 10.0)
    assert ids(tracker, [face(100)], 3.0) == ["face_2"]
    assert ids(tracker, [face(100)], 3.0 + FRAME_S) == ["face_2"]


@pytest.mark.parametrize("late_s", [0.001, TIME_JUMP_S])
def test_an_image_that_was_overtaken_is_left_out_and_changes_no_id(late_s):
    tracker = make_tracker()
    tracker.update([face(100)], 10.0)
    assert tracker.is_late(10.0 - late_s)
    assert ids(tracker, [face(100), face(400)], 10.0 - late_s) == []
    assert ids(tracker, [face(100)], 10.0 + FRAME_S) == ["face_1"]


def test_images_without_stamps_leave_no_track_behind():
    tracker = make_tracker()
    for place in range(100):
        tracker.update([face(1000 * place)], 0.0)
    assert len(tracker._tracks) == 1


def test_an_image_with_the_same_stamp_changes_no_id():
    tracker = make_tracker()
    assert ids(tracker, [face(100)], 1.0) == ids(tracker, [face(101)], 1.0) == ["face_1"]


def test_trackers_with_different_prefixes_share_no_names():
    trackers = [FaceTracker(1.0, 1.0, 0.6, name_prefix=prefix) for prefix in ("left", "right")]
    assert [ids(tracker, [face(100)], 0.0) for tracker in trackers] == [["left_1"], ["right_1"]]


def test_names_are_not_used_again_after_a_reset():
    tracker = make_tracker()
    tracker.update([face(100), face(300)], 0.0)
    tracker.reset()
    assert ids(tracker, [face(100)], FRAME_S) == ["face_3"]


def test_no_image_is_late_after_a_reset():
    tracker = make_tracker()
    tracker.update([face(100)], 10.0)
    tracker.reset()
    assert ids(tracker, [face(100)], 9.9) == ["face_2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1.0, 0.5), "max_lost_s is -1.0"),
        ((float("nan"), 1.0, 0.5), "max_lost_s is nan"),
        ((1.0, 0.0, 0.5), "max_center_distance is 0.0"),
        ((1.0, 1.0, 1.5), "duplicate_overlap is 1.5"),
    ],
)
def test_refuses_impossible_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        FaceTracker(*arguments)


def test_a_face_that_takes_the_place_of_one_who_left_keeps_its_id():
    tracker = make_tracker()
    for frame in range(5):  # two walk one behind the other
        in_front, behind = face(190 + 90 * frame, score=0.9), face(100 + 90 * frame, score=0.8)
        assert ids(tracker, [in_front, behind], frame * 0.2) == ["face_1", "face_2"]
    assert ids(tracker, [face(100 + 90 * 5)], 5 * 0.2) == ["face_2"], "the first one has left the image"


def test_three_images_with_the_same_stamp_change_no_id():
    tracker = make_tracker()
    assert [ids(tracker, [face(100 + step)], 1.0) for step in range(3)] == [["face_1"]] * 3


def test_velocity_of_a_face_is_that_of_the_last_moments():
    tracker = make_tracker()
    for frame in range(120):  # stands for three seconds, then walks
        tracker.update([face(100 + 10 * max(frame - 90, 0))], frame * FRAME_S)
    tracker.update([], 120 * FRAME_S)
    assert ids(tracker, [face(100 + 10 * 50)], 140 * FRAME_S) == ["face_1"]
