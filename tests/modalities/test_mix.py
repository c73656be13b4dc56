"""Two pictures in one: hand-worked mixtures, exact portions, which kind is in which slot."""

import numpy as np
import pytest

from perceiver_jax.modalities.image.config import MixupCutmix
from perceiver_jax.modalities.image.crop import Box
from perceiver_jax.modalities.image.mix import cutmix, mixed, mixup, random_patch

CONFIG = MixupCutmix(kind="mixup_cutmix", mixup_alpha=0.2, cutmix_alpha=1.0)
ZEROS, ONES = np.zeros((6, 8, 1), np.float32), np.ones((6, 8, 1), np.float32)


def test_mixup_is_the_weighted_mean():
    np.testing.assert_array_equal(mixup(ZEROS, 4 * ONES, 0.75), ONES)


def test_cutmix_takes_the_place_from_the_second_and_says_what_is_left():
    result, portion = cutmix(ZEROS, ONES, Box(1, 2, 3, 4))
    expected = np.zeros((6, 8, 1))
    expected[1:4, 2:6] = 1
    np.testing.assert_array_equal(result, expected)
    assert portion == 1 - 12 / 48
    assert not ZEROS.any()


def test_patches_have_the_area_unless_an_edge_cuts_them():
    rng = np.random.default_rng(0)
    patches = [random_patch((40, 60), 0.25, rng) for _ in range(300)]
    assert {patch for patch in patches if patch.height == 20 and patch.width == 30}
    for top, left, height, width in patches:
        assert 0 <= top <= 40 - height
        assert 0 <= left <= 60 - width
        assert height == 20 or top == 0 or top + height == 40
        assert width == 30 or left == 0 or left + width == 60
    assert min(patch.height for patch in patches) == 10


@pytest.mark.parametrize("area", [0.0, 1.0])
def test_a_patch_may_be_nothing_or_reach_everywhere(area):
    patch = random_patch((5, 5), area, np.random.default_rng(1))
    assert patch.height * patch.width == 0 if area == 0 else patch.height >= 3


def test_even_slots_blend_and_odd_ones_paste():
    for slot in range(40):
        result, portion = mixed(ONES, ZEROS, CONFIG, slot, np.random.default_rng(slot))
        if slot % 2:
            assert set(result.ravel().tolist()) <= {0.0, 1.0}
            assert result.mean() == pytest.approx(portion, abs=1e-6)
        else:
            np.testing.assert_array_equal(result, np.full_like(ONES, portion))


def test_portions_have_their_distributions():
    def portions(slot):
        return np.array([mixed(ONES, ZEROS, CONFIG, slot, np.random.default_rng(i))[1] for i in range(2000)])

    blended, pasted = portions(0), portions(1)
    assert blended.mean() == pytest.approx(0.5, abs=0.03)
    assert blended.var() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.01)  # Beta(0.2, 0.2)
    # A uniform area about a uniform pixel: mean less than 1/2 of it is inside.
    assert 0.55 < pasted.mean() < 0.7
