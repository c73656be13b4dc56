"""The losses against hand-made targets."""

import jax
import jax.numpy as jnp
import numpy as np

from perceiver_jax.training.losses import mixed_softmax_cross_entropy, softmax_cross_entropy

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)), jnp.float32)
FIRST, SECOND = jnp.asarray([0, 1, 2, 3]), jnp.asarray([4, 1, 0, 2])
PORTIONS = jnp.asarray([0.75, 0.5, 1.0, 0.625], jnp.float32)


def test_smoothing_spreads_its_share_over_all_classes():
    target = np.full(5, 0.1 / 5)
    target[2] += 0.9
    expected = -(target @ np.asarray(jax.nn.log_softmax(LOGITS[2])))
    np.testing.assert_allclose(softmax_cross_entropy(LOGITS, FIRST, 0.1)[2], expected, rtol=1e-6)


def test_a_mixed_loss_is_that_of_the_mixed_target():
    portions = np.asarray(PORTIONS)[:, None]
    target = portions * np.eye(5)[np.asarray(FIRST)] + (1 - portions) * np.eye(5)[np.asarray(SECOND)]
    target = 0.9 * target + 0.1 / 5
    expected = -(target * np.asarray(jax.nn.log_softmax(LOGITS))).sum(axis=1)
    found = mixed_softmax_cross_entropy(LOGITS, FIRST, SECOND, PORTIONS, 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_whole_portion_is_the_loss_of_one_label():
    ones = jnp.ones(4)
    found = mixed_softmax_cross_entropy(LOGITS, FIRST, SECOND, ones, 0.1)
    np.testing.assert_array_equal(found, softmax_cross_entropy(LOGITS, FIRST, 0.1))
