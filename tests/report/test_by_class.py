"""Metrics class by class: a table that spreadsheets read, and bars, the best class first."""

import csv

import cv2
import numpy as np
import pytest

from perceiver_jax.report import by_class
from perceiver_jax.report.by_class import draw_by_class, write_table

NAMES = ["Speech", "Chirp, tweet", 'A "quoted" one', "犬", "Zither"]
COLUMNS = {
    "examples": np.array([5, 0, 1, 2, 3]),
    "average_precision": np.array([0.25, np.nan, 1.0, 0.1, 0.7]),
    "auc": np.array([0.5, np.nan, np.nan, 1 / 3, 0.9]),
}
BLUE = [int(by_class.COLOUR[i : i + 2], 16) for i in (1, 3, 5)]


def drawn(path, values, classes=None, examples=None, title="audioset, test"):
    """The picture, in red, green and blue."""
    values = np.asarray(values, float)
    examples = np.full(len(values), 7) if examples is None else examples
    names = [f"class {i}" for i in range(len(values))] if classes is None else classes
    draw_by_class(values, examples, names, path / "bars.png", title)
    return cv2.imread(str(path / "bars.png"))[..., ::-1].astype(int)


def bars(pixels):
    """The lengths, in pixels, of the bars that stand below each other, from the top."""
    lengths = (np.abs(pixels - BLUE).max(axis=-1) < 3).sum(axis=1)
    starts = np.flatnonzero((lengths[1:] > 0) & (lengths[:-1] == 0))
    return [int(np.median(lengths[start + 2 : start + 5])) for start in starts]


def test_the_table_has_a_line_for_each_class_in_their_order_and_nothing_where_there_is_no_number(tmp_path):
    write_table(COLUMNS, NAMES, tmp_path / "of.csv")
    with open(tmp_path / "of.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == NAMES
    assert [row["examples"] for row in rows] == ["5", "0", "1", "2", "3"]
    for name in ("average_precision", "auc"):
        read = [float(row[name] or "nan") for row in rows]
        np.testing.assert_array_equal(read, COLUMNS[name])  # every digit


def test_the_best_class_stands_first_and_its_bar_is_as_long_as_its_value(tmp_path):
    values = [0.2, 0.9, np.nan, 0.5, 0.0]
    found = bars(drawn(tmp_path, values, examples=np.array([7, 7, 0, 7, 7])))
    whole = by_class.BAR * by_class.DPI
    assert np.array(found) / whole == pytest.approx([0.9, 0.5, 0.2], abs=0.03)


@pytest.mark.parametrize("count", [1, 30, 91, 200])
def test_every_class_has_its_bar_in_a_picture_that_fits_a_screen(count, tmp_path):
    pixels = drawn(tmp_path, np.ones(count))
    columns = -(-count // by_class.MOST_ROWS)
    row = by_class.ROW if count <= by_class.FEW else by_class.LEAST_ROW
    area = (np.abs(pixels - BLUE).max(axis=-1) < 3).sum() / (by_class.BAR * row * by_class.DPI**2)
    assert area == pytest.approx(0.72 * count, rel=0.2)
    assert pixels.shape[0] < 1700
    assert pixels.shape[1] < 560 * columns + 200


def test_names_of_any_kind_are_drawn_as_they_are_and_long_ones_cut(tmp_path, recwarn):
    pixels = drawn(tmp_path, [0.5, 0.4, 0.3], ["$x^$", "犬", "a" * 300], title="$x^$\n2")
    assert pixels.shape[1] < 700
    assert len(recwarn) == 0


def test_without_a_value_there_is_a_picture_all_the_same(tmp_path, recwarn):
    assert bars(drawn(tmp_path, [np.nan, np.nan], examples=np.zeros(2, int))) == []
    assert len(recwarn) == 0


def test_the_same_values_give_the_same_file(tmp_path):
    drawn(tmp_path, [0.5, 0.4, 0.3])
    before = (tmp_path / "bars.png").read_bytes()
    drawn(tmp_path, [0.5, 0.4, 0.3])
    assert (tmp_path / "bars.png").read_bytes() == before
