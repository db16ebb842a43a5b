"""A whole voice as one vector: statistics, over its frames, of what `voice_descriptors` tell."""

import itertools
from collections.abc import Sequence

import numpy as np

from .voice_descriptors import HOP_SAMPLES, Descriptors, describe

FUNCTIONALS_VERSION = 1  # another number makes kept ones again
FRAME_S = 0.01
PARTS = 8  # of the voice, for its contours
LEAST_FRAMES = 3  # for a statistic
LEAST_SAMPLES = HOP_SAMPLES  # of a voice: two frames, so that something can change
FULL = ("harmonicity", "first_second")
VOICED_ONLY = (
    *FULL,
    "first_resonance1",
    "first_resonance3",
    "resonance1",
    "resonance2",
    "resonance3",
    "bandwidth1",
    "pitch_change",
    "loudness_change",
)
SPECTRAL = (
    "centroid",
    "rolloff",
    "alpha_ratio",
    "hammarberg",
    "slope_low",
    "slope_middle",
    "slope_high",
    "flux",
    "entropy",
    "flatness",
)
MODULATION_HZ = ((0.5, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 20.0), (20.0, 40.0))


def voice_functionals(voice: np.ndarray) -> np.ndarray:
    """A voice (N,) at 16 kHz, LEAST_SAMPLES at least -> finite functionals (F,); silence before and after it does not
    count.
    """
    frames = describe(voice)
    there = np.flatnonzero(frames.active)
    span = slice(there[0], there[-1] + 1)
    groups = (
        _timing(frames, span),
        _pitch_and_loudness(frames),
        _voice_quality(frames),
        _timbre(frames),
        _contours(frames, span),
        _modulation(frames, span),
    )
    return np.nan_to_num(np.concatenate(groups))


def spread(values: np.ndarray) -> list[float]:
    """Mean, deviation, five quantiles, and the width between the outer ones, of what is finite."""
    values = values[np.isfinite(values)]
    if len(values) < LEAST_FRAMES:
        return [0.0] * 8
    quantiles = np.percentile(values, [5, 20, 50, 80, 95])
    return [values.mean(), values.std(), *quantiles, quantiles[-1] - quantiles[0]]


def moments(values: np.ndarray) -> list[float]:
    """Mean and deviation of what is finite."""
    values = values[np.isfinite(values)]
    return [values.mean(), values.std()] if len(values) >= LEAST_FRAMES else [0.0, 0.0]


def _timing(frames: Descriptors, span: slice) -> list[float]:
    """Length, shares and lengths of voiced, unvoiced and silent stretches, syllables a second."""
    voiced, active = (frames.voiced & frames.active)[span], frames.active[span]
    duration_s = FRAME_S * len(active)
    stretches = [FRAME_S * _stretches(mask) for mask in (voiced, ~voiced, ~active)]
    hump = np.hanning(11) / np.hanning(11).sum()
    loudness = np.convolve(frames.tracks["loudness"][span], hump, "same")
    inner = loudness[1:-1]
    peaks = (inner > loudness[:-2]) & (inner > loudness[2:]) & (inner > loudness.max() - 25.0)
    rates = [duration_s, voiced.mean(), active.mean(), len(stretches[0]) / duration_s, peaks.sum() / duration_s]
    return [*rates, *(value for lengths in stretches for value in moments(lengths))]


def _pitch_and_loudness(frames: Descriptors) -> list[float]:
    pitch, loudness = frames.tracks["pitch"], frames.tracks["loudness"]
    voiced = frames.voiced & frames.active
    return [
        *spread(pitch[voiced]),
        *_slopes(pitch, voiced),
        *spread(loudness[frames.active]),
        *moments(loudness[voiced]),
        *_slopes(loudness, frames.active),
    ]


def _voice_quality(frames: Descriptors) -> list[float]:
    voiced = frames.voiced & frames.active
    return [
        value for name in VOICED_ONLY for value in (spread if name in FULL else moments)(frames.tracks[name][voiced])
    ]


