"""What is refused as sound, and what is not."""

import numpy as np
import pytest

from emotion_perception.core.audio_chunk import AudioError, check_chunk

CHUNK = np.zeros((160, 1), np.float32)


@pytest.mark.parametrize(
    ("samples", "sample_rate_hz", "stamp_s", "message"),
    [
        (CHUNK[:, 0], 16_000, 0.0, r"float32 \(160,\), expected float32 \(samples, channels\)"),
        (CHUNK[:, :0], 16_000, 0.0, r"float32 \(160, 0\)"),
        (CHUNK.astype(np.int16), 16_000, 0.0, "int16"),
        ([[0.0]], 16_000, 0.0, "list"),
        (CHUNK, 0, 0.0, "sample rate is 0 Hz"),
        (CHUNK, 1_000_000, 0.0, "sample rate is 1000000 Hz"),
        (CHUNK, 16_000.5, 0.0, "sample rate is 16000.5 Hz"),
        (CHUNK, 16_000, float("nan"), "stamp is nan"),
        (np.float32([[0.0], [np.nan]]), 16_000, 0.0, r"loudest sample is nan, expected finite samples in \[-1, 1\]"),
        (np.float32([[0.0], [np.inf]]), 16_000, 0.0, "loudest sample is inf"),
        (np.float32([[0.0, 3e38], [0.0, 0.0]]), 16_000, 0.0, r"loudest sample is 3e\+38"),
        (np.float32([[0.0], [-1001.0]]), 16_000, 0.0, "loudest sample is 1001"),
    ],
)
def test_refuses_what_is_no_sound(samples, sample_rate_hz, stamp_s, message):
    with pytest.raises(AudioError, match=message):
        check_chunk(samples, sample_rate_hz, stamp_s)


def test_sound_beyond_full_scale_is_sound():
    check_chunk(np.float32([[1.5], [-10.0]]), 16_000, 0.0)
