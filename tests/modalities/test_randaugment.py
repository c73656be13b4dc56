"""Each operation of RandAugment against Pillow's own, and the choice among them."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from configs import image_folder
from perceiver_jax.modalities.image import randaugment as ops
from perceiver_jax.modalities.image.config import RandAugment
from perceiver_jax.settings.config import parse

CONFIG = RandAugment(num_layers=4, magnitude=5.0, fill=128, unit="pixels", cutout=40.0, translate=100.0)


def picture(height=61, width=84, seed=0):
    """A picture with edges and slopes, none of whose channels has all values."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [y * 3 + 9, x * 2 + 20, 30 + 90 * ((x // 7 + y // 5) % 2) + rng.integers(0, 40, (height, width))]
    return np.stack(planes, axis=-1).clip(0, 240).astype(np.uint8)


def pillow(image, function):
    return np.asarray(function(Image.fromarray(image)))


def affine(*matrix):
    def move(image):
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=(7, 7, 7))

    return move


def differing(a, b):
    return np.abs(a.astype(int) - b.astype(int))


EXACT = {
    "AutoContrast": (ops.auto_contrast, ImageOps.autocontrast),
    "Equalize": (ops.equalize, ImageOps.equalize),
    "Invert": (ops.invert, ImageOps.invert),
    **{f"Posterize {b}": (lambda i, b=b: ops.posterize(i, b), lambda i, b=b: ImageOps.posterize(i, b)) for b in (1, 2, 8)},
    **{f"Solarize {t}": (lambda i, t=t: ops.solarize(i, t), lambda i, t=t: ImageOps.solarize(i, t)) for t in (0, 128, 256)},
    **{
        f"Brightness {f}": (lambda i, f=f: ops.brightness(i, f), lambda i, f=f: ImageEnhance.Brightness(i).enhance(f))
        for f in (0.1, 1.0, 1.9)
    },
    **{
        f"Contrast {f}": (lambda i, f=f: ops.contrast(i, f), lambda i, f=f: ImageEnhance.Contrast(i).enhance(f))
        for f in (0.1, 1.0, 1.9)
    },
    "ShearX": (lambda i: ops.shear_x(i, 0.15, 7), affine(1, 0.15, 0, 0, 1, 0)),
    "ShearX back": (lambda i: ops.shear_x(i, -0.3, 7), affine(1, -0.3, 0, 0, 1, 0)),
    "ShearY": (lambda i: ops.shear_y(i, 0.15, 7), affine(1, 0, 0, 0.15, 1, 0)),
    "TranslateX": (lambda i: ops.translate_x(i, 50.0, 7), affine(1, 0, 50, 0, 1, 0)),
    "TranslateY": (lambda i: ops.translate_y(i, -20.0, 7), affine(1, 0, 0, 0, 1, -20)),
}
ROUNDED = {
    **{f"Color {f}": (ops.color, ImageEnhance.Color, f) for f in (0.1, 0.55, 1.0, 1.9)},
    **{f"Sharpness {f}": (ops.sharpness, ImageEnhance.Sharpness, f) for f in (0.1, 0.55, 1.0, 1.9)},
}


@pytest.mark.parametrize(("ours", "theirs"), EXACT.values(), ids=EXACT)
def test_an_operation_gives_pillows_pixels(ours, theirs):
    image = picture()
    np.testing.assert_array_equal(ours(image), pillow(image, theirs))


@pytest.mark.parametrize(("ours", "theirs", "factor"), ROUNDED.values(), ids=ROUNDED)
def test_an_operation_differs_from_pillows_by_rounding_alone(ours, theirs, factor):
    image = picture()
    expected = pillow(image, lambda i: theirs(i).enhance(factor))
    # Pillow cuts off what we round, after it has rounded the grey or the smoothed picture: at most 1 each, times its weight.
    assert differing(ours(image, factor), expected).max() <= (0 if factor == 1 else 1)


@pytest.mark.parametrize("degrees", [15.0, -30.0])
def test_a_rotation_is_pillows_but_for_pixels_half_way_between_two(degrees):
    image = picture()
    expected = pillow(image, lambda i: i.rotate(degrees, Image.Resampling.NEAREST, fillcolor=(7, 7, 7)))
    assert (ops.rotate(image, degrees, 7) != expected).any(axis=-1).mean() < 0.002


def test_a_quarter_turn_is_counter_clockwise():
    image = picture(5, 5)
    np.testing.assert_array_equal(ops.rotate(image, 90.0, 0), np.rot90(image))


def test_solarize_add_brightens_the_dark_half():
    image = np.array([[[0], [100], [127], [128], [255]]], np.uint8)
    assert ops.solarize_add(image, 55)[0, :, 0].tolist() == [55, 155, 182, 128, 255]
    assert ops.solarize_add(image, 200)[0, :, 0].tolist() == [200, 255, 255, 128, 255]


