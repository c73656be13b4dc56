"""Any number of classes: mean average precision as scikit-learn has it, the loss by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score

from perceiver_jax.errors import Code, Failure
from perceiver_jax.tasks import Evaluation
from perceiver_jax.tasks.multi_label import Config, MultiLabel
from perceiver_jax.tasks.multi_label.average_precision import average_precisions


def task(num_classes=3):
    return MultiLabel(Config(kind="multi_label"), [f"class {i}" for i in range(num_classes)])


def finished(logits, labels, weights=None):
    """The metrics of a split that is a single batch."""
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels, np.float32)
    weights = np.ones(len(logits), np.float32) if weights is None else np.asarray(weights, np.float32)
    made = task(logits.shape[1])
    return made.finish(made.evaluation(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(weights)))


def precision(logits, labels, weights=None):
    return finished(logits, labels, weights)["mean_average_precision"]


def expected(scores, labels):
    """scikit-learn's mean over the classes that have an example."""
    there = labels.any(axis=0)
    return average_precision_score(labels[:, there], scores[:, there], average="macro")


# Mean average precision


@pytest.mark.parametrize("values", [None, 2, 5], ids=["no ties", "many ties", "some ties"])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_that_of_scikit_learn(seed, values):
    rng = np.random.default_rng(seed)
    shape = (rng.integers(50, 200), rng.integers(2, 9))
    scores = (rng.normal(size=shape) if values is None else rng.integers(0, values, shape)).astype(np.float32)
    labels = rng.random(shape) < 0.2
    assert abs(precision(scores, labels) - expected(scores, labels)) < 1e-12


@st.composite
def scored(draw):
    """Scores, often alike, and labels, every class with an example."""
    shape = draw(st.integers(1, 20)), draw(st.integers(1, 4))
    scores = draw(arrays.arrays(np.float32, shape, elements=st.integers(-3, 3)))
    labels = draw(arrays.arrays(bool, shape))
    labels[draw(st.integers(0, shape[0] - 1))] = True
    return scores, labels


@given(scored())
@settings(max_examples=60, deadline=None)
def test_each_class_has_the_precision_of_scikit_learn(drawn):
    scores, labels = drawn
    theirs = [average_precision_score(labels[:, i], scores[:, i]) for i in range(labels.shape[1])]
    np.testing.assert_allclose(average_precisions(scores, labels), theirs, rtol=0, atol=1e-12)


@given(scored(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_examples_does_not_count(drawn, random):
    scores, labels = drawn
    order = list(range(len(scores)))
    random.shuffle(order)
    np.testing.assert_array_equal(average_precisions(scores[order], labels[order]), average_precisions(scores, labels))


@given(scored())
@settings(max_examples=30, deadline=None)
def test_only_the_ranks_of_scores_count(drawn):
    scores, labels = drawn
    np.testing.assert_array_equal(average_precisions(scores**3 - 5, labels), average_precisions(scores, labels))


@pytest.mark.parametrize("place", range(10))
def test_of_equal_scores_the_precision_is_the_part_that_has_the_class_wherever_it_stands(place):
    labels = np.zeros((10, 1))
    labels[place] = 1
    assert precision(np.zeros((10, 1)), labels) == 0.1


def test_a_class_whose_examples_all_come_first_has_precision_one():
    assert precision([[5.0], [4.0], [3.0], [2.0]], [[1], [1], [0], [0]]) == 1


def test_it_is_by_hand():
    # In the order of scores: right, wrong, right, wrong.
    assert precision([[4.0], [3.0], [2.0], [1.0]], [[1], [0], [1], [0]]) == pytest.approx((1 + 2 / 3) / 2, abs=1e-15)


def test_logits_whose_sigmoids_are_equal_in_float32_still_have_an_order():
    logits = [[40.0], [60.0], [80.0], [100.0]]
    assert np.unique(np.asarray(task(1).scores(jnp.asarray(logits)))).size == 1
    assert precision(logits, [[0], [0], [0], [1]]) == 1


def test_a_class_without_an_example_is_left_out_and_counted():
    logits = np.random.default_rng(0).normal(size=(20, 3))
    labels = np.zeros((20, 3))
    labels[::4, 0] = labels[::3, 2] = 1
    found = finished(logits, labels)
    assert found["classes_with_examples"] == 2
    assert found["mean_average_precision"] == precision(logits[:, [0, 2]], labels[:, [0, 2]])


def test_where_no_class_has_an_example_there_is_no_precision():
    found = finished(np.zeros((4, 2)), np.zeros((4, 2)))
    assert np.isnan(found["mean_average_precision"])
    assert found["classes_with_examples"] == 0


def test_padding_is_left_out_whatever_it_holds():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(12, 3)), rng.random((12, 3)) < 0.4
    weights = [1] * 9 + [0] * 3
    logits[9:] = [[np.nan] * 3, [np.inf] * 3, [100.0] * 3]
    assert finished(logits, labels, weights) == pytest.approx(finished(logits[:9], labels[:9]), rel=1e-6)
    assert precision(logits, labels, weights) == precision(logits[:9], labels[:9])


def test_examples_and_classes_are_not_alike():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 6)), rng.random((6, 6)) < 0.5
    assert precision(logits, labels) != precision(logits.T, labels.T)


