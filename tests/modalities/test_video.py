"""Films: patches of space and time, one change for all frames."""

import colorsys

import numpy as np
import pytest

from perceiver_jax.modalities.video import Video, VideoStream
from perceiver_jax.modalities.video.colour import changed, mean_colour, random_colour
from perceiver_jax.modalities.video.config import Colour, Film, NoAugment

CROP = {"area": (0.2, 0.9), "aspect": (0.75, 1.25), "min_object_covered": 0.0, "attempts": 10}
FILM = Film(kind="film", crop=CROP, flip_probability=0.5, colour=None, evaluation_crop=1.0)
PLAIN = NoAugment(kind="none", evaluation_crop=1.0)


def modality(augment=PLAIN, grid=(2, 3, 4), patch=(2, 8, 8), values=(-1.0, 1.0)):
    sizes = {"grid": grid, "patch": patch, "channels": int(3 * np.prod(patch)), "frame_rate": 25.0, "read_side": 256}
    return Video(VideoStream(name="video", modality="video", masked=True, values=values, **sizes), augment)


def film(frames=4, height=24, width=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def test_the_papers_patches_are_12544_of_384_values():
    made = modality(grid=(16, 28, 28))
    assert (made.stream.num_frames, made.stream.size) == (32, (224, 224))
    assert made.evaluation(film(32, 224, 224), 0).shape == (12_544, 384)


def test_a_patch_holds_its_frames_rows_and_columns_in_this_order():
    frames = film()
    patches = modality().evaluation(frames, 0).reshape(2, 3, 4, 2, 8, 8, 3)
    np.testing.assert_array_equal(patches[1, 2, 3], frames[2:4, 16:24, 24:32])


def test_frames_come_back_from_their_patches():
    made, frames = modality(), film()
    back = made._frames(made.normalize(made.evaluation(frames, 0)))
    np.testing.assert_allclose(back * 255, frames, atol=1e-3)


def test_a_film_that_ends_gives_the_patches_that_it_has_its_last_frame_filling_up():
    made, frames = modality(), film(3)
    patches = made.evaluation(frames, 0)
    assert patches.shape == (24, 384)
    np.testing.assert_array_equal(patches.reshape(2, 3, 4, 2, 8, 8, 3)[1, 0, 0, 1], frames[2, :8, :8])


def test_every_frame_gets_the_same_part():
    still = np.tile(film(1, 40, 60), (4, 1, 1, 1))
    frames = {}
    for seed in range(10):
        made = modality(FILM).training(still, np.random.default_rng(seed)).reshape(2, 3, 4, 2, 8, 8, 3)
        each = made.transpose(0, 3, 1, 4, 2, 5, 6).reshape(4, -1)
        assert (each == each[0]).all()
        frames[each[0].tobytes()] = seed
    assert len(frames) > 5


def test_a_flip_turns_left_to_right():
    whole = FILM.model_copy(update={"crop": FILM.crop.model_copy(update={"area": (1.0, 1.0), "aspect": (1.0, 1.0)})})
    frames = film()
    made = modality(whole)
    found = {made.training(frames, np.random.default_rng(seed)).tobytes() for seed in range(8)}
    assert found == {made.evaluation(frames, 0).tobytes(), made.evaluation(frames[:, :, ::-1], 0).tobytes()}


def test_values_are_from_black_to_white():
    made = modality(values=(0.0, 1.0)).normalize(np.array([[0], [255], [51]], np.uint8))
    np.testing.assert_allclose(made, [[0], [1], [0.2]], rtol=1e-6)
    assert made.dtype == np.float32


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_evaluation_takes_the_centre(part):
    frames = np.zeros((4, 48, 64, 3), np.uint8)
    frames[:, 12:36, 16:48] = 255
    made = modality(NoAugment(kind="none", evaluation_crop=part)).evaluation(frames, 0)
    assert made.mean() == pytest.approx(255 * min(1, 0.25 / part**2), abs=1)


# Colours

NOTHING = {"probability": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
MEAN = np.array([100.0, 120.0, 140.0])


def affine(seed=0, mean=MEAN, **changes):
    return random_colour(Colour(**NOTHING | changes), mean, np.random.default_rng(seed))


def test_no_change_is_the_identity():
    np.testing.assert_allclose(affine(), np.eye(3, 4), atol=1e-12)


def test_a_film_is_changed_as_often_as_asked_for():
    often = np.mean([affine(seed, probability=0.8) is not None for seed in range(1000)])
    assert often == pytest.approx(0.8, abs=0.04)


def test_a_films_colour_is_its_mean():
    np.testing.assert_allclose(mean_colour(film()), film().mean((0, 1, 2)), rtol=1e-12)


def test_brightness_is_added():
    made = [affine(seed, brightness=32 / 255) for seed in range(50)]
    for one in made:
        np.testing.assert_allclose(one[:, :3], np.eye(3), atol=1e-12)
    offsets = np.array([one[:, 3] for one in made])
    assert (np.abs(offsets) <= 32).all()
    assert offsets.min() < -20 < 20 < offsets.max()
    assert (offsets == offsets[:, :1]).all()


def test_contrast_keeps_the_mean_colour():
    for seed in range(10):
        made = affine(seed, contrast=0.4)
        np.testing.assert_allclose(made @ [*MEAN, 1], MEAN, atol=1e-9)
        assert 0.6 <= made[0, 0] <= 1.4


def test_saturation_and_hue_keep_grey_and_lightness():
    for seed in range(10):
        made = affine(seed, saturation=0.4, hue=0.2)
        np.testing.assert_allclose(made @ [77, 77, 77, 1], 77, atol=1e-3)
        np.testing.assert_allclose(made[:, :3].T @ [0.299, 0.587, 0.114], [0.299, 0.587, 0.114], atol=1e-5)


def test_hue_is_turned_by_up_to_the_part_of_a_turn():
    def hue(rgb):
        return colorsys.rgb_to_hsv(*(np.clip(rgb, 0, 255) / 255))[0]

    red = np.array([150.0, 100.0, 100.0])
    turned = [(hue(affine(seed, hue=0.2) @ [*red, 1]) + 0.5) % 1 - 0.5 for seed in range(200)]
    assert 0.15 < max(turned) < 0.25
    assert -0.25 < min(turned) < -0.15


def test_all_frames_are_changed_alike_and_stay_bytes():
    frames, change = film(), affine(3, brightness=0.2, contrast=0.4, saturation=0.4, hue=0.2)
    made = changed(frames, change)
    assert made.dtype == np.uint8
    np.testing.assert_allclose(made, np.clip(frames @ change[:, :3].T + change[:, 3], 0, 255), atol=1)
