"""Affine maps against hand-computed moves, chance from the given generator alone, normalisation."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceiver_jax.modalities.image import Affine, NoAugment, affine_map, augment, normalize, warp


def picture(height=6, width=5, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def affine(rotate_degrees=0.0, shear=0.0, scale=0.0, translate=0.0):
    return Affine(kind="affine", rotate_degrees=rotate_degrees, shear=shear, scale=scale, translate=translate)


def moved(image, rotate_degrees=0.0, shear=0.0, scale=(1.0, 1.0), translate=(0.0, 0.0)):
    return warp(image, affine_map(image.shape[:2], rotate_degrees, shear, scale, translate))


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
