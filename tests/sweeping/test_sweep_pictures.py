"""The summary of a sweep goes by what its points differ in: axes, places along them, the picture that fits."""

import math

import pytest

from experiments.sweeping import pictures, summary
from experiments.sweeping.axes import chained, fixed, product, seeds, sweep, zipped
from experiments.sweeping.groups import axes_of, groups_of, scored_splits
from experiments.sweeping.points import Base, points_of
from experiments.sweeping.run import Outcome

LATENTS = sweep("model.num_latents", [16, 4])
SCALES = sweep("model.latent_init_scale", [0.1, 1.0])
KINDS = sweep("optim.kind", ["lamb", "adamw"])
FOURIER = {"kind": "fourier", "num_bands": 8, "max_resolution": (8.0, 8.0)}
POSITIONS = sweep("model.positions", [FOURIER, {"kind": "learned", "channels": 34, "init_scale": 1.0}])


def outcomes(settings, tmp_path, missing=()):
    """Points whose test accuracies are 0.0, 0.1, ... but for those that have not come to their end."""
    points = points_of(Base("configs/digits.py", {}, False), settings, tmp_path, pytest.fail, [])
    results = [{"step": 1, "metrics": {"train": {}, "test": {"accuracy": i / 10}}} for i in range(len(points))]
    return [
        Outcome(point, "failed" if i in missing else "done", result=None if i in missing else results[i])
        for i, point in enumerate(points)
    ]


def drawn(monkeypatch, tmp_path, settings, missing=()):
    """The names of the pictures, and what each was drawn from."""
    found = {}
    for name in ("lines", "grid", "parallel"):
        monkeypatch.setattr(pictures, f"draw_{name}", lambda *given, name=name: found.setdefault(name, given))
    given = outcomes(settings, tmp_path, missing)
    axes = axes_of(given)
    paths = pictures.draw(tmp_path, axes, groups_of(given, axes))
    assert [path.stem for path in paths] == list(found)
    return found


def test_one_axis_with_seeds_is_a_line(monkeypatch, tmp_path):
    found = drawn(monkeypatch, tmp_path, product(LATENTS, seeds(2)), missing=[3])
    (((axis, scores),), *_, title, metric) = found["lines"]
    assert (axis.name, axis.values) == ("model.num_latents", (4, 16))  # numbers rise
    assert scores == {"test": [[0.2], [0.0, 0.1]]}
    assert (title, metric) == (tmp_path.name, "accuracy")


def test_one_setting_at_a_time_is_a_line_each(monkeypatch, tmp_path):
    """As figures 5 and 6; fields that change together are one axis, and the base is part of each."""
    both = zipped(sweep("model.num_cross_attends", [1, 3]), sweep("model.num_blocks", [1, 3]))
    found = drawn(monkeypatch, tmp_path, chained(fixed({}), LATENTS[1:], both))
    panels = found["lines"][0]
    assert [(axis.label, axis.values, scores["test"]) for axis, scores in panels] == [
        ("num latents", (4, 16), [[0.1], [0.0]]),
        ("num cross attends, num blocks", (1, 2, 3), [[0.2], [0.0], [0.3]]),
    ]


def test_fields_that_all_points_differ_in_are_an_axis_each(tmp_path):
    """As in a search, unless their values are the same."""
    rates = sweep("optim.learning_rate", [0.1, 0.2, 0.3])
    decays = sweep("optim.weight_decay", [0.3, 0.1, 0.2])
    both = zipped(sweep("model.num_cross_attends", [1, 2, 4]), sweep("model.num_blocks", [1, 2, 4]))
    axes = axes_of(outcomes(zipped(rates, decays, both), tmp_path))
    assert [(axis.name, axis.values, axis.with_it) for axis in axes] == [
        ("optim.learning_rate", (0.1, 0.2, 0.3), ()),
        ("optim.weight_decay", (0.1, 0.2, 0.3), ()),
        ("model.num_cross_attends", (1, 2, 4), ("model.num_blocks",)),
    ]


def test_two_axes_are_a_grid(monkeypatch, tmp_path):
    found = drawn(monkeypatch, tmp_path, product(LATENTS, POSITIONS), missing=[0])
    x, y, scores, *_, metric = found["grid"]
    assert (x.texts, y.texts, metric) == (["4", "16"], ["fourier", "learned"], "test accuracy")
    assert scores == {(1, 0): [], (1, 1): [0.1], (0, 0): [0.2], (0, 1): [0.3]}


def test_more_axes_are_parallel_coordinates(monkeypatch, tmp_path):
    found = drawn(monkeypatch, tmp_path, product(LATENTS, SCALES, KINDS))
    axes, scores, *_ = found["parallel"]
    assert [axis.name for axis in axes] == ["model.num_latents", "model.latent_init_scale", "optim.kind"]
    assert scores[1, 0, 1] == [0.1]
    assert len(scores) == 8


def test_two_axes_of_which_few_places_are_taken_are_no_grid(monkeypatch, tmp_path):
    """As those that a search has tried."""
    settings = [{"model.num_latents": 4 + i, "optim.learning_rate": 0.1 / (i + 1)} for i in range(6)]
    settings[0]["model.num_latents"] = 5
    assert list(drawn(monkeypatch, tmp_path, settings)) == ["parallel"]


def test_variants_are_an_axis(tmp_path):
    given = outcomes(product(sweep("config", ["configs/digits.py", "configs/mnist5k.py:quickstart"]), seeds(1)), tmp_path)
    (axis,) = axes_of(given)
    assert axis.values == ("configs/digits.py", "quickstart")


@pytest.mark.parametrize(("settings", "missing"), [(seeds(2), []), (LATENTS, [0, 1])])
def test_what_has_nothing_to_show_is_no_picture(monkeypatch, tmp_path, settings, missing):
    assert drawn(monkeypatch, tmp_path, settings, missing) == {}
    assert scored_splits([]) == []


def test_a_score_that_is_not_finite_is_counted_and_takes_no_other_with_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(pictures, "draw", lambda *_: [])
    given = outcomes(product(LATENTS, seeds(2)), tmp_path)
    for outcome in given:
        outcome.result.update(parameters=1, flops_per_example=1)
    given[3].result["metrics"]["test"]["accuracy"] = math.nan
    summary.report(tmp_path, given)
    page = (tmp_path / "summary.md").read_text()
    assert "| 2 | 0.2000, 1 not finite |" in page
    assert "## Without a score\n\n- `num_latents=4,seed=1`: test accuracy nan\n" in page
    assert "0.2000, 1 not finite" in capsys.readouterr().out
