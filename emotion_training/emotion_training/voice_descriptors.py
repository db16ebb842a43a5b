"""What a voice is like every 10 ms: pitch, loudness, timbre, the tract's resonances. In the spirit of GeMAPS (Eyben et
al. 2016), by numpy alone.
"""

from dataclasses import dataclass

import numpy as np

from .models.log_mel import mel_filters

RATE_HZ = 16000
HOP_SAMPLES = 160
FRAME_SAMPLES = 400  # of the spectrum
PITCH_SAMPLES = 800  # of the autocorrelation: three periods of a low voice
FFT_SAMPLES = 512
MELS, CEPSTRA = 40, 13
PITCH_HZ = (65.0, 650.0)
CANDIDATES = 6  # of the pitch, in each frame
OCTAVE_COST = 0.35  # of a jump of the pitch by an octave between frames
VOICING_COST = 0.14  # of a voice that sets in or stops
UNVOICED_SCORE = 0.45  # of the candidate "no voice", to be beaten by an autocorrelation
RESONANCES, PREDICTION_ORDER = 3, 12
DITHER = 1e-5  # against digital silence
ACTIVE_DB = 40.0  # below the loudest frame
SEMITONE_ZERO_HZ = 27.5
SMALL = 1e-8

FILTERS = mel_filters(MELS, RATE_HZ)  # (mels, F)
COSINES = np.cos(np.pi * np.arange(1, CEPSTRA + 1)[:, None] * (np.arange(MELS) + 0.5) / MELS) * np.sqrt(2.0 / MELS)
FREQUENCY_HZ = np.fft.rfftfreq(FFT_SAMPLES, 1.0 / RATE_HZ)


@dataclass(frozen=True)
class Descriptors:
    """T frames of a voice.

    Attributes:
        active: bool (T,), louder than 40 dB below the loudest frame.
        voiced: bool (T,).
        tracks: float64 (T,) by name; NaN where a track means nothing.
        log_mel: (T, 40).
        cepstra: (T, 13).
    """

    active: np.ndarray
    voiced: np.ndarray
    tracks: dict[str, np.ndarray]
    log_mel: np.ndarray
    cepstra: np.ndarray


