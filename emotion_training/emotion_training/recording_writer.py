"""Writes pictures and sound with capture times into one media file on one time axis."""

from collections import deque
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from emotion_perception.core.audio_chunk import MAX_DELAY_S
from emotion_perception.core.robot_speech import RobotSpeech

from .bag_messages import NANOSECONDS_PER_S, Chunk

# Of sound: after a lost chunk all others are later, after one that came late they are not.
LOOK_AHEAD_S = 1.0
LATE_LOOK_AHEAD_S = 5.0  # where the stamps are of the reception
OVERLAP_S = 0.1  # what begins so much before the end of the sound so far came again, or after what follows it
MAX_DROPPED = 0.05  # share of the sound; more is no accident
MAX_GAP_S = 60.0  # without a picture or a sample; beyond, a clock was set or a stamp is wrong
MILLISECONDS_PER_S = 1000
# Visually lossless H.264, fast enough for 640x480 at 30 pictures a second on one core.
VIDEO_OPTIONS = {"crf": "17", "preset": "veryfast"}


class RecordingError(Exception):
    """The messages cannot become one media file; says which and why."""


class RecordingWriter:
    """A Matroska file with H.264 pictures and 16-bit PCM sound.

    Time 0 is `start_ns`. Pictures keep their capture times to the millisecond; gaps in the sound become silence, and
    what comes again, or after what follows it, is dropped. `finish` comes last.

    Attributes:
        images: that were written.
        late_images: that were dropped because their stamp was not after that of the one before.
        silence_s: of sound that is missing by the stamps.
        dropped_s: of sound for which the stamps leave no time, as it came again, or after what follows it.
        duration_s: from the start to the end of the last picture or sample.
    """

    def __init__(
        self,
        path: Path,
        start_ns: int,
        image_shape: tuple[int, int] | None,
        sound: Chunk | None,
        robot_speech: RobotSpeech,
    ) -> None:
        """Opens the file.

        Args:
            path: ends in .mkv.
            start_ns: capture time of the first picture or sample.
            image_shape: (height, width) of all pictures, or None without pictures.
            sound: any chunk, for the rate and the channels of all; or None without sound.
            robot_speech: knows when the robot spoke, which becomes silence, as on the robot.
        """
        self.images = self.late_images = 0
        self.silence_s = self.dropped_s = self.duration_s = 0.0
        self._reached_s = 0.0  # by what came, be it written or not
        self._robot_speech = robot_speech
        self._waiting: deque[Chunk] = deque()
        self._waiting_samples = 0
        self._start_ns = start_ns
        self._image_shape = image_shape
        self._last_image_ms = -1
        self._written_samples = 0
        self._container = av.open(str(path), "w")
        if image_shape is not None:
            self._video = self._container.add_stream("libx264", rate=30, options=VIDEO_OPTIONS)
            # H.264 takes even sides only; an odd last row or column is left out.
            self._video.height, self._video.width = (side // 2 * 2 for side in image_shape)
            self._video.pix_fmt = "yuv420p"
            self._video.codec_context.time_base = Fraction(1, MILLISECONDS_PER_S)
        if sound is not None:
            self._sample_rate_hz, self._channels = sound.sample_rate_hz, sound.samples.shape[1]
            # Of an array of microphones the mean, which is what the robot hears.
            self._layout = "stereo" if self._channels == 2 else "mono"
            self._audio = self._container.add_stream("pcm_s16le", rate=self._sample_rate_hz, layout=self._layout)

    def add_image(self, image_rgb: np.ndarray, stamp_ns: int) -> None:
        """Writes uint8 (H, W, 3); RecordingError if the size changes, or after a gap of more than MAX_GAP_S."""
        if image_rgb.shape[:2] != self._image_shape:
            raise RecordingError(
                f"the images change from {self._image_shape} to {image_rgb.shape[:2]} (height, width); expected one "
                "size in a recording"
            )
        time_ms = round((stamp_ns - self._start_ns) * MILLISECONDS_PER_S / NANOSECONDS_PER_S)
        if time_ms <= self._last_image_ms:
            self.late_images += 1
            return
        self._reach(time_ms / MILLISECONDS_PER_S)
        self._last_image_ms = time_ms
        self.images += 1
        self.duration_s = max(self.duration_s, time_ms / MILLISECONDS_PER_S)
        even = np.ascontiguousarray(image_rgb[: self._video.height, : self._video.width])
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame.pts, frame.time_base = time_ms, Fraction(1, MILLISECONDS_PER_S)
        self._container.mux(self._video.encode(frame))

    def add_chunk(self, chunk: Chunk) -> None:
        """Writes a piece of sound; RecordingError if its rate or its channels change, or after a gap as above."""
        if (chunk.sample_rate_hz, chunk.samples.shape[1]) != (self._sample_rate_hz, self._channels):
            raise RecordingError(
                f"the sound changes from {self._sample_rate_hz} Hz, {self._channels} channels to "
                f"{chunk.sample_rate_hz} Hz, {chunk.samples.shape[1]} channels; expected one form in a recording"
            )
        self._reach(self._place(chunk) / self._sample_rate_hz, len(chunk.samples) / self._sample_rate_hz)
        self._waiting.append(chunk)
        self._waiting_samples += len(chunk.samples)
        while self._waiting and self._looks_ahead(self._waiting[0]):
            self._write_next()

    def tell_robot_speech(self, source: str, is_speaking: bool, now_ns: int) -> None:
        """Takes the word of a source; what was captured well before is written by those before."""
        limit_ns = now_ns - round(LATE_LOOK_AHEAD_S * NANOSECONDS_PER_S)
        while self._waiting and self._waiting[0].stamp_ns < limit_ns:
            self._write_next()
        self._robot_speech.tell(source, is_speaking, now_ns / NANOSECONDS_PER_S)

    def finish(self) -> None:
        """Writes the sound that still waits; RecordingError if too much of all was dropped."""
        while self._waiting:
            self._write_next()
        if not self.dropped_s:
            return
        heard_s = self.dropped_s + self._written_samples / self._sample_rate_hz
        if self.dropped_s > MAX_DROPPED * heard_s:
            raise RecordingError(
                f"{self.dropped_s:.1f} of {heard_s:.1f} s of sound have stamps at which there is sound already; "
                "expected stamps that go on, of one microphone, so see that one node publishes the topic, that it "
                "stamps its messages, and that no clock was set back"
            )

    def close(self) -> None:
        if self._image_shape is not None:
            self._container.mux(self._video.encode(None))
        self._container.close()

    def __enter__(self) -> "RecordingWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reach(self, time_s: float, duration_s: float = 0.0) -> None:
        """Goes on to what begins at `time_s`; RecordingError if that is too far from all before."""
        gap_s = time_s - self._reached_s
        if gap_s > MAX_GAP_S:
            raise RecordingError(
                f"the stamps jump by {gap_s:.0f} s at {self._reached_s:.1f} s; expected at most {MAX_GAP_S:.0f} s, so "
                "cut the recording there"
            )
        self._reached_s = max(self._reached_s, time_s + duration_s)

    def _place(self, chunk: Chunk) -> int:
        """The sample of the file at which the chunk begins by its stamp."""
        return round((chunk.stamp_ns - self._start_ns) * self._sample_rate_hz / NANOSECONDS_PER_S)

    def _write_next(self) -> None:
        """Appends the chunk that has waited longest, after silence in place of what was lost before it."""
        lost = self._lost_samples()
        if self._written_samples:
            self.silence_s += lost / self._sample_rate_hz
        for begin in range(0, lost, self._sample_rate_hz):  # a second at once, as there may be many
            self._write_samples(np.zeros((min(self._sample_rate_hz, lost - begin), self._channels), np.float32))
        chunk = self._waiting.popleft()
        self._waiting_samples -= len(chunk.samples)
        overlap = self._written_samples - self._place(chunk)
        if overlap <= (MAX_DELAY_S if chunk.may_be_late else OVERLAP_S) * self._sample_rate_hz:
            overlap = 0
        self.dropped_s += min(overlap, len(chunk.samples)) / self._sample_rate_hz
        self._write_samples(chunk.samples[overlap:])

    def _looks_ahead(self, chunk: Chunk) -> bool:
        """Whether enough sound waits to tell that something was lost before the chunk."""
        look_ahead_s = LATE_LOOK_AHEAD_S if chunk.may_be_late else LOOK_AHEAD_S
        return self._waiting_samples > look_ahead_s * self._sample_rate_hz

    def _lost_samples(self) -> int:
        """By how many samples even the most punctual of the waiting chunks is later than those before it reach."""
        first = self._waiting[0]
        tolerance_s = first.jitter_s
        if self._waiting_samples <= LOOK_AHEAD_S * self._sample_rate_hz:  # near the end: fewer chunks tell
            tolerance_s *= 2.0
        # The beginning of the sound is nothing to be laid end to end with.
        tolerance = tolerance_s * self._sample_rate_hz if self._written_samples else 0.0
        begins, lost = self._written_samples, None
        for chunk in self._waiting:
            late = self._place(chunk) - begins
            if first.may_be_late or late >= -OVERLAP_S * self._sample_rate_hz:
                if late <= tolerance:
                    return 0
                lost = late if lost is None else min(lost, late)
            begins += len(chunk.samples)
        return lost or 0

    def _write_samples(self, samples: np.ndarray) -> None:
        """Appends float32 (N, channels), silent where the robot spoke."""
        if len(samples) == 0:
            return
        start_s = self._start_ns / NANOSECONDS_PER_S + self._written_samples / self._sample_rate_hz
        is_robot = self._robot_speech.covers(start_s + np.arange(len(samples)) / self._sample_rate_hz)  # (N,)
        samples = np.where(is_robot[:, None], 0.0, samples)
        if self._layout == "mono":
            samples = samples.mean(axis=1, keepdims=True)
        values = (np.clip(samples, -1.0, 1.0) * (2**15 - 1)).round().astype(np.int16).reshape(1, -1)  # interleaved
        frame = av.AudioFrame.from_ndarray(values, format="s16", layout=self._layout)
        frame.rate, frame.time_base = self._sample_rate_hz, Fraction(1, self._sample_rate_hz)
        frame.pts = self._written_samples
        self._container.mux(self._audio.encode(frame))
        self._written_samples += len(samples)
        self.duration_s = max(self.duration_s, self._written_samples / self._sample_rate_hz)
