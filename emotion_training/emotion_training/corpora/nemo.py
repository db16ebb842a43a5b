"""nEMO: nine Poles speak ninety sentences each in six emotions (Christop 2024,
https://aclanthology.org/2024.lrec-main.1059).
"""

import re
from pathlib import Path

from ..clip import Clip
from ..labels import NEMO_CODES
from .table import CorpusError

CORPUS = "nemo"
NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_\d+")


def read(root: Path) -> list[Clip]:
    """Reads `samples/EB0_anger_1.wav`: speaker, emotion, sentence."""
    paths = sorted((root / "samples").glob("*.wav"), key=lambda path: path.stem)
    if not paths:
        raise CorpusError(f"{root} holds no samples/*.wav; give the folder of nEMO")
    clips = []
    for path in paths:
        fields = NAME.fullmatch(path.stem)
        if fields is None or fields["emotion"] not in NEMO_CODES:
            raise CorpusError(
                f"{path} is no nEMO name; expected one such as EB0_anger_1 with an emotion of {', '.join(NEMO_CODES)}"
            )
        clips.append(
            Clip(
                clip_id=path.stem,
                corpus=CORPUS,
                speaker_id=f"{CORPUS}-{fields['speaker']}",
                label=NEMO_CODES[fields["emotion"]],
                audio=path,
            )
        )
    return clips
