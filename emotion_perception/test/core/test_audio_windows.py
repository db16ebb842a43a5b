"""Windows of what was heard: content, times, gaps, jumps and bad chunks."""

import numpy as np
import pytest

from emotion_perception.core.audio_chunk import MAX_DELAY_S, AudioError
from emotion_perception.core.audio_windows import AudioWindower
from emotion_perception.core.media_reader import AudioBlock, MediaReader
from emotion_perception.core.robot_speech import RobotSpeech
from emotion_perception.core.voice_activity import FRAME_SAMPLES, VoiceActivity

START_S = 1.7e9  # seconds since 1970, as ROS stamps them
CHUNK_S = 0.02


class LoudnessInsteadOfVoice:
    """Stands in for VoiceActivity: loud is voice."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.speaking = False
        self._waiting = np.zeros(0, np.float32)

    def add(self, samples):
        self._waiting = np.concatenate([self._waiting, samples])
        n_frames = len(self._waiting) // FRAME_SAMPLES
        frames = self._waiting[: n_frames * FRAME_SAMPLES].reshape(n_frames, FRAME_SAMPLES)
        self._waiting = self._waiting[n_frames * FRAME_SAMPLES :]
        flags = [bool(np.abs(frame).mean() > 0.05) for frame in frames]
        self.speaking = flags[-1] if flags else self.speaking
        return flags


class VoiceThatNeverEnds:
    """Stands in for VoiceActivity: whatever it hears is voice, as silence at first is after speech."""

    speaking = True

    def reset(self):
        self._heard_samples = 0

    def add(self, samples):
        frames_before = self._heard_samples // FRAME_SAMPLES
        self._heard_samples += len(samples)
        return [True] * (self._heard_samples // FRAME_SAMPLES - frames_before)


@pytest.fixture
def windower():
    return AudioWindower(window_s=1.0, hop_s=0.1, voice=LoudnessInsteadOfVoice())


def hear(windower, samples, sample_rate_hz=16_000, start_s=START_S, jitter_s=0.0):
    """Add `samples` (N, channels) chunk by chunk; all windows that came."""
    chunk_samples = round(CHUNK_S * sample_rate_hz)
    random = np.random.default_rng(0)
    windows = []
    for start in range(0, len(samples), chunk_samples):
        stamp_s = start_s + start / sample_rate_hz + random.uniform(-jitter_s, jitter_s)
        windows += windower.add(samples[start : start + chunk_samples], sample_rate_hz, stamp_s)
    return windows


def ones(duration_s, sample_rate_hz=16_000, channels=1):
    return np.ones((round(duration_s * sample_rate_hz), channels), np.float32)


def noise(duration_s, sample_rate_hz=16_000):
    n_samples = round(duration_s * sample_rate_hz)
    return np.random.default_rng(1).uniform(-0.5, 0.5, (n_samples, 1)).astype(np.float32)


def newest_s(windows):
    """Stamps of the windows' ends since the start: a sample lasts 1/16000 s, so that the ends are round."""
    return [window.stamp_s - START_S + 1 / 16_000 for window in windows]


def test_a_window_every_hop_from_the_first_hop_on(windower):
    windows = hear(windower, ones(1.5))
    assert newest_s(windows) == pytest.approx([0.1 * count for count in range(1, 16)], abs=1e-6)
    assert [len(window.samples) for window in windows] == [16_000] * 15
    assert windows[0].samples.dtype == np.float32


def test_start_is_padded_with_silence_that_was_not_captured(windower):
    windows = hear(windower, ones(1.5))
    assert windows[2].captured_s == pytest.approx(0.3)
    assert not windows[2].samples[:-4_800].any()
    assert np.all(windows[2].samples[-4_800:] == 1.0)
    assert [window.captured_s for window in windows[9:]] == [1.0] * 6


def test_windows_hold_the_last_second(windower):
    samples = noise(4.0)
    for count, window in enumerate(hear(windower, samples)[9:], start=10):
        assert np.array_equal(window.samples, samples[count * 1_600 - 16_000 : count * 1_600, 0])


def test_windows_are_copies(windower):
    windows = hear(windower, ones(1.2))
    windows[-2].samples[:] = 0.0
    assert windows[-1].samples.all()
    windows[-1].samples[:] = 0.0
    assert hear(windower, ones(0.2), start_s=START_S + 1.2)[-1].samples.all()


