import pytest

from perceiver_jax.report.selection import best_evaluations, reported_split


def records(**accuracies):
    """Records of evaluations at steps 10, 20, ..., of one split a keyword; and of training, which is best at its end."""
    found = {(step, "train"): {"accuracy": step / 30, "loss": 0.5} for step in (10, 20, 30)}
    for split, scores in accuracies.items():
        found |= {(10 * i, split): {"accuracy": score, "loss": 2.0} for i, score in enumerate(scores, 1)}
    return found


def test_validation_chooses_the_step_and_test_is_reported_of_that_step():
    chosen = best_evaluations(records(validation=[0.5, 0.7, 0.6], test=[0.9, 0.4, 0.5]), "accuracy")["best_by_validation"]
    assert chosen == {"step": 20, "validation": {"accuracy": 0.7, "loss": 2.0}, "test": {"accuracy": 0.4, "loss": 2.0}}


def test_test_chooses_for_itself_under_its_own_name():
    chosen = best_evaluations(records(validation=[0.5, 0.7, 0.6], test=[0.9, 0.4, 0.5]), "accuracy")["best_by_test"]
    assert (chosen["step"], chosen["test"]["accuracy"], chosen["validation"]["accuracy"]) == (10, 0.9, 0.5)


@pytest.mark.parametrize("order", [1, -1])
def test_of_equal_steps_it_is_the_earliest_in_whatever_order_they_were_recorded(order):
    shuffled = dict(list(records(validation=[0.5, 0.7, 0.7], test=[0.1, 0.3, 0.3]).items())[::order])
    found = best_evaluations(shuffled, "accuracy")
    assert (found["best_by_validation"]["step"], found["best_by_test"]["step"]) == (20, 20)


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ({"test": [0.5]}, set()),
        ({"test": [0.5, 0.4]}, {"best_by_test"}),
        ({"validation": [0.5]}, {"best_by_validation"}),
        ({"validation": [0.5], "test": [0.5]}, {"best_by_validation"}),
    ],
)
def test_where_there_is_nothing_to_choose_from_nothing_is_chosen(scores, chosen):
    assert set(best_evaluations(records(**scores), "accuracy")) == chosen


@pytest.mark.parametrize(
    ("splits", "reported"),
    [
        (["train", "validation", "test"], "test"),
        (["train", "validation"], "validation"),
        (["train", "test"], "test"),
    ],
)
def test_a_run_is_known_by_its_test_split_where_it_has_seen_it(splits, reported):
    assert reported_split(splits) == reported
