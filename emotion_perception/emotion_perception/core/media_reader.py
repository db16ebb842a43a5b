"""Reads the pictures and the sound of a media file in the order and at the times that the file gives."""

import heapq
import struct
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame as EncodedFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

FFMPEG_TIME_UNITS_PER_S = 1_000_000  # of a container's start and duration
TEXT_FORMAT = "tty"  # FFmpeg plays text files as a film of a terminal
MAX_UNREADABLE_IN_A_ROW = 100  # then the rest of the file counts as lost


class MediaError(ValueError):
    """The file cannot be played."""


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One picture."""

    time_s: float  # since the start of the file
    image_rgb: NDArray[np.uint8]  # (H, W, 3), upright

    @property
    def captured_s(self) -> float:
        """When a camera would give it."""
        return self.time_s


@dataclass(frozen=True, eq=False)
class AudioBlock:
    """One piece of sound."""

    time_s: float  # of the first sample, since the start of the file
    samples: NDArray[np.float32]  # (N, channels) in [-1, 1]
    sample_rate_hz: int

    @property
    def captured_s(self) -> float:
        """When a microphone would give it: when its last sample is there."""
        return self.time_s + len(self.samples) / self.sample_rate_hz


_Items = Generator[VideoFrame | AudioBlock, None, None]


class MediaReader:
    """The first picture stream and the first sound stream of a file, decoded while iterating, once.

    Each stream is read through its own opening of the file, so that never more than one picture and one block
    wait in memory, however badly the file interleaves them. Only local files are read. Not thread-safe.

    Attributes:
        has_video, has_audio: what there is.
        duration_s: None if the file does not say.
        frame_rate_hz: the average; None without video or if the file does not say.
        corrupt_packets: pieces that could not be read or decoded so far; they are left out.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file.

        Raises:
            MediaError: there is no such file, it may not be read, or nothing in it can be played.
        """
        self._path = Path(path)
        try:
            is_file = self._path.is_file()
        except OSError as error:  # of a folder that may not be entered, for example
            raise MediaError(
                f"{self._path} cannot be looked at ({error.strerror}); check the path, and who may enter its folders."
            ) from error
        if not is_file:
            raise MediaError(f"{self._path} is not a file; check the path.")
        self.corrupt_packets = 0
        self._is_open = True
        with ExitStack() as opened:
            container = opened.enter_context(self._open())
            if container.format.name == TEXT_FORMAT:
                raise MediaError(f"{self._path} is a text file; choose another file.")
            video, audio = _first_streams(container)
            self.has_video, self.has_audio = video is not None, audio is not None
            rate_hz = video.average_rate if video else None
            self.frame_rate_hz = float(rate_hz) if rate_hz else None
            self.duration_s = container.duration / FFMPEG_TIME_UNITS_PER_S if container.duration else None
            self._start_s = (container.start_time or 0) / FFMPEG_TIME_UNITS_PER_S
            self._items: list[_Items] = []
            if video:
                self._items.append(self._video_frames(container, video))
                container = opened.enter_context(self._open())
                _, audio = _first_streams(container)
            if audio:
                self._items.append(self._audio_blocks(container, audio))
            if not self._items:
                raise MediaError(f"{self._path} has neither video nor audio that can be decoded; choose another file.")
            self._opened = opened.pop_all()

    def __iter__(self) -> Iterator[VideoFrame | AudioBlock]:
        """Everything, in the order in which a camera and a microphone would give it.

        Raises:
            MediaError: the reader is closed.
        """
        if not self._is_open:
            raise MediaError(f"The reader of {self._path} is closed; open the file again.")
        return heapq.merge(*self._items, key=lambda item: item.captured_s)

    def close(self) -> None:
        """Close the file, which ends the iteration; a second call does nothing."""
        self._is_open = False
        for items in self._items:
            items.close()  # PyAV crashes when it decodes from a closed file
        self._opened.close()

    def __enter__(self) -> "MediaReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> InputContainer:
        try:
            return av.open(str(self._path), metadata_errors="ignore", options={"protocol_whitelist": "file"})
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{self._path} cannot be read as media ({error.strerror}); choose another file."
            ) from error

    def _video_frames(self, container: InputContainer, stream: VideoStream) -> _Items:
        frame_s = 1.0 / self.frame_rate_hz if self.frame_rate_hz else 0.0
        time_s = -frame_s
        converter = VideoReformatter()  # each frame's own would make its tables and a thread for every core anew
        pixel_width = float(stream.sample_aspect_ratio or 1)  # in heights: of television and camcorders it is not 1
        for frame in self._decoded(container, stream):
            time_s = self._time_s(frame, otherwise_s=time_s + frame_s)
            width_px = max(round(frame.width * pixel_width), 1)
            image_rgb = converter.reformat(frame, width=width_px, format="rgb24", threads=1).to_ndarray()
            yield VideoFrame(time_s, _upright(np.asarray(image_rgb, np.uint8), frame))

    def _audio_blocks(self, container: InputContainer, stream: AudioStream) -> _Items:
        end_s = 0.0
        for frame in self._decoded(container, stream):
            time_s = self._time_s(frame, otherwise_s=end_s)
            end_s = time_s + frame.samples / frame.sample_rate
            yield AudioBlock(time_s, _float_samples(frame), frame.sample_rate)

    def _time_s(self, frame: EncodedFrame | AudioFrame, otherwise_s: float) -> float:
        if frame.pts is None or frame.time_base is None:
            return otherwise_s
        # The file's start is rounded to microseconds; nothing comes before it.
        return max(float(frame.pts * frame.time_base) - self._start_s, 0.0)

    def _decoded(self, container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[Any]:
        """The frames of a stream, without the corrupt ones."""
        for packet in self._packets(container, stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self.corrupt_packets += 1
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self.corrupt_packets += 1
                else:
                    yield frame

    def _packets(self, container: InputContainer, stream: VideoStream | AudioStream) -> Iterator[Any]:
        """The packets of a stream; last an empty one, which makes the decoder give what it still holds."""
        unreadable_in_a_row = 0
        packets = container.demux(stream)
        while unreadable_in_a_row < MAX_UNREADABLE_IN_A_ROW:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self.corrupt_packets += 1
                unreadable_in_a_row += 1
                packets = container.demux(stream)
                continue
            if packet is None:
                return
            unreadable_in_a_row = 0
            yield packet


def _first_streams(container: InputContainer) -> tuple[VideoStream | None, AudioStream | None]:
    """What can be decoded; the cover picture of a record is no video."""
    video = (
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    )
    audio = (stream for stream in container.streams.audio if stream.codec_context is not None)
    return next(video, None), next(audio, None)


def _upright(image_rgb: NDArray[np.uint8], frame: EncodedFrame) -> NDArray[np.uint8]:
    """A frame's image (H, W, 3), turned as the camera was held, and mirrored as the file says."""
    if _is_mirrored(frame):
        image_rgb = np.flipud(image_rgb)  # which leaves alone the row of the matrix that gives the rotation
    quarter_turns = round(frame.rotation / 90) % 4  # counterclockwise, as np.rot90 turns
    return np.ascontiguousarray(np.rot90(image_rgb, quarter_turns))


def _is_mirrored(frame: EncodedFrame) -> bool:
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")  # int32 (3, 3); its upper left (2, 2) turns and mirrors
    except ValueError:  # PyAV gives no side data at all where it cannot name one of them, such as the EXIF of a photo
        return False
    if matrix is None:
        return False
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    return bool(a * d < b * c)


def _float_samples(frame: AudioFrame) -> NDArray[np.float32]:
    """(N, channels) in [-1, 1]."""
    values: NDArray[Any]  # planar: (channels, N); else (1, N * channels)
    if frame.format.name == "s64":  # which PyAV gives no array of
        values = np.frombuffer(bytes(frame.planes[0]), np.int64, frame.samples * frame.layout.nb_channels)
    else:
        values = frame.to_ndarray()
    samples = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if samples.dtype == np.uint8:
        samples = samples / 128.0 - 1.0
    elif np.issubdtype(samples.dtype, np.signedinteger):
        samples = samples / 2.0 ** (8 * samples.dtype.itemsize - 1)
    return np.ascontiguousarray(samples, np.float32)