def describe(voice: np.ndarray) -> Descriptors:
    """Descriptors of a voice (N,) at 16 kHz."""
    dither = DITHER * np.random.default_rng(0).standard_normal(len(voice))
    samples = np.pad(voice.astype(np.float64) + dither, PITCH_SAMPLES // 2)
    pitch_hz, periodicity, voiced = track_pitch(samples)
    windowed = _frames(samples, FRAME_SAMPLES) * np.hanning(FRAME_SAMPLES)
    power = np.abs(np.fft.rfft(windowed, FFT_SAMPLES)) ** 2 / FRAME_SAMPLES  # (T, F)
    mel = power @ FILTERS.T
    log_mel = np.log(mel + SMALL)
    loudness = _decibel(power.sum(axis=1))
    resonance_hz, bandwidth_hz = resonances(samples)
    semitones = np.where(voiced, 12.0 * np.log2(np.maximum(pitch_hz, 1.0) / SEMITONE_ZERO_HZ), 0.0)
    tracks = {
        "loudness": loudness,
        "pitch": np.where(voiced, semitones, np.nan),
        "harmonicity": 10.0 * np.log10(periodicity / (1.0 - periodicity)),
        **_spectral_shape(power),
        **_harmonics(power, pitch_hz, voiced, resonance_hz),
        **{f"resonance{i + 1}": resonance_hz[:, i] / 1000.0 for i in range(RESONANCES)},
        "bandwidth1": bandwidth_hz[:, 0] / 1000.0,
        **_perturbation(semitones, loudness, voiced),
    }
    return Descriptors(loudness > loudness.max() - ACTIVE_DB, voiced, tracks, log_mel, log_mel @ COSINES.T)


def track_pitch(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pitch (T,) in Hz, 0 where there is none; periodicity (T,) in (0, 1); voiced, bool (T,).

    Peaks of the normalised autocorrelation (Boersma 1993) in each frame; the cheapest path through them by dynamic
    programming, in which jumps cost, and so do onsets and ends of the voice.
    """
    strength, lags = _autocorrelation(samples)  # (T, L), (L,)
    inner = strength[:, 1:-1]
    peak = (inner >= strength[:, :-2]) & (inner > strength[:, 2:]) & (inner > 0.2)
    # Of equal peaks the one with the shorter period is the pitch, the others are its multiples.
    score = np.where(peak, inner - 0.02 * np.log2(lags[1:-1] * PITCH_HZ[0] / RATE_HZ + 1e-9), -9.0)
    best = np.argsort(-score, axis=1, kind="stable")[:, :CANDIDATES]  # (T, K)
    scores = np.take_along_axis(score, best, 1)
    frequency_hz = RATE_HZ / (lags[best + 1] + _peak_offset(strength, best + 1))
    loud = np.sqrt((_frames(samples, PITCH_SAMPLES) ** 2).mean(axis=1))
    quiet = np.maximum(0.0, 1.0 - 20.0 * loud / (np.percentile(loud, 95) + 1e-9))
    path = _cheapest_path(scores, np.log2(frequency_hz), UNVOICED_SCORE + 0.5 * quiet)
    frames, voiced = np.arange(len(path)), path < CANDIDATES
    chosen = np.minimum(path, CANDIDATES - 1)
    periodicity = np.where(voiced, inner[frames, best[frames, chosen]], inner.max(axis=1))
    return np.where(voiced, frequency_hz[frames, chosen], 0.0), np.clip(periodicity, 1e-3, 0.9999), voiced


def resonances(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest resonances of the vocal tract and their bandwidths in Hz, (T, 3) each; NaN where there is none.

    Roots of the linear prediction polynomial (autocorrelation method, order 12).
    """
    raised = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    frames = _frames(raised, FRAME_SAMPLES) * np.hamming(FRAME_SAMPLES)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 1024)) ** 2)[:, : PREDICTION_ORDER + 1]
    correlation[:, 0] = correlation[:, 0] * 1.0001 + 1e-9
    lag = np.abs(np.subtract.outer(np.arange(PREDICTION_ORDER), np.arange(PREDICTION_ORDER)))
    coefficients = np.linalg.solve(correlation[:, lag], correlation[:, 1:, None])[..., 0]  # (T, P)
    companion = np.zeros((len(frames), PREDICTION_ORDER, PREDICTION_ORDER))
    companion[:, 0] = coefficients
    companion[:, np.arange(1, PREDICTION_ORDER), np.arange(PREDICTION_ORDER - 1)] = 1.0
    roots = np.linalg.eigvals(companion)  # (T, P)
    frequency_hz = np.angle(roots) * RATE_HZ / (2.0 * np.pi)
    bandwidth_hz = -np.log(np.abs(roots) + 1e-9) * RATE_HZ / np.pi
    found = (frequency_hz > 150.0) & (bandwidth_hz < 700.0)
    order = np.argsort(np.where(found, frequency_hz, np.inf), axis=1, kind="stable")[:, :RESONANCES]
    kept = np.take_along_axis(found, order, 1)
    return tuple(
        np.where(kept, np.take_along_axis(values, order, 1), np.nan) for values in (frequency_hz, bandwidth_hz)
    )


def _frames(samples: np.ndarray, width: int) -> np.ndarray:
    """(T, width), each about the middle of the pitch's longer frame."""
    count = (len(samples) - PITCH_SAMPLES) // HOP_SAMPLES + 1
    start = (PITCH_SAMPLES - width) // 2
    return np.lib.stride_tricks.sliding_window_view(samples[start:], width)[::HOP_SAMPLES][:count]


