"""Streaming fusion: once encoded, masked when old, cleared when time jumps back."""

import math
from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
import pytest

from emotion_perception.core import emotion_stream
from emotion_perception.core.active_speaker import SpeakerSettings, Speech
from emotion_perception.core.emotion_stream import VOICE_ONLY, EmotionStream, StreamSettings
from emotion_perception.core.model_bundle import load_bundle
from emotion_perception.core.moments import Moments, Source
from emotion_perception.core.person import FaceSample
from emotion_perception.core.person_in_focus import FocusSettings
from emotion_perception.core.probability_smoothing import SmoothingSettings
from emotion_perception.testing.tiny_bundle import SIDE_PX, WINDOW_SAMPLES, write_tiny_bundle

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
LOUD = np.full(WINDOW_SAMPLES, 0.5, np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture
def settings():
    return StreamSettings(
        face_limit_s=0.5,
        audio_limit_s=0.5,
        min_contrast=0.0,
        min_voice_activity=0.2,
        uncertain_below=0.6,
        speaker=SpeakerSettings(movement_enter=0.13, movement_leave=0.08),
        focus=FocusSettings(takeover_ratio=1.5, speaking_ratio=4.0, center_ratio=2.0),
        smoothing=SmoothingSettings(time_constant_s=0.0, enter=0.5, leave=0.3),
    )


@pytest.fixture
def stream(bundle, settings):
    return EmotionStream(bundle, settings)


@pytest.fixture
def heard(bundle, monkeypatch):
    """The windows of sound that were encoded."""
    windows, encode_audio = [], bundle.encode_audio
    monkeypatch.setattr(bundle, "encode_audio", lambda samples: windows.append(samples) or encode_audio(samples))
    return windows


def at(seconds):
    return START + round(seconds * SECOND)


def face(colour, track_id="face_1", area=100.0, side=SIDE_PX, mouth_opening=math.nan):
    return FaceSample(track_id, np.full((side, side, 3), colour, np.uint8), area, 0.0, mouth_opening)


def hear(stream, seconds, samples=LOUD, sample_rate_hz=16000, voice_activity=0.9, speaking=True, muted=False):
    stream.add_audio(at(seconds), samples, sample_rate_hz, voice_activity, speaking, muted)


def test_nobody_gives_no_estimate(stream):
    assert stream.estimate(at(0)) == []


def test_face_alone_is_judged_and_the_voice_is_not_invented(stream):
    stream.add_faces(at(0), [face(GREEN)])
    (estimate,) = stream.estimate(at(0.1))
    assert (estimate.label, estimate.track_id) == ("happy", "face_1")
    assert (estimate.face_weight, estimate.audio_weight) == (1, 0)
    assert estimate.face_age_s == pytest.approx(0.1)
    assert math.isnan(estimate.audio_age_s) and math.isnan(estimate.skew_s)


def test_voice_alone_is_judged_without_a_track(stream):
    hear(stream, 0)
    (estimate,) = stream.estimate(at(0.1))
    assert (estimate.label, estimate.track_id) == ("sad", VOICE_ONLY)
    assert (estimate.face_weight, estimate.audio_weight) == (0, 1)


def test_face_and_voice_are_fused_with_their_skew(stream):
    stream.add_faces(at(0.30), [face(RED)])
    hear(stream, 0.25)
    (estimate,) = stream.estimate(at(0.4))
    assert (estimate.face_weight, estimate.audio_weight) == (0.5, 0.5)
    assert estimate.skew_s == pytest.approx(-0.05)
    assert estimate.probabilities[2] > estimate.probabilities[1]  # the voice adds to sad


def test_stamp_is_exactly_that_of_the_newest_sample(stream):
    stamp = START + 123_456_789
    stream.add_audio(stamp - 1, LOUD, 16000, voice_activity=0.9, speaking=True, muted=False)
    stream.add_faces(stamp, [face(RED)])
    assert stream.estimate(stamp + SECOND // 10)[0].stamp_ns == stamp


def test_silence_is_not_judged_and_not_encoded(stream):
    hear(stream, 0, voice_activity=0.1)
    assert stream.estimate(at(0.1)) == []
    assert stream.counts.audio_windows_encoded == 0


def test_voice_that_falls_silent_is_no_longer_used(stream):
    hear(stream, 0)
    hear(stream, 0.1, voice_activity=0.0)
    assert stream.estimate(at(0.1)) == []


def test_modalities_older_than_their_limit_are_masked(stream):
    hear(stream, 0)
    stream.add_faces(at(0.3), [face(RED)])
    assert stream.estimate(at(0.4))[0].audio_weight > 0
    assert stream.estimate(at(0.6))[0].audio_weight == 0
    assert stream.estimate(at(0.9)) == []


def test_stamps_from_the_future_are_masked_like_old_ones(stream):
    stream.add_faces(at(10), [face(RED)])
    assert stream.estimate(at(0)) == []


def test_every_face_and_window_is_encoded_once(stream):
    for frame in range(30):
        stream.add_faces(at(frame / 30), [face(RED), face(GREEN, "face_2")])
        if frame % 3 == 0:
            hear(stream, frame / 30)
            stream.estimate(at(frame / 30))
    assert (stream.counts.faces, stream.counts.faces_encoded) == (60, 60)
    assert (stream.counts.audio_windows, stream.counts.audio_windows_encoded) == (10, 10)


def test_a_face_in_the_dark_is_not_judged(bundle, settings):
    stream = EmotionStream(bundle, replace(settings, min_contrast=5.0))
    crop = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    crop[: SIDE_PX // 2] = 8  # half of the face stands out by 8 grey levels: their deviation is 4
    dark, lit = FaceSample("face_1", crop, 100.0, 0.0, math.nan), FaceSample("face_2", 2 * crop, 100.0, 0.0, math.nan)
    stream.add_faces(at(0), [dark, lit])
    assert [estimate.track_id for estimate in stream.estimate(at(0))] == ["face_2"]
    assert (stream.counts.faces_encoded, stream.counts.faces_too_dark) == (1, 1)


def test_frames_of_a_bin_are_averaged_at_any_frame_rate(stream):
    for stamp in (0.80, 0.85, 0.90):
        stream.add_faces(at(stamp), [face(RED)])
    stream.add_faces(at(0.6), [])  # late: changes nothing
    stream.add_faces(at(0.95), [face(GREEN)])
    probabilities = stream.estimate(at(0.95))[0].probabilities
    # One bin of 0.25 s: three red frames and a green one; the logits are four times the mean colour.
    expected = np.exp([3.0, 1.0, 0.0])
    np.testing.assert_allclose(probabilities, expected / expected.sum(), rtol=1e-5)


def test_older_bins_keep_their_own_place(stream):
    stream.add_faces(at(0.1), [face(RED)])
    for stamp in (0.90, 0.92, 0.94):
        stream.add_faces(at(stamp), [face(GREEN)])
    probabilities = stream.estimate(at(0.95))[0].probabilities
    # Two bins, red and green, that count the same whatever the number of frames in them.
    assert probabilities[0] == pytest.approx(probabilities[1], rel=1e-5)


def test_person_in_focus_stands_first_and_alone_has_the_voice(stream):
    stream.add_faces(at(0), [face(RED, "far", 50.0), face(GREEN, "near", 500.0)])
    hear(stream, 0)
    near, far = stream.estimate(at(0.1))
    assert (near.track_id, far.track_id) == ("near", "far")
    assert near.audio_weight > 0 and far.audio_weight == 0


def test_person_who_left_is_forgotten_and_comes_back_fresh(stream):
    stream.add_faces(at(0), [face(BLUE)])
    assert stream.estimate(at(0.1))[0].label == "sad"
    assert stream.estimate(at(3)) == []
    stream.add_faces(at(3.1), [face(GREEN)])
    assert stream.estimate(at(3.1))[0].label == "happy"


def test_whom_another_scene_does_not_show_is_gone_at_once(stream):
    stream.add_faces(at(0), [face(GREEN, "a")])
    hear(stream, 0)
    assert [estimate.track_id for estimate in stream.estimate(at(0))] == ["a"]
    stream.add_faces(at(0.05), [face(RED, "b")], scene=1)
    hear(stream, 0.1)
    (estimate,) = stream.estimate(at(0.1))
    assert (estimate.track_id, estimate.audio_weight) == ("b", 0), "the words were another's"
    stream.add_faces(at(0.15), [], scene=2)
    assert stream.estimate(at(0.2)) == []


def test_whom_another_scene_does_not_show_is_gone_though_its_first_image_was_lost(stream):
    stream.add_faces(at(0), [face(GREEN, "a")], scene=1)
    stream.add_faces(at(0.1), [face(RED, "b")], scene=2)  # not the first one, which was lost
    stream.add_faces(at(0.15), [face(BLUE, "c")], scene=2)
    assert {estimate.track_id for estimate in stream.estimate(at(0.2))} == {"b", "c"}


def test_low_confidence_is_uncertain(stream):
    stream.add_faces(at(0), [face((90, 85, 80))])
    estimate = stream.estimate(at(0.1))[0]
    assert estimate.confidence < 0.6 and estimate.uncertain


def test_without_a_limit_of_the_user_that_of_the_model_counts(bundle, stream):
    hesitant = face((90, 85, 80))
    stream.add_faces(at(0), [hesitant])
    confidence = stream.estimate(at(0.1))[0].confidence
    of_model = EmotionStream(bundle, replace(stream._settings, uncertain_below=0.0))
    of_model.add_faces(at(0), [hesitant])
    assert confidence < bundle.calibration["face"]["uncertain_below"] and of_model.estimate(at(0.1))[0].uncertain
    of_user = EmotionStream(bundle, replace(stream._settings, uncertain_below=0.9 * confidence))
    of_user.add_faces(at(0), [hesitant])
    assert not of_user.estimate(at(0.1))[0].uncertain


def test_valence_and_arousal_follow_the_distribution(stream):
    stream.add_faces(at(0), [face(GREEN)])
    estimate = stream.estimate(at(0.1))[0]
    happy, sad = estimate.probabilities[1], estimate.probabilities[2]
    assert estimate.valence == pytest.approx(happy - sad)
    assert estimate.arousal == pytest.approx(0.5 * (happy - sad))


@pytest.mark.parametrize("late_s", [0.0, 0.1, 0.4])
def test_late_or_repeated_image_is_left_out(stream, late_s):
    stream.add_faces(at(1), [face(RED)])
    stream.add_faces(at(1 - late_s), [face(GREEN)])
    assert stream.estimate(at(1))[0].label == "neutral"
    assert (stream.counts.late_samples, stream.counts.faces_encoded) == (1, 1)


def test_time_jumping_back_clears_everything_and_goes_on(stream):
    stream.add_faces(at(100), [face(BLUE)])
    hear(stream, 100)
    stream.estimate(at(100))
    stream.add_faces(at(0), [face(GREEN, "face_2")])
    (estimate,) = stream.estimate(at(0.1))
    assert (estimate.track_id, estimate.label, estimate.audio_weight) == ("face_2", "happy", 0)
    assert stream.counts.time_jumps == 1


def test_clock_jumping_back_clears_everything(stream):
    stream.add_faces(at(100), [face(BLUE)])
    stream.estimate(at(100))
    assert stream.estimate(at(0)) == []
    assert stream.counts.time_jumps == 1


def test_crop_of_another_size_is_scaled(stream):
    stream.add_faces(at(0), [face(GREEN, side=96), face(GREEN, "small", side=5)])
    assert [estimate.label for estimate in stream.estimate(at(0))] == ["happy", "happy"]


def test_short_window_is_filled_with_silence_and_long_one_is_cut_to_its_newest_part(stream):
    hear(stream, 0, LOUD[:800])
    half = stream.estimate(at(0))[0].probabilities[2]
    hear(stream, 0.1, np.concatenate([np.zeros(5000, np.float32), LOUD]))
    assert stream.estimate(at(0.1))[0].probabilities[2] > half


def test_of_a_longer_window_the_end_must_hold_a_voice(stream):
    long = np.concatenate([LOUD] * 4 + [np.zeros(WINDOW_SAMPLES, np.float32)])
    hear(stream, 0, long, speaking=False)
    assert stream.estimate(at(0)) == []
    hear(stream, 0.1, np.concatenate([LOUD] * 5), speaking=True)
    assert [estimate.track_id for estimate in stream.estimate(at(0.1))] == [VOICE_ONLY]


def test_audio_of_another_rate_is_refused(stream):
    with pytest.raises(ValueError, match="8000 Hz and the model wants 16000 Hz"):
        hear(stream, 0, sample_rate_hz=8000)


def test_audio_with_nan_is_refused_and_masks_nothing_else(stream):
    stream.add_faces(at(0), [face(GREEN)])
    with pytest.raises(ValueError, match="NaN"):
        hear(stream, 0, np.full(WINDOW_SAMPLES, np.nan, np.float32))
    assert stream.estimate(at(0))[0].label == "happy"


def test_voice_without_a_face_begins_anew_after_that_of_a_face(bundle, settings):
    settings = replace(settings, smoothing=SmoothingSettings(time_constant_s=10.0, enter=0.5, leave=0.3))
    stream, fresh = EmotionStream(bundle, settings), EmotionStream(bundle, settings)
    hear(stream, 0, 0.01 * LOUD)
    assert stream.estimate(at(0))[0].probabilities[2] < 0.4
    stream.add_faces(at(0.1), [face(GREEN)])
    assert weights_of_voice(stream, 0.1)["face_1"] > 0
    for listener in (stream, fresh):
        hear(listener, 0.7)
    np.testing.assert_array_equal(*[listener.estimate(at(0.7))[0].probabilities for listener in (stream, fresh)])


def test_voice_is_not_used_while_the_robot_speaks(stream):
    stream.add_faces(at(0), [face(GREEN)])
    hear(stream, 0.0)
    assert stream.estimate(at(0))[0].audio_weight > 0
    hear(stream, 0.1, muted=True)
    (estimate,) = stream.estimate(at(0.1))
    assert (estimate.face_weight, estimate.audio_weight) == (1, 0)
    assert estimate.speech == Speech.UNKNOWN
    assert (stream.counts.audio_windows_encoded, stream.counts.audio_windows_muted) == (1, 1)
    hear(stream, 0.2)
    assert stream.estimate(at(0.2))[0].audio_weight > 0


def test_whoever_was_silent_may_speak_unheard_while_the_robot_does(stream):
    stream.add_faces(at(0), [face(GREEN)])
    hear(stream, 0.0, speaking=False)
    assert stream.estimate(at(0))[0].speech == Speech.SILENT
    hear(stream, 0.1, muted=True)
    assert stream.estimate(at(0.1))[0].speech == Speech.UNKNOWN


def converse(stream, seconds, moving=(), still=(), speaking=True):
    """A second and a half in which mouths move or stand still, at 20 images a second; the estimates at its end."""
    for image in range(30):
        moment_s = seconds + image / 20
        openings = {**dict.fromkeys(moving, 0.05 if image // 2 % 2 else 0.1), **dict.fromkeys(still, 0.02)}
        stream.add_faces(
            at(moment_s),
            [face(GREEN, track_id, mouth_opening=opening) for track_id, opening in openings.items()],
        )
        if image % 2 == 0:
            hear(stream, moment_s, speaking=speaking)
        else:
            estimates = stream.estimate(at(moment_s))
    return {estimate.track_id: estimate for estimate in estimates}


def with_voice(estimates):
    return [track_id for track_id, estimate in estimates.items() if estimate.audio_weight > 0]


def test_voice_goes_to_the_one_whose_mouth_moves_and_brings_that_person_into_focus(stream):
    estimates = converse(stream, 0, moving=["b"], still=["a", "c"])
    assert with_voice(estimates) == ["b"] and next(iter(estimates)) == "b"
    assert {track_id: estimate.speech for track_id, estimate in estimates.items()} == {
        "a": Speech.SILENT,
        "b": Speech.SPEAKING,
        "c": Speech.SILENT,
    }
    estimates = converse(stream, 1.5, moving=["c"], still=["a", "b"])
    assert with_voice(estimates) == ["c"] and next(iter(estimates)) == "c"


def test_words_of_the_former_speaker_are_not_in_the_window_of_the_new_one(stream, heard, monkeypatch):
    monkeypatch.setattr(emotion_stream, "SPEAKER_DELAY_NS", 0)
    converse(stream, 0, moving=["a"], still=["b"])
    assert all(window.all() for window in heard), "the first speaker has no one before"
    heard.clear()
    converse(stream, 1.5, moving=["b"], still=["a"])
    # The tiny model's window is 0.1 s long; the change is noticed 0.05 s after a window.
    own_samples = [np.count_nonzero(window) for window in heard]
    assert own_samples.count(WINDOW_SAMPLES // 2) == 1 and set(own_samples) == {WINDOW_SAMPLES, WINDOW_SAMPLES // 2}
    (first,) = (window for window in heard if not window.all())
    assert first[WINDOW_SAMPLES // 2 :].all(), "the newer half is kept"


def test_words_that_a_new_speaker_says_before_being_noticed_are_kept(stream, heard):
    converse(stream, 0, moving=["a"], still=["b"])
    assert with_voice(converse(stream, 1.5, moving=["b"], still=["a"])) == ["b"]
    assert len(heard) == 30 and all(window.all() for window in heard)


def test_voice_stays_with_its_owner_while_it_is_in_the_window(stream):
    converse(stream, 0, moving=["a"], still=["b"])
    estimates = converse(stream, 1.5, still=["a", "b"], speaking=False)
    assert with_voice(estimates) == ["a"]
    assert {estimate.speech for estimate in estimates.values()} == {Speech.SILENT}


def test_voice_with_which_no_mouth_moves_is_that_of_somebody_unseen(stream):
    estimates = converse(stream, 0, still=["a", "b"])
    assert with_voice(estimates) == [VOICE_ONLY]
    assert list(estimates)[-1] == VOICE_ONLY, "in focus is who can be seen"
    assert estimates[VOICE_ONLY].speech == Speech.SPEAKING


def test_voice_of_one_who_left_is_given_to_nobody_else(stream):
    converse(stream, 0, moving=["a"], still=["b"])
    for image in range(10):
        stream.add_faces(at(1.5 + image / 20), [face(GREEN, "b", mouth_opening=0.02)])
    hear(stream, 1.95, speaking=False)
    estimates = {estimate.track_id: estimate for estimate in stream.estimate(at(1.96))}
    assert list(estimates) == ["b", VOICE_ONLY] and with_voice(estimates) == [VOICE_ONLY]


def weights_of_voice(stream, seconds):
    """By track id, of the estimates at that time."""
    return {estimate.track_id: estimate.audio_weight for estimate in stream.estimate(at(seconds))}


def test_words_of_one_who_left_are_not_those_of_the_next_face(stream):
    """Also where no mouth is measured, so that the voice goes to the one in focus. The model's window is 0.1 s long."""
    stream.add_faces(at(0), [face(GREEN, "a")])
    hear(stream, 0.45)
    assert weights_of_voice(stream, 0.49)["a"] > 0, "is there, though not seen for a while"
    stream.add_faces(at(0.52), [face(GREEN, "b")])
    hear(stream, 0.52)
    assert weights_of_voice(stream, 0.52) == {"b": 0}
    hear(stream, 0.55, voice_activity=0.8, speaking=False)
    assert weights_of_voice(stream, 0.55) == {"b": 0}, "all of the voice is the former one's"
    hear(stream, 0.6)
    assert weights_of_voice(stream, 0.6)["b"] > 0


def test_silence_before_takes_nothing_from_words_that_are_ones_own(stream):
    hear(stream, 0.9, voice_activity=0.0, speaking=False)
    stream.forget_sound(at(1.0))
    hear(stream, 1.04, voice_activity=0.4)
    assert stream.estimate(at(1.04)), "all of the voice is in the own 0.04 s"


def test_voice_is_not_given_to_a_mouth_at_rest_while_another_may_be_speaking(stream):
    for image in range(20):
        hidden = face(GREEN, "b", area=1.0)  # its mouth is
        stream.add_faces(at(image / 20), [face(GREEN, "a", mouth_opening=0.02), hidden])
        hear(stream, image / 20)
        estimates = {estimate.track_id: estimate for estimate in stream.estimate(at(image / 20))}
    assert {track_id: estimate.speech for track_id, estimate in estimates.items()} == {
        "a": Speech.SILENT,
        "b": Speech.UNKNOWN,
    }
    assert with_voice(estimates) == []


def test_one_who_steps_before_the_speaker_does_not_get_the_words_from_before(stream):
    """Though the speaker was seen a moment ago. The model's window is 0.1 s long."""
    stream.add_faces(at(0), [face(GREEN, "a")])
    hear(stream, 0)
    assert weights_of_voice(stream, 0)["a"] > 0
    stream.add_faces(at(0.05), [face(GREEN, "b", area=900.0)])
    hear(stream, 0.05)
    assert weights_of_voice(stream, 0.05) == {"a": 0, "b": 0}
    hear(stream, 0.15)
    assert weights_of_voice(stream, 0.15)["b"] > 0


def test_faces_that_come_one_by_one_pass_the_voice_on_whole(stream, heard):
    """Each in an image of its own, as ROS4HRI has them: that the newest one lacks the former speaker means nothing."""
    for step in range(4):
        now_s = step * 0.02
        far, near = face(GREEN, "a", area=900.0 if step < 2 else 100.0), face(GREEN, "b", area=200.0)
        stream.add_faces(at(now_s - 0.01), [far])
        stream.add_faces(at(now_s), [near])
        hear(stream, now_s)
        weights = weights_of_voice(stream, now_s)
    assert weights["b"] > 0 and heard[-1].all()


@pytest.mark.parametrize(("gap_s", "is_heard"), [(0.05, False), (0.09, False), (0.11, True)])
def test_words_of_one_who_left_are_kept_from_the_next_face_as_long_as_they_are_in_the_window(stream, gap_s, is_heard):
    stream.add_faces(at(0), [face(GREEN, "a")])
    hear(stream, 0.49)
    assert weights_of_voice(stream, 0.49)["a"] > 0
    now_s = 0.49 + gap_s
    stream.add_faces(at(now_s), [face(GREEN, "b")])
    hear(stream, now_s)
    assert (weights_of_voice(stream, now_s)["b"] > 0) is is_heard


def test_windows_that_come_later_still_hold_forgotten_sound_which_is_nobodys(stream):
    hear(stream, 0)
    assert stream.estimate(at(0))
    stream.forget_sound(at(0.01))
    assert stream.estimate(at(0.01)) == []
    hear(stream, 0.05, voice_activity=0.6, speaking=False)
    assert stream.estimate(at(0.05)) == [], "the voice is from before"
    hear(stream, 0.1)
    assert stream.estimate(at(0.1))


def test_forgotten_sound_stays_forgotten_when_another_begins_to_speak(stream, heard):
    converse(stream, 0, moving=["a"], still=["b"])
    for image in range(20):  # b speaks now, and nothing is judged meanwhile
        openings = {"a": 0.02, "b": 0.05 if image // 2 % 2 else 0.1}
        stream.add_faces(at(1.5 + image / 20), [face(GREEN, each, mouth_opening=openings[each]) for each in "ab"])
        hear(stream, 1.5 + image / 20)
    heard.clear()
    stream.forget_sound(at(2.45))
    assert {estimate.track_id: estimate.speech for estimate in stream.estimate(at(2.46))}["b"] == Speech.SPEAKING
    hear(stream, 2.5)
    assert [np.count_nonzero(window) for window in heard] == [WINDOW_SAMPLES // 2]


def test_time_that_jumps_back_ends_the_time_of_forgotten_sound(stream):
    stream.add_faces(at(100), [face(BLUE)])
    stream.forget_sound(at(100))
    stream.add_faces(at(0), [face(GREEN)])
    hear(stream, 0)
    assert weights_of_voice(stream, 0)["face_1"] > 0


def test_reset_between_two_rounds_of_a_recording_does_not_keep_the_second_one_unheard(stream):
    hear(stream, 100)
    stream.reset()
    stream.forget_sound(at(100))
    assert stream.estimate(at(0)) == []
    hear(stream, 3)
    assert [estimate.audio_weight for estimate in stream.estimate(at(3))] == [1]


def test_one_who_left_long_ago_takes_no_words_from_the_next_face(stream):
    stream.add_faces(at(0), [face(GREEN, "a")])
    hear(stream, 0)
    assert weights_of_voice(stream, 0)["a"] > 0
    stream.add_faces(at(0.55), [face(GREEN, "b")])
    hear(stream, 0.55)
    assert weights_of_voice(stream, 0.55)["b"] > 0


def judged_over_lagging_ways(bundle, settings, seed):
    """Two people who talk in turn, seen and heard over ways of up to 80 ms: what each moment says of everybody."""
    random, stream, moments = Random(seed), EmotionStream(bundle, settings), Moments(10.0)
    samples = []  # (arrival in seconds, source, stamp in seconds, what to do with the sample)
    arrival_s = dict.fromkeys(Source, 0.0)
    for image in range(90):
        stamp_s, speaks = image / 30, image // 45
        openings = [0.05 + 0.05 * (image // 3 % 2 and speaks == person) for person in range(2)]
        faces = [
            face((20 * (image % 9), 99, 20 * person), f"face_{person}", 100.0, SIDE_PX, openings[person])
            for person in range(2)
        ]
        samples.append((Source.FACE, stamp_s, partial(stream.add_faces, at(stamp_s), faces)))
        if image % 3 == 0:
            samples.append((Source.AUDIO, stamp_s, partial(hear, stream, stamp_s, LOUD * (image % 7) / 7)))
    arrivals = []
    for source, stamp_s, use in samples:
        arrival_s[source] = max(arrival_s[source], stamp_s + random.uniform(0.0, 0.08))
        arrivals.append((arrival_s[source], source, stamp_s, use))
    judged = []
    for now_s, source, stamp_s, use in sorted(arrivals, key=lambda arrival: arrival[0]):
        moments.take(source, at(stamp_s), at(now_s), use)
        judged += [(moment_ns, stream.estimate(moment_ns)) for moment_ns in moments.due(at(now_s))]
    return [
        (moment_ns, estimate.track_id, estimate.stamp_ns, estimate.label, estimate.speech, *estimate.probabilities)
        for moment_ns, estimates in judged
        for estimate in estimates
        if moment_ns < at(2.8)
    ]


def test_lag_and_order_of_arrival_do_not_change_the_estimates(bundle, stream):
    settings = replace(stream._settings, smoothing=SmoothingSettings(time_constant_s=0.4, enter=0.5, leave=0.35))
    expected = judged_over_lagging_ways(bundle, settings, seed=0)
    assert len(expected) > 50 and {speech for *_, speech, _, _, _ in expected} == set(Speech)
    for seed in range(1, 6):
        assert judged_over_lagging_ways(bundle, settings, seed) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_single_sample_that_is_no_number_has_the_window_refused(stream, value):
    samples = LOUD.copy()
    samples[100] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        hear(stream, 0, samples)
    assert stream.estimate(at(0)) == []


def test_who_speaks_is_in_focus_as_long_as_the_voice_is_there(stream):
    for image in range(31):
        opening, is_heard = 0.05 if image // 2 % 2 else 0.1, image < 30
        near, far = face(RED, "near", 200.0, mouth_opening=0.02), face(GREEN, "far", 100.0, mouth_opening=opening)
        stream.add_faces(at(image / 20), [near, far])
        hear(stream, image / 20, voice_activity=0.9 * is_heard, speaking=is_heard)
        in_focus = stream.estimate(at(image / 20))[0].track_id
        assert image != 29 or in_focus == "far"
    assert in_focus == "near"


def test_crop_that_is_too_large_is_averaged_and_does_not_alias(bundle, stream, monkeypatch):
    crops, encode_faces = [], bundle.encode_faces
    monkeypatch.setattr(bundle, "encode_faces", lambda batch: crops.append(batch) or encode_faces(batch))
    noise = np.random.default_rng(0).integers(0, 2, (8 * SIDE_PX, 8 * SIDE_PX, 1)).astype(np.uint8) * 255
    stream.add_faces(at(0), [replace(face(RED), crop=np.repeat(noise, 3, axis=2))])
    assert crops[0].std() < 25, "8 by 8 pixels make one"


def test_mouth_that_is_hidden_for_a_while_costs_no_words(stream, heard, monkeypatch):
    monkeypatch.setattr(emotion_stream, "SPEAKER_DELAY_NS", 0)
    converse(stream, 0, moving=["a"])
    for image in range(30, 60):
        stream.add_faces(at(image / 20), [face(GREEN, "a")])  # whose mouth cannot be measured
        hear(stream, image / 20)
        assert stream.estimate(at(image / 20))[0].audio_weight > 0
    assert all(window.all() for window in heard)


def test_where_nobody_is_heard_nothing_is_judged_though_any_share_of_voice_is_enough(bundle, settings):
    stream = EmotionStream(bundle, replace(settings, min_voice_activity=0.0))
    hear(stream, 0, np.zeros(WINDOW_SAMPLES, np.float32), voice_activity=0.0, speaking=False)
    assert stream.estimate(at(0)) == []
    hear(stream, 0.1, voice_activity=0.01)
    assert stream.estimate(at(0.1))


def test_forgotten_sound_is_nobodys_though_silence_is_judged(bundle, settings):
    stream = EmotionStream(bundle, replace(settings, min_voice_activity=0.0))
    stream.forget_sound(at(1.0))
    hear(stream, 0.95)
    assert stream.estimate(at(1.0)) == []
