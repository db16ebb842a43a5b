"""Cuts the clips of one recording out of it in a single pass: face crops, found as the robot finds them, and sound."""

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emotion_perception.core.audio_chunk import AudioError
from emotion_perception.core.audio_resampler import SAMPLE_RATE_HZ, AudioResampler
from emotion_perception.core.face_box import Box
from emotion_perception.core.face_crop import crop_face
from emotion_perception.core.face_detector import FaceDetector
from emotion_perception.core.face_tracker import FaceTracker
from emotion_perception.core.media_reader import AudioBlock, MediaReader, VideoFrame
from emotion_perception.core.scene_cut import SceneCuts

from .clip import Clip
from .package_share import robot_parameters

SILENT_BELOW = 1e-4  # peak, of full scale: less than four steps of 16-bit sound
MAX_GAP_S = 0.05  # a longer one between blocks is filled with silence; a shorter one is the file's rounding
PERIOD_TOLERANCE = 1e-6  # times are sums of fractions; a picture that is due may seem a little early
SETTLE_S = 0.5  # after a clip's end, for the resampler to give all of its sound
WAIT_S = 10.0  # after a clip's end for pictures or sound that are still to come: a block of sound may be long
MAX_LOST_S = 0.5  # of what a file says that it lasts, which is rounded, and is that of its longest stream
MAX_MISSING_S = 0.1  # at a clip's end, which people note down by hand
MAX_AREA_RATIO = 4.0  # of the face of somebody who looked away: it is not twice as wide afterwards

NO_FACE = "no face"
NO_SOUND = "no sound"
SILENT = "silent"
UNREADABLE = "unreadable"
NOTHING = "nothing in the clip's span"
CUT_SHORT = "pictures or sound end before the clip"
DAMAGED = "damaged"


@dataclass(frozen=True)
class Problem:
    """Why a clip, or one side of it, cannot be used: a reason that is counted, and the particulars."""

    reason: str
    details: str = ""


@dataclass(frozen=True)
class MediaClip:
    """What was cut out for a clip.

    Attributes:
        faces: uint8 (T, S, S, 3) RGB, of one person; T is 0 without a face.
        times_s: float64 (T,), since the clip's beginning.
        audio: float32 (N,) at 16 kHz in [-1, 1]; N is 0 without sound or where all is silent.
        problems: what is missing and why.
    """

    faces: np.ndarray
    times_s: np.ndarray
    audio: np.ndarray
    problems: tuple[Problem, ...]


def cut_clips(
    clips: Sequence[Clip], detector: FaceDetector, rate_hz: float, crop_px: int
) -> Iterator[tuple[Clip, MediaClip]]:
    """Reads the recording that all of `clips` are of, and gives each clip as soon as it is complete.

    A clip's face is that of the track with the largest sum of areas: large, and there for long. With it go those of
    tracks that begin about where and as large as it ended, as who looks away for long gets another track; but not in
    another scene. If the recording cannot be read, each clip that is not complete has that problem.

    Args:
        clips: with the same `video` and the same `audio`.
        detector: of faces.
        rate_hz: crops a second; more than the film has gives what it has.
        crop_px: side of the crops.
    """
    waiting = [_ClipCutter(clip, rate_hz, crop_px) for clip in clips]
    try:
        with ExitStack() as opened:
            paths = [path for path in (clips[0].video, clips[0].audio) if path is not None]
            recording = _Recording(clips[0], [opened.enter_context(MediaReader(path)) for path in paths])
            for item in recording:
                if isinstance(item, VideoFrame):
                    _add_image(waiting, detector, item, recording.scene)
                complete = [cutter for cutter in waiting if cutter.end_s + SETTLE_S <= recording.settled_s]
                waiting = [cutter for cutter in waiting if cutter not in complete]
                yield from ((cutter.clip, cutter.finish(recording)) for cutter in complete)
                if not waiting:
                    return
                if complete:
                    recording.sound.forget(min(cutter.start_s for cutter in waiting))
            yield from ((cutter.clip, cutter.finish(recording)) for cutter in waiting)
    except ValueError as error:  # MediaError, AudioError, or a face that MediaPipe sees outside the picture
        for cutter in waiting:
            yield cutter.clip, unreadable(str(error), crop_px)


