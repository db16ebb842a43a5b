"""The clip again, with what the graph said about it drawn over."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from emotion_bringup.graph_recorder import FaceBox, Recording
from emotion_bringup.timeline import label_colours
from emotion_msgs.msg import EmotionState
from emotion_perception.core.media_reader import AudioBlock, MediaReader, VideoFrame
from emotion_perception.core.stamps import NANOSECONDS_PER_S, to_nanoseconds

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Item = TypeVar("Item")

TIME_BASE = Fraction(1, 90_000)  # exact for every usual frame rate
SOUND_RATE_HZ = 48_000  # whatever the clip's is, which AAC may not have
HEIGHT_PX = 480  # of the panel, whose text is made for it, and of the picture beside it
MAX_WIDTH_PX = 1920  # of the picture; that of a wider clip is less high
PANEL_PX = 260
HELD_NS = NANOSECONDS_PER_S // 5  # so long a face's box stays in pictures that the graph did not look at
BACKGROUND, TRACK, INK, FAINT = (24, 24, 28), (52, 52, 58), (238, 238, 238), (150, 150, 150)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_annotated_video(clip: Path, recording: Recording, path: Path) -> int:
    """Write the clip as H.264 with its sound, with face boxes and the state of each moment. It must have video.

    Returns:
        How many pictures the clip has.
    """
    pictures = 0
    states = sorted(recording.states, key=_stamp_ns)
    stamps_ns = [_stamp_ns(state) for state in states]
    seen_ns = sorted(recording.faces)  # stamps of the images that the graph looked at
    colour = label_colours(recording.states)
    with (
        MediaReader(clip) as reader,
        av.open(str(path), "w") as output,
        tqdm(
            total=round(reader.duration_s or 0), desc=path.name, bar_format="{desc} |{bar}| {n:.0f}/{total} s"
        ) as progress,
    ):
        first = _first(clip, VideoFrame)
        video = output.add_stream("libx264", rate=30, options={"crf": "20", "preset": "veryfast"})
        video.height, video.width = _annotate(first.image_rgb, None, [], colour).shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = TIME_BASE
        sound = None
        if reader.has_audio and _first(clip, AudioBlock):  # a track may be empty
            sound = output.add_stream("aac", rate=SOUND_RATE_HZ, layout="mono")
        resamplers: dict[int, av.AudioResampler] = {}  # by rate, which may change within a clip
        for item in _in_order(reader):
            progress.update(max(min(item.time_s, progress.total) - progress.n, 0))
            if isinstance(item, AudioBlock):
                if item.sample_rate_hz not in resamplers:
                    resamplers[item.sample_rate_hz] = av.AudioResampler("fltp", "mono", SOUND_RATE_HZ)
                for frame in resamplers[item.sample_rate_hz].resample(_audio_frame(item)):
                    output.mux(sound.encode(frame))
                continue
            stamp_ns = recording.start_ns + round(item.time_s * NANOSECONDS_PER_S)
            known, seen = bisect_right(stamps_ns, stamp_ns), bisect_right(seen_ns, stamp_ns)
            state = states[known - 1] if known else None
            is_held = seen and stamp_ns - seen_ns[seen - 1] <= HELD_NS
            faces = recording.faces[seen_ns[seen - 1]] if is_held else []
            picture = _annotate(item.image_rgb, state, faces, colour)
            pictures += 1
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(item.time_s / TIME_BASE), TIME_BASE
            output.mux(video.encode(frame))
        for stream in (video, sound):
            if stream is not None:
                output.mux(stream.encode(None))
        progress.update(progress.total - progress.n)
    return pictures


def _stamp_ns(state: EmotionState) -> int:
    return to_nanoseconds(state.header.stamp)


def _first(clip: Path, kind: type[Item]) -> Item | None:
    with MediaReader(clip) as reader:
        return next((item for item in reader if isinstance(item, kind)), None)


def _in_order(items: Iterable[VideoFrame | AudioBlock]) -> Iterator[VideoFrame | AudioBlock]:
    """The items as a file can hold them, whose stamps must not go back as those of a damaged clip do.

    What lies before the end of what came already is left out; sound that begins before it is moved there.
    """
    end_s = {VideoFrame: -1.0, AudioBlock: 0.0}
    for item in items:
        kind = type(item)
        if item.captured_s > end_s[kind]:
            item = replace(item, time_s=max(item.time_s, end_s[kind]))
            end_s[kind] = item.captured_s
            yield item


def _audio_frame(block: AudioBlock) -> av.AudioFrame:
    mono = block.samples.mean(axis=1, dtype=np.float32)[np.newaxis]  # (1, N)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(mono), format="fltp", layout="mono")
    frame.sample_rate, frame.time_base = block.sample_rate_hz, Fraction(1, block.sample_rate_hz)
    frame.pts = round(block.time_s * block.sample_rate_hz)
    return frame


def _annotate(
    image: Pixels, state: EmotionState | None, faces: list[FaceBox], colour: dict[str, tuple[int, int, int]]
) -> Pixels:
    """The image with boxes and a panel at its right, HEIGHT_PX high."""
    scale = min(HEIGHT_PX / image.shape[0], MAX_WIDTH_PX / image.shape[1])
    height_px = max(round(image.shape[0] * scale), 1)
    width_px = max(round(image.shape[1] * scale) // 2 * 2, 2)  # H.264 wants even sides
    picture = np.full((HEIGHT_PX, width_px + PANEL_PX, 3), BACKGROUND, np.uint8)
    picture[:height_px, :width_px] = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA)
    for face in faces:
        is_judged = state is not None and state.track_id == face.track_id
        ink = colour[state.label] if is_judged else FAINT
        left, top = round(face.x_px * scale), round(face.y_px * scale)
        right, bottom = round((face.x_px + face.width_px) * scale), round((face.y_px + face.height_px) * scale)
        cv2.rectangle(picture[:, :width_px], (left, top), (right, bottom), ink, 2, cv2.LINE_AA)
        _write_sign(picture[:, :width_px], face.track_id, left, top, ink)
    _draw_panel(picture[:, width_px:], state, colour)
    return picture


def _draw_panel(panel: Pixels, state: EmotionState | None, colour: dict[str, tuple[int, int, int]]) -> None:
    if state is None or not state.labels:
        _write(panel, "nobody", 16, 44, FAINT, 0.9)
        return
    _write(panel, state.label, 16, 44, FAINT if state.uncertain else colour[state.label], 0.9)
    sureness = f"{state.confidence:.0%}" + (" uncertain" if state.uncertain else "")
    _write(panel, sureness, 16, 68, INK, 0.5)
    length_px = PANEL_PX - 32
    for row, (label, probability) in enumerate(zip(state.labels, state.probabilities, strict=True)):
        y_px = 98 + 38 * row
        _write(panel, label, 16, y_px, INK, 0.45)
        _bar(panel, 16, y_px + 6, length_px, probability, colour[label])
    bottom_px = HEIGHT_PX - 92
    for row, (name, weight) in enumerate((("face", state.face_weight), ("voice", state.audio_weight))):
        y_px = bottom_px + 34 * row
        text, ink = (f"{name} {weight:.0%}", INK) if weight else (f"{name} not used", FAINT)
        _write(panel, text, 16, y_px, ink, 0.45)
        _bar(panel, 16, y_px + 6, length_px, weight, FAINT)
    _write(panel, f"valence {state.valence:+.2f}  arousal {state.arousal:+.2f}", 16, HEIGHT_PX - 16, FAINT, 0.42)


def _bar(panel: Pixels, x_px: int, y_px: int, length_px: int, share: float, ink: tuple[int, int, int]) -> None:
    cv2.rectangle(panel, (x_px, y_px), (x_px + length_px, y_px + 8), TRACK, cv2.FILLED)
    if share > 0:
        cv2.rectangle(panel, (x_px, y_px), (x_px + round(length_px * share), y_px + 8), ink, cv2.FILLED)


def _write_sign(picture: Pixels, text: str, left_px: int, bottom_px: int, ground: tuple[int, int, int]) -> None:
    """Text on a ground of its own, readable whatever the picture shows and wherever in it the face is."""
    (width_px, height_px), _ = cv2.getTextSize(text, FONT, 0.45, 1)
    left_px = max(min(left_px, picture.shape[1] - width_px - 8), 0)
    bottom_px = max(bottom_px, height_px + 8)
    cv2.rectangle(
        picture, (left_px, bottom_px - height_px - 8), (left_px + width_px + 8, bottom_px), ground, cv2.FILLED
    )
    _write(picture, text, left_px + 4, bottom_px - 5, BACKGROUND, 0.45)


def _write(picture: Pixels, text: str, x_px: int, y_px: int, ink: tuple[int, int, int], size: float) -> None:
    cv2.putText(picture, text, (x_px, y_px), FONT, size, ink, 1 if size < 0.8 else 2, cv2.LINE_AA)