def _timbre(frames: Descriptors) -> np.ndarray:
    """Spectral shape, cepstra and mel bands."""
    active, voiced = frames.active, frames.voiced & frames.active
    shape: list[float] = []
    for name in SPECTRAL:
        track = frames.tracks[name]
        shape += [*moments(track[voiced]), *spread(track[active]), *moments(track[active & ~frames.voiced])]
    bands = frames.log_mel.reshape(len(frames.log_mel), -1, 2).mean(axis=2)  # (T, mels / 2)
    voiced = voiced if voiced.any() else active  # a whisper
    return np.concatenate(
        [
            shape,
            frames.cepstra[voiced].mean(axis=0),
            frames.cepstra[voiced].std(axis=0),
            *_column_spread(frames.cepstra, active),
            *_column_spread(bands, active),
        ]
    )


def _column_spread(rows: np.ndarray, active: np.ndarray) -> Sequence[np.ndarray]:
    """Mean, deviation, outer quantiles, and deviation of the change, of each column (T, K)."""
    change = np.gradient(rows, axis=0)
    low, high = np.percentile(rows[active], [10, 90], axis=0)
    return rows[active].mean(axis=0), rows[active].std(axis=0), low, high, change[active].std(axis=0)


def _contours(frames: Descriptors, span: slice) -> np.ndarray:
    """Pitch, loudness, brightness and harmonicity in equal parts of the voice, about their means."""
    voiced = frames.voiced & frames.active
    rows = []
    for name, mask in (
        ("pitch", voiced),
        ("loudness", frames.active),
        ("alpha_ratio", frames.active),
        ("harmonicity", frames.active),
    ):
        contour = _contour(frames.tracks[name], mask, span)
        rows.append(contour - contour.mean())
    return np.concatenate(rows)


def _contour(track: np.ndarray, mask: np.ndarray, span: slice) -> np.ndarray:
    """Means of the parts, (PARTS,); a part with hardly a frame is interpolated."""
    edges = np.linspace(span.start, span.stop, PARTS + 1).round().astype(np.int64)
    means = np.full(PARTS, np.nan)
    for part, (start, stop) in enumerate(itertools.pairwise(edges)):
        if mask[start:stop].sum() >= 2:
            means[part] = track[start:stop][mask[start:stop]].mean()
    known = np.flatnonzero(np.isfinite(means))
    return np.interp(np.arange(PARTS), known, means[known]) if len(known) else np.zeros(PARTS)


def _modulation(frames: Descriptors, span: slice) -> list[float]:
    """Log power of the slow changes, by band of their rate, of loudness, four parts of the spectrum and pitch."""
    mel = np.exp(frames.log_mel)
    parts = [10.0 * np.log10(part.sum(axis=1) + 1e-8) for part in np.split(mel, 4, axis=1)]
    pitch = frames.tracks["pitch"]
    level = np.nanmedian(pitch) if np.isfinite(pitch).any() else 0.0
    rate_hz = np.fft.rfftfreq(1024, FRAME_S)
    values = []
    for track in (frames.tracks["loudness"], *parts, np.where(np.isfinite(pitch), pitch, level)):
        changes = track[span] - track[span].mean()
        power = np.abs(np.fft.rfft(changes * np.hanning(len(changes)), 1024)) ** 2 / len(changes)
        values += [np.log(power[(rate_hz >= low) & (rate_hz < high)].mean() + 1e-3) for low, high in MODULATION_HZ]
    return values


def _slopes(track: np.ndarray, mask: np.ndarray) -> list[float]:
    """Rises and falls a second within stretches of five frames or more."""
    rises, falls = [], []
    for start, stop in zip(*_bounds(mask), strict=True):
        if stop - start >= 5:
            slope = np.diff(np.convolve(track[start:stop], np.ones(3) / 3.0, "valid")) / FRAME_S
            rises.append(slope[slope > 0.0])
            falls.append(slope[slope < 0.0])
    return [*moments(np.concatenate([[], *rises])), *moments(np.concatenate([[], *falls]))]


def _stretches(mask: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True, in frames."""
    starts, stops = _bounds(mask)
    return stops - starts


def _bounds(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    steps = np.diff(np.concatenate([[0], mask.astype(np.int64), [0]]))
    return np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
