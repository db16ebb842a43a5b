"""Writes pictures and sound with capture times into one media file on one time axis."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from .bag_messages import NANOSECONDS_PER_S, Chunk

# Sound is laid end to end as long as its stamps agree with that within this; clocks of microphones tremble.
TOLERANCE_S = 0.1
MAX_GAP_S = 60.0  # without a picture or a sample; beyond, a clock was set or a stamp is wrong
MILLISECONDS_PER_S = 1000
# Visually lossless H.264, fast enough for 640x480 at 30 pictures a second on one core.
VIDEO_OPTIONS = {"crf": "17", "preset": "veryfast"}


class RecordingError(Exception):
    """The messages cannot become one media file; says which and why."""


class RecordingWriter:
    """A Matroska file with H.264 pictures and 16-bit PCM sound.

    Time 0 is `start_ns`. Pictures keep their capture times to the millisecond; gaps in the sound become silence, and
    what comes again, or late, is dropped.

    Attributes:
        images: that were written.
        late_images: that were dropped because their stamp was not after that of the one before.
        duration_s: from the start to the end of the last picture or sample.
    """

    def __init__(self, path: Path, start_ns: int, image_shape: tuple[int, int] | None, sound: Chunk | None) -> None:
        """Opens the file.

        Args:
            path: ends in .mkv.
            start_ns: capture time of the first picture or sample.
            image_shape: (height, width) of all pictures, or None without pictures.
            sound: any chunk, for the rate and the channels of all; or None without sound.
        """
        self.images = self.late_images = 0
        self.duration_s = 0.0
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
            self._layout = {1: "mono", 2: "stereo"}.get(self._channels, f"{self._channels}c")
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
        self._check_gap(time_ms / MILLISECONDS_PER_S)
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
        stamped = round((chunk.stamp_ns - self._start_ns) * self._sample_rate_hz / NANOSECONDS_PER_S)
        self._check_gap(stamped / self._sample_rate_hz)
        ahead = stamped - self._written_samples
        samples = chunk.samples
        if ahead > TOLERANCE_S * self._sample_rate_hz:
            self._write_samples(np.zeros((ahead, self._channels), np.float32))
        elif ahead < -TOLERANCE_S * self._sample_rate_hz:
            samples = samples[-ahead:]
        self._write_samples(samples)

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

    def _check_gap(self, time_s: float) -> None:
        gap_s = time_s - self.duration_s
        if gap_s > MAX_GAP_S:
            raise RecordingError(
                f"the stamps jump by {gap_s:.0f} s at {self.duration_s:.1f} s; expected at most {MAX_GAP_S:.0f} s, so "
                "cut the recording there"
            )

    def _write_samples(self, samples: np.ndarray) -> None:
        """Appends float32 (N, channels)."""
        if len(samples) == 0:
            return
        values = (np.clip(samples, -1.0, 1.0) * (2**15 - 1)).round().astype(np.int16).reshape(1, -1)  # interleaved
        frame = av.AudioFrame.from_ndarray(values, format="s16", layout=self._layout)
        frame.rate, frame.time_base = self._sample_rate_hz, Fraction(1, self._sample_rate_hz)
        frame.pts = self._written_samples
        self._container.mux(self._audio.encode(frame))
        self._written_samples += len(samples)
        self.duration_s = max(self.duration_s, self._written_samples / self._sample_rate_hz)
