"""ASED: sixty-five speakers of Amharic in five emotions, as most of eight judges heard them (Retta et al. 2022,
https://doi.org/10.1145/3529759).
"""

import re
from pathlib import Path

from ..clip import Clip
from ..labels import ASED_CODES
from .named_voices import clips_by_name
from .table import CorpusError

CORPUS = "ased"
NAME = re.compile(r"(?P<emotion>[a-zA-Z]\d)-\d\d-\d\d-\d\d-(?P<speaker>\d\d)")


def read(root: Path) -> list[Clip]:
    """Reads `05Angry/a5-03-01-02-50.wav`: emotion, sentence, repetition, gender and speaker."""
    paths = list(root.glob("*/*.wav"))
    if not paths:
        raise CorpusError(f"{root} holds no */*.wav, such as 05Angry/a5-03-01-02-50.wav; give the folder of ASED")
    return clips_by_name(CORPUS, "ASED", paths, NAME, ASED_CODES, "a5-03-01-02-50")
