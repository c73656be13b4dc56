"""What scores depend on, in pictures: every value at its place, seeds apart, what is not finite or not there left out."""

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from perceiver_jax.report import effects, figures
from perceiver_jax.report.effects import Axis, draw_grid, draw_lines, draw_parallel, mean_and_spread, text_of

LATENTS, KINDS = Axis("model.num_latents", (64, 128, 1024)), Axis("model.positions", ({"kind": "none"}, {"kind": "fourier"}))


@pytest.fixture
def drawn(monkeypatch):
    """The figure that a function draws."""
    found = []
    monkeypatch.setattr(figures, "write", lambda figure, path: found.append(figure))

    def drawn(draw, *arguments):
        draw(*arguments, Path("x.png"), "title", "accuracy")
        (figure,) = found
        assert isinstance(figure, Figure)
        return figure

    return drawn


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"kind": "fourier", "num_bands": 4}, "fourier"),
        ({"a": 1}, '{"a": 1}'),
        (0.0001, "0.0001"),
        (1 / 3, "0.3333"),
        ([28.0, 28.0], "28 x 28"),
        ((), "none"),
        (None, "None"),
        ("all", "all"),
        (True, "True"),
    ],
)
def test_a_value_in_words(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("scores", "mean", "spread"),
    [([], math.nan, math.nan), ([0.5], 0.5, math.nan), ([1.0, 2.0, 3.0], 2.0, 1.0), ([1.0, math.nan], math.nan, math.nan)],
)
def test_the_spread_is_that_of_a_sample(scores, mean, spread):
    np.testing.assert_equal(mean_and_spread(scores), (mean, spread))


@pytest.mark.parametrize(
    ("values", "number", "log"),
    [
        ((1, 8), True, True),
        ((1, 7), True, False),
        ((0, 8), True, False),
        ((True, False), False, False),
        (("a",), False, False),
    ],
)
def test_the_scale_of_an_axis(values, number, log):
    assert (Axis("a", values).is_number, Axis("a", values).is_log) == (number, log)


def test_lines_are_means_with_their_spread_and_every_run(drawn):
    scores = {"validation": [[0.5, 0.7], [0.8, 0.8], [0.9, 0.7]], "test": [[0.1], [0.2], []]}
    figure = drawn(draw_lines, [(LATENTS, scores), (KINDS, {"test": [[0.3], [math.nan]]})])
    first, second = figure.axes
    validation, test = first.lines[0], next(line for line in first.lines if line.get_label() == "test")
    np.testing.assert_allclose(validation.get_xdata(), [64, 128, 1024])
    np.testing.assert_allclose(validation.get_ydata(), [0.6, 0.8, 0.8])
    np.testing.assert_equal(np.asarray(test.get_ydata()), [0.1, 0.2, math.nan])
    assert first.get_xscale() == "log"
    assert [label.get_text() for label in first.get_xticklabels()] == ["64", "128", "1024"]
    assert [label.get_text() for label in second.get_xticklabels()] == ["none", "fourier"]
    assert not second.lines[0].get_linewidth()  # nothing joins two words
    (dots,) = [one for one in first.collections if type(one).__name__ == "PathCollection"]
    assert len(dots.get_offsets()) == 6


def test_a_grid_has_a_cell_for_each_place(drawn):
    figure = drawn(draw_grid, LATENTS, KINDS, {(0, 0): [0.5], (2, 1): [0.6, 0.8], (1, 1): [math.nan], (1, 0): []})
    axes = figure.axes[0]
    cells = np.ma.filled(axes.images[0].get_array(), math.nan)
    np.testing.assert_allclose(cells, [[0.5, math.nan, math.nan], [math.nan, math.nan, 0.7]])
    words = {text.get_position(): text.get_text() for text in axes.texts}
    assert words == {(0, 0): "0.500", (2, 1): "0.700\n± 0.141", (1, 1): "not finite", (1, 0): ""}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("num latents", "positions")


def test_parallel_coordinates_have_a_line_for_each_place(drawn):
    rate = Axis("optim.learning_rate", (1e-4, 1e-3, 1e-2))
    figure = drawn(draw_parallel, [rate, KINDS], {(0, 0): [0.5], (1, 1): [0.9], (2, 1): [math.nan]})
    lines = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(lines, [[0, 0, 0], [0.5, 1, 1]], atol=1e-12)  # the best last, in front


def test_of_many_values_some_are_written():
    assert effects._ticks(Axis("a", tuple(range(100)))) == [0, 14, 28, 42, 57, 71, 85, 99]
    assert effects._ticks(LATENTS) == [0, 1, 2]


def test_a_picture_of_nothing_but_failures_is_still_one(tmp_path):
    draw_lines([(LATENTS, {"test": [[math.nan], [], []]})], tmp_path / "a.png", "t", "accuracy")
    draw_grid(LATENTS, KINDS, {(0, 0): [math.nan]}, tmp_path / "b.png", "t", "accuracy")
    draw_parallel([LATENTS, KINDS], {(0, 0): []}, tmp_path / "c.png", "t", "accuracy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]
