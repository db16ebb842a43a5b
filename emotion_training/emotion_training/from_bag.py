"""Makes a manifest corpus out of rosbag2 recordings of the robot, without ROS.

    python -m emotion_training.from_bag recordings/monday recordings/tuesday --out corpus --segments segments.csv

Writes into --out one `<recording>.mkv` each, with pictures and sound at their capture times, and `manifest.csv`, which
the corpus `manifest` reads. Without segments each recording is one clip without a label, of a speaker named like the
recording. A table of segments has one row a clip:

| column | meaning |
|---|---|
| `start_s`, `end_s` | since the first picture or sample of the recording |
| `label` | one of `labels.KNOWN_LABELS`, or empty |
| `speaker_id` | who is seen and heard |
| `recording` | folder name of the recording; the column may be absent if there is only one |
| `valence`, `arousal`, `intensity`, `vote_<label>` | as in a manifest; the columns may be absent |
"""

import argparse
import csv
import itertools
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from tqdm import tqdm

from .bag_messages import (
    AUDIO_TYPES,
    IMAGE_TYPES,
    Chunk,
    MessageError,
    Unstamped,
    audio_chunk,
    image_rgb,
    message_types,
    stamp_ns,
)
from .command import make_out, run_command
from .corpora.manifest import VOTE, VOTES
from .corpora.table import CorpusError, Row, build_all, read_table, refuse_unknown_columns
from .recording_writer import RecordingError, RecordingWriter

COLUMNS = ("clip_id", "speaker_id", "session_id", "label", "video", "audio", "start_s", "end_s")
SAID = ("valence", "arousal", "intensity", *VOTES)  # of a segment, which the manifest takes over


