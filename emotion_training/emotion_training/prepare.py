"""Makes a corpus ready for training: face crops, found as the robot finds them, and 16 kHz mono sound.

    python -m emotion_training.prepare --corpus ravdess --root RAVDESS --out prepared/ravdess

Writes into --out: `clips/<clip_id>.npz`, one a clip (uncompressed, as that loads fastest: a crop of 96 px takes 27 KiB,
a second of sound 31 KiB); `clips.parquet`, the list that `PreparedCorpus` reads; `report.md` and `report.json`, with
what could not be used and why. A run that was stopped goes on where it stopped; clips whose files or options changed
are made again.
"""

import argparse
import hashlib
import io
import json
import math
import os
import sys
import time
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from tqdm import tqdm

from emotion_perception.core.face_detector import FaceDetector

from .clip import Clip
from .command import end_with_parent, in_processes, make_out, run_command, write_whole
from .corpora import CORPORA, CorpusError, read_corpus
from .media_clips import MediaClip, Problem, cut_clips
from .package_share import robot_parameters
from .prepared_corpus import FULL_SCALE, save_clips
from .report_pages import Heading, Table, Text, markdown

FORMAT = 2  # of the files; another number makes them again
CLIPS_FOLDER = "clips"
ENDS = 65536  # bytes of a file that are looked at, at its beginning and at its end
UNFINISHED = ".part"  # after the name of a file that is being written
MAX_NAME = 255 - len(UNFINISHED)  # as file systems have it


class PrepareError(Exception):
    """The preparation cannot go on; the message says why and what to do. Finished clips are kept."""


@dataclass(frozen=True)
class PrepareOptions:
    """rate_hz: face crops a second; crop_px: their side."""

    rate_hz: float
    crop_px: int


@dataclass(frozen=True)
class Outcome:
    """What became of a clip; kept in its file.

    key: a hash of all that the file depends on; faces: crops; audio_samples: at 16 kHz.
    """

    key: str
    faces: int
    audio_samples: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Task:
    """Clips of one recording that are still to be made, with their keys."""

    clips: tuple[Clip, ...]
    keys: tuple[str, ...]
    out: Path
    options: PrepareOptions


