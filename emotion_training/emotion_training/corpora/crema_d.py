"""CREMA-D: 91 actors speak twelve sentences in six emotions, rated by a crowd (Cao et al. 2014,
doi:10.1109/TAFFC.2014.2336244).
"""

import re
from collections import Counter, defaultdict
from pathlib import Path

from ..clip import Clip
from ..labels import CREMA_D_CODES, CREMA_D_VOTES
from .table import CorpusError, Row, read_table

CORPUS = "crema_d"
NAME = re.compile(r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>XX?|LO|MD|HI)")
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}  # X and XX: not specified
MULTIMODAL = 3  # the raters heard the voice and saw the face; 1 is the voice only, 2 the face only


def read(root: Path) -> list[Clip]:
    """Reads `AudioWAV/1001_DFA_ANG_XX.wav` and `VideoFlash/1001_DFA_ANG_XX.flv`, either or both.

    The label is the emotion that the actor was to show. The votes are those of the raters who both heard and saw the
    clip, as the clips are used: from `processedResults/tabulatedVotes.csv` (the rows numbered from 300000; 100000 are
    ratings of the voice, 200000 of the face) or, without that table, counted from `finishedResponses.csv`
    (`queryType` 3). Without both there are no votes.
    """
    sounds = {path.stem: path for path in sorted((root / "AudioWAV").glob("*.wav"))}
    videos = {path.stem: path for path in sorted((root / "VideoFlash").glob("*.flv"))}
    if not sounds and not videos:
        raise CorpusError(f"{root} holds no AudioWAV/*.wav and no VideoFlash/*.flv; give the folder of CREMA-D")
    votes = _read_votes(root)
    clips = []
    for name in sorted(sounds.keys() | videos.keys()):
        fields = NAME.fullmatch(name)
        if fields is None or fields["emotion"] not in CREMA_D_CODES:
            raise CorpusError(
                f"{sounds.get(name) or videos[name]} is no CREMA-D name; expected one such as 1001_DFA_ANG_XX with an "
                f"emotion of {', '.join(CREMA_D_CODES)}"
            )
        clips.append(
            Clip(
                clip_id=name,
                corpus=CORPUS,
                speaker_id=f"{CORPUS}-{fields['actor']}",
                label=CREMA_D_CODES[fields["emotion"]],
                votes=votes.get(name),
                intensity=INTENSITIES.get(fields["level"]),
                video=videos.get(name),
                audio=sounds.get(name),
            )
        )
    return clips


def _read_votes(root: Path) -> dict[str, dict[str, float]]:
    tabulated, responses = root / "processedResults" / "tabulatedVotes.csv", root / "finishedResponses.csv"
    if tabulated.is_file():
        return _read_tabulated_votes(tabulated)
    return _count_responses(responses) if responses.is_file() else {}


def _read_tabulated_votes(path: Path) -> dict[str, dict[str, float]]:
    """The first column, which has no name, numbers the rows: 100000 x kind of rating + clip."""
    return {
        row.required("fileName"): {label: row.required_number(column) for column, label in CREMA_D_VOTES.items()}
        for row in read_table(path, ["", "fileName", *CREMA_D_VOTES])
        if row.required_number("") // 100_000 == MULTIMODAL
    }


def _count_responses(path: Path) -> dict[str, dict[str, float]]:
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for row in read_table(path, ["queryType", "clipName", "respEmo"]):
        if row.required_number("queryType") == MULTIMODAL:
            votes[row.required("clipName")][_voted_label(row)] += 1
    return {name: {label: float(count) for label, count in counts.items()} for name, counts in votes.items()}


def _voted_label(row: Row) -> str:
    code = row.required("respEmo")
    if code not in CREMA_D_VOTES:
        raise row.problem(f"respEmo is {code!r}; expected one of {', '.join(CREMA_D_VOTES)}")
    return CREMA_D_VOTES[code]