def _autocorrelation(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised by the window's own, (T, L), and the lags (L,) in samples, one beyond the range of pitch each way."""
    frames = _frames(samples, PITCH_SAMPLES)
    frames = frames - frames.mean(axis=1, keepdims=True)
    window = np.hanning(PITCH_SAMPLES)

    def correlate(values: np.ndarray) -> np.ndarray:
        return np.fft.irfft(np.abs(np.fft.rfft(values, 2048)) ** 2)[..., :PITCH_SAMPLES]

    found, of_window = correlate(frames * window), correlate(window)
    lags = np.arange(int(RATE_HZ / PITCH_HZ[1]) - 1, int(RATE_HZ / PITCH_HZ[0]) + 2)
    return found[:, lags] / (found[:, :1] + 1e-9) / (of_window[lags] / of_window[0]), lags


def _peak_offset(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of the top of the parabola through a peak and its neighbours, in steps, (T, K)."""
    rows = np.arange(len(values))[:, None]
    before, at, after = values[rows, places - 1], values[rows, places], values[rows, places + 1]
    return np.clip(0.5 * (before - after) / (before - 2.0 * at + after - 1e-9), -0.5, 0.5)


def _cheapest_path(scores: np.ndarray, octaves: np.ndarray, unvoiced: np.ndarray) -> np.ndarray:
    """The candidate of each frame, int (T,); CANDIDATES stands for no voice."""
    states = np.concatenate([scores, unvoiced[:, None]], axis=1)  # (T, K + 1)
    octaves = np.concatenate([octaves, np.full((len(octaves), 1), np.nan)], axis=1)
    silent = np.isnan(octaves)
    total, back = states[0].copy(), np.zeros(states.shape, np.int64)
    for t in range(1, len(states)):
        jump = OCTAVE_COST * np.abs(np.subtract.outer(octaves[t - 1], octaves[t]))
        change = np.logical_xor.outer(silent[t - 1], silent[t])
        cost = np.where(change, VOICING_COST, np.nan_to_num(jump, nan=0.0))
        reached = total[:, None] - cost  # (from, to)
        back[t] = reached.argmax(axis=0)
        total = reached.max(axis=0) + states[t]
    path = np.empty(len(states), np.int64)
    path[-1] = total.argmax()
    for t in range(len(states) - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path


def _spectral_shape(power: np.ndarray) -> dict[str, np.ndarray]:
    share = power / (power.sum(axis=1, keepdims=True) + 1e-9)

    def band(low_hz: float, high_hz: float) -> np.ndarray:
        return power[:, (low_hz <= FREQUENCY_HZ) & (high_hz > FREQUENCY_HZ)]

    def slope(low_hz: float, high_hz: float) -> np.ndarray:
        """In decibels a kilohertz."""
        inside = (low_hz <= FREQUENCY_HZ) & (high_hz >= FREQUENCY_HZ)
        distance = FREQUENCY_HZ[inside] / 1000.0
        distance = distance - distance.mean()
        return _decibel(power[:, inside]) @ distance / (distance @ distance)

    change = np.diff(np.sqrt(share), axis=0)
    edge = np.minimum((share.cumsum(axis=1) < 0.85).sum(axis=1), len(FREQUENCY_HZ) - 1)
    return {
        "centroid": share @ FREQUENCY_HZ / 1000.0,
        "rolloff": FREQUENCY_HZ[edge] / 1000.0,
        "alpha_ratio": _decibel(band(50.0, 1000.0).sum(axis=1)) - _decibel(band(1000.0, 5000.0).sum(axis=1)),
        "hammarberg": _decibel(band(0.0, 2000.0).max(axis=1)) - _decibel(band(2000.0, 5000.0).max(axis=1)),
        "slope_low": slope(0.0, 500.0),
        "slope_middle": slope(500.0, 1500.0),
        "slope_high": slope(1500.0, 5000.0),
        "flux": np.append(0.0, np.sqrt((change**2).sum(axis=1))),
        "entropy": -(share * np.log(share + 1e-12)).sum(axis=1),
        "flatness": np.log(power + 1e-10).mean(axis=1) - np.log(power.mean(axis=1) + 1e-10),
    }


def _harmonics(
    power: np.ndarray, pitch_hz: np.ndarray, voiced: np.ndarray, resonance_hz: np.ndarray
) -> dict[str, np.ndarray]:
    """Level of the first harmonic against the second, and against the first and third resonance."""
    rows = np.arange(len(power))
    last = power.shape[1] - 1

    def level(frequency_hz: np.ndarray, reach: int) -> np.ndarray:
        bins = np.round(np.nan_to_num(frequency_hz, nan=3000.0) * FFT_SAMPLES / RATE_HZ).astype(np.int64)
        bins = np.clip(bins, reach, last - reach)
        return _decibel(np.max([power[rows, bins + step] for step in range(-reach, reach + 1)], axis=0))

    first = level(np.where(voiced, pitch_hz, 100.0), 1)
    return {
        "first_second": first - level(2.0 * np.where(voiced, pitch_hz, 100.0), 1),
        "first_resonance1": first - level(resonance_hz[:, 0], 3),
        "first_resonance3": first - level(resonance_hz[:, 2], 3),
    }


def _perturbation(semitones: np.ndarray, loudness: np.ndarray, voiced: np.ndarray) -> dict[str, np.ndarray]:
    """Change of pitch and loudness from one voiced frame to the next."""
    both = voiced & np.append(False, voiced[:-1])
    return {
        "pitch_change": np.where(both, np.abs(np.diff(semitones, prepend=semitones[0])), np.nan),
        "loudness_change": np.where(both, np.abs(np.diff(loudness, prepend=loudness[0])), np.nan),
    }


def _decibel(power: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(power + SMALL)