def prepare(clips: Sequence[Clip], out: Path, options: PrepareOptions, workers: int) -> dict[str, Outcome]:
    """Makes the file of every clip that has none or an old one, in `workers` processes; outcomes by clip_id.

    Raises:
        CorpusError: a clip that is a single picture, which needs no preparation, or whose id is too long for a file.
        OutputError: the folder cannot be made.
        PrepareError: a file cannot be written, or a process died.
    """
    for clip in clips:
        if not (clip.video or clip.audio):
            raise CorpusError(
                f"clip {clip.clip_id} of {clip.corpus} has neither video nor audio; pictures need no preparation: a "
                "configuration names them by data.corpus.reader, as fer2013_emonext.yaml does"
            )
        length = len(clip_path(out, clip).name)
        if length > MAX_NAME:
            raise CorpusError(
                f"clip {clip.clip_id} of {clip.corpus} would have a file name of {length} characters; expected "
                f"{MAX_NAME} or fewer, so shorten its clip_id"
            )
    for folder in (out, out / CLIPS_FOLDER):
        make_out(folder)
    keys = {clip.clip_id: _key(clip, options) for clip in clips}
    outcomes = {clip.clip_id: _read_outcome(clip_path(out, clip)) for clip in clips}
    outcomes = {name: found for name, found in outcomes.items() if found is not None and found.key == keys[name]}
    recordings: dict[tuple[Path | None, Path | None], list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.clip_id not in outcomes:
            recordings[clip.video, clip.audio].append(clip)
    tasks = [
        Task(tuple(group), tuple(keys[clip.clip_id] for clip in group), out, options) for group in recordings.values()
    ]
    with tqdm(total=len(clips), initial=len(outcomes), desc="prepare", unit="clip") as progress:
        for made in _run(tasks, workers):
            outcomes |= made
            progress.update(len(made))
    return outcomes


def clip_path(out: Path, clip: Clip) -> Path:
    """The file of a clip; its name is the id, with what a file name may not hold escaped."""
    return out / CLIPS_FOLDER / f"{quote(clip.clip_id, safe=' ')}.npz"


def prepared_clips(clips: Sequence[Clip], out: Path, outcomes: dict[str, Outcome]) -> list[Clip]:
    """The usable clips, as `PreparedCorpus` describes them."""
    prepared = []
    for clip in clips:
        outcome, path = outcomes[clip.clip_id], clip_path(out, clip)
        if outcome.faces or outcome.audio_samples:
            files = {"video": path if outcome.faces else None, "audio": path if outcome.audio_samples else None}
            prepared.append(replace(clip, **files, image=None, start_s=None, end_s=None))
    return prepared


def _run(tasks: Sequence[Task], workers: int) -> Iterator[dict[str, Outcome]]:
    if workers == 1 or len(tasks) < 2:
        with FaceDetector(robot_parameters("face_crop_node")["min_score"]) as detector:
            for task in tasks:
                yield _make(task, detector)
        return
    try:
        yield from in_processes(_work, tasks, workers, _start_worker)
    except BrokenProcessPool:
        raise PrepareError(
            "a worker process died, perhaps for want of memory; finished clips are kept, run the same command again "
            "with fewer --workers"
        ) from None


_worker_detector: FaceDetector


def _start_worker() -> None:
    global _worker_detector  # loaded once a process
    end_with_parent()
    cv2.setNumThreads(1)  # the processes share the cores already
    _worker_detector = FaceDetector(robot_parameters("face_crop_node")["min_score"])


def _work(task: Task) -> dict[str, Outcome]:
    return _make(task, _worker_detector)


def _make(task: Task, detector: FaceDetector) -> dict[str, Outcome]:
    keys = {clip.clip_id: key for clip, key in zip(task.clips, task.keys, strict=True)}
    outcomes = {}
    for clip, media in cut_clips(task.clips, detector, task.options.rate_hz, task.options.crop_px):
        outcome = Outcome(keys[clip.clip_id], len(media.faces), len(media.audio), media.problems)
        _write(clip_path(task.out, clip), media, outcome)
        outcomes[clip.clip_id] = outcome
    return outcomes


def _write(path: Path, media: MediaClip, outcome: Outcome) -> None:
    """At no moment is there a half-written file under the clip's name."""
    samples = np.clip(np.round(media.audio * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    unfinished = path.with_name(path.name + UNFINISHED)
    # Put together in memory, as a ZipFile that a full disk stops complains once more when it is collected.
    content = io.BytesIO()
    np.savez(
        content,
        outcome=np.array(json.dumps(asdict(outcome))),
        faces=media.faces,
        times_s=media.times_s,
        audio=samples,
    )
    try:
        unfinished.write_bytes(content.getbuffer())
        unfinished.replace(path)
    except OSError as error:
        raise PrepareError(
            f"{path} cannot be written ({error.strerror}); finished clips are kept, make room and run the same command "
            "again"
        ) from None


def _read_outcome(path: Path) -> Outcome | None:
    """What the file of a clip says of itself; None without a file, or with one that cannot be read."""
    try:
        with np.load(path) as arrays:
            tree = json.loads(str(arrays["outcome"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    problems = tuple(Problem(**problem) for problem in tree.pop("problems"))
    return Outcome(**tree, problems=problems)


def _key(clip: Clip, options: PrepareOptions) -> str:
    """Tells whether a file still fits: the sources, the clip's span, the options."""
    parts = [
        FORMAT,
        *(_stamp(path) for path in (clip.video, clip.audio)),
        [clip.start_s, clip.end_s],
        asdict(options),
        robot_parameters("face_crop_node"),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _stamp(path: Path | None) -> list[Any] | None:
    """By its ends, too: of an archive all files have one time, and those of one length are many."""
    if path is None or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - ENDS, 0))
            last = file.read()
            file.seek(0)
            ends = hashlib.sha256(file.read(ENDS) + last).hexdigest()
    except OSError:  # the report will say why
        return None
    return [size, path.stat().st_mtime_ns, ends]


def write_report(
    clips: Sequence[Clip], outcomes: dict[str, Outcome], out: Path, options: PrepareOptions, seconds: float
) -> dict[str, Any]:
    """Writes `report.json` and `report.md`, and gives the former's content."""
    results = [outcomes[clip.clip_id] for clip in clips]
    report = {
        "corpus": clips[0].corpus,
        "options": asdict(options),
        "clips": len(clips),
        "usable": sum(bool(result.faces or result.audio_samples) for result in results),
        "with_face": sum(bool(result.faces) for result in results),
        "with_sound": sum(bool(result.audio_samples) for result in results),
        "seconds": round(seconds, 1),
        "problems": [
            {"clip_id": clip.clip_id, "used": _used(result), **asdict(problem)}
            for clip, result in zip(clips, results, strict=True)
            for problem in result.problems
        ],
    }
    write_whole(out / "report.json", json.dumps(report, indent=2) + "\n")
    write_whole(out / "report.md", _markdown(report))
    return report


def _used(outcome: Outcome) -> str:
    return {(True, True): "all", (True, False): "face", (False, True): "sound", (False, False): "nothing"}[
        bool(outcome.faces), bool(outcome.audio_samples)
    ]


def _markdown(report: dict[str, Any]) -> str:
    options = ", ".join(f"{name} {value}" for name, value in report["options"].items())
    counts = Counter(problem["reason"] for problem in report["problems"])
    said = [
        Heading(f"Preparation of {report['corpus']}", 1),
        Text(
            f"{report['usable']} of {report['clips']} clips can be used: {report['with_face']} with a face, "
            f"{report['with_sound']} with sound ({options}; {report['seconds']} s)."
        ),
    ]
    if not counts:
        return markdown([*said, Text("Nothing was left out.")])
    columns = ("clip_id", "reason", "used", "details")
    return markdown(
        [
            *said,
            Table(["what is wrong", "clips"], [[reason, str(count)] for reason, count in counts.most_common()]),
            Table(
                ["clip", "what is wrong", "used", "particulars"],
                [[problem[column] for column in columns] for problem in report["problems"]],
            ),
        ]
    )


def _named_value(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{option!r} has no value; expected NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", required=True, choices=CORPORA, help="how to read it: %(choices)s")
    parser.add_argument("--root", type=Path, required=True, help="folder of the corpus; of manifest the table, too")
    parser.add_argument("--out", type=Path, required=True, help="folder of the prepared corpus")
    parser.add_argument(
        "--option",
        action="append",
        type=_named_value,
        default=[],
        metavar="NAME=VALUE",
        help="of the corpus's reader, such as classes=7; repeat it for more",
    )
    parser.add_argument("--rate-hz", type=float, default=10.0, help="face crops a second (default: %(default)s)")
    parser.add_argument(
        "--crop-px",
        type=int,
        default=robot_parameters("face_crop_node")["crop_px"],
        help="side of the crops (default: the robot's, %(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (default: one a core, %(default)s)"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Exit status, as of `run_command`."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not 0.0 < given.rate_hz < math.inf or given.crop_px < 1 or given.workers < 1:
        parser.error("--rate-hz, --crop-px and --workers must be positive and finite")
    interrupted = "interrupted; finished clips are kept, run the same command again to go on"
    return run_command(lambda: _prepare_all(given), (CorpusError, PrepareError), interrupted)


def _prepare_all(given: argparse.Namespace) -> str:
    options = PrepareOptions(given.rate_hz, given.crop_px)
    start_s = time.perf_counter()
    clips = read_corpus(given.corpus, given.root, **dict(given.option))
    outcomes = prepare(clips, given.out, options, given.workers)
    save_clips(prepared_clips(clips, given.out, outcomes), given.out)
    report = write_report(clips, outcomes, given.out, options, time.perf_counter() - start_s)
    sentence = f"{report['usable']} of {report['clips']} clips can be used; what is wrong: {given.out / 'report.md'}"
    if not report["usable"]:
        raise PrepareError(sentence)
    return sentence


if __name__ == "__main__":
    sys.exit(main())
