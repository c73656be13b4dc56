"""Training examples drawn by their classes: how often each, and that workers, hosts and starts change nothing."""

import numpy as np
import pytest

from perceiver_jax.data import pipeline, sampling, sources
from perceiver_jax.errors import Code, Failure
from tests.data.test_pipeline import AFFINE, MIXED, NUM_TRAIN, SEED, data
from tests.problems import assert_equal, joined, take


def skewed(classes=((999, 0), (100, 1), (10, 2))):
    """The classes of 1,000 examples: (c, k) gives class k to the first c; the last example has none."""
    return [tuple(label for count, label in classes if i < count) for i in range(1000)]


def steps(balanced, first, count, seed=SEED):
    """The ids of some steps, one after the other."""
    return np.concatenate([pipeline.example_ids(balanced, seed, step) for step in range(first, first + count)])


@pytest.fixture
def rare(monkeypatch):
    """Digits whose labels are those of `skewed`: the examples from 1,000 on have no class."""
    labels = skewed() + [()] * (NUM_TRAIN - 1000)
    monkeypatch.setattr(sources.ArrayExamples, "labels", lambda self, index: labels[index])
    return data(sampling="class_balanced", batch_size=100)


# Weights


def test_an_example_weighs_the_sum_over_its_classes_of_one_by_their_numbers():
    weights = sampling.class_weights(skewed())
    expected = {0: 1 / 999 + 1 / 100 + 1 / 10, 50: 1 / 999 + 1 / 100, 500: 1 / 999, 999: 0}
    assert {i: weights[i] for i in expected} == pytest.approx(expected, rel=1e-12)
    assert weights[:10].sum() / weights.sum() == pytest.approx(0.37, abs=1e-4)
    assert np.isfinite(weights).all()


def test_each_class_weighs_as_much_as_any_other():
    rng = np.random.default_rng(0)
    labels = (rng.random((500, 6)) < [0.5, 0.3, 0.1, 0.05, 0.01, 0]).astype(int)
    labels[0, 4] = 1
    weights = sampling.class_weights([np.flatnonzero(row).tolist() for row in labels])
    assert weights.sum() == pytest.approx(5)  # one for each class that occurs


def test_a_class_named_twice_counts_once():
    assert sampling.class_weights([(1, 1), (1,), ()]).tolist() == [0.5, 0.5, 0]


def test_numbers_of_classes_may_leave_gaps():
    assert sampling.class_weights([(500,), (3,), (3,)]).tolist() == [1, 0.5, 0.5]


# Draws


def test_examples_are_drawn_as_often_as_they_weigh():
    weights = sampling.class_weights(skewed())
    draws = sampling.Draws(weights, SEED, 1000)
    counts = np.bincount(np.concatenate([draws(step) for step in range(200)]), minlength=1000)
    expected = weights / weights.sum() * counts.sum()
    assert counts[999] == 0
    assert abs(counts[:10].sum() / counts.sum() - 0.37) < 3 * np.sqrt(0.37 * 0.63 / counts.sum())
    seen = expected > 0
    chi_squared = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
    assert chi_squared < 998 + 3 * np.sqrt(2 * 998)


@pytest.mark.parametrize("alone", [0, 3, 6])
def test_the_only_example_with_a_class_is_drawn_always(alone):
    weights = np.zeros(7)
    weights[alone] = 1e-9
    assert set(sampling.Draws(weights, 0, 100)(5).tolist()) == {alone}


def test_what_is_drawn_is_a_function_of_the_seed_and_the_step():
    draws = [sampling.Draws(np.ones(10**6), seed, 50)(step).tolist() for seed, step in ((0, 0), (0, 1), (1, 0), (0, 2**33))]
    assert all(draws[i] != draws[j] for i in range(4) for j in range(i))
    assert sampling.Draws(np.ones(10**6), 0, 50)(2**33).tolist() == draws[3]


def test_draws_are_not_the_chance_by_which_a_slot_s_example_is_changed():
    """A generator of (seed, step) would be that of slot 0: trailing zeros are nothing to a seed."""
    here = sampling.Draws(np.ones(10**6), 0, 1)(3)[0] / 10**6
    assert abs(here - np.random.default_rng((0, 3, 0)).random()) > 1e-5


# Runs


def test_a_run_draws_by_the_labels_of_what_it_trains_on(rare):
    ids = steps(rare, 0, 100)
    assert abs((ids < 10).mean() - 0.37) < 3 * np.sqrt(0.37 * 0.63 / 10_000)
    assert (ids < 999).all()


def test_validation_examples_neither_count_nor_are_drawn(rare):
    held_out = data(sampling="class_balanced", batch_size=100, validation_examples=NUM_TRAIN - 50)
    assert held_out.class_weights.tolist() == sampling.class_weights(skewed()[:50]).tolist()
    assert steps(held_out, 0, 20).max() < 50


def test_it_is_said_how_many_examples_are_never_drawn(rare):
    assert pipeline.never_drawn(rare) == (
        "data.sampling class_balanced: 348 of 1,347 training examples have no class and are never drawn"
    )
    assert pipeline.never_drawn(data(sampling="shuffle")) == ""


def test_where_each_has_a_class_nothing_is_said():
    assert pipeline.never_drawn(data(sampling="class_balanced")) == ""


def test_where_no_example_has_a_class_there_is_nothing_to_draw(monkeypatch):
    monkeypatch.setattr(sources.ArrayExamples, "labels", lambda self, index: ())
    with pytest.raises(Failure) as failure:
        pipeline.train_batches(data(sampling="class_balanced"), SEED, 0)
    assert failure.value.code == Code.DATA
    assert str(failure.value) == (
        "error[3] data.sampling class_balanced: none of 1,347 training examples has a class: digits\n"
        "  try: --config.data.sampling=shuffle, or data with labels"
    )


@pytest.mark.parametrize("augment", [AFFINE, MIXED], ids=["plain", "mixed"])
def test_workers_hosts_and_a_later_start_change_no_batch(augment):
    balanced = data(augment, sampling="class_balanced")
    whole = take(pipeline.train_batches(balanced, SEED, 0), 3)
    assert_equal(take(pipeline.train_batches(balanced, SEED, 2), 1), whole[2:])
    hosts = [take(pipeline.train_batches(balanced, SEED, 0, host=host, num_hosts=2), 3) for host in range(2)]
    assert_equal([joined(shares) for shares in zip(*hosts, strict=True)], whole)
    if augment is AFFINE:
        workers = data(augment, sampling="class_balanced", num_workers=1)
        assert_equal(take(pipeline.train_batches(workers, SEED, 0), 3), whole)


def test_a_batch_holds_the_examples_that_were_drawn():
    balanced = data(sampling="class_balanced")
    (batch,) = take(pipeline.train_batches(balanced, SEED, 7), 1)
    train = balanced.source.load("train")
    assert batch["labels"].tolist() == [train.labels(i)[0] for i in pipeline.example_ids(balanced, SEED, 7).tolist()]


def test_a_mixed_step_draws_twice_as_many():
    assert pipeline.example_ids(data(MIXED, sampling="class_balanced"), SEED, 0).shape == (64,)