class BagError(Exception):
    """A recording that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class BagOptions:
    """Topics to read, None for the only one of its kind; what audio_common_msgs/AudioData does not say."""

    image_topic: str | None
    audio_topic: str | None
    unstamped_sample_rate_hz: int
    unstamped_channels: int


@dataclass(frozen=True)
class Recording:
    """A media file that was written, and what is in it."""

    path: Path
    has_images: bool
    duration_s: float
    late_images: int


def convert_bag(bag: Path, path: Path, options: BagOptions) -> Recording:
    """Writes the pictures and the sound of a recording into the media file `path` (.mkv).

    Raises:
        BagError: no such recording, no topic or several to choose from, a message that cannot be read, or stamps that
            jump.
    """
    try:
        with AnyReader([bag], default_typestore=message_types(_audio_type(bag))) as reader:
            images = _topic(reader, bag, IMAGE_TYPES, options.image_topic, "--image-topic")
            sound = _topic(reader, bag, AUDIO_TYPES, options.audio_topic, "--audio-topic")
            if images is None and sound is None:
                raise BagError(
                    f"{bag} has neither pictures nor sound; expected {', '.join([*IMAGE_TYPES, *AUDIO_TYPES])}"
                )
            return _convert(reader, options, images, sound, path)
    except (AnyReaderError, FileNotFoundError, MessageError, RecordingError, av.error.FFmpegError) as error:
        raise BagError(f"{bag}: {error}") from None


def _convert(
    reader: AnyReader, options: BagOptions, images: Connection | None, sound: Connection | None, path: Path
) -> Recording:
    topics = [topic for topic in (images, sound) if topic]
    firsts = [next(_items(reader, options, [topic])) for topic in topics]
    start_ns = min(stamp for stamp, _ in firsts)
    image_shape = firsts[0][1].shape[:2] if images else None
    unfinished = path.with_suffix(".part.mkv")
    try:
        with RecordingWriter(unfinished, start_ns, image_shape, firsts[-1][1] if sound else None) as writer:
            count = sum(topic.msgcount for topic in topics)
            for stamp, item in tqdm(_items(reader, options, topics), total=count, desc=path.stem, unit="message"):
                if isinstance(item, Chunk):
                    writer.add_chunk(item)
                else:
                    writer.add_image(item, stamp)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)  # of a recording that could not be written to its end
    return Recording(path, image_shape is not None, writer.duration_s, writer.late_images)


def _items(
    reader: AnyReader, options: BagOptions, topics: Sequence[Connection]
) -> Iterator[tuple[int, np.ndarray | Chunk]]:
    """Capture times in nanoseconds, and pictures uint8 (H, W, 3) or sound, in the order of their arrival."""
    for topic, received_ns, raw in reader.messages(topics):
        message = reader.deserialize(raw, topic.msgtype)
        if topic.msgtype in IMAGE_TYPES:
            yield stamp_ns(message.header), image_rgb(message, topic.msgtype)
        else:
            unstamped = Unstamped(received_ns, options.unstamped_sample_rate_hz, options.unstamped_channels)
            chunk = audio_chunk(message, topic.msgtype, unstamped)
            yield chunk.stamp_ns, chunk


def _audio_type(bag: Path) -> str | None:
    """The sound message that the recording holds, for recordings that do not bring its definition."""
    with AnyReader([bag], default_typestore=message_types(None)) as reader:
        return next((found.msgtype for found in reader.connections if found.msgtype in AUDIO_TYPES), None)


def _topic(reader: AnyReader, bag: Path, types: Collection[str], wanted: str | None, option: str) -> Connection | None:
    """The topic `wanted`, or the only one of the types that has messages; None if there is none."""
    found = {
        connection.topic: connection
        for connection in reader.connections
        if connection.msgtype in types and connection.msgcount
    }
    if wanted is not None:
        if wanted not in found:
            raise BagError(f"{bag} has no message on {wanted}; give {option} one of {', '.join(found) or 'none'}")
        return found[wanted]
    if len(found) > 1:
        raise BagError(f"{bag} has several such topics; choose with {option} one of {', '.join(sorted(found))}")
    return next(iter(found.values()), None)


def write_manifest(recordings: Sequence[Recording], segments: Path | None, path: Path) -> int:
    """Writes the manifest and gives the number of its clips; CorpusError names a segment that does not fit.

    What an earlier manifest says of other recordings stays, and without segments what it says of these, as somebody may
    have written labels into it.
    """
    rows = _segment_rows(recordings, segments) if segments else [_whole(recording) for recording in recordings]
    earlier = [row.cells for row in read_table(path, ("clip_id", "speaker_id"))] if path.is_file() else []
    if segments:
        written = {_file(row) for row in rows} | {recording.path.name for recording in recordings}
        rows = [row for row in earlier if _file(row) not in written] + rows
    else:
        known = {_file(row) for row in earlier}
        rows = earlier + [row for row in rows if _file(row) not in known]
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, dict.fromkeys((*COLUMNS, *itertools.chain(*rows))), restval="")
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)
    return len(rows)


def _file(row: Mapping[str, str]) -> str:
    return row.get("video") or row.get("audio") or ""


def _segment_rows(recordings: Sequence[Recording], segments: Path) -> list[dict[str, str]]:
    by_name = {recording.path.stem: recording for recording in recordings}
    required = ["start_s", "end_s", "label", "speaker_id"] + (["recording"] if len(by_name) > 1 else [])
    seen: dict[str, int] = defaultdict(int)
    rows = read_table(segments, required)
    known = (*required, *({"recording"} - set(required)), *SAID)
    refuse_unknown_columns(segments, rows, known, f"{', '.join(known[: -len(VOTES)])} or {VOTE}<label>")

    def build(row: Row) -> dict[str, str]:
        name = row.text("recording") or (next(iter(by_name)) if len(by_name) == 1 else "")
        if name not in by_name:
            raise row.problem(f"recording is {name!r}; expected one of {', '.join(by_name)}")
        start_s, end_s = row.required_number("start_s"), row.required_number("end_s")
        row.span_s()
        if end_s > by_name[name].duration_s:
            raise row.problem(f"end_s is {end_s:g}, but {name} lasts {by_name[name].duration_s:.2f} s")
        seen[name] += 1
        return _files(by_name[name]) | {
            "clip_id": f"{name}-{seen[name]:04d}",
            "speaker_id": row.required("speaker_id"),
            "label": row.label("label") or "",
            "start_s": str(start_s),
            "end_s": str(end_s),
            **{column: text for column, text in row.cells.items() if column in SAID},
        }

    return build_all(rows, build)


def _whole(recording: Recording) -> dict[str, str]:
    return _files(recording) | {"clip_id": recording.path.stem, "speaker_id": recording.path.stem}


def _files(recording: Recording) -> dict[str, str]:
    """The sound is in the same file as the pictures."""
    column = "video" if recording.has_images else "audio"
    return {column: recording.path.name, "session_id": recording.path.stem}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="from-bag", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bags", type=Path, nargs="+", help="folders of rosbag2 recordings")
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--segments", type=Path, help="table of segments (CSV or Parquet)")
    parser.add_argument("--image-topic", help="default: the only one with images")
    parser.add_argument("--audio-topic", help="default: the only one with sound")
    parser.add_argument(
        "--unstamped-sample-rate-hz",
        type=int,
        default=16000,
        help="of audio_common_msgs/AudioData, which does not say it (default: %(default)s)",
    )
    parser.add_argument("--unstamped-channels", type=int, default=1, help="likewise (default: %(default)s)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.unstamped_sample_rate_hz < 1 or given.unstamped_channels < 1:
        parser.error("--unstamped-sample-rate-hz and --unstamped-channels must be 1 or more")
    names = [bag.resolve().name for bag in given.bags]
    if len(set(names)) < len(names):
        parser.error(f"the recordings {', '.join(names)} have the same name; rename one")
    interrupted = f"interrupted; what is finished in {given.out} stays, and the same command makes all of it again"
    return run_command(lambda: _convert_all(given, names), (BagError, CorpusError), interrupted)


def _convert_all(given: argparse.Namespace, names: Sequence[str]) -> str:
    make_out(given.out)
    options = BagOptions(given.image_topic, given.audio_topic, given.unstamped_sample_rate_hz, given.unstamped_channels)
    recordings = [
        convert_bag(bag, given.out / f"{name}.mkv", options) for bag, name in zip(given.bags, names, strict=True)
    ]
    n_clips = write_manifest(recordings, given.segments, given.out / "manifest.csv")
    late = [
        f"{recording.path.name}: {recording.late_images} images that were not newer than the last are left out"
        for recording in recordings
        if recording.late_images
    ]
    return "\n".join([*late, f"{n_clips} clips in {given.out / 'manifest.csv'}"])


if __name__ == "__main__":
    sys.exit(main())
