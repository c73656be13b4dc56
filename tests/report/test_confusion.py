import cv2
import numpy as np
import pytest

from perceiver_jax.report import confusion
from perceiver_jax.report.confusion import draw_confusion, number_size, row_shares


def matrix_of(count, each=50):
    """Half of the examples of each class are right, half are taken for the next class."""
    return (np.eye(count) + np.roll(np.eye(count), 1, axis=1)) * each / 2


def drawn(path, matrix, classes=None, title="digits, test"):
    """The picture, in red, green and blue."""
    draw_confusion(matrix, classes or [f"class {i}" for i in range(len(matrix))], path / "confusion.png", title)
    return cv2.imread(str(path / "confusion.png"))[..., ::-1].astype(int)


def area(pixels, share, gamma=confusion.GAMMA):
    """How many pixels have the colour of a share of a row."""
    import matplotlib as mpl

    colour = np.array(mpl.colormaps[confusion.COLOURS](share**gamma)[:3]) * 255
    return int((np.abs(pixels - colour).max(axis=-1) < 3).sum())


def test_rows_are_normalised_and_a_class_without_examples_has_no_shares():
    shares = row_shares(np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 5.0]]))
    np.testing.assert_array_equal(shares, [[0.75, 0.25, 0], [np.nan] * 3, [0, 0, 1]])


def test_a_class_without_examples_is_a_grey_row(tmp_path):
    matrix = matrix_of(10)
    matrix[4] = 0
    grey = int(confusion.ABSENT[1:3], 16)
    cell = confusion.LARGEST_CELL * confusion.DPI
    found = (drawn(tmp_path, matrix) == grey).all(axis=-1).sum(axis=1)
    assert (found > 9 * cell).sum() == pytest.approx(cell, abs=2)
    assert found.max() <= 10 * cell


def test_a_true_class_is_a_row_from_the_top_and_an_answer_a_column(tmp_path):
    matrix = np.zeros((10, 10))
    matrix[1, 8] = 50  # all others are absent
    pixels = drawn(tmp_path, matrix)
    cell = confusion.LARGEST_CELL * confusion.DPI
    grey = (pixels == int(confusion.ABSENT[1:3], 16)).all(axis=-1)
    top = np.flatnonzero(grey.sum(axis=1) > 9 * cell)[0]
    left = np.flatnonzero(grey.sum(axis=0) > 8 * cell)[0]
    y, x = int(top + 1.1 * cell), int(left + 8.1 * cell)  # in a corner of the cell, beside the number
    assert area(pixels[y : y + 1, x : x + 1], 1) == 1
    assert area(pixels[: top + int(0.9 * cell), : left + int(10 * cell)], 1) == 0


@pytest.mark.parametrize("count", [1, 10, 40, 61])
def test_every_class_has_its_cells(count, tmp_path):
    """Where nothing is written over them: the numbers take less than half of a cell."""
    matrix = np.eye(count) * 50
    pixels = drawn(tmp_path, matrix, [str(i) for i in range(count)])
    gamma = confusion.GAMMA if count <= confusion.MOST_NAMED else confusion.UNNAMED_GAMMA
    least = confusion.NAMED_CELL if count <= confusion.MOST_NAMED else 1 / confusion.DPI
    cell = max(confusion.LEAST_SIDE / count, min(confusion.LARGEST_CELL, max(confusion.SIDE / count, least)))
    assert area(pixels, 1, gamma) > 0.5 * count * (cell * confusion.DPI) ** 2
    assert max(pixels.shape) < 2000


def test_of_a_thousand_classes_each_is_at_least_a_pixel(tmp_path):
    pixels = drawn(tmp_path, np.eye(1000) * 50)
    assert area(pixels, 1, confusion.UNNAMED_GAMMA) >= 1000
    assert min(pixels.shape[:2]) > 1000


def test_numbers_are_written_where_they_can_be_read(tmp_path):
    """The same shares in counts of two and of nine digits: in the latter picture nothing is white or black in a cell."""
    few, many = (drawn(tmp_path, matrix_of(40, each)) for each in (50, 1e9))
    assert number_size(matrix_of(40, 50), 0.2) >= confusion.LEAST_NUMBER > number_size(matrix_of(40, 1e9), 0.2)
    assert area(few, 0.5) < area(many, 0.5)
    assert number_size(matrix_of(2, 50), 4.0) == confusion.NUMBER


def test_names_of_any_kind_are_drawn_as_they_are(tmp_path, recwarn):
    """No formula is made of a dollar, no warning of a script that the font lacks, and a long name ends in dots."""
    names = ["$x^$", "犬", "a" * 300]
    pixels = drawn(tmp_path, matrix_of(3), names, title="$x^$\n2")
    assert pixels.shape[1] < 1000
    assert len(recwarn) == 0


def test_the_same_matrix_gives_the_same_file(tmp_path):
    drawn(tmp_path, matrix_of(10))
    before = (tmp_path / "confusion.png").read_bytes()
    drawn(tmp_path, matrix_of(10))
    assert (tmp_path / "confusion.png").read_bytes() == before


def test_drawing_a_matrix_leaves_the_state_of_matplotlib_alone(tmp_path):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    drawn(tmp_path, matrix_of(3))
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []
