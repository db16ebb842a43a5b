"""The voice belongs to the face whose mouth moves with it, or to nobody who is seen."""

import math

import cv2
import numpy as np
import pytest

from emotion_perception.core.active_speaker import OFF_SCREEN, ActiveSpeaker, SpeakerSettings, Speech
from emotion_perception.core.audio_windows import AudioWindower
from emotion_perception.core.face_detector import FaceDetector
from emotion_perception.core.media_reader import AudioBlock, MediaReader
from emotion_perception.core.mouth_opening import MouthMeter
from emotion_perception.core.voice_activity import VoiceActivity

MILLISECOND = 1_000_000
START = 1_700_000_000_000 * MILLISECOND
TALKING, SHUT, UNSURE = 0.03, 0.0, 0.0105  # what the opening changes by each 0.1 s: 0.3, 0 and 0.105 a second


@pytest.fixture
def speaker():
    return ActiveSpeaker(SpeakerSettings(movement_enter=0.13, movement_leave=0.08), memory_ns=3000 * MILLISECOND)


class Scene:
    """Mouths at 20 images a second, and a voice every 0.1 s."""

    def __init__(self, speaker):
        self.speaker = speaker
        self.now = START

    def go_on(self, duration_s, voice=True, **changes):
        """Let mouths open and shut by so much; nan for one that cannot be measured. The verdict at the end."""
        for _ in range(round(duration_s * 10)):
            is_open = self.now // (100 * MILLISECOND) % 2
            for image in range(2):
                for track_id, change in changes.items():
                    self.speaker.see_mouth(self.now + image * 50 * MILLISECOND, track_id, 0.05 + change * is_open)
            self.now += 100 * MILLISECOND
            self.speaker.hear(self.now - MILLISECOND, voice)
        return self.speaker.decide(self.now, list(changes))


@pytest.fixture
def scene(speaker):
    return Scene(speaker)


def test_without_sound_nothing_is_known(speaker):
    verdict = speaker.decide(START, ["a"])
    assert verdict.speech == {"a": Speech.UNKNOWN} and verdict.voice_of is None


def test_in_silence_nobody_speaks_whatever_the_mouths_do(scene):
    verdict = scene.go_on(2, voice=False, a=TALKING, b=SHUT)
    assert verdict.speech == {"a": Speech.SILENT, "b": Speech.SILENT} and verdict.voice_of is None


@pytest.mark.parametrize("talker", ["a", "b", "c"])
def test_voice_is_that_of_the_mouth_that_moves(scene, talker):
    verdict = scene.go_on(1, **{"a": SHUT, "b": SHUT, "c": SHUT, talker: TALKING})
    assert verdict.voice_of == talker
    assert verdict.speech == {**dict.fromkeys("abc", Speech.SILENT), talker: Speech.SPEAKING}


def test_nothing_is_said_before_there_was_enough_of_a_voice(scene):
    assert scene.go_on(0.2, a=TALKING, b=SHUT).voice_of is None
    assert scene.go_on(0.4, a=TALKING, b=SHUT).voice_of == "a"


@pytest.mark.parametrize(("duration_s", "voice_of"), [(0.3, None), (0.4, "a")])
def test_short_word_decides_nothing_though_the_mouths_were_seen_before_it(scene, duration_s, voice_of):
    scene.go_on(1, voice=False, a=SHUT, b=SHUT)
    assert scene.go_on(duration_s, a=TALKING, b=SHUT).voice_of == voice_of


def test_voice_passes_on_within_a_second_when_another_begins(scene):
    scene.go_on(2, a=TALKING, b=SHUT)
    assert scene.go_on(1, a=SHUT, b=TALKING).voice_of == "b"


def test_speaker_whose_mouth_moves_less_than_at_the_beginning_keeps_the_voice(scene):
    scene.go_on(2, a=TALKING, b=SHUT)
    assert scene.go_on(1.5, a=UNSURE, b=SHUT).voice_of == "a"