def unreadable(details: str, crop_px: int) -> MediaClip:
    """A clip of which nothing can be had."""
    faces, audio = np.zeros((0, crop_px, crop_px, 3), np.uint8), np.zeros(0, np.float32)
    return MediaClip(faces, np.zeros(0), audio, (Problem(UNREADABLE, details),))


class _Recording:
    """Gives what is read of a recording, by time, and says what there was so far.

    Attributes:
        sound: so far.
        pictures: when they came.
        scene: the number of the one that the newest picture shows.
        settled_s: up to when nothing is to come any more.
        damage: what could not be read; empty for nothing.
    """

    def __init__(self, clip: Clip, readers: Sequence[MediaReader]) -> None:
        """readers: of the clip's video and of its separate sound, as there are."""
        self.sound, self.pictures, self.scene, self.settled_s = _Sound(), _Pictures(), 0, -math.inf
        self._clip, self._readers, self._ended = clip, readers, False

    def __iter__(self) -> Iterator[VideoFrame | AudioBlock]:
        cuts = SceneCuts()
        has_sound = self._readers[-1].has_audio
        has_pictures = self._clip.video is not None and self._readers[0].has_video
        for item in self._items():
            if isinstance(item, AudioBlock):
                self.sound.add(item)
            else:
                self.scene += cuts.is_cut(item.image_rgb, item.time_s)
                self.pictures.add(item)
            reached_s = [item.time_s, *([self.sound.end_s] * has_sound), *([self.pictures.last_s] * has_pictures)]
            self.settled_s = max(min(reached_s), item.time_s - WAIT_S)
            yield item
        self.sound.finish()
        self._ended = True

    def _items(self) -> Iterator[VideoFrame | AudioBlock]:
        if self._clip.audio is None:
            return iter(self._readers[0])
        pictures = self._readers[0] if self._clip.video else ()
        return heapq.merge(
            (item for item in pictures if isinstance(item, VideoFrame)),
            (item for item in self._readers[-1] if isinstance(item, AudioBlock)),
            key=lambda item: item.time_s,
        )

    @property
    def damage(self) -> str:
        names = [path.name for path in (self._clip.video, self._clip.audio) if path is not None]
        broken = [
            f"{name}: {reader.corrupt_packets} pieces cannot be read"
            for name, reader in zip(names, self._readers, strict=True)
            if reader.corrupt_packets
        ]
        if broken:
            return ", ".join(broken)
        lasts_s = self._readers[-1].duration_s if self._ended else None
        ended_s = self.sound.end_s if self._clip.audio else max(self.pictures.last_s, self.sound.end_s)
        if lasts_s is None or ended_s >= lasts_s - MAX_LOST_S:
            return ""
        return f"{names[-1]} ends at {ended_s:.2f} s of {lasts_s:.2f} s"


def _add_image(cutters: Sequence["_ClipCutter"], detector: FaceDetector, frame: VideoFrame, scene: int) -> None:
    wanting = [cutter for cutter in cutters if cutter.wants(frame.time_s)]
    if wanting:
        detections = detector.detect(frame.image_rgb)
        for cutter in wanting:
            cutter.add(frame, detections, scene)


class _Pictures:
    """When they came so far."""

    def __init__(self) -> None:
        self.last_s = -math.inf
        self.end_s = math.inf  # of the last one: it stays as long as the one before, a single one for ever

    def add(self, frame: VideoFrame) -> None:
        if not math.isinf(self.last_s):
            self.end_s = 2.0 * frame.time_s - self.last_s
        self.last_s = frame.time_s


