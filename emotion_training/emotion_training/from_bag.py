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
from statistics import median
from typing import Any

import av
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from tqdm import tqdm

from emotion_perception.core.robot_speech import ROBOT_SPEAKING, RobotSpeech
from emotion_perception.core.stamps import to_nanoseconds

from .bag_messages import (
    AUDIO_TYPES,
    IMAGE_TYPES,
    NANOSECONDS_PER_S,
    ROBOT_SPEECH_TYPES,
    Chunk,
    MessageError,
    Unstamped,
    audio_chunk,
    image_rgb,
    message_types,
    robot_speaks,
)
from .command import make_out, run_command
from .corpora.manifest import JUDGEMENT, VOTE, VOTES, judgement
from .corpora.table import CorpusError, Row, build_all, read_table, refuse_unknown_columns
from .package_share import robot_parameters
from .recording_writer import LATE_LOOK_AHEAD_S, RecordingError, RecordingWriter

COLUMNS = ("clip_id", "speaker_id", "session_id", "label", "video", "audio", "start_s", "end_s")
BEGINNING = 5  # pictures that tell the clock of their topic, though the stamp of one be wrong
MAX_UNREADABLE = 1000  # at the beginning of a topic; then it is given up
MAX_APART_S = 5.0  # of two clocks, and of two ways from a sensor to the recorder


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
    complaints: tuple[str, ...]  # what of the messages is not in it, or not as it was