def test_large_chunk_gives_all_its_windows(windower):
    windows = windower.add(noise(3.0), 16_000, START_S)
    assert newest_s(windows) == pytest.approx([0.1 * count for count in range(1, 31)], abs=1e-6)


def test_empty_chunk_gives_nothing(windower):
    hear(windower, ones(1.0))
    assert windower.add(np.zeros((0, 2), np.float32), 48_000, START_S + 1.5) == []
    assert hear(windower, ones(0.1), start_s=START_S + 1.0)[-1].captured_s == 1.0


@pytest.mark.parametrize("jitter_s", [0.0, 0.01])
@pytest.mark.parametrize(("sample_rate_hz", "channels"), [(8_000, 2), (44_100, 1), (48_000, 2)])
def test_impulse_is_where_its_stamp_says(windower, sample_rate_hz, channels, jitter_s):
    samples = np.zeros((15 * sample_rate_hz, channels), np.float32)
    impulses_s = np.arange(8.55, 14.0)
    samples[np.round(impulses_s * sample_rate_hz).astype(int)] = 1.0
    windows = hear(windower, samples, sample_rate_hz, jitter_s=jitter_s)
    found_s = []
    for window in windows:
        if np.abs(window.samples).max() > 0.1:
            place = int(np.argmax(np.abs(window.samples)))
            found_s.append(window.stamp_s - START_S - (len(window.samples) - 1 - place) / 16_000)
    distances_s = np.abs(np.array(found_s)[:, None] - impulses_s).min(axis=1)
    assert len(found_s) > 50
    assert distances_s.max() < (1e-3 if jitter_s else 1e-4)


def test_short_gap_is_silence_that_was_not_captured(windower):
    hear(windower, ones(2.0))
    windows = hear(windower, ones(1.5), start_s=START_S + 2.4)
    assert newest_s(windows) == pytest.approx([2.5 + 0.1 * count for count in range(15)], abs=1e-6)
    assert windows[0].captured_s == pytest.approx(0.6)
    assert np.array_equal(windows[0].samples == 0.0, np.repeat([False, True, False], [8_000, 6_400, 1_600]))
    assert windows[-1].captured_s == 1.0


def test_sound_that_is_only_late_leaves_no_hole(windower):
    """Whoever stamps by the time of reception stamps what waited for the processor later than it was captured."""
    for chunk in range(200):
        delay_s = 0.15 if chunk % 50 == 49 else 0.0
        windows = windower.add(ones(CHUNK_S), 16_000, START_S + chunk * CHUNK_S + delay_s, jitter_s=MAX_DELAY_S)
    assert windows[-1].captured_s == 1.0 and windows[-1].samples.all()
    assert newest_s(windows)[-1] == pytest.approx(200 * CHUNK_S, abs=0.03)


def test_gap_after_resampled_sound_keeps_the_times(windower):
    hear(windower, ones(2.0, 48_000), 48_000)
    windows = hear(windower, ones(1.0, 48_000), 48_000, start_s=START_S + 2.4)
    window = next(window for window in windows if window.stamp_s > START_S + 2.7)
    silent_s = np.flatnonzero(np.abs(window.samples) < 0.01) / 16_000 + window.stamp_s - START_S - 1.0
    assert (silent_s.min(), silent_s.max()) == pytest.approx((2.0, 2.4), abs=1e-3)


def test_long_gap_starts_anew(windower):
    hear(windower, ones(2.03))
    windows = hear(windower, ones(0.3), start_s=START_S + 3.51)
    assert newest_s(windows) == pytest.approx([3.61, 3.71, 3.81], abs=1e-6)
    assert [window.captured_s for window in windows] == pytest.approx([0.1, 0.2, 0.3])


def test_time_that_goes_backwards_starts_anew(windower):
    hear(windower, ones(2.0))
    windows = hear(windower, ones(0.3), start_s=START_S + 0.5)
    assert newest_s(windows) == pytest.approx([0.6, 0.7, 0.8], abs=1e-6)
    assert windows[-1].captured_s == pytest.approx(0.3)
    assert windows[-1].voice_activity < 0.4


@pytest.mark.parametrize("back_s", [0.09, 0.3, 0.49])
def test_stamps_set_back_by_more_than_jitter_can_start_anew(windower, back_s):
    hear(windower, ones(2.0))
    windows = hear(windower, ones(0.3), start_s=START_S + 2.0 - back_s)
    assert [window.captured_s for window in windows] == pytest.approx([0.1, 0.2, 0.3])


