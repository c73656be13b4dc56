"""The words of sweep files: which runs they make, and what they refuse."""

import pytest

from experiments.sweeping import axes
from experiments.sweeping.axes import chained, choice, fixed, log_uniform, product, seeds, sweep, uniform, zipped

A, B = sweep("a", [1, 2]), sweep("b.c", ["x", None])


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (A, [{"a": 1}, {"a": 2}]),
        (sweep("a", range(2)), [{"a": 0}, {"a": 1}]),
        (seeds(2), [{"seed": 0}, {"seed": 1}]),
        (fixed({"a": 1, "b": 2}), [{"a": 1, "b": 2}]),
        (product(A, B), [{"a": 1, "b.c": "x"}, {"a": 1, "b.c": None}, {"a": 2, "b.c": "x"}, {"a": 2, "b.c": None}]),
        (product(), [{}]),
        (zipped(A, B), [{"a": 1, "b.c": "x"}, {"a": 2, "b.c": None}]),
        (chained(fixed({}), A, [{"d": 3}]), [{}, {"a": 1}, {"a": 2}, {"d": 3}]),
        (product(chained(fixed({}), A), fixed({"e": 0})), [{"e": 0}, {"a": 1, "e": 0}, {"a": 2, "e": 0}]),
        (uniform("a", 1, 8), [{"a": axes.Uniform(1, 8, log=False)}]),
        (log_uniform("a", 0.1, 1), [{"a": axes.Uniform(0.1, 1, log=True)}]),
        (product(choice("a", ["x", "y"]), seeds(1)), [{"a": axes.Choice(("x", "y")), "seed": 0}]),
    ],
)
def test_what_a_word_makes(made, expected):
    assert made == expected


def test_what_is_made_is_not_shared():
    made = chained(A, A)
    made[0]["a"] = 9
    assert (A[0], made[2]) == ({"a": 1}, {"a": 1})


@pytest.mark.parametrize(("low", "high", "whole"), [(1, 8, True), (1.0, 8, False), (1, 8.0, False)])
def test_a_range_of_whole_numbers_has_whole_ends(low, high, whole):
    assert uniform("a", low, high)[0]["a"].whole == whole


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sweep("a", []), "^a: an axis without values$"),
        (lambda: sweep("a", "xyz"), "^a: expected a list of values, got 'xyz'$"),
        (lambda: sweep("a", {"x": 1}), "^a: expected a list of values"),
        (lambda: sweep("", [1]), "expected the dotted name of a field"),
        (lambda: fixed({3: 4}), "expected the dotted name of a field, such as model.num_latents, got 3"),
        (lambda: seeds(0), "^seed: an axis without values$"),
        (lambda: choice("a", []), "^a: an axis without values$"),
        (lambda: product(A, []), "^sweep 2 of 2 is empty$"),
        (lambda: chained([]), "^sweep 1 of 1 is empty$"),
        (lambda: product(A, sweep("a", [3])), "^a is changed twice: 1 and 3$"),
        (lambda: product(A, {"b": 1}), "^sweep 2: expected a list of dictionaries, got dict; try fixed"),
        (lambda: zipped(A, seeds(3)), "^zipped: expected sweeps of one length, got 2, 3$"),
        (lambda: zipped(A, A), "^a is changed twice"),
        (lambda: uniform("a", 2, 2), "^a: expected a range low < high, got 2 to 2$"),
        (lambda: uniform("a", 0, float("inf")), "^a: expected a range"),
        (lambda: log_uniform("a", 0, 1), "^a: expected a range 0 < low < high, got 0 to 1$"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