def convert_bag(bag: Path, path: Path, options: BagOptions) -> Recording:
    """Writes the pictures and the sound of a recording into the media file `path` (.mkv).

    Where the robot spoke, as it says on `robot_speaking` or by the status of its speech action, there is silence.

    Raises:
        BagError: no such recording, no topic or several to choose from, no message that can be read, or stamps that
            jump, go back, or are of two clocks.
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
    beginnings = [_beginning(reader, options, topic) for topic in topics]
    _require_one_clock(topics, beginnings)
    firsts = [beginning[0] for beginning in beginnings]
    start_ns = min(_start_ns(beginning) for beginning in beginnings)
    image_shape = firsts[0].content.shape[:2] if images else None
    parameters = robot_parameters("audio_window_node")
    robot_speech = RobotSpeech(parameters["mute_tail_s"], parameters["mute_limit_s"])
    told = [
        connection
        for connection in reader.connections
        if connection.msgtype in ROBOT_SPEECH_TYPES
        and (connection.topic.endswith(f"/{ROBOT_SPEAKING}") or connection.topic == parameters["tts_status_topic"])
    ]
    unreadable: list[str] = []
    unfinished = path.with_suffix(".part.mkv")
    try:
        sound_form = firsts[-1].content if sound else None
        with RecordingWriter(unfinished, start_ns, image_shape, sound_form, robot_speech) as writer:
            count = sum(topic.msgcount for topic in (*topics, *told))
            items = _items(reader, options, [*topics, *told], unreadable)
            for item in tqdm(items, total=count, desc=path.stem, unit="message"):
                if item is None:
                    continue
                if isinstance(item.content, Chunk):
                    writer.add_chunk(item.content)
                elif isinstance(item.content, bool):
                    writer.tell_robot_speech(item.topic, item.content, item.received_ns)
                else:
                    writer.add_image(item.content, item.stamp_ns)
            writer.finish()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)  # of a recording that could not be written to its end
    return Recording(path, image_shape is not None, writer.duration_s, tuple(_complaints(writer, unreadable)))


def _complaints(writer: RecordingWriter, unreadable: Sequence[str]) -> Iterator[str]:
    if writer.late_images:
        yield f"{writer.late_images} images that were not newer than the last are left out"
    if writer.dropped_s:
        yield f"{writer.dropped_s:.2f} s of sound for which the stamps leave no time are left out"
    if writer.silence_s:
        yield f"{writer.silence_s:.2f} s of sound are missing, by the stamps, and are silent"
    if unreadable:
        yield f"{len(unreadable)} messages that cannot be read are left out; the first one: {unreadable[0]}"


@dataclass(frozen=True)
class _Item:
    """A picture uint8 (H, W, 3), sound, or whether the robot speaks; when it was captured and when it was received."""

    topic: str
    content: Any
    stamp_ns: int
    received_ns: int


def _beginning(reader: AnyReader, options: BagOptions, topic: Connection) -> list[_Item]:
    """The first messages, of sound those of some seconds; MessageError if none of the first can be read."""
    unreadable: list[str] = []
    items: list[_Item] = []
    heard_s = 0.0
    for item in _items(reader, options, [topic], unreadable):
        if item is not None:
            items.append(item)
            if isinstance(item.content, Chunk):
                heard_s += len(item.content.samples) / item.content.sample_rate_hz
            elif len(items) == BEGINNING:
                break
        if heard_s > LATE_LOOK_AHEAD_S or (not items and len(unreadable) == MAX_UNREADABLE):
            break
    if not items:
        raise MessageError(f"of {topic.topic} no message can be read; the first one: {unreadable[0]}")
    return items


def _start_ns(beginning: Sequence[_Item]) -> int:
    """When the first message was captured: of sound that may be received late as the most punctual one tells."""
    starts_ns, before_ns = [beginning[0].stamp_ns], 0
    for item in beginning:
        if isinstance(item.content, Chunk) and item.content.may_be_late:
            starts_ns.append(item.stamp_ns - before_ns)
            before_ns += len(item.content.samples) * NANOSECONDS_PER_S // item.content.sample_rate_hz
    return min(starts_ns)


def _require_one_clock(topics: Sequence[Connection], beginnings: Sequence[Sequence[_Item]]) -> None:
    """RecordingError for pictures and sound that came at about the same time, and are stamped as if they had not."""
    ages_s = [
        median((item.received_ns - item.stamp_ns) / NANOSECONDS_PER_S for item in beginning) for beginning in beginnings
    ]
    if max(ages_s) - min(ages_s) > MAX_APART_S:
        said = " and ".join(f"of {topic.topic} {age_s:.0f} s" for topic, age_s in zip(topics, ages_s, strict=True))
        raise RecordingError(
            f"the stamps are different times before the reception, {said}; expected one clock, so see that all "
            "computers have the same time, one use_sim_time, and stamp their messages"
        )


def _items(
    reader: AnyReader,
    options: BagOptions,
    topics: Sequence[Connection],
    unreadable: list[str],
) -> Iterator[_Item | None]:
    """What the topics say in the order of its arrival; None for what cannot be read, the reason in `unreadable`."""
    for topic, received_ns, raw in reader.messages(topics):
        message = reader.deserialize(raw, topic.msgtype)
        try:
            yield _item(topic, message, received_ns, options)
        except MessageError as error:
            unreadable.append(str(error))
            yield None


def _item(topic: Connection, message: Any, received_ns: int, options: BagOptions) -> _Item:
    """MessageError if it cannot be read."""
    name, kind = topic.topic, topic.msgtype
    if kind in IMAGE_TYPES:
        return _Item(name, image_rgb(message, kind), to_nanoseconds(message.header.stamp), received_ns)
    if kind in AUDIO_TYPES:
        unstamped = Unstamped(received_ns, options.unstamped_sample_rate_hz, options.unstamped_channels)
        chunk = audio_chunk(message, kind, unstamped)
        return _Item(name, chunk, chunk.stamp_ns, received_ns)
    return _Item(name, robot_speaks(message, kind), received_ns, received_ns)


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


def write_manifest(recordings: Sequence[Recording], segments: Sequence[Row], path: Path) -> int:
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


def read_segments(path: Path, recordings: int) -> list[Row]:
    """The rows of a table of segments of so many recordings; CorpusError for wrong columns."""
    required = ["start_s", "end_s", "label", "speaker_id"] + (["recording"] if recordings > 1 else [])
    rows = read_table(path, required)
    known = (*required, *({"recording"} - set(required)), *JUDGEMENT)
    refuse_unknown_columns(path, rows, known, f"{', '.join(known[: -len(VOTES)])} or {VOTE}<label>")
    return rows


def _segment_rows(recordings: Sequence[Recording], segments: Sequence[Row]) -> list[dict[str, str]]:
    by_name = {recording.path.stem: recording for recording in recordings}
    seen: dict[str, int] = defaultdict(int)

    def build(row: Row) -> dict[str, str]:
        name = row.text("recording") or (next(iter(by_name)) if len(by_name) == 1 else "")
        if name not in by_name:
            raise row.problem(f"recording is {name!r}; expected one of {', '.join(by_name)}")
        start_s, end_s = row.required_number("start_s"), row.required_number("end_s")
        row.span_s()
        if end_s > by_name[name].duration_s:
            raise row.problem(f"end_s is {end_s:g}, but {name} lasts {by_name[name].duration_s:.2f} s")
        judgement(row)  # refuses what a manifest may not hold
        seen[name] += 1
        return _files(by_name[name]) | {
            "clip_id": f"{name}-{seen[name]:04d}",
            "speaker_id": row.required("speaker_id"),
            "label": row.label("label") or "",
            "start_s": str(start_s),
            "end_s": str(end_s),
            **{column: text for column, text in row.cells.items() if column in JUDGEMENT},
        }

    return build_all(segments, build)


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
    segments = read_segments(given.segments, len(given.bags)) if given.segments else ()
    options = BagOptions(given.image_topic, given.audio_topic, given.unstamped_sample_rate_hz, given.unstamped_channels)
    recordings = [
        convert_bag(bag, given.out / f"{name}.mkv", options) for bag, name in zip(given.bags, names, strict=True)
    ]
    n_clips = write_manifest(recordings, segments, given.out / "manifest.csv")
    complaints = [
        f"{recording.path.name}: {complaint}" for recording in recordings for complaint in recording.complaints
    ]
    return "\n".join([*complaints, f"{n_clips} clips in {given.out / 'manifest.csv'}"])


if __name__ == "__main__":
    sys.exit(main())
