"""Media that need no download: a voice made of vowels, and files of any pictures and sound."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter


def voice(duration_s: float, sample_rate_hz: int) -> NDArray[np.float32]:
    """(N,) vowels: pulses of a gliding pitch through three formants, a new vowel every 0.2 s."""
    n_samples = round(duration_s * sample_rate_hz)
    times_s = np.arange(n_samples) / sample_rate_hz
    pitch_hz = 120.0 * (1.0 + 0.15 * np.sin(2.0 * np.pi * 1.1 * times_s))
    pulses = np.diff(np.floor(np.cumsum(pitch_hz) / sample_rate_hz), prepend=0.0)
    source = lfilter([1.0], [1.0, -0.96], pulses) + 0.01 * np.random.default_rng(0).standard_normal(n_samples)
    vowels_hz = [(700, 1200, 2600), (300, 2300, 3000), (320, 800, 2300), (500, 1800, 2500)]
    syllable_samples = sample_rate_hz // 5
    samples = np.zeros(n_samples, np.float32)
    for index, start in enumerate(range(0, n_samples, syllable_samples)):
        syllable = source[start : start + syllable_samples]
        for formant_hz in vowels_hz[index % len(vowels_hz)]:
            radius = np.exp(-np.pi * 100.0 / sample_rate_hz)
            angle = 2.0 * np.pi * formant_hz / sample_rate_hz
            syllable = lfilter([1.0 - radius], [1.0, -2.0 * radius * np.cos(angle), radius**2], syllable)
        loudness = 0.3 * np.sqrt(np.hanning(len(syllable))) / np.abs(syllable).max()
        samples[start : start + len(syllable)] = loudness * syllable
    return samples


def write_media(
    path: Path,
    images: Sequence[NDArray[np.uint8]] = (),
    image_times_s: Sequence[float] | None = None,
    samples: NDArray[np.float32] | None = None,
    sample_rate_hz: int = 48_000,
    audio_start_s: float = 0.0,
    block_samples: int = 1024,
) -> None:
    """Write pictures (H, W, 3), 25 a second unless timed, and sound (N, channels) in blocks, as the name says."""
    is_mp4 = path.suffix == ".mp4"
    with av.open(str(path), "w") as container:
        if len(images) > 0:
            video = container.add_stream("mpeg4", rate=25)
            video.height, video.width = images[0].shape[:2]
            video.pix_fmt = "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000)
            video.codec_context.qmax = 5  # keep the faces sharp
        if samples is not None:
            layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
            audio = container.add_stream("aac" if is_mp4 else "pcm_s16le", rate=sample_rate_hz, layout=layout)
        if len(images) > 0:
            times_s = [index / 25 for index in range(len(images))] if image_times_s is None else image_times_s
            for image, time_s in zip(images, times_s, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if samples is not None:
            for start in range(0, len(samples), block_samples):
                block = samples[start : start + block_samples]
                values = block.T if is_mp4 else (block * 32767).astype(np.int16).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(values), format="fltp" if is_mp4 else "s16", layout=layout
                )
                frame.rate, frame.time_base = sample_rate_hz, Fraction(1, sample_rate_hz)
                frame.pts = start + round(audio_start_s * sample_rate_hz)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
