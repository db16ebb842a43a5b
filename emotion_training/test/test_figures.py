"""The pictures of a report show the figures of the models that they name."""

from types import SimpleNamespace

import numpy as np
import pytest

from emotion_training import figures

FIRST = SimpleNamespace(
    name="first",
    fusion="late",
    uar=0.6,
    uar_interval=(0.5, 0.7),
    labels=["neutral", "happy", "sad", "angry"],
    counts=np.array([[[[3, 1], [0, 4]]]]),
    uar_by_speaker=np.array([0.2, 0.6, 0.4, 0.9]),
    reliability=np.array([[0.55, 0.5, 0.25], [0.95, 0.9, 0.75]]),
    ece=(0.1, 0.05),
)
SECOND = SimpleNamespace(**{**vars(FIRST), "name": "second", "fusion": "early", "uar": 0.4, "uar_interval": None})


@pytest.fixture
def drawn(monkeypatch):
    """Draws, and gives the axes instead of a file."""
    kept = []
    monkeypatch.setattr(figures, "_save", lambda figure, path: kept.append(figure))

    def draw(function, content):
        function(content, None)
        return kept[-1].axes

    yield draw
    for figure in kept:
        figures.pyplot.close(figure)


def lines_of(axes):
    return [[np.asarray(data, float).tolist() for data in line.get_data()] for line in axes.get_lines()]


def test_bars_are_as_long_as_the_recall_and_have_their_intervals_from_the_first_on_top(drawn):
    (axes,) = drawn(figures.draw_bars, [FIRST, SECOND])
    names = dict(zip(axes.get_yticks(), (text.get_text() for text in axes.get_yticklabels()), strict=True))
    bars = {names[bar.get_y() + bar.get_height() / 2]: bar.get_width() for bar in axes.patches}
    assert bars == {"first": 0.6, "second": 0.4} and names == {1: "first", 0: "second"}
    first, second, (chance, _) = lines_of(axes)
    assert first == [[0.5, 0.7], [1.0, 1.0]] and second == [[0.4, 0.4], [0.0, 0.0]] and chance == [0.25, 0.25]


def test_confusions_are_shares_of_the_true_class(drawn):
    for axes in drawn(figures.draw_confusions, [SimpleNamespace(**{**vars(FIRST), "labels": ["neutral", "happy"]})]):
        assert [text.get_text() for text in axes.texts] == ["75", "25", "0", "100"]


def test_speakers_have_a_line_at_their_median_and_a_dot_each(drawn):
    (axes,) = drawn(figures.draw_speakers, [FIRST])
    ((_, median),) = lines_of(axes)
    assert median == [0.5, 0.5]
    assert sorted(axes.collections[0].get_offsets()[:, 1].tolist()) == [0.2, 0.4, 0.6, 0.9]


def test_accuracy_is_drawn_over_confidence(drawn):
    (axes,) = drawn(figures.draw_reliability, [FIRST])
    assert lines_of(axes)[1] == [[0.55, 0.95], [0.5, 0.9]]
    assert "ECE 0.050" in axes.get_legend().get_texts()[0].get_text()


def test_learning_curves_have_each_figure_at_its_epoch(drawn):
    epochs = [{"loss": 1.0, "validation_uar": 0.3}, {"loss": 0.5}, {"loss": 0.25, "validation_uar": 0.4}]
    left, right = drawn(figures.draw_learning_curves, {"face": epochs})
    assert lines_of(left) == [[[1.0, 2.0, 3.0], [1.0, 0.5, 0.25]]]
    assert lines_of(right) == [[[1.0, 3.0], [0.3, 0.4]]]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["loss", "uar"]


def test_a_stage_that_nobody_validated_has_no_axis_for_it(drawn):
    (left,) = drawn(figures.draw_learning_curves, {"fusion": [{"loss": 1.0}, {"loss": 0.5}]})
    assert left.get_title() == "fusion" and lines_of(left) == [[[1.0, 2.0], [1.0, 0.5]]]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["loss"]


def test_file_of_a_picture_does_not_name_what_drew_it(tmp_path):
    figures.draw_speakers([FIRST], tmp_path / "speakers.png")
    assert b"Software" not in (tmp_path / "speakers.png").read_bytes()
