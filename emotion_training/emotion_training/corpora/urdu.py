"""URDU: moments of Pakistani talk shows in four emotions (Latif et al. 2018, https://arxiv.org/abs/1812.10411).

Nobody acted for a corpus here. A few people have most of the moments of an emotion.
"""

import re
from pathlib import Path

from ..clip import Clip
from ..labels import URDU_CODES
from .named_voices import clips_by_name
from .table import CorpusError

CORPUS = "urdu"
NAME = re.compile(r"(?P<speaker>S[FM]\d+)_F\d+_(?P<emotion>[A-Z])\d+")


def read(root: Path) -> list[Clip]:
    """Reads `Angry/SM1_F10_A010.wav`: speaker, which of that speaker's files, emotion and which of its files."""
    paths = list(root.glob("*/*.wav"))
    if not paths:
        raise CorpusError(f"{root} holds no */*.wav, such as Angry/SM1_F10_A010.wav; give the folder of URDU")
    return clips_by_name(CORPUS, "URDU", paths, NAME, URDU_CODES, "SM1_F10_A010")
