"""What every corpus is read into: one recording of one person."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """One utterance or one picture of one speaker; absent knowledge is None.

    Attributes:
        clip_id: unique in its corpus, independent of where the files lie.
        corpus: the corpus's name.
        speaker_id: `<corpus>-<speaker>`.
        session_id: recordings made together, `<corpus>-<session>`.
        label: a name of `labels.KNOWN_LABELS`.
        votes: how many annotators chose each label; a label nobody chose may be left out.
        valence: in [-1, 1].
        arousal: in [-1, 1].
        intensity: the corpus's own word, such as "normal" or "strong".
        video: the file with the pictures; the sound is in it unless `audio` is given.
        audio: the file with the sound.
        image: a single picture of a face: a file, or a member of an archive or a table, which `face_images`
            reads.
        start_s: where the clip begins in its files; None: at their beginning.
        end_s: where it ends; None: at their end.
        face_features: facial features of the whole clip, such as action units, in the corpus's order.
    """

    clip_id: str
    corpus: str
    speaker_id: str
    session_id: str | None = None
    label: str | None = None
    votes: Mapping[str, float] | None = None
    valence: float | None = None
    arousal: float | None = None
    intensity: str | None = None
    video: Path | None = None
    audio: Path | None = None
    image: Path | None = None
    start_s: float | None = None
    end_s: float | None = None
    face_features: tuple[float, ...] | None = None
