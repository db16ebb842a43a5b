"""Corpora of voices alone, whose file names say who speaks and how."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..clip import Clip
from .table import CorpusError


def clips_by_name(
    corpus: str, title: str, paths: Iterable[Path], name: re.Pattern[str], codes: Mapping[str, str], example: str
) -> list[Clip]:
    """A clip for each file, ordered by name.

    Args:
        corpus: as a clip names it.
        title: as people name it.
        paths: of the files.
        name: of a file without its suffix, with the groups `speaker` and `emotion`.
        codes: the label of each emotion.
        example: of such a name.
    """
    clips = []
    for path in sorted(paths, key=lambda path: path.stem):
        fields = name.fullmatch(path.stem)
        if fields is None or fields["emotion"] not in codes:
            raise CorpusError(
                f"{path} is no {title} name; expected one such as {example}, with an emotion of {', '.join(codes)}"
            )
        clips.append(
            Clip(
                clip_id=path.stem,
                corpus=corpus,
                speaker_id=f"{corpus}-{fields['speaker']}",
                label=codes[fields["emotion"]],
                audio=path,
            )
        )
    return clips
