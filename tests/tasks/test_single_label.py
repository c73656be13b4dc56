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


# Which class was taken for which


def confusion(logits, labels, weights):
    return np.asarray(metrics.confusion(jnp.array(logits), jnp.array(labels), jnp.array(weights)))


def test_a_row_is_a_class_and_a_column_an_answer():
    logits = [[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
    assert confusion(logits, [0, 1, 1], [1.0, 1.0, 1.0]).tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]


def test_the_diagonal_is_what_accuracy_counts_whatever_ties():
    rng = np.random.default_rng(0)
    logits = rng.integers(0, 3, (2000, 5)).astype(np.float32)  # most have a tie for the first place
    logits[::7, 2], logits[::11], logits[::13] = np.nan, -np.inf, np.inf
    labels, weights = rng.integers(0, 5, 2000), (rng.random(2000) < 0.8).astype(np.float32)
    matrix, right = confusion(logits, labels, weights), float(sums(logits, labels, np.zeros(2000), weights)["accuracy"])
    assert matrix.trace() == right
    assert 0 < right < weights.sum()
    np.testing.assert_array_equal(matrix.sum(axis=1), np.bincount(labels, weights, 5))


@pytest.mark.parametrize(("label", "answers"), [(1, {3}), (3, {1}), (0, {1, 3})])
def test_where_the_label_ties_with_another_class_the_answer_is_that_class(label, answers):
    (found,) = np.flatnonzero(confusion([[0.0, 2.0, 1.0, 2.0]], [label], [1.0])[label])
    assert found in answers


def test_padding_is_in_no_cell_of_the_matrix():
    logits = [[3.0, 1.0], [float("nan"), float("nan")], [0.0, 0.0]]
    assert confusion(logits, [0, 1, 0], [1.0, 0.0, 0.0]).tolist() == [[1, 0], [0, 0]]


def test_a_single_class_is_always_right():
    assert confusion([[0.0], [1.0]], [0, 0], [1.0, 1.0]).tolist() == [[2]]


def test_a_model_whose_logits_are_no_numbers_is_right_nowhere():
    assert metrics.means(sums([[float("nan")] * 6], [0], [0.0], [1.0]))["accuracy"] == 0.0


def test_mean_class_accuracy_weighs_every_class_that_occurs_alike():
    """Of the first class 90 of 100, of the second 1 of 2; of the third there is none, though one was taken for it."""
    matrix = np.array([[90.0, 10.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    numbers = metrics.means({"accuracy": 91.0, "weight": 102.0, "confusion": matrix})
    assert numbers == {"accuracy": 91 / 102, "mean_class_accuracy": (0.9 + 0.5) / 2}


def test_matrices_of_batches_add_up():
    one, two = ({"confusion": jnp.array(matrix)} for matrix in ([[1.0, 2.0], [0.0, 1.0]], [[0.0, 1.0], [3.0, 0.0]]))
    assert metrics.add(metrics.add(None, one), two)["confusion"].tolist() == [[1, 3], [3, 1]]