def test_small_chunks_whose_stamps_tremble_do_not_start_anew(windower):
    random = np.random.default_rng(0)
    windows = []
    for chunk in range(1_000):
        windows += windower.add(ones(0.01), 16_000, START_S + 0.01 * chunk + random.uniform(-0.025, 0.025))
    assert np.mean([window.captured_s for window in windows[10:]]) > 0.95
    assert (np.diff(newest_s(windows)) > 0.0).all()


def test_chunk_that_was_stamped_late_does_not_start_anew(windower):
    hear(windower, ones(2.0))
    windower.add(ones(CHUNK_S), 16_000, START_S + 2.035)
    windows = hear(windower, ones(1.5), start_s=START_S + 2.02)
    assert windows[0].captured_s > 0.9
    assert newest_s(windows)[-1] == pytest.approx(3.465, abs=1e-6)
    assert np.diff(newest_s(windows)) == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("lost", ["nan", "loud", "shape", "rate", "stamp"])
def test_bad_chunk_becomes_a_gap(windower, lost):
    hear(windower, ones(2.0))
    samples, sample_rate_hz, stamp_s = ones(CHUNK_S), 16_000, START_S + 2.0
    if lost == "nan":
        samples[100] = np.nan
    elif lost == "loud":
        samples[100] = 3e38
    elif lost == "shape":
        samples = samples[:, 0]
    elif lost == "rate":
        sample_rate_hz = 7
    else:
        stamp_s = float("inf")
    with pytest.raises(AudioError):
        windower.add(samples, sample_rate_hz, stamp_s)
    windows = hear(windower, ones(0.5), start_s=START_S + 2.0 + CHUNK_S)
    assert newest_s(windows) == pytest.approx([2.1, 2.2, 2.3, 2.4, 2.5], abs=1e-6)
    assert windows[-1].captured_s == pytest.approx(1.0 - CHUNK_S)
    assert np.count_nonzero(windows[-1].samples == 0.0) == round(CHUNK_S * 16_000)


def test_chunks_that_tremble_after_a_bad_one_leave_no_hole_of_their_own(windower):
    hear(windower, ones(0.5))
    with pytest.raises(AudioError):
        windower.add(ones(CHUNK_S), 0, START_S + 0.5)
    hear(windower, ones(CHUNK_S), start_s=START_S + 0.52)
    windows = hear(windower, ones(0.5), start_s=START_S + 0.54 + 0.005)  # later than by the count of their samples
    assert windows[-1].captured_s == pytest.approx(windows[-1].stamp_s - START_S - CHUNK_S, abs=0.006)
    assert np.count_nonzero(windows[-1].samples[-8_000:] == 0.0) == round(CHUNK_S * 16_000)


def test_chunk_that_comes_twice_is_heard_once(windower):
    samples = noise(2.0)
    expected = hear(windower, samples)
    windower.reset()
    windows = []
    for start in range(0, len(samples), 320):
        chunk, stamp_s = samples[start : start + 320], START_S + start / 16_000
        windows += windower.add(chunk, 16_000, stamp_s)
        with pytest.raises(AudioError, match="of the one before, expected a later one; do two nodes publish"):
            windower.add(chunk.copy(), 16_000, stamp_s)
    assert newest_s(windows) == newest_s(expected)
    assert np.array_equal(windows[-1].samples, samples[-16_000:, 0]) and windows[-1].captured_s == 1.0


def test_chunk_that_comes_twice_leaves_no_gap_where_stamps_tremble(windower):
    random = np.random.default_rng(2)
    for chunk in range(100):
        samples, stamp_s = noise(CHUNK_S), START_S + chunk * CHUNK_S + random.uniform(-0.01, 0.01)
        windows = windower.add(samples, 16_000, stamp_s)
        with pytest.raises(AudioError):
            windower.add(samples, 16_000, stamp_s)
    assert windows[-1].captured_s == 1.0


