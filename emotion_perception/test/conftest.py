"""Media, faces and voices for the tests: real ones where they are present, generated ones always."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from emotion_perception.testing.media import voice, write_media

PACKAGE = Path(__file__).parents[1]
RAVDESS_CLIP = PACKAGE.parents[1] / "shared" / "data" / "ravdess_01-01-01-01-01-01-01.mp4"


@dataclass(frozen=True)
class TalkingClip:
    """A film of one face, with a voice in the middle and silence around it."""

    path: Path
    frames: int
    voice_s: tuple[float, float]  # begin and end of the voice


@pytest.fixture(scope="session")
def voice_model_path() -> Path:
    """The voice detector that is part of the package."""
    return PACKAGE / "models" / "silero_vad" / "silero_vad_16k_op15.onnx"


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """(512, 512, 3) with one face of about 104 px around (226, 120)."""
    image: NDArray[np.uint8] = skimage.data.astronaut()
    return image


@pytest.fixture(scope="session")
def ravdess_clip() -> Path:
    """An actor who talks for 3.35 s, 1280x720, where the shared data are present."""
    if not RAVDESS_CLIP.is_file():
        pytest.skip("the shared data are not here")
    return RAVDESS_CLIP


@pytest.fixture(scope="session", params=["ravdess", "generated"])
def talking_clip(
    request: pytest.FixtureRequest, astronaut: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> TalkingClip:
    """A real clip where the shared data are present, and always a generated one."""
    if request.param == "ravdess":
        if not RAVDESS_CLIP.is_file():
            pytest.skip("the shared data are not here; the generated clip is tested")
        return TalkingClip(RAVDESS_CLIP, frames=98, voice_s=(1.15, 2.35))
    path = tmp_path_factory.mktemp("media") / "talking.mp4"
    silence = np.zeros(48_000, np.float32)
    samples = np.concatenate([silence, voice(1.2, 48_000), silence])[:, None]
    images = [np.roll(astronaut, step, axis=1) for step in range(80)]
    write_media(path, images=images, samples=samples, sample_rate_hz=48_000)
    return TalkingClip(path, frames=80, voice_s=(1.0, 2.2))