def test_speaker_whose_mouth_rests_for_half_a_second_keeps_the_voice_and_for_longer_does_not(scene):
    scene.go_on(2, a=TALKING)
    voices = [scene.go_on(0.1, a=SHUT).voice_of for _ in range(20)]
    kept = voices.index(OFF_SCREEN)
    assert voices == kept * ["a"] + (20 - kept) * [OFF_SCREEN]
    rests_from = (
        7  # tenths of a second, as the second that is measured holds less talk than a quarter of it from then on
    )
    assert kept - rests_from == pytest.approx(5, abs=1)


def test_voice_passes_on_at_once_while_the_speakers_mouth_rests(scene):
    scene.go_on(2, a=TALKING, b=SHUT)
    assert {scene.go_on(0.1, a=SHUT, b=SHUT).voice_of for _ in range(9)} == {"a"}
    voices = [scene.go_on(0.1, a=SHUT, b=TALKING).voice_of for _ in range(5)]
    assert voices[-1] == "b" and OFF_SCREEN not in voices


@pytest.mark.parametrize(("times", "voice_of", "other"), [(1.3, "a", "b"), (1.7, "b", "a")])
def test_another_mouth_takes_over_that_moves_clearly_more_and_not_a_little(scene, times, voice_of, other):
    scene.go_on(2, a=TALKING, b=SHUT)
    verdict = scene.go_on(2, a=TALKING, b=times * TALKING)
    assert verdict.voice_of == voice_of and verdict.speech == {voice_of: Speech.SPEAKING, other: Speech.UNKNOWN}


@pytest.mark.parametrize(("seen_s", "voice_of"), [(0.4, OFF_SCREEN), (0.5, "a")])
def test_mouth_that_comes_into_view_is_measured_over_four_steps(scene, seen_s, voice_of):
    scene.go_on(1, b=SHUT)
    assert scene.go_on(seen_s, a=TALKING, b=SHUT).voice_of == voice_of


def test_mouth_that_moves_in_a_pause_of_the_voice_does_not_get_it(scene):
    scene.go_on(0.5, a=SHUT)
    scene.go_on(0.2, voice=False, a=5 * TALKING)
    scene.go_on(0.1, voice=False, a=SHUT)
    assert scene.go_on(0.3, a=SHUT).voice_of == OFF_SCREEN


def test_image_in_which_the_mouth_cannot_be_measured_changes_nothing(scene):
    scene.go_on(0.5, a=TALKING, b=SHUT)
    scene.speaker.see_mouth(scene.now, "a", math.nan)
    assert scene.go_on(0.5, a=TALKING, b=SHUT).speech == {"a": Speech.SPEAKING, "b": Speech.SILENT}


def test_speaker_is_believed_through_a_short_pause_and_no_longer(scene):
    scene.go_on(2, a=TALKING, b=SHUT)
    assert scene.go_on(0.9, voice=False, a=SHUT, b=SHUT).speech["a"] == Speech.SPEAKING
    verdict = scene.go_on(0.1, voice=False, a=SHUT, b=SHUT)
    assert verdict.speech["a"] == Speech.SILENT and verdict.voice_of == "a", "the voice heard last was a's"


def test_long_speech_is_remembered_from_its_end_and_a_short_memory_lasts_as_long_as_the_belief(scene):
    for _ in range(5):
        scene.go_on(1, a=TALKING, b=SHUT)
    assert scene.go_on(2, voice=False, a=SHUT, b=SHUT).voice_of == "a"
    short = Scene(ActiveSpeaker(SpeakerSettings(movement_enter=0.13, movement_leave=0.08), memory_ns=MILLISECOND))
    short.go_on(2, a=TALKING, b=SHUT)
    verdict = short.go_on(0.7, voice=False, a=SHUT, b=SHUT)
    assert verdict.speech["a"] == Speech.SPEAKING and verdict.voice_of == "a"


def test_mouth_that_comes_to_rest_before_its_voice_ends_keeps_it_in_the_pause(scene):
    scene.go_on(1, a=TALKING, b=SHUT)
    assert scene.go_on(0.5, a=SHUT, b=SHUT).voice_of == "a"
    verdict = scene.go_on(0.5, voice=False, a=SHUT, b=SHUT)
    assert verdict.voice_of == "a" and verdict.speech["a"] == Speech.SPEAKING


def test_one_who_was_silent_for_long_is_not_believed_before_another(scene):
    scene.go_on(2, a=TALKING, b=SHUT)
    scene.go_on(1.5, voice=False, a=SHUT, b=SHUT)
    assert scene.go_on(1, a=TALKING, b=1.3 * TALKING).voice_of == "b"


@pytest.mark.parametrize(
    ("steps_apart", "change", "voice_of"),
    [(2, 0.02, "a"), (2, 0.017, None), (3, 0.025, "a"), (3, 0.02, None), (4, 0.06, None)],
)
def test_mouth_that_is_seen_four_times_a_second_is_measured_and_a_rarer_one_is_not(
    speaker, steps_apart, change, voice_of
):
    for step in range(10):
        speaker.hear(START + (step + 1) * 100 * MILLISECOND - MILLISECOND, True)
        if step % steps_apart == 0:
            is_open = step // steps_apart % 2
            speaker.see_mouth(START + step * 100 * MILLISECOND, "a", 0.05 + change * is_open)
    verdict = speaker.decide(START + 1000 * MILLISECOND, ["a"])
    assert verdict.voice_of == voice_of
    assert verdict.speech == {"a": Speech.SPEAKING if voice_of else Speech.UNKNOWN}


def test_measure_that_trembles_from_image_to_image_is_no_talk(speaker):
    for step in range(10):
        openings = (0.05, 0.05 + TALKING) if step % 2 else (0.05 + TALKING, 0.05)
        for image, opening in enumerate(openings):
            speaker.see_mouth(START + (100 * step + 50 * image) * MILLISECOND, "a", opening)
        speaker.hear(START + (100 * step + 99) * MILLISECOND, True)
    assert speaker.decide(START + 1000 * MILLISECOND, ["a"]).speech == {"a": Speech.SILENT}


@pytest.mark.parametrize("present", [{"a": SHUT, "b": TALKING}, {"b": TALKING}])
def test_short_words_are_not_those_of_one_who_spoke_long_ago(scene, present):
    scene.go_on(2, a=TALKING, b=SHUT)
    assert scene.go_on(2.9, voice=False, a=SHUT, b=SHUT).voice_of == "a", "may still be in the model's window"
    for _ in range(3):
        scene.go_on(1, voice=False, **dict.fromkeys(present, SHUT))
        assert scene.go_on(0.3, **present).voice_of is None


def test_voice_with_which_no_mouth_moves_comes_from_off_screen(scene):
    verdict = scene.go_on(1, a=SHUT, b=SHUT)
    assert verdict.voice_of == OFF_SCREEN and verdict.speech == {"a": Speech.SILENT, "b": Speech.SILENT}


def test_voice_from_off_screen_stays_there_while_a_mouth_moves_a_little(scene):
    assert scene.go_on(1, a=SHUT, b=SHUT).voice_of == OFF_SCREEN
    verdict = scene.go_on(1, a=UNSURE, b=SHUT)
    assert verdict.voice_of == OFF_SCREEN and verdict.speech == {"a": Speech.SILENT, "b": Speech.SILENT}
    assert scene.go_on(1, a=TALKING, b=SHUT).voice_of == "a"


@pytest.mark.parametrize("present", [{"a": SHUT, "b": math.nan}, {"b": math.nan}, {"b": UNSURE}])
def test_voice_from_off_screen_is_not_that_of_one_who_comes_until_a_mouth_moves_with_it(scene, present):
    scene.go_on(1, a=SHUT)
    assert scene.go_on(0.3, **present).voice_of == OFF_SCREEN
    assert scene.go_on(1, **present | {"b": TALKING}).voice_of == "b"


