"""EmoDB: ten Germans speak ten sentences in seven emotions (Burkhardt et al. 2005,
doi:10.21437/Interspeech.2005-446).
"""

import re
from pathlib import Path

from ..clip import Clip
from ..labels import EMODB_CODES
from .named_voices import clips_by_name
from .table import CorpusError

CORPUS = "emodb"
NAME = re.compile(r"(?P<speaker>\d{2})[ab]\d{2}(?P<emotion>[A-Z])[a-z]?")


def read(root: Path, boredom: bool = False) -> list[Clip]:
    """Reads `03a01Fa.wav` (speaker, text, emotion, version) or `.flac`, in `root` or as published in `root/wav`.

    Args:
        root: the folder of the corpus.
        boredom: keep the clips of boredom, as "bored"; they are left out otherwise.
    """
    folder = root / "wav" if (root / "wav").is_dir() else root
    paths = [*folder.glob("*.wav"), *folder.glob("*.flac")]
    if not paths:
        raise CorpusError(f"{folder} holds no *.wav and no *.flac; give the folder of EmoDB")
    clips = clips_by_name(CORPUS, "EmoDB", paths, NAME, EMODB_CODES, "03a01Fa")
    return [clip for clip in clips if boredom or clip.label != "bored"]
