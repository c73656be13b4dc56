"""The paper's tables as data: every published number, every config, and what the counts come to."""

import re
from pathlib import Path

import pytest

from configs import audioset, imagenet, imagenet_baselines, modelnet40, modelnet40_baselines
from experiments import tables
from experiments.reproduction.costs import MACHINES, cost_of
from experiments.reproduction.filling import agrees
from experiments.reproduction.points import config_of, key_of, made
from perceiver_jax.errors import Code, Failure
from perceiver_jax.section import of_stream

ROOT = Path(__file__).parents[1]
PAGES = {"1": 4, "2": 5, "3": 8, "4": 9, "5": 16, "6": 16, "7": 17, "fig4": None, "fig5": 17, "fig6": 18, "bands": None}
# Typed once more from the paper: what its tables print, row by row.
SCORES = {
    "1": [77.6, 77.9, 73.5, 76.7, 57.0, 78.0],
    "2": [73.5, 39.4, 76.7, 61.7, 57.0, 57.0, 78.0, 78.0, 70.9, 70.9],
    "3": [
        *(31.4, 32.7, 36.0, 38.0, 43.1, 37.5),
        *(32.4, 18.8, 41.8),
        *(38.4, 25.7, 46.2),
        *(38.3, 25.8, 43.5),
        *(38.4, 25.8, 43.2),
        44.2,
        *(39.7, 39.9),  # of the text
    ],
    "4": [91.9, 66.3, 78.9, 73.4, 65.3, 59.6, 82.1, 85.7],
    "5": [39.4, 45.3, "OOM"],
    "6": [76.7, 76.7, 76.7, 76.5, 75.9, 76.5, 73.7, 78.0],
    "7": [72.9, 87.7, 78.0, 79.5],
}
COUNTS = {
    "5": [("12.7M", "173.1B"), ("23.8M", "346.1B"), ("34.9M", "519.2B")],
    "6": [
        *(("41.1M", "404.3B"), ("42.1M", "404.3B")),
        *[("44.9M", "447.6B")] * 2,
        *[("44.9M", "534.1B")] * 2,
        *[("44.9M", "707.2B")] * 2,
    ],
    "7": [("326.2M", "707.2B")] * 2 + [("44.9M", "707.2B")] * 2,
}
TABLES = {name: tables.load(name) for name in PAGES}
each_table = pytest.mark.parametrize("name", PAGES)
each_study = pytest.mark.parametrize(
    "study", [study for table in TABLES.values() for study in (table.full, table.small)], ids=lambda study: study.title[:40]
)


def test_every_table_and_figure_of_results_is_here():
    assert {name: tables.load(name).page for name in tables.names()} == PAGES


@each_table
def test_the_scores_are_the_papers(name):
    printed = [row.paper for row in TABLES[name].full.rows]
    assert printed == SCORES.get(name, [None] * len(printed))  # figures print none


@each_table
def test_the_counts_are_the_papers_as_printed(name):
    printed = [(row.parameters, row.flops) for row in TABLES[name].full.rows]
    assert printed == COUNTS.get(name, [("", "")] * len(printed))


@pytest.mark.parametrize("name", ["5", "7"])  # table 6 is in test_reproduce.py
def test_what_is_counted_rounds_to_what_the_paper_prints(name):
    study = TABLES[name].full
    costs = {one.point.name: cost_of(one.problem) for one in made(study.points(), None)}
    for row in study.rows:
        cost = costs[row.point.name]
        assert agrees(cost.parameters, row.parameters)
        assert agrees(cost.flops, row.flops)


@pytest.mark.parametrize(("count", "printed"), [(44_949_999, "44.9M"), (44_850_001, "44.9M"), (707_249_999_999, "707.2B")])
def test_counts_agree_to_the_digit_printed(count, printed):
    assert agrees(count, printed)


@pytest.mark.parametrize(("count", "printed"), [(44_950_001, "44.9M"), (44_849_999, "44.9M"), (44_900_000, "44.9B")])
def test_counts_that_round_to_another_number_do_not_agree(count, printed):
    assert not agrees(count, printed)


def test_the_receptive_fields_of_table_2_are_the_papers():
    fields = [row.more["input RF"] for row in TABLES["2"].full.rows]
    assert fields == [49, 49, 256, 256, 4_096, 4_096, 50_176, 50_176, 50_176, 50_176]


