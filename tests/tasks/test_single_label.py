"""One of several classes: the loss against hand-made targets, the metrics by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.tasks import Evaluation, means
from perceiver_jax.tasks.single_label import Config, SingleLabel, metrics
from perceiver_jax.tasks.single_label.losses import softmax_cross_entropy


def task(num_classes=5, label_smoothing=0.0):
    classes = [f"class {i}" for i in range(num_classes)]
    return SingleLabel(Config(kind="single_label", label_smoothing=label_smoothing), classes)


# The loss

DRAWN = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)), jnp.float32)
FIRST, SECOND = jnp.asarray([0, 1, 2, 3]), jnp.asarray([4, 1, 0, 2])
PORTIONS = jnp.asarray([0.75, 0.5, 1.0, 0.625], jnp.float32)


def mixed(portions, label_smoothing):
    """The losses of examples that are mixtures of two, as training has them."""
    made = task(label_smoothing=label_smoothing)
    return portions * made.losses(DRAWN, FIRST) + (1 - portions) * made.losses(DRAWN, SECOND)


def test_smoothing_spreads_its_share_over_all_classes():
    target = np.full(5, 0.1 / 5)
    target[2] += 0.9
    expected = -(target @ np.asarray(jax.nn.log_softmax(DRAWN[2])))
    np.testing.assert_allclose(softmax_cross_entropy(DRAWN, FIRST, 0.1)[2], expected, rtol=1e-6)


def test_label_smoothing_spreads_over_all_classes():
    logits = np.array([[1.0, 0.0, -1.0]], np.float32)
    log_p = logits - np.log(np.exp(logits).sum())
    target = np.array([0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3])
    loss = softmax_cross_entropy(jnp.array(logits), jnp.array([1]), 0.1)
    np.testing.assert_allclose(loss, -(target * log_p).sum(), rtol=1e-6)


def test_a_mixed_loss_is_that_of_the_mixed_target():
    portions = np.asarray(PORTIONS)[:, None]
    target = portions * np.eye(5)[np.asarray(FIRST)] + (1 - portions) * np.eye(5)[np.asarray(SECOND)]
    target = 0.9 * target + 0.1 / 5
    expected = -(target * np.asarray(jax.nn.log_softmax(DRAWN))).sum(axis=1)
    np.testing.assert_allclose(mixed(PORTIONS, 0.1), expected, rtol=1e-6)


def test_a_whole_portion_is_the_loss_of_one_label():
    np.testing.assert_array_equal(mixed(jnp.ones(4), 0.1), softmax_cross_entropy(DRAWN, FIRST, 0.1))


def test_the_loss_that_is_minimised_has_the_smoothing_of_the_config():
    np.testing.assert_array_equal(task(label_smoothing=0.1).losses(DRAWN, FIRST), softmax_cross_entropy(DRAWN, FIRST, 0.1))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_evaluation_has_the_plain_loss_whatever_the_smoothing(label_smoothing):
    found = task(label_smoothing=label_smoothing).evaluation(DRAWN, FIRST, jnp.ones(4))
    expected = -np.mean([jax.nn.log_softmax(DRAWN)[i, i] for i in range(4)])
    assert task().finish(found)["loss"] == pytest.approx(expected, rel=1e-6)


def test_a_model_that_is_certain_and_right_has_no_loss_in_evaluation():
    made, labels = task(label_smoothing=0.1), jnp.arange(5)
    logits = 100 * jnp.eye(5)
    assert made.finish(made.evaluation(logits, labels, jnp.ones(5)))["loss"] == 0
    assert float(made.losses(logits, labels).mean()) == pytest.approx(8)  # 0.1 of the target, 4 / 5 of it at -100


def test_training_logs_the_loss_that_is_minimised():
    made = task(label_smoothing=0.1)
    losses = made.losses(DRAWN, FIRST)
    assert means(made.training_sums(DRAWN, FIRST, losses))["loss"] == pytest.approx(float(losses.mean()))


# Right answers


def sums(logits, labels, each, weights):
    return metrics.classification_sums(jnp.array(logits), jnp.array(labels), jnp.array(each), jnp.array(weights))


def add(first, second):
    return jax.tree.map(jnp.add, first, second)


LOGITS = [[3.0, 1.0, 2.0, 0.0, -1.0, -2.0], [3.0, 1.0, 2.0, 0.0, -1.0, -2.0], [3.0, 1.0, 2.0, 0.0, -1.0, -2.0]]


def test_accuracy_and_top5_by_hand():
    numbers = means(sums(LOGITS, [0, 4, 5], [1.0, 2.0, 6.0], [1.0, 1.0, 1.0]))
    assert numbers == pytest.approx({"loss": 3.0, "accuracy": 1 / 3, "top5": 2 / 3})


def test_the_best_five_of_five_classes_are_no_metric():
    assert "top5" not in sums([row[:5] for row in LOGITS], [0, 4, 4], [1.0, 2.0, 6.0], [1.0, 1.0, 1.0])


def test_padding_counts_nowhere_whatever_it_holds():
    numbers = means(sums(LOGITS, [0, 4, 0], [1.0, 2.0, float("nan")], [1.0, 1.0, 0.0]))
    assert numbers == pytest.approx({"loss": 1.5, "accuracy": 0.5, "top5": 1.0})


def test_batches_of_unequal_size_average_by_example():
    first = sums(LOGITS, [0, 0, 0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    second = sums(LOGITS[:1], [3], [5.0], [1.0])
    assert means(add(first, second)) == pytest.approx({"loss": 2.0, "accuracy": 0.75, "top5": 1.0})


def test_a_model_that_says_the_same_of_every_class_is_right_nowhere():
    assert means(sums([[0.0] * 6], [0], [0.0], [1.0]))["accuracy"] == 0.0


def test_a_model_whose_logits_are_nan_is_right_nowhere():
    assert means(sums([[float("nan")] * 6], [0], [0.0], [1.0]))["accuracy"] == 0.0


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


def test_mean_class_accuracy_weighs_every_class_that_occurs_alike():
    """Of the first class 90 of 100, of the second 1 of 2; of the third there is none, though one was classified as it."""
    matrix = np.array([[90.0, 10.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    numbers = task(3).finish(Evaluation({"accuracy": 91.0, "weight": 102.0, "confusion": matrix}, {}))
    assert numbers == {"accuracy": 91 / 102, "mean_class_accuracy": (0.9 + 0.5) / 2}


def test_matrices_of_batches_add_up():
    made = task(2)
    one = made.evaluation(jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([0, 0]), jnp.ones(2))
    two = made.evaluation(jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([1, 1]), jnp.ones(2))
    assert add(one.sums, two.sums)["confusion"].tolist() == [[1, 1], [1, 1]]


# Labels


def test_a_label_is_the_number_of_its_class():
    encoded = task().encode((3,), "a.jpg")
    assert (encoded.tolist(), encoded.dtype, encoded.shape) == (3, np.int32, ())


@pytest.mark.parametrize("labels", [(), (1, 2), (1, 1)])
def test_an_example_that_has_not_one_label_is_refused_by_name(labels):
    with pytest.raises(Failure) as failure:
        task().encode(labels, "a.jpg")
    assert str(failure.value) == (
        f'error[3] a.jpg: {len(labels)} labels\n  expected: one\n  try: task.kind "multi_label" learns any number of them'
    )


@pytest.mark.parametrize("label", [-1, 5])
def test_a_label_that_is_not_a_class_is_refused_by_name(label):
    with pytest.raises(Failure) as failure:
        task().encode((label,), "a.jpg")
    assert failure.value.code == Code.DATA
    assert str(failure.value) == f"error[3] a.jpg: label {label}\n  expected: 0 to 4"
