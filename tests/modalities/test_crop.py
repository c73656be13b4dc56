"""Which parts of pictures are taken, and how they are resized."""

import numpy as np
import pytest

from perceiver_jax.modalities.image.config import RandomCrop
from perceiver_jax.modalities.image.crop import MAX_VIEWS, Box, centre_box, coordinates, cut, random_box, resize, view_box

PAPER = RandomCrop(area=(0.08, 1.0), aspect=(3 / 4, 4 / 3), min_object_covered=0.1, attempts=10)


SQUARE = (224, 224)  # of the inputs


def boxes(shape, config=PAPER, count=2000, inputs=SQUARE):
    rng = np.random.default_rng(0)
    return [random_box(shape, config, inputs, rng) for _ in range(count)]


@pytest.mark.parametrize("shape", [(375, 500), (500, 375), (40, 33)])
def test_random_crops_are_inside_and_keep_to_area_and_aspect(shape):
    height, width = shape
    found = [box for box in boxes(shape) if box is not None]
    assert len(found) > 1990
    top, left, rows, columns = np.array(found).T
    assert min(top.min(), left.min()) == 0
    assert ((top + rows).max(), (left + columns).max()) == shape
    areas, half = rows * columns / (height * width), 0.5
    assert 0.1 <= areas.min() < 0.12
    assert areas.max() > 0.9
    # Columns are the aspect's, rounded.
    assert ((columns - half) / rows).min() < 4 / 5 < 5 / 4 < ((columns + half) / rows).max()
    assert (columns + half >= rows * 3 / 4).all()
    assert (columns - half <= rows * 4 / 3).all()


def test_height_is_uniform_among_those_that_fit():
    square = RandomCrop(area=(0.25, 1.0), aspect=(1.0, 1.0), min_object_covered=0.0, attempts=1)
    heights = np.array([box.height for box in boxes((7, 7), square, 4000)])
    counts = np.bincount(heights, minlength=8)[4:]
    assert counts.sum() == 4000
    assert abs(counts / 4000 - 1 / 4).max() < 0.03


def test_what_must_be_covered_is_one_more_limit_of_the_area():
    config = RandomCrop(area=(0.08, 1.0), aspect=(1.0, 1.0), min_object_covered=0.5, attempts=10)
    assert min(box.height * box.width for box in boxes((30, 30), config, 300) if box) >= 450


def test_no_crop_where_none_fits():
    config = RandomCrop(area=(0.9, 1.0), aspect=(1.0, 1.0), min_object_covered=0.0, attempts=5)
    assert boxes((100, 10), config, 10) == [None] * 10


@pytest.mark.parametrize("changes", [{"area": (0.0, 1.0)}, {"area": (0.5, 1.5)}, {"aspect": (2.0, 1.0)}], ids=str)
def test_limits_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValueError, match=f"augment.crop.{next(iter(changes))}"):
        RandomCrop(**PAPER.model_dump() | changes)


@pytest.mark.parametrize(
    ("shape", "part", "box"),
    [
        ((256, 256), 0.875, (16, 16, 224, 224)),
        ((375, 500), 0.875, (24, 86, 328, 328)),
        ((8, 5), 1.0, (2, 0, 5, 5)),
        ((1, 9), 0.5, (0, 4, 1, 1)),
    ],
)
def test_the_centre_is_a_square_of_the_shorter_side(shape, part, box):
    assert centre_box(shape, part, SQUARE) == box


# Inputs that are not square


@pytest.mark.parametrize(
    ("shape", "part", "inputs", "box"),
    [
        ((300, 400), 1.0, (30, 40), (0, 0, 300, 400)),
        ((300, 400), 0.5, (3, 4), (75, 100, 150, 200)),
        ((400, 400), 1.0, (2, 4), (100, 0, 200, 400)),
        ((400, 400), 0.75, (4, 2), (50, 125, 300, 150)),
        ((10, 500), 1.0, (8, 2), (0, 249, 10, 2)),
        ((1, 9), 0.5, (1, 50), (0, 3, 1, 4)),
    ],
)
def test_the_centre_has_the_aspect_of_the_inputs(shape, part, inputs, box):
    assert centre_box(shape, part, inputs) == box