@pytest.mark.parametrize("samples", [noise(2.0), 0.0 * ones(2.0)], ids=["sound", "silence"])
def test_chunks_that_a_coarse_clock_stamps_alike_are_all_heard(windower, samples):
    for start in range(0, len(samples), 160):
        windows = windower.add(samples[start : start + 160], 16_000, START_S + start // 320 * CHUNK_S)
    assert np.array_equal(windows[-1].samples, samples[-16_000:, 0]) and windows[-1].captured_s == 1.0


def test_first_chunk_after_a_reset_may_be_the_last_one_before(windower):
    chunk = ones(0.1)
    assert len(windower.add(chunk, 16_000, 0.0)) == 1
    windower.reset()
    assert len(windower.add(chunk, 16_000, 0.0)) == 1


def test_new_rate_and_channel_count_leave_no_break(windower):
    hear(windower, ones(1.0, 48_000, channels=2), 48_000)
    windows = hear(windower, ones(1.0, 44_100), 44_100, start_s=START_S + 1.0)
    windows += hear(windower, ones(0.5, 44_100, channels=2), 44_100, start_s=START_S + 2.0)
    windows += hear(windower, ones(0.5), 16_000, start_s=START_S + 2.5)
    assert newest_s(windows)[-1] == pytest.approx(3.0, abs=1e-4)
    assert np.diff(newest_s(windows)) == pytest.approx(0.1, abs=1e-4)
    assert [window.captured_s for window in windows] == [1.0] * len(windows)
    assert all(window.samples.min() > 0.4 for window in windows)


def test_reset_forgets_everything(windower):
    hear(windower, ones(2.0))
    windower.reset()
    windows = hear(windower, ones(0.1), start_s=5.0)
    assert windows[0].captured_s == pytest.approx(0.1)
    assert np.count_nonzero(windows[0].samples) == 1_600
    assert windows[0].voice_activity == pytest.approx(3 / 31)


def test_voice_activity_is_the_share_of_the_whole_window(windower):
    windows = hear(windower, np.concatenate([ones(1.0), 0.0 * ones(1.6)]))
    assert windows[4].voice_activity == pytest.approx(0.5, abs=0.04)
    assert windows[4].speaking
    assert windows[9].voice_activity == 1.0
    assert windows[14].voice_activity == pytest.approx(0.5, abs=0.06)
    assert not windows[14].speaking
    assert windows[-1].voice_activity == 0.0


@pytest.fixture
def robot_speech():
    """A robot that speaks from 1.23 s to 1.5 s, with an echo of 0.25 s."""
    speech = RobotSpeech(tail_s=0.25, limit_s=10.0)
    speech.tell("test", True, START_S + 1.23)
    speech.tell("test", False, START_S + 1.5)
    return speech


@pytest.mark.parametrize("sample_rate_hz", [16_000, 48_000])
def test_nothing_of_what_the_robot_said_is_in_any_window(robot_speech, sample_rate_hz):
    windower = AudioWindower(1.0, 0.1, LoudnessInsteadOfVoice(), robot_speech)
    windows = hear(windower, ones(4.0, sample_rate_hz), sample_rate_hz)
    for window in windows:
        times_s = window.stamp_s - START_S + (np.arange(16_000) - 15_999) / 16_000
        is_robot = (times_s >= 1.23 - 1e-5) & (times_s < 1.75 - 1e-5)
        assert not window.samples[is_robot].any()
        assert (window.samples[~is_robot & (times_s > 0.01)] > 0.4).all(), "the rest is untouched"
        assert window.muted_s == pytest.approx(np.count_nonzero(is_robot) / 16_000, abs=2e-4)
        assert window.muted == is_robot[-1]
    assert windows[-1].muted_s == 0.0 and windows[-1].captured_s == 1.0


def test_what_the_robot_said_before_time_went_back_mutes_nobody(robot_speech):
    windower = AudioWindower(1.0, 0.1, LoudnessInsteadOfVoice(), robot_speech)
    assert any(window.muted for window in hear(windower, ones(2.0)))
    again = hear(windower, ones(3.0), start_s=START_S)
    assert len(again) == 30 and not any(window.muted for window in again)


@pytest.mark.parametrize("back_s", [0.06, 0.3])
def test_microphone_whose_clock_was_set_right_still_hears_nothing_of_what_the_robot_begins_to_say(back_s):
    speech = RobotSpeech(tail_s=0.25, limit_s=10.0)
    windower = AudioWindower(1.0, 0.1, LoudnessInsteadOfVoice(), speech)
    hear(windower, ones(2.0))
    speech.tell("test", True, START_S + 2.01)
    windows = hear(windower, ones(1.0), start_s=START_S + 2.0 - back_s)
    assert windows[-1].muted and windows[-1].muted_s == pytest.approx(0.99 - back_s, abs=0.001)


def test_voice_of_the_robot_is_no_voice_activity(robot_speech):
    windows = hear(AudioWindower(1.0, 0.1, LoudnessInsteadOfVoice(), robot_speech), ones(3.0))
    by_end = dict(zip(np.round(newest_s(windows), 1), windows, strict=True))
    assert by_end[1.2].speaking and by_end[1.2].voice_activity == 1.0
    for end_s in (1.3, 1.4, 1.5, 1.6, 1.7):
        assert not by_end[end_s].speaking and by_end[end_s].muted
    assert by_end[1.7].voice_activity == pytest.approx(0.5, abs=0.05)
    assert by_end[2.0].speaking and not by_end[2.0].muted


def test_what_is_taken_for_a_voice_while_the_robot_speaks_is_none(robot_speech):
    windows = hear(AudioWindower(1.0, 0.1, VoiceThatNeverEnds(), robot_speech), ones(1.8))
    assert windows[-2].voice_activity == pytest.approx(16 / 31) and not windows[-2].speaking
    assert windows[-1].voice_activity == pytest.approx(14 / 31), "nor in the frames in which it begins and ends"


@pytest.mark.parametrize("chunk_samples", [37, 160, 24_000])
def test_size_of_the_chunks_does_not_matter(chunk_samples):
    def hear_all(chunk_samples):
        speech = RobotSpeech(tail_s=0.25, limit_s=10.0)
        for begin_s, end_s in ((0.31302, 0.4), (1.11003, 1.2)):  # between two samples: stamps are rounded
            speech.tell("test", True, START_S + begin_s)
            speech.tell("test", False, START_S + end_s + 3e-5)
        windower = AudioWindower(1.0, 0.1, VoiceThatNeverEnds(), speech)
        samples = noise(2.0)
        starts = range(0, len(samples), chunk_samples)
        chunks = [(samples[start : start + chunk_samples], START_S + start / 16_000) for start in starts]
        return [window for chunk, stamp_s in chunks for window in windower.add(chunk, 16_000, stamp_s)]

    for window, expected in zip(hear_all(chunk_samples), hear_all(1_600), strict=True):
        assert np.array_equal(window.samples, expected.samples) and window.muted_s == expected.muted_s
        assert window.voice_activity == expected.voice_activity and window.speaking == expected.speaking
        assert window.stamp_s == pytest.approx(expected.stamp_s, abs=1e-5, rel=0.0)


@pytest.mark.parametrize(("window_s", "hop_s"), [(1.0, 0.0), (1.0, 1.1), (0.02, 0.01), (1.0, -0.1)])
def test_refuses_impossible_lengths(window_s, hop_s):
    with pytest.raises(ValueError, match=f"window_s is {window_s} and hop_s {hop_s}"):
        AudioWindower(window_s, hop_s, LoudnessInsteadOfVoice())


def test_hears_the_voice_of_a_clip(talking_clip, voice_model_path):
    windower = AudioWindower(0.3, 0.1, VoiceActivity(voice_model_path, 0.5, 0.35, 0.1))
    with MediaReader(talking_clip.path) as reader:
        blocks = [item for item in reader if isinstance(item, AudioBlock)]
    windows = [window for block in blocks for window in windower.add(block.samples, block.sample_rate_hz, block.time_s)]
    begin_s, end_s = talking_clip.voice_s
    before = [window for window in windows if window.stamp_s < begin_s - 0.1]
    during = [window for window in windows if begin_s + 0.4 < window.stamp_s < end_s - 0.1]
    after = [window for window in windows if window.stamp_s > end_s + 0.6]
    assert len(before) > 5 and len(during) > 3 and len(after) > 1
    assert all(window.voice_activity == 0.0 and not window.speaking for window in before + after)
    assert all(window.voice_activity > 0.7 and window.speaking for window in during)


@pytest.mark.parametrize("sample_rate_hz", [44_100, 48_000])
def test_chunks_of_another_rate_are_resampled_without_a_break_between_them(windower, sample_rate_hz):
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * sample_rate_hz) / sample_rate_hz).astype(np.float32)[:, None]
    heard = hear(windower, tone, sample_rate_hz)[-1].samples
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    assert spectrum[430:451].sum() > 0.9999 * spectrum.sum(), "nothing but the tone"
