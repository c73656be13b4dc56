"""Affine maps against hand-computed moves, chance from the given generator alone, the path of a picture, normalisation."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import image as image_modality
from perceiver_jax.modalities.image import Image, ImageStream
from perceiver_jax.modalities.image.affine import affine_map, warp
from perceiver_jax.modalities.image.config import Affine, Inception, NoAugment
from perceiver_jax.readers import pictures
from tests.data.preparation.archives import encoded


def picture(height=6, width=5, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def affine(rotate_degrees=0.0, shear=0.0, scale=0.0, translate=0.0, flip_probability=0.0):
    limits = {"rotate_degrees": rotate_degrees, "shear": shear, "scale": scale, "translate": translate}
    return Affine(kind="affine", **limits, flip_probability=flip_probability)


def moved(image, rotate_degrees=0.0, shear=0.0, scale=(1.0, 1.0), translate=(0.0, 0.0)):
    return warp(image, affine_map(image.shape[:2], rotate_degrees, shear, scale, translate))


def modality(config, shape, mean=None, std=None, upright=True):
    """What is done to pictures to make them inputs of a shape."""
    *grid, channels = shape
    mean, std = mean or (0.0,) * channels, std or (1.0,) * channels
    values = {"name": "image", "modality": "image", "grid": tuple(grid), "channels": channels, "masked": False}
    return Image(ImageStream(**values, upright=upright, mean=mean, std=std), config)


def augment(image, config, rng):
    return modality(config, image.shape).training(image, rng)


def normalize(features, mean, std):
    return modality(NoAugment(kind="none"), (1, 1, len(mean)), mean, std).normalize(features)


def inception(**changes):
    values = {"kind": "inception", "flip_probability": 0.5, "randaugment": None, "evaluation_crop": 0.5}
    values |= {"position_frame": "crop", "mix": {"kind": "none"}}
    values["crop"] = {"area": (0.08, 1.0), "aspect": (0.75, 1.25), "min_object_covered": 0.0, "attempts": 10}
    return Inception(**values | changes)


@pytest.mark.parametrize("config", [NoAugment(kind="none"), affine()], ids=["none", "zero limits"])
@pytest.mark.parametrize("channels", [1, 3])
def test_without_limits_the_picture_stays_as_it_is(config, channels):
    image = picture(channels=channels)
    np.testing.assert_array_equal(augment(image, config, np.random.default_rng(0)), image)


def test_translation_moves_down_and_right_and_leaves_zeros():
    image = picture(4, 4)
    expected = np.zeros_like(image)
    expected[1:, 2:] = image[:-1, :-2]
    np.testing.assert_array_equal(moved(image, translate=(1.0, 2.0)), expected)


def test_half_a_pixel_mixes_neighbours_by_the_cubic_kernel():
    image = np.array([[[0], [100], [50], [200]]], np.uint8)
    kernel = np.array([-0.09375, 0.59375, 0.59375, -0.09375])  # Keys' with a = -0.75, half-way
    padded = np.array([0, 0, 0, 100, 50, 200, 0])  # the third and fourth taps of the first place are the first two pixels
    expected = np.clip(np.round([kernel @ padded[i : i + 4] for i in range(4)]), 0, 255)
    assert moved(image, translate=(0.0, 0.5))[0, :, 0].tolist() == expected.tolist()


def test_a_quarter_turn_is_counter_clockwise_as_seen():
    image = picture(5, 5, channels=3)
    np.testing.assert_array_equal(moved(image, rotate_degrees=90.0), np.rot90(image))


def test_shear_moves_rows_right_in_proportion_to_their_distance_below_the_centre():
    image = np.zeros((3, 5, 1), np.uint8)
    image[:, 2] = 255
    assert moved(image, shear=1.0)[..., 0].argmax(1).tolist() == [1, 2, 3]


def test_scale_stretches_each_axis_about_the_centre():
    image = np.zeros((5, 5, 1), np.uint8)
    image[1, 2] = image[2, 1] = 255
    stretched = moved(image, scale=(1.0, 2.0))[..., 0]
    assert stretched[2, 0] == 255  # one left of the centre: now two
    assert stretched[1, 2] == 255  # one above it: still one


@given(st.floats(-180, 180), st.floats(-1, 1), st.tuples(*[st.floats(0.5, 1.5)] * 2), st.tuples(*[st.floats(-3, 3)] * 2))
@settings(max_examples=30, deadline=None)
def test_the_map_is_scale_then_shear_then_rotation_about_the_centre_then_translation(degrees, shear, scale, translate):
    height, width = 7, 4
    to_centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    turn = math.radians(degrees)
    rotation = [[math.cos(turn), math.sin(turn), 0], [-math.sin(turn), math.cos(turn), 0], [0, 0, 1]]
    translation = np.array([[1, 0, translate[1]], [0, 1, translate[0]], [0, 0, 1]])
    shearing, scaling = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]]), np.diag([scale[1], scale[0], 1])
    expected = translation @ np.linalg.inv(to_centre) @ rotation @ shearing @ scaling @ to_centre
    np.testing.assert_allclose(affine_map((height, width), degrees, shear, scale, translate), expected[:2], atol=1e-12)


@pytest.mark.parametrize("limit", ["rotate_degrees", "shear", "scale", "translate"])
def test_each_limit_has_an_effect_of_its_own(limit):
    image = picture(9, 9)
    config = affine(**{limit: 0.5 if limit != "rotate_degrees" else 45.0})
    assert (augment(image, config, np.random.default_rng(0)) != image).any()


def test_translation_reaches_its_limit_and_stays_within():
    image = np.zeros((21, 21, 1), np.uint8)
    image[10, 10] = 255
    config = affine(translate=0.25)  # 5.25 of 21 pixels
    rows = [augment(image, config, np.random.default_rng(i)).max(axis=(1, 2)).argmax() for i in range(300)]
    assert (min(rows), max(rows)) == (10 - 5, 10 + 5)  # the brightest row


def test_a_part_of_the_pictures_is_flipped_and_nothing_else_done_to_them():
    image = picture(9, 9)
    results = [augment(image, affine(flip_probability=0.25), np.random.default_rng(i)) for i in range(400)]
    flipped = [(result == image[:, ::-1]).all() for result in results]
    assert all(one or (result == image).all() for one, result in zip(flipped, results, strict=True))
    assert 70 < sum(flipped) < 130


def test_all_of_the_chance_comes_from_the_given_generator():
    config = affine(rotate_degrees=20.0, shear=0.2, scale=0.2, translate=0.2)
    image, results = picture(12, 12), []
    for poison in (1, 2):
        random.seed(poison)
        np.random.seed(poison)
        results.append(augment(image, config, np.random.default_rng(7)))
    np.testing.assert_array_equal(*results)
    assert (augment(image, config, np.random.default_rng(8)) != results[0]).any()


def test_normalize_works_per_channel_on_pictures_and_batches():
    image = np.array([[[10, 20], [30, 40]]], np.uint8)
    expected = np.array([[[-1.0, 0.0], [1.0, 5.0]]], np.float32)
    result = normalize(image, (20.0, 20.0), (10.0, 4.0))
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(normalize(image[None], (20.0, 20.0), (10.0, 4.0)), expected[None])


# The whole path of a picture


def test_bytes_are_decoded_and_arrays_stay(monkeypatch):
    decoded = picture(9, 8, 3)
    monkeypatch.setattr(pictures, "decode", lambda data, upright: {b"file": decoded}[data])
    reader = modality(NoAugment(kind="none"), (1, 1, 3))
    assert reader.read(b"file", "a") is decoded
    assert reader.read_file(b"file", "a") is decoded
    assert reader.read(decoded, "a") is decoded


def test_bytes_that_are_not_a_picture_are_named_with_the_reason():
    with pytest.raises(Failure) as failure:
        modality(NoAugment(kind="none"), (1, 1, 3)).read(b"", "cats/1.jpg")
    assert failure.value.code == Code.DATA
    assert str(failure.value) == (
        "error[3] picture empty-file: cats/1.jpg\n  found: has no bytes\n  try: replace it with an intact copy, or remove it"
    )


def lying():
    """A JPEG of 24 x 12 pixels that EXIF turns, and those pixels as they are stored."""
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    data = encoded(PillowImage.fromarray(picture(12, 24, 3)), exif=exif)
    return data, pictures.decode(data, upright=False)


@pytest.mark.parametrize("upright", [True, False])
def test_the_stream_says_whether_pictures_of_the_data_are_turned(upright):
    data, stored = lying()
    found = modality(inception(), (8, 8, 3), upright=upright).read(data, "a")
    np.testing.assert_array_equal(found, np.rot90(stored, -1) if upright else stored)


@pytest.mark.parametrize("upright", [True, False])
def test_a_users_own_file_is_always_turned(upright):
    data, stored = lying()
    found = modality(inception(), (8, 8, 3), upright=upright).read_file(data, "a")
    np.testing.assert_array_equal(found, np.rot90(stored, -1))


PATHS = pytest.mark.parametrize(
    "path",
    [lambda made, given: made.training(given, np.random.default_rng(0)), lambda made, given: made.evaluation(given, 0)],
    ids=["training", "evaluation"],
)


@PATHS
@pytest.mark.parametrize("config", [NoAugment(kind="none"), affine()], ids=["none", "affine"])
def test_of_a_picture_of_another_size_the_centre_is_resized(path, config):
    image = np.repeat(np.repeat(picture(4, 6, 3), 5, axis=0), 5, axis=1)  # 20 x 30, in squares of one colour
    np.testing.assert_array_equal(path(modality(config, (4, 4, 3)), image), image[::5, ::5][:, 1:5])
    np.testing.assert_array_equal(path(modality(config, (4, 6, 3)), image), image[::5, ::5])
    np.testing.assert_array_equal(path(modality(config, (2, 6, 3)), image), image[::5, ::5][1:3])


@PATHS
def test_a_picture_that_shrinks_is_averaged_over_areas(path):
    image = np.indices((16, 16)).sum(axis=0)[..., None].astype(np.uint8) % 2 * 200  # a chessboard
    np.testing.assert_array_equal(path(modality(NoAugment(kind="none"), (4, 4, 1)), image), np.full((4, 4, 1), 100))


@PATHS
def test_a_picture_that_grows_keeps_its_middle(path):
    image = np.full((5, 9, 3), 70, np.uint8)
    image[:, :2] = image[:, 7:] = 200  # cut off
    np.testing.assert_array_equal(path(modality(NoAugment(kind="none"), (12, 12, 3)), image), np.full((12, 12, 3), 70))


@PATHS
def test_a_coloured_picture_of_another_size_becomes_grey_for_a_model_of_grey_ones(path):
    image = np.full((9, 14, 3), (250, 0, 0), np.uint8)
    np.testing.assert_array_equal(path(modality(NoAugment(kind="none"), (6, 6, 1)), image), np.full((6, 6, 1), 75))


@PATHS
def test_a_grey_picture_is_no_input_of_a_model_of_coloured_ones(path):
    with pytest.raises(Failure) as failure:
        path(modality(NoAugment(kind="none"), (8, 8, 3)), picture(8, 8, 1))
    assert failure.value.code == Code.DATA
    assert (failure.value.found, failure.value.expected) == ("1 channels", "3")


def test_the_first_files_of_a_user_that_are_resized_are_named(capsys, monkeypatch):
    monkeypatch.setattr(image_modality, "_RESIZED", Counter())
    made, data = modality(affine(), (8, 8, 3)), encoded(PillowImage.fromarray(picture(48, 64, 3)))
    for i in range(9):
        made.read_file(data, f"{i}.png")
    said = [f"note: {i}.png is 64 x 48 pixels; its centre was resized to 8 x 8" for i in range(5)]
    assert capsys.readouterr().err.splitlines() == [*said[:4], f"{said[4]}, and so are others of another size"]


def test_the_first_picture_of_the_data_that_is_resized_is_named(capsys, monkeypatch):
    monkeypatch.setattr(image_modality, "_SAID", {})
    data = [encoded(PillowImage.fromarray(picture(*size, 3))) for size in ((8, 16), (48, 64), (30, 9))]
    for _ in range(2):
        made = modality(affine(), (8, 16, 3))
        for i, one in enumerate(data):
            made.read(one, f"train/{i}.jpg")
    assert capsys.readouterr().err == (
        "note: train/1.jpg is 64 x 48 pixels; its centre was resized to 16 x 8, and so are others of another size\n"
    )


@pytest.mark.parametrize("config", [inception(), affine()], ids=["crops", "the right size"])
def test_nothing_is_said_where_nothing_is_unexpected(config, capsys, monkeypatch):
    monkeypatch.setattr(image_modality, "_SAID", {})
    made, data = modality(config, (16, 20, 3)), encoded(PillowImage.fromarray(picture(16, 20, 3)))
    made.read(data, "a")
    made.read_file(data, "a")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("frame", ["crop", "image"])
def test_pictures_of_any_size_become_the_shape(frame, channels):
    config, rng = inception(position_frame=frame), np.random.default_rng(0)
    made = modality(config, (16, 16, channels))
    extra = made.num_coordinates
    assert extra == {"crop": 0, "image": 2}[frame]
    for image in (picture(30, 17, channels), picture(8, 60, channels)):
        for features in (made.training(image, rng), *(made.evaluation(image, view) for view in range(10))):
            assert (features.shape, features.dtype) == ((16, 16, channels + extra), np.float32)


def test_evaluation_takes_the_centre_as_it_is():
    image = picture(20, 12, 3)
    features = modality(inception(), (6, 6, 3)).evaluation(image, 0)
    np.testing.assert_array_equal(features, image[7:13, 3:9])


def test_evaluation_takes_the_centre_in_the_aspect_of_the_inputs():
    image = picture(20, 12, 3)
    features = modality(inception(), (3, 6, 3)).evaluation(image, 0)
    np.testing.assert_array_equal(features, image[9:12, 3:9])


def test_training_crops_in_the_aspect_of_the_inputs():
    crop = {"area": (1.0, 1.0), "aspect": (1.0, 1.0), "min_object_covered": 0.0, "attempts": 1}
    image = picture(10, 20, 3)  # all of it has that aspect
    made = modality(inception(crop=crop, flip_probability=0.0), (5, 10, 3)).training(image, np.random.default_rng(0))
    np.testing.assert_array_equal(made, modality(inception(evaluation_crop=1.0), (5, 10, 3)).evaluation(image, 0))


@pytest.mark.parametrize(("view", "rows", "columns"), [(1, 0, 0), (2, 0, 6), (3, 14, 0), (4, 14, 6)])
def test_later_views_are_the_corners(view, rows, columns):
    image = picture(20, 12, 3)
    expected = image[rows : rows + 6, columns : columns + 6]
    np.testing.assert_array_equal(modality(inception(), (6, 6, 3)).evaluation(image, view), expected)


@pytest.mark.parametrize("view", range(5))
def test_the_last_five_views_are_the_first_mirrored(view):
    made, image = modality(inception(), (6, 6, 3)), picture(20, 12, 3)
    np.testing.assert_array_equal(made.evaluation(image, view + 5), made.evaluation(image, view)[:, ::-1])


def test_pictures_that_are_cropped_have_ten_views_and_others_one():
    assert modality(inception(), (6, 6, 3)).max_views == 10
    assert modality(NoAugment(kind="none"), (6, 6, 3)).max_views == modality(affine(), (6, 6, 3)).max_views == 1


def test_a_picture_that_no_crop_fits_is_trained_on_at_its_centre():
    crop = {"area": (0.9, 1.0), "aspect": (1.0, 1.0), "min_object_covered": 0.0, "attempts": 3}
    image = picture(100, 12, 3)
    config = inception(crop=crop, flip_probability=0.0)
    made = modality(config, (6, 6, 3))
    np.testing.assert_array_equal(made.training(image, np.random.default_rng(0)), made.evaluation(image, 0))


def test_coordinates_belong_to_the_pixels_of_the_source_also_when_mirrored():
    y, x = np.meshgrid(np.arange(64), np.arange(64), indexing="ij")
    image = np.stack([y * 4, x * 4, 0 * x], axis=-1).astype(np.uint8)
    config = inception(position_frame="image")
    flipped = set()
    for seed in range(8):
        features = modality(config, (8, 8, 3)).training(image, np.random.default_rng(seed))
        found = ((features[..., :2] / 4 + 0.5) / 64 * 2 - 1)[1:-1, 1:-1]  # the cubic kernel bends the outermost
        np.testing.assert_allclose(found, features[1:-1, 1:-1, 3:], atol=1e-2)
        assert abs(features[..., 3:]).max() < 1
        flipped.add(features[0, 0, 4] > features[0, -1, 4])
    assert flipped == {False, True}


def test_all_chance_of_a_crop_comes_from_the_given_generator():
    randaugment = {"num_layers": 4, "magnitude": 7.0, "fill": 128, "unit": "pixels", "cutout": 9.0, "translate": 9.0}
    config, image, results = inception(randaugment=randaugment), picture(40, 50, 3), []
    for poison in (1, 2):
        random.seed(poison)
        np.random.seed(poison)
        results.append(modality(config, (16, 16, 3)).training(image, np.random.default_rng(7)))
    np.testing.assert_array_equal(*results)
    others = modality(config, (16, 16, 3)).training(image, np.random.default_rng(8))
    assert (others != results[0]).any()


def test_normalize_leaves_coordinates_alone():
    features = np.array([[[30.0, 0.25, -0.5]]], np.float32)
    np.testing.assert_array_equal(normalize(features, (20.0,), (4.0,)), [[[2.5, 0.25, -0.5]]])


def test_image_coordinates_and_mixing_exclude_each_other():
    with pytest.raises(ValueError, match=r'augment\.position_frame "image" with augment\.mix'):
        inception(position_frame="image", mix={"kind": "mixup_cutmix", "mixup_alpha": 0.2, "cutmix_alpha": 1.0})
