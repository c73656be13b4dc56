"""Examples in a grid with their words."""

import cv2
import numpy as np
import pytest

from perceiver_jax.report.examples import GAP, MARGIN, SIDE, WORDS, draw_examples, most

TOP = MARGIN + 2 * WORDS


def tile(red):
    return np.broadcast_to(np.array([red, 40, 90], np.uint8), (SIDE, SIDE, 3))


def drawn(path, examples):
    draw_examples(examples, path / "inputs.png", "a run")
    return cv2.imread(str(path / "inputs.png"))[..., ::-1]


SHAPES = [(1, 1, 1, 1), (11, 1, 8, 2), (50, 1, 8, 4), (50, 2, 4, 4)]


@pytest.mark.parametrize(("count", "streams", "columns", "rows"), SHAPES)
def test_each_example_is_where_it_belongs_pixel_by_pixel(tmp_path, count, streams, columns, rows):
    examples = [(f"class {i}", [tile(5 * i + s) for s in range(streams)]) for i in range(min(count, most(streams)))]
    pixels = drawn(tmp_path, examples)
    cell = streams * SIDE + GAP
    assert pixels.shape == (TOP + rows * (WORDS + SIDE + GAP) + MARGIN - GAP, 2 * MARGIN + columns * cell - GAP, 3)
    assert len(examples) == min(count, rows * columns)
    for i in range(len(examples)):
        y, x = TOP + i // columns * (WORDS + SIDE + GAP) + WORDS, MARGIN + i % columns * cell
        for s in range(streams):
            part = pixels[y : y + SIDE, x + s * SIDE : x + (s + 1) * SIDE]
            assert (part == tile(5 * i + s)).all()
        assert (pixels[y - WORDS : y - 2, x : x + SIDE] < 128).any()  # its words


def test_words_of_any_script_and_length_cost_no_warning(tmp_path, recwarn, capfd):
    drawn(tmp_path, [("\u732b", [tile(0)]), ("$x_1^" * 30, [tile(1)]), ("a\nb", [tile(2)])])
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")
