"""Any number of classes: average precision and AUC as scikit-learn has them, d' and the loss by hand."""

import time

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from perceiver_jax.errors import Code, Failure
from perceiver_jax.tasks import Evaluation
from perceiver_jax.tasks.multi_label import Config, MultiLabel
from perceiver_jax.tasks.multi_label.ranking import rankings


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
    """Scores, often alike, some so large that their sigmoids are equal, and labels: of some classes none, of some all."""
    shape = draw(st.integers(1, 20)), draw(st.integers(1, 4))
    scores = draw(arrays.arrays(np.float32, shape, elements=st.integers(-3, 3)))
    return scores * draw(st.sampled_from([1, 40])), draw(arrays.arrays(bool, shape))


@given(scored())
@settings(max_examples=100, deadline=None)
def test_each_class_has_the_measures_of_scikit_learn(drawn):
    scores, labels = drawn
    ranked = rankings(scores, labels)
    for i, of_class in enumerate(labels.T):
        precision = average_precision_score(of_class, scores[:, i]) if of_class.any() else np.nan
        area = roc_auc_score(of_class, scores[:, i]) if 0 < of_class.sum() < len(of_class) else np.nan
        np.testing.assert_allclose(ranked.average_precision[i], precision, rtol=0, atol=1e-12)
        np.testing.assert_allclose(ranked.auc[i], area, rtol=0, atol=1e-12)
    assert ranked.examples.tolist() == labels.sum(axis=0).tolist()


@given(scored(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_examples_does_not_count(drawn, random):
    scores, labels = drawn
    order = list(range(len(scores)))
    random.shuffle(order)
    for measure, other in zip(rankings(scores[order], labels[order]), rankings(scores, labels), strict=True):
        np.testing.assert_array_equal(measure, other)


@given(scored())
@settings(max_examples=30, deadline=None)
def test_only_the_ranks_of_scores_count(drawn):
    scores, labels = drawn
    for measure, other in zip(rankings(scores**3 - 5, labels), rankings(scores, labels), strict=True):
        np.testing.assert_array_equal(measure, other)


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


def test_transposed_or_over_all_pairs_it_would_be_another_number():
    """As many examples as classes: a matrix the wrong way round raises nothing."""
    rng = np.random.default_rng(3)
    labels = rng.random((12, 12)) < 0.3
    scores = (rng.normal(size=(12, 12)) + labels).astype(np.float32)
    right = average_precision_score(labels, scores, average="macro")
    others = [average_precision_score(labels, scores, average=average) for average in ("samples", "micro")]
    assert precision(scores, labels) == pytest.approx(right, abs=1e-12)
    assert min(abs(np.array(others) - right)) > 0.01


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_of_any_precision_are_ranked(dtype):
    scores = np.array([[-60000.0], [-2.0], [0.0], [np.inf], [np.inf], [7.0]], dtype)
    labels = np.array([[False], [True], [False], [True], [True], [False]])
    assert rankings(scores, labels).average_precision[0] == pytest.approx((1 + 1 + 3 / 5) / 3, abs=1e-12)


def test_a_score_that_is_nan_leaves_no_number():
    """Nor is its class taken for one without examples."""
    logits = np.zeros((4, 2))
    logits[1, 1] = np.nan
    found = finished(logits, [[1, 1], [0, 0], [1, 0], [0, 1]])
    assert all(np.isnan(found[name]) for name in ("loss", "mean_average_precision", "mean_auc", "d_prime"))
    assert found["classes_with_examples"] == 2


def test_the_measures_of_4_074_examples_of_527_classes_take_less_than_1_s():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(4_074, 527)).astype(np.float32), rng.random((4_074, 527)) < 0.004
    began = time.process_time()
    rankings(scores, labels)
    assert time.process_time() - began < 1  # a fifth of AudioSet's evaluation


# The area under the curve, and d'


def test_auc_and_d_prime_are_of_the_classes_that_some_but_not_all_are_of():
    """Class 0 has AUC 1, class 1 AUC 5/9, all are of class 2, none of class 3."""
    logits = np.array([[6, 5, 4, 3, 2, 1], [6, 2, 4, 3, 5, 1]] + [[0] * 6] * 2).T
    labels = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 1, 0, 0, 1], [1] * 6, [0] * 6]).T
    found = finished(logits, labels)
    assert found["mean_auc"] == pytest.approx((1 + 5 / 9) / 2, abs=1e-12)
    assert found["d_prime"] == pytest.approx(np.sqrt(2) * norm.ppf((1 + 5 / 9) / 2), abs=1e-12)
    assert found["d_prime"] == pytest.approx(1.081463, abs=1e-6)
    assert found["classes_with_examples"] == 3


@pytest.mark.parametrize("positives", [1, 3, 9])
def test_a_perfect_d_prime_is_finite_and_above_that_of_the_least_error(positives):
    """Two classes of unequal numbers: the least error is a tie in the class with more pairs."""
    labels = np.zeros((10, 2))
    labels[:1, 0] = labels[:positives, 1] = 1
    perfect = np.stack([-np.arange(10.0)] * 2, axis=1)
    assert finished(perfect, labels)["mean_auc"] == 1
    best, nearly = finished(perfect, labels)["d_prime"], []
    for i, at in enumerate((0, positives - 1)):
        tied = perfect.copy()
        tied[at + 1, i] = tied[at, i]
        nearly.append(finished(tied, labels)["d_prime"])
    assert max(nearly) < best < np.inf
    assert finished(-perfect, labels)["d_prime"] == pytest.approx(-best)


@pytest.mark.parametrize("label", [0, 1], ids=["none", "all"])
def test_where_no_class_has_a_pair_there_is_no_auc_and_no_d_prime(label):
    found = finished(np.zeros((4, 2)), np.full((4, 2), label))
    assert np.isnan([found["mean_auc"], found["d_prime"]]).all()


# Several views


def test_views_are_averaged_as_probabilities_and_not_as_logits():
    """Of two examples one is certain once and unsure once, the other twice rather likely."""
    views = jnp.asarray([[[9.0], [1.5]], [[-2.0], [1.5]]])
    assert np.mean(views, axis=0)[0] > np.mean(views, axis=0)[1]
    averaged = np.asarray(task(1).averaged(views))
    assert averaged[0] < averaged[1]
    scores = [task(1).scores(view) for view in views]
    np.testing.assert_allclose(task(1).scores(averaged), np.mean(scores, axis=0), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_views_whose_probabilities_are_all_one_keep_their_order(dtype):
    """By what they lack to 1: e^-20 + e^-60 is more than 2 e^-30."""
    views = jnp.asarray([[[20.0], [30.0], [64.0]], [[60.0], [30.0], [80.0]]], dtype)
    assert {float(score) for view in views for score in task(1).scores(view)[:, 0]} == {1}
    for order in (views, views[::-1]):
        assert np.argsort(np.asarray(task(1).averaged(order), np.float32)[:, 0]).tolist() == [0, 1, 2]


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
