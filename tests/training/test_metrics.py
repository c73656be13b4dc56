import jax.numpy as jnp
import numpy as np
import pytest

from perceiver_jax.training import losses, metrics


def sums(logits, labels, each, weights):
    return metrics.classification_sums(jnp.array(logits), jnp.array(labels), jnp.array(each), jnp.array(weights))


LOGITS = [[3.0, 1.0, 2.0, 0.0, -1.0, -2.0], [3.0, 1.0, 2.0, 0.0, -1.0, -2.0], [3.0, 1.0, 2.0, 0.0, -1.0, -2.0]]


def test_accuracy_and_top5_by_hand():
    numbers = metrics.means(sums(LOGITS, [0, 4, 5], [1.0, 2.0, 6.0], [1.0, 1.0, 1.0]))
    assert numbers == pytest.approx({"loss": 3.0, "accuracy": 1 / 3, "top5": 2 / 3})


def test_padding_counts_nowhere_whatever_it_holds():
    numbers = metrics.means(sums(LOGITS, [0, 4, 0], [1.0, 2.0, float("nan")], [1.0, 1.0, 0.0]))
    assert numbers == pytest.approx({"loss": 1.5, "accuracy": 0.5, "top5": 1.0})


def test_batches_of_unequal_size_average_by_example():
    first = sums(LOGITS, [0, 0, 0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    second = sums(LOGITS[:1], [3], [5.0], [1.0])
    assert metrics.means(metrics.add(metrics.add(None, first), second)) == pytest.approx(
        {"loss": 2.0, "accuracy": 0.75, "top5": 1.0}
    )


def test_a_model_that_says_the_same_of_every_class_is_right_nowhere():
    assert metrics.means(sums([[0.0] * 6], [0], [0.0], [1.0]))["accuracy"] == 0.0


def test_label_smoothing_spreads_over_all_classes():
    logits = np.array([[1.0, 0.0, -1.0]], np.float32)
    log_p = logits - np.log(np.exp(logits).sum())
    target = np.array([0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3])
    loss = losses.softmax_cross_entropy(jnp.array(logits), jnp.array([1]), 0.1)
    np.testing.assert_allclose(loss, -(target * log_p).sum(), rtol=1e-6)