def test_it_is_of_a_whole_split_and_not_the_mean_over_batches():
    rng, made = np.random.default_rng(0), task()
    logits, labels = rng.normal(size=(8, 3)).astype(np.float32), (rng.random((8, 3)) < 0.5).astype(np.float32)
    parts = [made.evaluation(jnp.asarray(logits[i : i + 4]), jnp.asarray(labels[i : i + 4]), jnp.ones(4)) for i in (0, 4)]
    sums = {name: sum(part.sums[name] for part in parts) for name in parts[0].sums}
    examples = {name: np.concatenate([part.examples[name] for part in parts]) for name in parts[0].examples}
    assert made.finish(Evaluation(sums, examples))["mean_average_precision"] == precision(logits, labels)
    halves = [made.finish(part)["mean_average_precision"] for part in parts]
    assert np.mean(halves) != precision(logits, labels)


# Loss


def test_the_loss_is_the_mean_cross_entropy_over_the_classes():
    logits, labels = np.array([[2.0, -1.0]], np.float32), np.array([[1.0, 0.0]], np.float32)
    expected = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    np.testing.assert_allclose(task(2).losses(jnp.asarray(logits), jnp.asarray(labels)), [expected], rtol=1e-6)


def test_the_loss_of_a_split_is_the_mean_over_its_examples():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 3)).astype(np.float32), (rng.random((6, 3)) < 0.5).astype(np.float32)
    losses = np.asarray(task().losses(jnp.asarray(logits), jnp.asarray(labels)))
    assert finished(logits, labels, [1, 1, 1, 1, 0, 0])["loss"] == pytest.approx(losses[:4].mean(), rel=1e-6)


# Labels


@pytest.mark.parametrize("labels", [(), (0,), (2,), (0, 2), (2, 0), (0, 1, 2), (1, 1)])
def test_a_label_is_one_for_each_of_its_classes(labels):
    encoded = task().encode(labels, "a.jpg")
    assert encoded.tolist() == [float(i in labels) for i in range(3)]
    assert encoded.dtype == np.float32


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_not_a_class_is_refused_by_name(label):
    with pytest.raises(Failure) as failure:
        task().encode((0, label), "a.jpg")
    assert failure.value.code == Code.DATA
    assert str(failure.value) == f"error[3] a.jpg: label {label}\n  expected: 0 to 2"


def test_each_answer_has_a_probability_of_its_own():
    scores = np.array([0.9, 0.2, 0.95], np.float32)
    assert [answer.name for answer in task().answers(scores, 2)] == ["class 2", "class 0"]
    assert [answer.score for answer in task().answers(scores, 2)] == pytest.approx([0.95, 0.9])