class _Sound:
    """The sound of the recording so far, 16 kHz mono, on the recording's time axis."""

    def __init__(self) -> None:
        self.has_blocks = False
        self._resampler: AudioResampler | None = None
        self._pieces: list[np.ndarray] = []
        self._forgotten_samples = 0

    def add(self, block: AudioBlock) -> None:
        self.has_blocks = True
        if self._resampler is None:
            self._resampler = AudioResampler(block.sample_rate_hz)
        if self._resampler.sample_rate_hz != block.sample_rate_hz:
            raise AudioError(
                f"The sound changes from {self._resampler.sample_rate_hz} Hz to {block.sample_rate_hz} Hz at "
                f"{block.time_s:.2f} s; convert the file."
            )
        gap_s = block.time_s - self._resampler.received_s
        if gap_s > MAX_GAP_S:
            silence = np.zeros((round(gap_s * block.sample_rate_hz), 1), np.float32)
            self._pieces.append(self._resampler.add(silence))
        self._pieces.append(self._resampler.add(block.samples))

    @property
    def end_s(self) -> float:
        """Of what came so far."""
        return self._resampler.received_s if self._resampler is not None else 0.0

    def finish(self) -> None:
        if self._resampler is not None:
            self._pieces.append(self._resampler.finish())

    def cut(self, start_s: float, end_s: float) -> np.ndarray:
        """float32 (N,) in [-1, 1]."""
        joined = self._joined()
        start = round(start_s * SAMPLE_RATE_HZ) - self._forgotten_samples
        end = len(joined) if math.isinf(end_s) else round(end_s * SAMPLE_RATE_HZ) - self._forgotten_samples
        return np.clip(joined[start:end], -1.0, 1.0)

    def forget(self, before_s: float) -> None:
        """Free what no clip needs any more: recordings last hours."""
        joined = self._joined()
        n_samples = max(min(round(before_s * SAMPLE_RATE_HZ) - self._forgotten_samples, len(joined)), 0)
        self._pieces = [joined[n_samples:].copy()]
        self._forgotten_samples += n_samples

    def _joined(self) -> np.ndarray:
        self._pieces = [np.concatenate(self._pieces)] if self._pieces else [np.zeros(0, np.float32)]
        return self._pieces[0]


@dataclass
class _Track:
    scene: int  # that it is in: a cut ends a track
    crops: list[np.ndarray] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    @property
    def area_px2(self) -> float:
        """Summed over the crops."""
        return sum(box.width_px * box.height_px for box in self.boxes)

    def may_go_on_as(self, later: "_Track", max_center_distance: float) -> bool:
        """Whether both may be of one person; max_center_distance: in face sizes."""
        last, first = self.boxes[-1], later.boxes[0]
        ratio = (last.width_px * last.height_px) / (first.width_px * first.height_px)
        (x_px, y_px), (later_x_px, later_y_px) = _center_px(last), _center_px(first)
        move = math.hypot(later_x_px - x_px, later_y_px - y_px) / max(last.width_px, first.width_px)
        return (
            (later.scene - self.scene) % 2 == 0  # after a cut away there is one back, also where one picture is broken
            and self.times_s[-1] < later.times_s[0]
            and 1.0 / MAX_AREA_RATIO <= ratio <= MAX_AREA_RATIO
            and move <= max_center_distance
        )


def _center_px(box: Box) -> tuple[float, float]:
    return box.x_px + box.width_px / 2.0, box.y_px + box.height_px / 2.0


def _of_one_person(tracks: Iterable[_Track], max_center_distance: float) -> list[_Track]:
    """That of whoever is the largest for longest, with those before and after that may be of the same person."""
    chosen: list[_Track] = []
    for track in sorted(tracks, key=lambda track: -track.area_px2):
        trial = sorted([*chosen, track], key=lambda track: track.times_s[0])
        if all(before.may_go_on_as(after, max_center_distance) for before, after in itertools.pairwise(trial)):
            chosen = trial
    return chosen