def test_cutout_fills_a_square_as_far_as_it_is_inside():
    image = np.zeros((6, 7, 1), np.uint8)
    inside = ops.cutout(image, (3, 4), 2, 9)[..., 0]
    assert np.argwhere(inside).tolist() == [[y, x] for y in range(1, 5) for x in range(2, 6)]
    assert ops.cutout(image, (0, 6), 2, 9)[..., 0].nonzero()[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert not image.any()


@pytest.mark.parametrize("operation", [ops.auto_contrast, ops.equalize], ids=["AutoContrast", "Equalize"])
def test_one_colour_stays_as_it_is(operation):
    image = np.full((9, 9, 3), 77, np.uint8)
    np.testing.assert_array_equal(operation(image), image)


@pytest.mark.parametrize("name", ops.OPERATIONS)
def test_an_operation_at_magnitude_five_is_what_the_table_says(name):
    image, rng = picture(), np.random.default_rng(0)
    known = {
        "AutoContrast": [ops.auto_contrast(image)],
        "Equalize": [ops.equalize(image)],
        "Invert": [ops.invert(image)],
        "Rotate": [ops.rotate(image, sign * 15.0, 128) for sign in (-1, 1)],
        "Posterize": [ops.posterize(image, 2)],
        "Solarize": [ops.solarize(image, 128)],
        **{key: [image] for key in ("Color", "Contrast", "Brightness", "Sharpness")},
        "ShearX": [ops.shear_x(image, sign * 0.15, 128) for sign in (-1, 1)],
        "ShearY": [ops.shear_y(image, sign * 0.15, 128) for sign in (-1, 1)],
        "TranslateX": [ops.translate_x(image, sign * 50.0, 128) for sign in (-1, 1)],
        "TranslateY": [ops.translate_y(image, sign * 50.0, 128) for sign in (-1, 1)],
        "SolarizeAdd": [ops.solarize_add(image, 55)],
        "Cutout": [ops.cutout(image, (y, x), 20, 128) for y in range(61) for x in range(84)],
    }
    expected = {each.tobytes() for each in known[name]}
    found = {ops.OPERATIONS[name](image, 0.5, CONFIG, rng).tobytes() for _ in range(20)}
    assert found <= expected
    assert len(found) >= min(2, len(expected))  # both ways


SIDES = CONFIG.model_copy(update={"unit": "sides", "cutout": 0.2, "translate": 0.5})


@pytest.mark.parametrize("shape", [(40, 60), (400, 600)], ids=str)
def test_lengths_in_sides_follow_the_picture(shape):
    height, width = shape
    image, rng = picture(height, width), np.random.default_rng(0)
    x, y = (ops.OPERATIONS[name](image, 0.5, SIDES, rng) for name in ("TranslateX", "TranslateY"))
    assert x.tobytes() in {ops.translate_x(image, sign * width / 4, 128).tobytes() for sign in (-1, 1)}
    assert y.tobytes() in {ops.translate_y(image, sign * height / 4, 128).tobytes() for sign in (-1, 1)}
    cut = [(ops.OPERATIONS["Cutout"](image, 0.5, SIDES, np.random.default_rng(i)) == 128).all(axis=-1) for i in range(20)]
    assert max(one.sum() for one in cut) == (0.2 * height) ** 2


def test_lengths_in_sides_are_parts():
    with pytest.raises(ValueError, match=r'augment\.randaugment\.unit "sides": expected cutout 40\.0 and translate'):
        RandAugment(**CONFIG.model_dump() | {"unit": "sides"})


@pytest.mark.parametrize("side", [32, 130])
def test_no_picture_of_ones_own_becomes_mostly_fill(side):
    config = image_folder.get_config()
    config.data.image_size = min(side, 128)
    modality, worst = parse(config).modalities["image"], 0.0
    for seed in range(400):
        made = modality.training(picture(side, side, seed % 8), np.random.default_rng(seed))
        worst = max(worst, (np.abs(made - 128).max(axis=-1) < 2).mean())
    assert worst < 0.6


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("name", ops.OPERATIONS)
@pytest.mark.parametrize("shape", [(9, 11, 3), (9, 11, 1), (1, 1, 3), (2, 300, 3)], ids=str)
def test_an_operation_keeps_shape_and_its_input_at_any_magnitude(name, level, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    result = ops.OPERATIONS[name](image, level, CONFIG, np.random.default_rng(1))
    assert (result.shape, result.dtype) == (shape, np.uint8)
    np.testing.assert_array_equal(image, before)


def test_layers_are_drawn_uniformly_and_always_applied(monkeypatch):
    drawn = []
    noted = {name: lambda image, *_, name=name: drawn.append(name) or image for name in ops.OPERATIONS}
    monkeypatch.setattr(ops, "OPERATIONS", noted)
    for seed in range(800):
        ops.random_operations(picture(8, 8), CONFIG, np.random.default_rng(seed))
    assert len(drawn) == 4 * 800
    counts = [drawn.count(name) / len(drawn) for name in noted]
    assert len(counts) == 16
    assert max(abs(count - 1 / 16) for count in counts) < 0.02
