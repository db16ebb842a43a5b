"""SAVEE: four English men speak 120 sentences each in seven emotions (Haq & Jackson 2010,
doi:10.4018/978-1-61520-919-4.ch017).
"""

import re
from pathlib import Path

from ..clip import Clip
from ..labels import SAVEE_CODES
from .table import CorpusError

CORPUS = "savee"
NAME = re.compile(r"(?P<emotion>[a-z]+)(?P<sentence>\d{1,2})")


def read(root: Path) -> list[Clip]:
    """Reads `AudioData/DC/a01.wav` and `AudioVisualClip/DC/a1.avi`, either or both.

    The sound is of AudioData where it is there. The two parts number the sentences with and without a leading zero;
    the clip's id has two digits: `DC-a01`.
    """
    sounds = _files(root, "AudioData/*/*.wav")
    videos = _files(root, "AudioVisualClip/*/*.avi")
    if not sounds and not videos:
        raise CorpusError(f"{root} holds no AudioData/*/*.wav and no AudioVisualClip/*/*.avi; give SAVEE's folder")
    return [
        Clip(
            clip_id=f"{speaker}-{emotion}{sentence:02d}",
            corpus=CORPUS,
            speaker_id=f"{CORPUS}-{speaker}",
            label=SAVEE_CODES[emotion],
            video=videos.get((speaker, emotion, sentence)),
            audio=sounds.get((speaker, emotion, sentence)),
        )
        for speaker, emotion, sentence in sorted(sounds.keys() | videos.keys())
    ]


def _files(root: Path, pattern: str) -> dict[tuple[str, str, int], Path]:
    """Files by speaker, emotion and sentence."""
    files = {}
    for path in sorted(root.glob(pattern)):
        fields = NAME.fullmatch(path.stem)
        if fields is None or fields["emotion"] not in SAVEE_CODES:
            raise CorpusError(
                f"{path} is no SAVEE name; expected one of {', '.join(SAVEE_CODES)} and a number, such as sa01"
            )
        files[path.parent.name, fields["emotion"], int(fields["sentence"])] = path
    return files
