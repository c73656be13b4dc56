"""The lines of a page: all that was logged, thinned so that nothing that stands out is lost."""

import json
import math

import numpy as np
import pytest

from perceiver_jax.report.log import Log
from perceiver_jax.report.page import lines
from perceiver_jax.report.page.lines import MOST_POINTS, panels, thinned


def log(count, split="train", **metrics):
    """A log of `count` steps from 1; each metric is a function of the step."""
    steps = range(1, count + 1)
    return Log([{"step": s, "split": split} | {name: of(s) for name, of in metrics.items()} for s in steps], 0, 0)


@pytest.mark.parametrize("count", [1, 2, 99, 100])
def test_few_values_are_all_kept(count):
    assert thinned(np.zeros(count), 100).tolist() == list(range(count))


@pytest.mark.parametrize("count", [101, 1000, 1001, 99_999])
def test_of_many_values_the_ends_and_every_spike_are_kept(count):
    values = np.random.default_rng(0).normal(size=count)
    spikes = np.linspace(3, count - 3, 20).astype(int)
    values[spikes[::2]], values[spikes[1::2]] = 50.0, -50.0
    kept = thinned(values, 100)
    assert len(kept) <= 100
    assert (np.diff(kept) > 0).all()
    assert {0, count - 1} <= set(kept.tolist())
    assert values[kept].max() == 50.0
    assert values[kept].min() == -50.0


def test_a_stretch_keeps_its_own_smallest_and_largest_number():
    values = np.tile([0.0, 1.0, -1.0, 0.5], 500)
    shown = values[thinned(values, 100)]
    assert (shown == 1.0).sum() == (shown == -1.0).sum() == 49


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_kept_as_a_gap_and_hides_no_other(value):
    values = np.zeros(10_000)
    values[5000], values[5003] = value, 7.0
    kept = thinned(values, 100)
    assert {5000, 5003} <= set(kept.tolist())


def test_nothing_but_nan_is_thinned_too():
    assert 2 <= len(thinned(np.full(10_000, math.nan), 100)) <= 150


def test_every_metric_has_a_panel_and_every_run_its_own():
    logs = {
        "a": log(3, loss=lambda s: 2.0, grad_norm=lambda s: 1.0, seconds=lambda s: 9.0, words=lambda s: "x"),
        "b": log(2, split="test", mean_average_precision=lambda s: 0.25, mean_class_accuracy=lambda s: 0.5),
    }
    found = panels(logs)
    assert [panel["metric"] for panel in found.panels] == [
        "loss",
        "mean_average_precision",
        "grad_norm",
        "mean_class_accuracy",
    ]
    first, second, _, fourth = found.panels
    assert [(line["run"], line["split"], line["x"]) for line in first["lines"]] == [("a", "train", [1, 2, 3])]
    assert (second["lines"][0]["y"], fourth["lines"][0]["y"]) == ([25.0, 25.0], [50.0, 50.0])
    assert fourth["label"] == "mean class accuracy (%)"
    assert (found.shown, found.logged) == (10, 10)


def test_a_value_that_is_not_finite_breaks_its_line_and_is_valid_json():
    (panel,) = panels({"a": log(4, loss=lambda s: math.nan if s == 2 else math.inf if s == 3 else 1.0)}).panels
    (line,) = panel["lines"]
    assert (line["y"], line["broken"]) == ([1.0, None, None, 1.0], 2)
    json.dumps(panel, allow_nan=False)


@pytest.mark.parametrize(
    ("last", "is_log"), [(1e-3, True), (0.5, False), (0.0, False), (-1.0, False), (math.nan, False), (math.inf, False)]
)
def test_a_loss_that_falls_far_has_a_logarithmic_axis(last, is_log):
    (panel,) = panels({"a": log(2, loss=lambda s: 2.0 if s == 1 else last)}).panels
    assert panel["log"] is is_log


def test_a_long_log_is_thinned_and_counted():
    found = panels({"a": log(30_000, loss=lambda s: 90.0 if s == 777 else 1.0 + s % 7, accuracy=lambda s: 0.5)})
    assert found.logged == 60_000
    assert found.most == MOST_POINTS
    loss, accuracy = (panel["lines"][0] for panel in found.panels)
    assert max(loss["y"]) == 90.0
    assert loss["logged"] == 30_000
    assert found.shown == len(loss["x"]) + len(accuracy["x"]) <= 2 * MOST_POINTS


def test_many_lines_have_fewer_points_each(monkeypatch):
    monkeypatch.setattr(lines, "ALL_POINTS", 1000)
    found = panels({name: log(500, loss=lambda s: 1.0 * s) for name in "abcde"})
    assert found.most == 200
    assert found.shown <= 1000


def test_a_number_too_large_for_a_float_is_not_finite():
    (panel,) = panels({"a": log(2, loss=lambda s: 10**400 if s == 2 else 1)}).panels
    assert panel["lines"][0]["y"] == [1.0, None]
