"""nEMO: nine Poles speak ninety sentences each in six emotions (Christop 2024,
https://aclanthology.org/2024.lrec-main.1059).
"""

import re
from pathlib import Path

from ..clip import Clip
from ..labels import NEMO_CODES
from .named_voices import clips_by_name
from .table import CorpusError

CORPUS = "nemo"
NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_\d+")


def read(root: Path) -> list[Clip]:
    """Reads `samples/EB0_anger_1.wav`: speaker, emotion, sentence."""
    paths = list((root / "samples").glob("*.wav"))
    if not paths:
        raise CorpusError(f"{root} holds no samples/*.wav; give the folder of nEMO")
    return clips_by_name(CORPUS, "nEMO", paths, NAME, NEMO_CODES, "EB0_anger_1")