@pytest.mark.parametrize("inputs", [(2, 4), (4, 2), (9, 16)])
@pytest.mark.parametrize("shape", [(375, 500), (500, 375), (300, 300)])
def test_random_crops_keep_to_the_aspect_of_the_inputs_changed_at_random(shape, inputs):
    found = [box for box in boxes(shape, inputs=inputs) if box is not None]
    assert len(found) > 1900
    top, left, rows, columns = np.array(found).T
    assert (top + rows <= shape[0]).all()
    assert (left + columns <= shape[1]).all()
    aspect, half = inputs[1] / inputs[0], 0.5
    assert (columns + half >= rows * 3 / 4 * aspect).all()
    assert (columns - half <= rows * 4 / 3 * aspect).all()
    assert ((columns - half) / rows).min() < 4 / 5 * aspect
    assert ((columns + half) / rows).max() > 5 / 4 * aspect


# Views


def views(shape, part, inputs=SQUARE):
    return [view_box(shape, part, inputs, view) for view in range(MAX_VIEWS)]


def test_the_ten_views_are_centre_and_corners_and_those_mirrored():
    places = [(24, 86, 328, 328), (0, 0, 328, 328), (0, 172, 328, 328), (47, 0, 328, 328), (47, 172, 328, 328)]
    assert views((375, 500), 0.875) == [*((place, False) for place in places), *((place, True) for place in places)]


def test_view_zero_is_the_centre():
    assert views((40, 33), 0.5)[0] == (centre_box((40, 33), 0.5, SQUARE), False)


def test_views_are_inside_and_in_the_aspect_of_the_inputs():
    for box, _ in views((90, 100), 0.8, (3, 6)):
        assert (box.height, box.width) == (40, 80)
        assert 0 <= box.top <= 90 - 40
        assert 0 <= box.left <= 100 - 80


def test_a_cut_is_mirrored_left_to_right():
    image = np.arange(24, dtype=np.uint8).reshape(4, 6, 1)
    assert cut(image, Box(1, 2, 2, 3))[..., 0].tolist() == [[8, 9, 10], [14, 15, 16]]
    assert cut(image, Box(1, 2, 2, 3), flip=True)[..., 0].tolist() == [[10, 9, 8], [16, 15, 14]]


def test_resizing_overshoots_at_edges_and_is_not_cut_off():
    image = np.zeros((4, 4, 1), np.uint8)
    image[:, 2:] = 255
    row = resize(image, (4, 8))[0, :, 0]
    # At 3/4 of the way from one pixel to the next, Keys' kernel with a = -0.75.
    x = np.array([1.75, 0.75, 0.25, 1.25])
    near, far = x[1:3], x[[0, 3]]
    kernel = np.array([
        -0.75 * (far[0] ** 3 - 5 * far[0] ** 2 + 8 * far[0] - 4),
        1.25 * near[0] ** 3 - 2.25 * near[0] ** 2 + 1,
        1.25 * near[1] ** 3 - 2.25 * near[1] ** 2 + 1,
        -0.75 * (far[1] ** 3 - 5 * far[1] ** 2 + 8 * far[1] - 4),
    ])  # fmt: skip
    assert row[2] == pytest.approx(255 * kernel[3], abs=1e-4)  # taps at 255: the last
    assert row[4] == pytest.approx(255 * (kernel[2] + kernel[3]), abs=1e-4)
    assert row.min() < 0
    assert row.max() > 255


def test_resizing_to_the_same_size_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize(image, (5, 7)), image)


def test_coordinates_are_of_the_pixels_centres_between_the_edges():
    whole = coordinates((4, 8), Box(0, 0, 4, 8), (2, 2))
    assert whole[..., 0].tolist() == [[-0.5, -0.5], [0.5, 0.5]]
    part = coordinates((4, 8), Box(2, 4, 2, 2), (1, 2))
    assert part.tolist() == [[[0.5, 0.125], [0.5, 0.375]]]
    assert coordinates((4, 8), Box(2, 4, 2, 2), (1, 2), flip=True).tolist() == [[[0.5, 0.375], [0.5, 0.125]]]