def test_every_variant_of_the_papers_configs_is_a_row():
    """But for Perceiver IO's, the balanced part of AudioSet, and the figures' bases, which are rows without changes."""
    rows = {row.point.config for table in TABLES.values() for row in table.full.rows if row.point is not None}
    files = (imagenet, imagenet_baselines, audioset, modelnet40, modelnet40_baselines)
    variants = {f"{file.__name__.removeprefix('configs.')}:{name}" for file in files for name in file.VARIANTS}
    assert rows <= variants
    assert {name for name in variants - rows if "balanced" not in name} == {"imagenet:io"}


@each_study
def test_every_config_is_whole_and_no_two_points_are_one_by_mistake(study):
    """Some rows are one network on purpose: a single cross-attend, and the Perceiver of shuffled inputs."""
    keys = [key_of(config_of(point)) for point in study.points()]
    names = [point.name for point in study.points()]
    assert len(set(names)) == len(names)
    assert len(keys) - len(set(keys)) <= 1


@each_table
def test_small_studies_are_of_other_data_have_seeds_and_no_number_of_the_papers(name):
    full, small = TABLES[name].full, TABLES[name].small
    kinds = [{config_of(point).data.kind for point in study.points()} for study in (full, small)]
    if name == "3":  # in AudioSet's own layout
        kinds[1] = {point.config.partition(":")[0] for point in small.points()}
    assert not kinds[0] & kinds[1]
    assert small.seeds == (0, 1, 2)
    assert {(row.paper, row.parameters, row.flops) for row in small.rows} == {(None, "", "")}


@pytest.mark.parametrize("name", ["1", "2", "5", "6", "fig5", "fig6"])
def test_small_runs_of_a_kind_see_the_same_examples_under_the_same_recipe(name):
    """But for the Transformer of all inputs, which gets as many FLOPs, not as many examples."""
    configs = [config_of(point) for point in TABLES[name].small.points()]
    configs = [c for c in configs if c.model.kind != "transformer"]
    same = {(str(c.data), str(c.augment), str(c.optim), str(c.train), str(c.task)) for c in configs}
    assert len(same) == 1


@pytest.mark.parametrize("given", ["6", "table6", "Table 6", " 6 "])
def test_a_table_is_found_by_what_one_would_call_it(given):
    assert tables.known(given) == "6"
    assert tables.known("Figure 5") == "fig5"


@pytest.mark.parametrize(("given", "near"), [("fig7", "fig6"), ("8", ""), ("", ""), ("fig 55", "fig5"), ("six\n", "")])
def test_a_table_that_is_not_there_is_refused_with_those_that_are(given, near):
    with pytest.raises(Failure, match="no table") as failure:
        tables.known(given)
    assert failure.value.code == Code.CONFIG
    assert failure.value.expected == "one of 1, 2, 3, 4, 5, 6, 7, bands, fig4, fig5, fig6"
    assert failure.value.hint == (f"--table {near}" if near else "")
    assert "\n" not in failure.value.what


def test_hours_are_three_forward_passes_of_every_example_at_the_assumed_rate():
    """The paper's best model: 707.2 GFLOPs, 120 epochs of 1,281,167 pictures: 3.3e20, 229 hours at 396 TFLOP/s."""
    (one,) = [one for one in made(TABLES["7"].full.points(), None) if one.point.config == "imagenet:table7_shared"]
    cost = cost_of(one.problem)
    assert cost.training_flops == pytest.approx(3 * 707_197_648_896 * 120 * 1_281_167, rel=1e-5)
    assert MACHINES["full"].hours(cost.training_flops) == pytest.approx(229, abs=0.5)


def test_a_transformer_of_all_pixels_gets_the_flops_of_the_perceivers_epoch():
    *_, transformer, perceiver = (one for one in made(TABLES["1"].small.points(), None))
    flops = [one.config.model.paper_flops(one.problem.inputs, 10) for one in (transformer, perceiver)]
    examples = [one.problem.num_steps * one.config.data.batch_size for one in (transformer, perceiver)]
    assert flops[0] * examples[0] == pytest.approx(flops[1] * examples[1], rel=0.05)


def test_the_docs_example_of_a_table_is_one():
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/reproducing.md").read_text(), re.DOTALL)
    made_by: dict = {}
    exec(block, made_by)
    positions = [of_stream(config_of(point).model.positions, "image") for point in made_by["TABLE"].full.points()]
    assert [one.num_bands for one in positions] == [8, 4]
