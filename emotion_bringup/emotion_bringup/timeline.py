"""One picture of a run: probabilities, modalities in use and label over time."""

from collections.abc import Sequence
from itertools import cycle, pairwise
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb, to_rgba
from numpy.typing import NDArray

from emotion_bringup.graph_recorder import Recording
from emotion_msgs.msg import EmotionState
from emotion_perception.core.stamps import to_nanoseconds

matplotlib.use("Agg")
from matplotlib import pyplot

# Of the labels in their order; then they come again.
PALETTE = ("#8c8c8c", "#e8a200", "#3b6fb6", "#c8322b", "#7d4fa3", "#5f8f3c", "#19a7b8", "#a8673a", "#d66ba0")
NOBODY_COLOUR, FACE_COLOUR, VOICE_COLOUR = "#dddddd", "#2f6f4f", "#b06a1f"
GAP_S = 0.3  # a longer pause between two states is drawn as one
NAMED_SHARE = 0.09  # of the picture's time; a name is as wide as that, and whom it shows for less stays without one


def label_colours(states: Sequence[EmotionState]) -> dict[str, tuple[int, int, int]]:
    """Red, green and blue of every label that the model has, and of nobody."""
    labels = next((state.labels for state in states if state.labels), [])
    texts = {**dict(zip(labels, cycle(PALETTE))), EmotionState.NOBODY: NOBODY_COLOUR}
    return {label: tuple(round(255 * part) for part in to_rgb(text)) for label, text in texts.items()}


def draw_timeline(recording: Recording, title: str, path: Path) -> None:
    """Write the picture as PNG. There must be at least one state."""
    states = recording.states
    colour = {label: tuple(part / 255 for part in rgb) for label, rgb in label_colours(states).items()}
    labels = [label for label in colour if label != EmotionState.NOBODY]
    times_s = np.array([recording.time_s(to_nanoseconds(state.header.stamp)) for state in states])  # (N,)
    next_s = np.append(times_s[1:], times_s[-1] + GAP_S)
    widths_s = np.clip(next_s - times_s, 0.0, GAP_S)

    figure, (likely, used, decided) = pyplot.subplots(
        3, 1, sharex=True, figsize=(11, 6.2), height_ratios=(6, 1.6, 1), layout="constrained"
    )
    figure.suptitle(title)
    line_times_s, probabilities = probability_lines(states, times_s, len(labels))
    for index, label in enumerate(labels):
        likely.plot(line_times_s, probabilities[:, index], color=colour[label], label=label, linewidth=2)
    likely.set(ylabel="probability", ylim=(0, 1))
    likely.grid(alpha=0.3)
    if labels:
        likely.legend(ncols=len(labels), loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize="small", frameon=False)

    shown_s = next_s[-1] - times_s[0]
    for start_s, end_s, name in people(states, times_s, times_s + widths_s):
        if end_s - start_s >= NAMED_SHARE * shown_s:
            likely.axvline(start_s, color="grey", linewidth=0.5, linestyle=":")
            likely.text(start_s, 0.99, f" {name}", color="grey", fontsize="x-small", verticalalignment="top")

    # One artist a row: with one a state the layout of a film of minutes would take minutes.
    spans = np.stack([times_s, widths_s], axis=1)  # (N, 2)
    weights = np.array([[state.audio_weight, state.face_weight] for state in states])  # (N, 2)
    for row, shade in enumerate((VOICE_COLOUR, FACE_COLOUR)):
        in_use = weights[:, row] > 0.0
        shades = [to_rgba(shade, 0.15 + 0.85 * weight) for weight in weights[in_use, row]]
        used.broken_barh(spans[in_use], (row - 0.4, 0.8), facecolors=shades, linewidth=0)
    strengths = [0.4 if state.uncertain and state.label != EmotionState.NOBODY else 1.0 for state in states]
    shades = [to_rgba(colour[state.label], strength) for state, strength in zip(states, strengths, strict=True)]
    decided.broken_barh(spans, (0, 1), facecolors=shades, linewidth=0)
    used.set(yticks=[1, 0], yticklabels=["face", "voice"], ylim=(-0.6, 1.6))
    used.set_title("modalities in use (darker: more weight)", fontsize="small", loc="left")
    decided.set(yticks=[], ylim=(0, 1), xlabel="time in seconds")
    decided.set_title("label, in the colours above (pale: uncertain, light grey: nobody)", fontsize="small", loc="left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def people(
    states: Sequence[EmotionState], times_s: NDArray[np.float64], ends_s: NDArray[np.float64]
) -> list[tuple[float, float, str]]:
    """Start, end and name of each person whom the lines show, in the order of time, from the times of the states."""
    tracks = [state.track_id or ("unseen" if state.modalities else "") for state in states]
    changes = [index for index in range(1, len(tracks)) if tracks[index] != tracks[index - 1]]
    spans = pairwise([0, *changes, len(tracks)])
    return [(float(times_s[start]), float(ends_s[end - 1]), tracks[start]) for start, end in spans if tracks[start]]


def probability_lines(
    states: Sequence[EmotionState], times_s: NDArray[np.float64], labels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times (M,) and probabilities (M, labels), NaN where the lines break: at another person, and in a pause."""
    nothing = [np.nan] * labels
    probabilities = np.array([list(state.probabilities) or nothing for state in states])  # (N, labels)
    tracks = np.array([state.track_id for state in states])
    breaks = np.flatnonzero((tracks[1:] != tracks[:-1]) | (np.diff(times_s) > GAP_S)) + 1
    return np.insert(times_s, breaks, times_s[breaks]), np.insert(probabilities, breaks, nothing, axis=0)