def test_single_face_whose_mouth_is_shut_does_not_get_the_voice(scene):
    assert scene.go_on(1, a=SHUT).voice_of == OFF_SCREEN


def test_mouth_that_moves_a_little_decides_nothing(scene):
    verdict = scene.go_on(1, a=UNSURE, b=SHUT)
    assert verdict.voice_of is None and verdict.speech == {"a": Speech.UNKNOWN, "b": Speech.SILENT}


def test_face_whose_mouth_is_not_measured_may_be_the_one_that_speaks(scene):
    verdict = scene.go_on(1, a=math.nan, b=SHUT)
    assert verdict.voice_of is None and verdict.speech == {"a": Speech.UNKNOWN, "b": Speech.SILENT}


def test_mouths_that_nobody_measures_decide_nothing_whoever_spoke_before(scene):
    scene.go_on(1, a=TALKING)
    verdict = scene.go_on(1.1, a=math.nan)
    assert verdict.voice_of is None and verdict.speech == {"a": Speech.UNKNOWN}


def test_while_the_robot_speaks_nothing_is_known(scene):
    scene.go_on(2, a=TALKING, b=SHUT)
    scene.speaker.hear_nothing()
    assert scene.speaker.decide(scene.now, ["a", "b"]).speech == {"a": Speech.UNKNOWN, "b": Speech.UNKNOWN}


def test_old_sound_and_old_mouths_are_forgotten(scene):
    scene.go_on(2, a=TALKING, b=SHUT)
    assert scene.speaker.decide(scene.now + 2000 * MILLISECOND, ["a"]).speech == {"a": Speech.UNKNOWN}
    assert not scene.speaker._openings, "nor is it remembered who ever came by"


@pytest.mark.parametrize("leave", [0.2, -0.1])
def test_thresholds_that_contradict_each_other_are_refused(leave):
    with pytest.raises(ValueError, match="mouth_movement_leave <= mouth_movement_enter"):
        SpeakerSettings(movement_enter=0.1, movement_leave=leave)
    SpeakerSettings(movement_enter=0.1, movement_leave=0.1)


@pytest.mark.parametrize("side, images_hz", [("left", 15), ("right", 15), ("left", 5)])
def test_voice_of_an_actor_is_that_of_the_half_of_the_image_in_which_he_talks(
    speaker, voice_model_path, ravdess_clip, side, images_hz
):
    """The other half holds his first image, in which he waits to begin."""
    windower = AudioWindower(3.0, 0.1, VoiceActivity(voice_model_path, 0.5, 0.35, 0.1))
    waiting, verdicts, images = None, [], 0
    with MediaReader(ravdess_clip) as reader, FaceDetector(0.5) as detector, MouthMeter() as meter:
        for item in reader:
            if isinstance(item, AudioBlock):
                for window in windower.add(item.samples, item.sample_rate_hz, item.time_s):
                    stamp_ns = START + round(window.stamp_s * 1e9)
                    speaker.hear(stamp_ns, window.speaking)
                    if window.speaking:
                        verdicts.append(speaker.decide(stamp_ns, ["left", "right"]).voice_of)
                continue
            images += 1
            if images % (30 // images_hz) != 1:  # as face_crop_node does, or a slow computer
                continue
            talking = cv2.resize(item.image_rgb, (512, 288), interpolation=cv2.INTER_AREA)
            waiting = talking if waiting is None else waiting
            both = np.hstack([talking, waiting] if side == "left" else [waiting, talking])
            for face in detector.detect(both):
                where = "left" if face.box.x_px + face.box.width_px / 2 < 512 else "right"
                speaker.see_mouth(START + round(item.time_s * 1e9), where, meter.measure(both, face.box))
    assert len(verdicts) > 10
    assert set(verdicts[:4]) <= {None, side} and set(verdicts[4:]) == {side}