class _ClipCutter:
    """Collects the faces of one clip by track."""

    def __init__(self, clip: Clip, rate_hz: float, crop_px: int) -> None:
        parameters = robot_parameters("face_crop_node")
        self.clip = clip
        self.start_s = clip.start_s or 0.0
        self.end_s = math.inf if clip.end_s is None else clip.end_s
        self._period_s = 1.0 / rate_hz
        self._crop_px = crop_px
        self._images = 0  # that were looked at
        self._due = 0  # of the next, in periods since the beginning
        self._tracks: dict[str, _Track] = {}
        self._max_center_distance = parameters["max_center_distance"]
        self._tracker = FaceTracker(
            parameters["max_lost_s"], self._max_center_distance, parameters["duplicate_overlap"]
        )
        self._scene = 0  # of the newest picture

    def wants(self, time_s: float) -> bool:
        """Whether the picture of that time is due: the first one at or after each multiple of the period."""
        return self._due <= self._periods(time_s) and time_s < self.end_s

    def add(self, frame: VideoFrame, detections: Sequence[Any], scene: int) -> None:
        """scene: the number of the one that the picture shows."""
        self._images += 1
        self._due = math.floor(self._periods(frame.time_s)) + 1
        if scene != self._scene:  # as on the robot: who stands there now is not who stood there before
            self._scene = scene
            self._tracker.reset()
        for face in self._tracker.update(detections, frame.time_s):
            track = self._tracks.setdefault(face.track_id, _Track(self._scene))
            track.crops.append(crop_face(frame.image_rgb, face.box, self._crop_px))
            track.times_s.append(frame.time_s - self.start_s)
            track.boxes.append(face.box)

    def _periods(self, time_s: float) -> float:
        return (time_s - self.start_s) / self._period_s + PERIOD_TOLERANCE

    def finish(self, recording: _Recording) -> MediaClip:
        """recording: as far as it was read."""
        faces, times_s = np.zeros((0, self._crop_px, self._crop_px, 3), np.uint8), np.zeros(0)
        if self._tracks:
            tracks = _of_one_person(self._tracks.values(), self._max_center_distance)
            faces = np.stack([crop for track in tracks for crop in track.crops])  # (T, S, S, 3)
            times_s = np.array([time_s for track in tracks for time_s in track.times_s])  # (T,)
        audio = recording.sound.cut(self.start_s, self.end_s)
        problems = tuple(self._problems(audio, recording.sound, recording.pictures.end_s))
        if recording.damage:
            problems = (Problem(DAMAGED, recording.damage), *problems)
        if any(problem.reason == SILENT for problem in problems):
            audio = audio[:0]
        return MediaClip(faces, times_s, audio, problems)

    def _problems(self, audio: np.ndarray, sound: _Sound, images_end_s: float) -> Iterator[Problem]:
        if self._images == 0 and len(audio) == 0:
            yield Problem(NOTHING, f"{self.start_s:g} s to {self.end_s:g} s")
            return
        ends_s = {"pictures": images_end_s} if self._images else {}
        ends_s |= {"sound": sound.end_s} if len(audio) else {}
        early = [f"{name} to {end_s:.2f} s" for name, end_s in ends_s.items() if end_s < self.end_s - MAX_MISSING_S]
        if early and not math.isinf(self.end_s):
            yield Problem(CUT_SHORT, f"{' and '.join(early)} of {self.start_s:g} s to {self.end_s:g} s")
        if self.clip.video and not self._tracks:
            yield Problem(NO_FACE, f"in {self._images} pictures of {self.clip.video.name}")
        source = self.clip.audio or self.clip.video
        if not sound.has_blocks:
            yield Problem(NO_SOUND, f"in {source.name}")
        elif len(audio) == 0:
            yield Problem(NO_SOUND, f"in {source.name}, which ends at {sound.end_s:.2f} s")
        elif np.abs(audio).max() < SILENT_BELOW:
            yield Problem(SILENT, f"{len(audio) / SAMPLE_RATE_HZ:.2f} s of {source.name}")
