"""The last seconds of what a microphone heard, again and again, with the time of capture."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion_perception.core.audio_chunk import MAX_JITTER_S, AudioError, check_chunk
from emotion_perception.core.audio_resampler import SAMPLE_RATE_HZ, AudioResampler
from emotion_perception.core.capture_clock import CaptureClock
from emotion_perception.core.robot_speech import RobotSpeech
from emotion_perception.core.stamps import TIME_JUMP_S
from emotion_perception.core.voice_activity import FRAME_SAMPLES, VoiceActivity


@dataclass(frozen=True, eq=False)
class Window:
    """What was heard up to `stamp_s`."""

    samples: NDArray[np.float32]  # (M,) 16 kHz mono, oldest first; zeros where nothing was captured or the robot spoke
    stamp_s: float  # capture time of the newest sample
    captured_s: float  # seconds of the window that were captured; the rest is filled with zeros
    voice_activity: float  # share of the whole window in which somebody speaks, in [0, 1]
    speaking: bool  # somebody speaks at the end of the window
    muted_s: float  # seconds of the window that are zeros because the robot spoke
    muted: bool  # the robot speaks at the end of the window


class AudioWindower:
    """Chunks in, windows out."""

    def __init__(
        self, window_s: float, hop_s: float, voice: VoiceActivity, robot_speech: RobotSpeech | None = None
    ) -> None:
        """Begin with nothing heard.

        Args:
            window_s: length of a window.
            hop_s: time from one window to the next, at most window_s.
            voice: hears the stream for this windower alone.
            robot_speech: knows when the robot spoke, of which nothing gets into a window; None for one that is mute.

        Raises:
            ValueError: not 0 < hop_s <= window_s, or window_s is shorter than a voice frame (32 ms).
        """
        self._window_samples = round(window_s * SAMPLE_RATE_HZ)
        self._hop_samples = round(hop_s * SAMPLE_RATE_HZ)
        if not 1 <= self._hop_samples <= self._window_samples or self._window_samples < FRAME_SAMPLES:
            raise ValueError(
                f"window_s is {window_s} and hop_s {hop_s}, expected 0 < hop_s <= window_s and window_s >= 0.032."
            )
        self._max_gap_s = window_s
        self._voice = voice
        self._robot_speech = robot_speech
        self.reset()

    def reset(self) -> None:
        """Forget everything that was heard."""
        self._voice.reset()
        # Of the last window_s, oldest first.
        self._samples = np.zeros(self._window_samples, np.float32)
        self._is_captured = np.zeros(self._window_samples, np.bool_)
        self._is_muted = np.zeros(self._window_samples, np.bool_)
        frames = self._window_samples // FRAME_SAMPLES
        self._is_voice = deque([False] * frames, maxlen=frames)
        self._stream_samples = 0  # 16 kHz samples appended so far, silence included
        self._piece_start_samples = 0  # where in them the resampler's piece begins
        self._resampler: AudioResampler | None = None  # None until something is heard
        self._clock: CaptureClock | None = None
        self._last_stamp_s = 0.0  # of the chunk before
        self._last_samples = np.zeros((0, 1), np.float32)  # (N, channels) of the chunk before
        self._chunk_was_refused = False

    def add(
        self, samples: NDArray[np.float32], sample_rate_hz: int, stamp_s: float, jitter_s: float = MAX_JITTER_S
    ) -> list[Window]:
        """Hear the next chunk.

        Lost chunks are filled with silence, and the windows that would end in it left out; a loss longer than
        the window, or time that goes backwards, starts anew. A new rate or channel count leaves no break.

        Args:
            samples: (N, channels) in [-1, 1]; the channels are averaged.
            sample_rate_hz: of `samples`.
            stamp_s: capture time of the first sample.
            jitter_s: by how much that may be off though no chunk was lost.

        Returns:
            The windows that the chunk completed, oldest first.

        Raises:
            AudioError: the chunk cannot be sound, and its time becomes a gap, or it is the one before once more;
                it is left out.
        """
        try:
            check_chunk(samples, sample_rate_hz, stamp_s)
        except AudioError:
            self._chunk_was_refused = True
            raise
        if len(samples) == 0:
            return []
        # The stamp alone does not tell: a simulated clock may tick more rarely than chunks come. Nor does silence.
        if stamp_s == self._last_stamp_s and samples.any() and np.array_equal(samples, self._last_samples):
            raise AudioError(
                "The audio chunk has the stamp and the samples of the one before, expected a later one; "
                "do two nodes publish the topic?"
            )
        windows = self._bridge(stamp_s, jitter_s)
        self._chunk_was_refused = False
        self._last_stamp_s, self._last_samples = stamp_s, samples
        if self._resampler and self._resampler.sample_rate_hz != sample_rate_hz:
            windows += self._finish_piece()
        if self._resampler is None:
            self._resampler = AudioResampler(sample_rate_hz)
            self._piece_start_samples = self._stream_samples
        if self._clock is None:
            self._clock = CaptureClock(self._received_s(), stamp_s)
        else:
            self._clock.follow(self._received_s(), stamp_s)
        return windows + self._append(self._resampler.add(samples), is_captured=True)

    def _received_s(self) -> float:
        """Seconds of the stream up to the newest sample taken in, be it still inside the resampler."""
        if self._resampler is None:
            return self._stream_samples / SAMPLE_RATE_HZ
        return self._piece_start_samples / SAMPLE_RATE_HZ + self._resampler.received_s

    def _bridge(self, stamp_s: float, jitter_s: float) -> list[Window]:
        """Settle what lies between the sound so far and a chunk captured at `stamp_s`."""
        if self._clock is None:
            return []
        received_s = self._received_s()
        lateness_s = stamp_s - self._clock.stamp_s(received_s)
        # A chunk is stamped before the present: when only its clock was set right, what was just told is no future.
        if self._robot_speech and stamp_s < self._last_stamp_s - TIME_JUMP_S:
            self._robot_speech.forget_future(stamp_s)
        is_set_back = stamp_s < self._last_stamp_s - 2.0 * jitter_s  # the stamp before may be late, and this one early
        if is_set_back or lateness_s > self._max_gap_s:
            self.reset()
            return []
        if lateness_s > (0.0 if self._chunk_was_refused else jitter_s):
            windows = self._finish_piece()
            windows += self._append(np.zeros(round(lateness_s * SAMPLE_RATE_HZ), np.float32), is_captured=False)
            self._clock.shift(self._received_s(), stamp_s)
            return windows
        if lateness_s < -jitter_s:  # the chunk before was stamped late
            self._clock.shift(received_s, stamp_s)
        return []

    def _finish_piece(self) -> list[Window]:
        """Take the rest out of the resampler, which is there, and the resampler away."""
        assert self._resampler is not None
        rest = self._resampler.finish()
        self._resampler = None
        return self._append(rest, is_captured=True)

    def _append(self, samples: NDArray[np.float32], is_captured: bool) -> list[Window]:
        """Append 16 kHz samples (N,), in parts that end where a hop or a voice frame does."""
        windows = []
        while len(samples) > 0:
            to_next_hop = self._hop_samples - self._stream_samples % self._hop_samples
            to_next_frame = FRAME_SAMPLES - self._stream_samples % FRAME_SAMPLES
            part_samples = min(to_next_hop, to_next_frame)
            part, samples = samples[:part_samples], samples[part_samples:]
            is_muted = self._is_robot(len(part))
            if is_muted.any():
                part = np.where(is_muted, np.float32(0.0), part)
            self._samples = _slide(self._samples, part)
            self._is_captured = _slide(self._is_captured, np.full(len(part), is_captured))
            self._is_muted = _slide(self._is_muted, is_muted)
            # The detector hears on, in silence, but what it still takes for a voice then is the robot's.
            is_robots_frame = self._is_muted[-FRAME_SAMPLES:].any()
            self._is_voice.extend(is_voice and not is_robots_frame for is_voice in self._voice.add(part))
            self._stream_samples += len(part)
            if is_captured and len(part) == to_next_hop:
                windows.append(self._window())
        return windows

    def _is_robot(self, n_samples: int) -> NDArray[np.bool_]:
        """(n_samples,) whether the robot spoke while the next samples of the stream were captured."""
        if self._robot_speech is None or self._clock is None:
            return np.zeros(n_samples, np.bool_)
        start_s = self._clock.stamp_s(self._stream_samples / SAMPLE_RATE_HZ)
        return self._robot_speech.covers(start_s + np.arange(n_samples) / SAMPLE_RATE_HZ)

    def _window(self) -> Window:
        assert self._clock is not None  # something was heard
        return Window(
            samples=self._samples.copy(),
            stamp_s=self._clock.stamp_s((self._stream_samples - 1) / SAMPLE_RATE_HZ),
            captured_s=np.count_nonzero(self._is_captured) / SAMPLE_RATE_HZ,
            voice_activity=sum(self._is_voice) / len(self._is_voice),
            speaking=self._voice.speaking and not self._is_muted[-1],
            muted_s=np.count_nonzero(self._is_muted) / SAMPLE_RATE_HZ,
            muted=bool(self._is_muted[-1]),
        )


def _slide(values: NDArray[Any], newest: NDArray[Any]) -> NDArray[Any]:
    """The values with the newest ones at their end, and as many fewer at their start."""
    return np.concatenate([values[len(newest) :], newest])
