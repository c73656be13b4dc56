import cv2
import numpy as np
import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report import maps
from perceiver_jax.report.maps import columns_of, compose, draw_attention_maps, grey


def logits(num_latents, height, width, seed=0):
    return np.random.default_rng(seed).normal(size=(num_latents, height, width)).astype(np.float32)


def three(num_latents, height, width):
    return [(f"cross-attend {n}", logits(num_latents, height, width, n)) for n in (1, 2, 8)]


def runs(mask):
    """The (first, last + 1) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def frames(pixels, colour):
    """The boxes (top, bottom, left, right) inside the frames of one colour, topmost first."""
    mask = (pixels == colour).all(-1).astype(np.uint8)
    boxes = []
    for x, y, width, height, area in cv2.connectedComponentsWithStats(mask, connectivity=4)[2][1:]:
        thick = runs(mask[y + height // 2, x : x + width])[0][1]
        if thick < width and area == width * height - (width - 2 * thick) * (height - 2 * thick):  # nothing but a frame
            boxes.append(tuple(map(int, (y + thick, y + height - thick, x + thick, x + width - thick))))
    return sorted(boxes)


def test_the_paper_figure_has_four_rows_of_25_then_two_of_25():
    pixels = compose(np.full((28, 28, 1), 0.5, np.float32), three(512, 28, 28)).pixels
    sizes = [frames(pixels, colour)[1] for colour in maps.COLOURS[:3]]
    assert [(bottom - top + 1, right - left + 1) for top, bottom, left, right in sizes] == [
        (4 * 57, 25 * 57),
        (2 * 57, 25 * 57),
        (2 * 57, 25 * 57),
    ]


def test_input_and_enlarged_maps_are_in_one_row_from_left_to_right():
    pixels = compose(np.full((28, 28, 1), 0.5, np.float32), three(512, 28, 28)).pixels
    boxes = [frames(pixels, colour)[0] for colour in (maps.GREY, *maps.COLOURS[:3])]
    assert len({box[:2] for box in boxes}) == 1
    assert [box[2] for box in boxes] == sorted(box[2] for box in boxes)
    assert len(frames(pixels, maps.GREY)) == 1
    assert all(len(frames(pixels, colour)) == 2 for colour in maps.COLOURS[:3])


def test_small_maps_are_those_of_the_first_latents_in_their_order():
    arrays = three(32, 8, 8)
    pixels = compose(None, arrays).pixels
    for (_, array), colour, rows in zip(arrays, maps.COLOURS, (4, 2, 2), strict=False):
        top, bottom, left, right = frames(pixels, colour)[1]
        assert (bottom - top + 1, right - left + 1) == (rows * 113, 8 * 113)
        for latent in range(rows * 8):
            y, x = top + latent // 8 * 113, left + latent % 8 * 113
            tile = pixels[y : y + 112, x : x + 112, 0]
            expected = np.round(grey(array[latent]) * 255).astype(np.uint8)
            np.testing.assert_array_equal(tile, expected.repeat(14, 0).repeat(14, 1))


def test_small_maps_are_parted_by_thin_white_lines():
    pixels = compose(None, [("cross-attend 1", logits(32, 8, 8))]).pixels
    top, bottom, left, right = frames(pixels, maps.COLOURS[0])[1]
    inside = pixels[top:bottom, left:right]
    white = (inside == 255).all(-1)
    assert runs(white.all(1)) == [(112, 113), (225, 226), (338, 339)]
    assert len(runs(white.all(0))) == 7


def test_the_enlarged_map_is_of_the_latent_with_the_largest_standard_deviation():
    array = logits(16, 8, 8)
    array[11] *= 5
    canvas = compose(None, [("cross-attend 1", array)])
    assert [title[2] for title in canvas.titles] == ["cross-attend 1, latent 11"]
    top, bottom, left, right = frames(canvas.pixels, maps.COLOURS[0])[0]
    factor = (bottom - top) // 8
    expected = np.round(grey(array[11]) * 255).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    np.testing.assert_array_equal(canvas.pixels[top:bottom, left:right, 0], expected)


def test_the_input_is_shown_in_its_colours():
    image = np.zeros((8, 8, 3), np.float32)
    image[:4] = (1.0, 0.0, 0.2)
    pixels = compose(image, [("cross-attend 1", logits(16, 8, 8))]).pixels
    top, bottom, left, right = frames(pixels, maps.GREY)[0]
    assert pixels[top, left].tolist() == [255, 0, 51]
    assert pixels[bottom - 1, right - 1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("num_latents", "columns"), [(1, 1), (5, 5), (16, 8), (32, 8), (33, 9), (96, 24), (100, 25), (512, 25)]
)
def test_few_latents_are_in_fewer_columns(num_latents, columns):
    assert columns_of(num_latents) == columns


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 32, 20), (16, 1, 480), (16, 300, 30), (9, 225, 225), (30, 28, 28)])
def test_any_shape_is_drawn_within_its_frames(shape):
    canvas = compose(np.ones((5, 7, 3), np.float32), three(*shape))
    for colour in maps.COLOURS[:3]:
        for top, bottom, left, right in frames(canvas.pixels, colour):
            assert min(bottom - top, right - left) >= maps.LEAST_SIDE


def test_an_imagenet_map_is_small_without_losing_a_pixel():
    array = logits(25, 224, 224)
    pixels = compose(None, [("cross-attend 1", array)]).pixels
    top, _, left, _ = frames(pixels, maps.COLOURS[0])[1]
    tile = pixels[top : top + 224, left : left + 224, 0]
    np.testing.assert_array_equal(tile, np.round(grey(array[0]) * 255).astype(np.uint8))


def test_each_map_spans_black_to_white():
    assert grey(np.array([[3.0, 4.0], [5.0, 7.0]])).tolist() == [[0.0, 0.25], [0.5, 1.0]]


def test_a_constant_map_is_grey_all_over():
    assert grey(np.full((2, 2), 7.0)).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_masked_inputs_are_black_and_leave_the_scale_to_the_others():
    assert grey(np.array([[-np.inf, 1.0], [2.0, 3.0]])).tolist() == [[0.0, 0.0], [0.5, 1.0]]


def test_nan_is_a_failure_that_names_the_map():
    arrays = three(512, 8, 8)
    arrays[1][1][400, 0, 0] = np.nan
    with pytest.raises(Failure, match="NaN: cross-attend 2, latent 400") as failure:
        compose(None, arrays)
    assert failure.value.code == Code.NUMERICS


def test_the_file_is_the_layout_with_titles_above_the_first_row(tmp_path):
    arrays = three(32, 8, 8)
    image = np.full((8, 8, 1), 0.25, np.float32)
    draw_attention_maps(image, arrays, tmp_path / "maps.png")
    drawn = cv2.imread(str(tmp_path / "maps.png"))[..., ::-1]
    canvas = compose(image, arrays)
    first = frames(canvas.pixels, maps.GREY)[0][0] - maps.FRAME
    np.testing.assert_array_equal(drawn[first:], canvas.pixels[first:])
    for x, _, _, colour in canvas.titles:
        title = drawn[:first, x : x + 150].reshape(-1, 3)
        assert ((np.abs(title.astype(int) - colour)).max(1) < 10).sum() > 20
