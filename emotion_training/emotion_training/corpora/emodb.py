"""EmoDB: ten Germans speak ten sentences in seven emotions (Burkhardt et al. 2005,
doi:10.21437/Interspeech.2005-446).
"""

import re
from pathlib import Path

from ..clip import Clip
from ..labels import EMODB_CODES, EMODB_CODES_WITH_BOREDOM
from .table import CorpusError

CORPUS = "emodb"
NAME = re.compile(r"(?P<speaker>\d{2})[ab]\d{2}(?P<emotion>[A-Z])[a-z]?")


def read(root: Path, boredom: bool = False) -> list[Clip]:
    """Reads `03a01Fa.wav` (speaker, text, emotion, version) or `.flac`, in `root` or as published in `root/wav`.

    Args:
        root: the folder of the corpus.
        boredom: keep the clips of boredom, as "bored"; they are left out otherwise.
    """
    codes = EMODB_CODES_WITH_BOREDOM if boredom else EMODB_CODES
    folder = root / "wav" if (root / "wav").is_dir() else root
    paths = sorted([*folder.glob("*.wav"), *folder.glob("*.flac")], key=lambda path: path.stem)
    if not paths:
        raise CorpusError(f"{folder} holds no *.wav and no *.flac; give the folder of EmoDB")
    clips = []
    for path in paths:
        fields = NAME.fullmatch(path.stem)
        if fields is None or fields["emotion"] not in EMODB_CODES_WITH_BOREDOM:
            raise CorpusError(
                f"{path} is no EmoDB name; expected one such as 03a01Fa with its sixth letter of "
                f"{', '.join(EMODB_CODES_WITH_BOREDOM)}"
            )
        if fields["emotion"] in codes:
            clips.append(
                Clip(
                    clip_id=path.stem,
                    corpus=CORPUS,
                    speaker_id=f"{CORPUS}-{fields['speaker']}",
                    label=codes[fields["emotion"]],
                    audio=path,
                )
            )
    return clips
