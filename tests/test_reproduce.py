"""A table is filled by the runs that are its rows, and by no other; what is empty says how to fill it."""

import ast
import csv
import functools
import io
import json
import math
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from experiments import tables
from experiments.reproduction import costs, launching, points, sheet
from experiments.reproduction.filling import Filled
from experiments.reproduction.launching import runs_of
from experiments.reproduction.points import Made, as_overrides, config_of, key_of
from perceiver_jax import command
from perceiver_jax.data.sources import Contents
from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.settings import files, overrides
from perceiver_jax.settings.config import parse
from perceiver_jax.training import manifest
from tests.door import fresh_flags
from tests.launch import SMALL as SMALL_RUN
from tests.pastruns import ROW, finish

ROOT = Path(__file__).parents[1]
SMALL = ("--table", "5", "--scale", "small")


def not_counted(problem):
    """A cost without its parameters, which take the longest to count."""
    return costs.Cost(0, problem.config.model.paper_flops(problem.inputs, 10), 64, 1.0)


@functools.cache
def config_once(config, changes, data_dir):
    """The config of a point, read once for all tests."""
    return config_of(tables.Point(config, ast.literal_eval(changes)), data_dir)


@pytest.fixture
def reproduce(monkeypatch, capsys):
    """Runs `experiments.reproduce` in this process: its exit code and what it prints on stdout and stderr."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sheet, "cost_of", not_counted)
    monkeypatch.setattr(
        points, "config_of", lambda one, data_dir: config_once(one.config, repr(dict(one.changes)), data_dir)
    )

    def reproduce(*arguments):
        monkeypatch.setattr(sys, "argv", ["reproduce", *map(str, arguments)])
        with fresh_flags():
            main = runpy.run_module("experiments.reproduce", run_name="reproduce_under_test")["main"]
            with pytest.raises(SystemExit) as end:
                command.run(main)
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return reproduce


@pytest.fixture
def filled(reproduce):
    """The table as JSON, and what is noted on stderr."""

    def filled(*arguments):
        code, out, err = reproduce(*arguments, "--format", "json")
        assert code == 0
        return json.loads(out), err

    return filled


def rows_of(table):
    return {(row["row"], row["column"]): row for row in table["rows"]}


# What is counted, and what is missing


def test_an_empty_table_has_the_papers_figures_its_costs_and_commands(reproduce, monkeypatch):
    monkeypatch.setattr(sheet, "cost_of", costs.cost_of)
    code, out, err = reproduce("--table", "6")
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.lstrip().startswith("1 (at start) ")]
    assert re.search(r"42,135,859 +41\.1M +404\.3 +404\.3B .* 76\.7 +- +imagenet:table6_at_start_1$", line)
    assert "15 of 16 counts are as the paper prints them, but for 1 (at start): parameters" in out
    assert "assumed 40 %" in out
    assert "--config configs/imagenet.py:table6_at_start_2 --workdir runs/table6/" in out
    assert "python -m experiments.reproduce --table 6 --workdir runs --run\n" in out


def test_models_of_others_are_named_as_such_and_need_no_run(filled):
    table, _ = filled("--table", "4")
    row = rows_of(table)["PointNet++", ""]
    assert (row["whose"], row["paper"], row["config"], row["missing"]) == ("others", 91.9, None, [])
    assert "Qi et al." in row["note"]
    assert all(row["whose"] == "this paper's" and row["missing"] for row in table["rows"][1:])


def commands():
    """A point of every config and of every field that a study changes."""
    found = {}
    for name in tables.names():
        for study in (tables.load(name).full, tables.load(name).small):
            for point in study.points():
                found.setdefault((point.config, tuple(point.changes)), point)
    return found.values()


@pytest.mark.parametrize("point", commands(), ids=lambda point: point.name)
def test_each_command_trains_its_row(point):
    """Read as the command line would."""
    wanted = config_of(point)
    (one,) = runs_of(Filled(tables.Row("", point), Made(point, wanted, None)), [7], None)
    words = shlex.split(one.command(Path("runs")))
    assert words[:3] == ["python", "-m", "experiments.train"]
    path, _, variant = words[words.index("--config") + 1].partition(":")
    values = files.load_config(ROOT / path, variant)
    given = [word.removeprefix("--config.").partition("=") for word in words if word.startswith("--config.")]
    overrides.apply(values, {field: overrides.read(text) for field, _, text in given})
    assert (key_of(parse(values)), parse(values).seed) == (key_of(wanted), 7)


def test_small_studies_say_that_they_are_not_the_papers_and_have_none_of_its_numbers(reproduce):
    code, out, _ = reproduce(*SMALL)
    assert code == 0
    assert out.startswith("The question of table 5 in small, not to be compared with the paper's numbers: Fashion-MNIST")
    assert "39.4" not in out
    assert "173.1" not in out
    assert "paper" not in out.split("\n", 1)[1]


def test_data_elsewhere_are_in_the_commands(filled, tmp_path):
    table, _ = filled("--table", "4", "--scale", "small", "--data_dir", tmp_path / "kicad")
    assert all(f"--config.data.data_dir={tmp_path}/kicad" in one for row in table["rows"] for one in row["missing"])
    assert {row["parameters"] for row in table["rows"]} == {None}  # the number of classes is not known


# What fills a row


def test_runs_of_all_seeds_fill_their_row_with_mean_spread_and_what_they_saw(filled, tmp_path):
    for seed, accuracy in enumerate((0.80, 0.82, 0.87)):
        finish(tmp_path / f"deep/inside/{seed}", seed=seed, accuracy=accuracy)
    table, err = filled(*SMALL, "--workdir", tmp_path)
    row, *others = table["rows"]
    assert err == ""
    assert row["scores"] == pytest.approx([80, 82, 87])
    assert (row["ours"], row["spread"]) == (pytest.approx(83), pytest.approx(math.sqrt(13)))
    assert (row["seeds"], row["missing"], row["runs_of_other_code"]) == ([0, 1, 2], [], 0)
    assert row["epochs"] == pytest.approx(1, abs=0.001)
    assert (row["train_examples"], row["test_examples"], row["seconds"]) == (60_000, 10_000, 7)
    assert all(other["ours"] is None and len(other["missing"]) == 3 for other in others)


def test_a_seed_that_is_missing_has_its_command(filled, tmp_path):
    finish(tmp_path / "a", seed=1)
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    first, second = table["rows"][0]["missing"]
    assert "--config.seed" not in first
    assert first.startswith("python -m experiments.train --config configs/fashion_mnist.py --workdir " + str(tmp_path))
    assert second.endswith("--config.seed=2")
    assert (table["rows"][0]["spread"], table["rows"][0]["seeds"]) == (None, [1])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model__num_latents": 16}, "model.num_latents 16, not 32"),
        ({"optim__learning_rate": 0.001}, "optim.learning_rate 0.001, not 0.005"),
        ({"train__duration": "2 epochs"}, 'train.duration "2 epochs", not "1 epochs"'),
        ({"views__num_evaluation": 1, "model__compute_dtype": "bfloat16"}, 'model.compute_dtype "bfloat16", not "float32"'),
    ],
    ids=str,
)
def test_a_run_of_other_settings_fills_no_row_and_is_told(filled, tmp_path, changes, told):
    finish(tmp_path / "a", **changes)
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert [row["ours"] for row in table["rows"]] == [None] * 3
    assert table["fill_no_row"] == [f"{tmp_path}/a: as fashion_mnist but for {told}"]


def test_a_tiny_run_fills_no_row(filled, tmp_path):
    shrunk = {"model__num_latents": 8, "data__batch_size": 8, "train__duration": "6 steps"}
    finish(tmp_path / "a", words=("--config", "configs/fashion_mnist.py", "--tiny"), **shrunk)
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert [row["ours"] for row in table["rows"]] == [None] * 3
    (told,) = table["fill_no_row"]
    assert "but for --tiny, " in told


def test_where_data_are_workers_and_devices_make_no_difference(filled, tmp_path):
    same = {"data__data_dir": "/elsewhere", "data__num_workers": 3, "train__log_every": "7 steps", "model__remat": "layer"}
    finish(tmp_path / "a", **same, mesh__model=2)
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["seeds"] == [0]


def test_other_views_of_an_evaluation_are_other_settings(filled, tmp_path):
    """They may change between the launches of a run."""
    point = tables.load("3").full.rows[-1].point
    finish(tmp_path / "a", point, views__num_evaluation=1, result={"metrics": {"test": {"mean_average_precision": 0.5}}})
    table, _ = filled("--table", "3", "--workdir", tmp_path)
    assert {row["ours"] for row in table["rows"]} == {None}
    assert "views.num_evaluation 1, not 16" in table["fill_no_row"][0]


def test_a_run_that_began_with_the_parameters_of_another_fills_no_row(filled, tmp_path):
    workdir = finish(tmp_path / "a")
    workdirs.write_origin(workdir, workdirs.Origin("/runs/other", 7, "s"))
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["ours"] is None
    assert table["fill_no_row"] == [f"{tmp_path}/a: began with the parameters of /runs/other"]


def test_a_run_of_fewer_classes_fills_no_row(filled, tmp_path):
    finish(tmp_path / "a", classes=("coat", "shirt"))
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["ours"] is None
    assert table["fill_no_row"] == [f"{tmp_path}/a: its data have 2 classes, not 10"]


def test_a_run_on_part_of_the_data_says_how_much(reproduce, tmp_path):
    classes = config_of(ROW).source().contents().classes
    finish(tmp_path / "a", contents=Contents(classes, {"train": 6_000, "test": 500}))
    _, out, _ = reproduce(*SMALL, "--workdir", tmp_path)
    assert "1.003 x 6,000 of 60,000, tested on 500 of 10,000" in out


def test_runs_on_other_data_are_not_in_one_mean(filled, tmp_path):
    classes = config_of(ROW).source().contents().classes
    finish(tmp_path / "part", contents=Contents(classes, {"train": 6_000, "test": 10_000}), seed=1)
    finish(tmp_path / "whole")
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["seeds"] == [0]
    (told,) = table["fill_no_row"]
    assert told == f"{tmp_path}/part: on other data: 6,000 training examples, the other runs of its row 60,000"


def test_one_cross_attend_at_the_start_is_one_interleaved(filled, tmp_path):
    """The same network: a run fills both rows, whichever it was launched as."""
    at_start, interleaved, *_ = tables.load("6").small.rows
    finish(tmp_path / "a", at_start.point, accuracy=0.5)
    table, _ = filled("--table", "6", "--scale", "small", "--workdir", tmp_path)
    rows = rows_of(table)
    assert rows[at_start.name, ""]["ours"] == rows[interleaved.name, ""]["ours"] == 50
    assert rows["2 (at start)", ""]["ours"] is None


def test_what_data_that_are_gone_were_is_known_from_a_run(filled, tmp_path):
    point = tables.load("4").small.rows[-2].point
    classes = tuple(map(str, range(30)))
    finish(tmp_path / "a", point, contents=Contents(classes, {"train": 2_343, "test": 913}))
    table, _ = filled("--table", "4", "--scale", "small", "--workdir", tmp_path)
    *_, row, plain = table["rows"]
    assert row["flops_per_example"] == pytest.approx(26.7e6, rel=0.01)
    assert (row["ours"], row["train_examples"], row["published_train_examples"]) == (pytest.approx(80), 2_343, None)
    assert plain["flops_per_example"] is None


def test_data_in_the_form_of_a_published_set_are_not_that_set(filled, tmp_path):
    """Mixtures are in AudioSet's form, which where no data are has 527 classes."""
    point = tables.load("3").small.rows[0].point
    contents = Contents(tuple(map(str, range(25))), {"train": 3_000, "test": 1_000})
    finish(tmp_path / "a", point, contents=contents, result={"metrics": {"test": {"mean_average_precision": 0.25}}})
    table, _ = filled("--table", "3", "--scale", "small", "--workdir", tmp_path)
    assert (table["rows"][0]["ours"], table["rows"][0]["published_train_examples"]) == (pytest.approx(25), None)


def test_rows_of_other_tables_are_not_told(filled, tmp_path):
    finish(tmp_path / "a", tables.load("fig6").small.rows[3].point)
    finish(tmp_path / "b", tables.load("6").small.rows[4].point)
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert table["fill_no_row"] == []


def test_table_7_has_the_scores_of_both_splits_of_a_run(filled, tmp_path):
    finish(tmp_path / "a", tables.load("7").small.rows[0].point, accuracy=0.6)
    table, _ = filled("--table", "7", "--scale", "small", "--workdir", tmp_path)
    rows = rows_of(table)
    assert rows["No weight sharing", "valid"]["ours"] == pytest.approx(60)
    assert rows["No weight sharing", "train"]["ours"] == pytest.approx(90)


def test_a_best_score_that_is_no_number_is_told(filled, tmp_path):
    point = tables.load("4").full.rows[-1].point
    contents = Contents(tuple(map(str, range(40))), {"train": 9_843, "test": 2_468})
    for seed, best in enumerate((0.9, math.nan)):
        finish(
            tmp_path / f"{seed}",
            point,
            contents=contents,
            result={"best_by_test": {"step": 5, "test": {"accuracy": best}}},
            seed=seed,
        )
    table, err = filled("--table", "4", "--workdir", tmp_path)
    assert table["rows"][-1]["best_by_test"] == pytest.approx(90)
    assert f"note: {tmp_path}/1 has no number as its best of the test split, and no part in that mean\n" in err


def test_table_4_also_has_the_best_by_test_as_the_authors_chose(filled, tmp_path):
    classes = tuple(map(str, range(40)))
    contents = Contents(classes, {"train": 9_843, "test": 2_468})
    best = {"best_by_test": {"step": 500, "test": {"accuracy": 0.9}}}
    finish(tmp_path / "a", tables.load("4").full.rows[-1].point, contents=contents, result=best)
    table, _ = filled("--table", "4", "--workdir", tmp_path)
    row = rows_of(table)["Perceiver", ""]
    assert (row["paper"], row["ours"], row["best_by_test"]) == (85.7, pytest.approx(80), pytest.approx(90))


# What is wrong with runs


def test_runs_of_another_version_of_the_code_are_marked(reproduce, filled, tmp_path):
    finish(tmp_path / "a", code="0.1.9, sources 0123456789abcdef")
    finish(tmp_path / "b", seed=1)
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["runs_of_other_code"] == 1
    _, out, _ = reproduce(*SMALL, "--workdir", tmp_path)
    assert "80.0 +- 0.0 *" in out
    assert "*: trained by another version of the code, 0.1.9, sources 0123456789abcdef; this one is" in out


def test_a_run_whose_checkpoints_are_gone_is_of_unknown_code(reproduce, tmp_path):
    workdir = finish(tmp_path / "a")
    (step,) = workdir.checkpoints.iterdir()
    (step / manifest.MANIFEST).write_text("{")
    _, out, _ = reproduce(*SMALL, "--workdir", tmp_path)
    assert "80.0 *" in out
    assert "another version of the code, unknown;" in out


def test_a_seed_counts_once_the_run_of_this_code_first(filled, tmp_path):
    finish(tmp_path / "a", accuracy=0.1, code="other")
    finish(tmp_path / "b", accuracy=0.9)
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["scores"] == pytest.approx([90])
    assert table["fill_no_row"] == [f"{tmp_path}/a: seed 0 of its row is {tmp_path}/b"]


@pytest.mark.parametrize("score", [math.nan, math.inf, None])
def test_a_run_without_a_score_hides_no_other_of_its_seed(filled, tmp_path, score):
    finish(tmp_path / "a", accuracy=score)
    finish(tmp_path / "b", accuracy=0.9, code="other")
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["scores"] == pytest.approx([90])


@pytest.mark.parametrize("score", [math.nan, math.inf, None])
def test_scores_that_are_no_numbers_are_left_out_and_told(filled, tmp_path, score):
    finish(tmp_path / "a", accuracy=score)
    finish(tmp_path / "b", seed=1)
    table, err = filled(*SMALL, "--workdir", tmp_path)
    assert (table["rows"][0]["seeds"], table["rows"][0]["scores"]) == ([1], pytest.approx([80]))
    assert f"note: left out {tmp_path}/a: its accuracy of split test is " in err


@pytest.mark.parametrize(
    "result",
    [
        "{",
        '{"step": 1}',
        '{"step": "9", "metrics": {}}',
        '{"step": 938, "metrics": 3}',
        '{"step": 938, "metrics": {"test": 1, "train": []}}',
        '{"step": 938, "metrics": {"test": {"accuracy": "high"}}}',
        '{"step": 938, "metrics": {"test": {"accuracy": 0.5}}, "best_by_test": {"test": 3}}',
    ],
)
def test_a_damaged_result_is_named_and_the_others_are_there(filled, tmp_path, result):
    finish(tmp_path / "a").result.write_text(result)
    finish(tmp_path / "b", seed=1)
    table, err = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["seeds"] == [1]
    assert f"note: left out {tmp_path}/a: " in err


def test_a_run_without_its_problem_is_named(filled, tmp_path):
    finish(tmp_path / "a").problem.unlink()
    table, err = filled(*SMALL, "--workdir", tmp_path)
    assert table["rows"][0]["ours"] is None
    assert "problem.json: is missing" in err


def test_runs_under_way_are_named_and_still_missing(filled, tmp_path):
    workdir = finish(tmp_path / "a")
    workdir.result.unlink()
    workdir.metrics.write_text('{"step": 100, "split": "train", "loss": 2.5}\n')
    finish(tmp_path / "b", seed=1, result={"step": 5})
    table, _ = filled(*SMALL, "--workdir", tmp_path)
    row = table["rows"][0]
    assert row["begun"] == [f"{tmp_path}/a: at step 100", f"{tmp_path}/b: at step 5 of 938"]
    assert (row["ours"], len(row["missing"])) == (None, 3)


# How it is shown


def test_formats_are_read_back(reproduce, tmp_path):
    finish(tmp_path / "a|b", accuracy=0.5)
    shown = {form: reproduce(*SMALL, "--workdir", tmp_path, "--format", form)[1] for form in ("csv", "json", "markdown")}
    rows = json.loads(shown["json"])["rows"]
    read = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert [row["row"] for row in read] == [row["row"] for row in rows] == ["1", "2", "4"]
    assert [float(row["ours"]) if row["ours"] else None for row in read] == [50.0, None, None]
    assert read[0].keys() == rows[0].keys()
    first = shown["markdown"].split("\n\n")[1]
    lines = first.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert {len(line) for line in cells} == {len(cells[0])}
    assert (cells[0][:2], cells[2][0], cells[2][cells[0].index("ours")]) == (["row", "parameters"], "1", "50.0")


# What is wrong with the command


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "--table is missing"),
        (
            ("--table", "fig7"),
            2,
            "no table 'fig7'\n  expected: one of 1, 2, 3, 4, 5, 6, 7, bands, fig4, fig5, fig6\n  try: --table fig",
        ),
        (("--table", "6", "--workdir", "/nowhere/at/all"), 6, "no directory of runs at /nowhere/at/all"),
        (("--table", "6", "--run"), 2, "--workdir is missing"),
        (("--table", "6", "--processes", "2"), 2, "--processes says how runs are launched, and none is\n  try: --run"),
        (("--table", "6", "--scale", "medium"), 2, "medium"),
        (("--table", "6", "--format", "html"), 2, "html"),
    ],
)
def test_a_wrong_command_ends_with_a_message(reproduce, arguments, code, told):
    ended, out, err = reproduce(*arguments)
    assert (ended, out) == (code, "")
    assert err.startswith(f"error[{code}] ")
    assert told in err


def test_a_directory_without_runs_is_said_to_be(reproduce, tmp_path):
    code, out, _ = reproduce(*SMALL, "--workdir", tmp_path)
    assert code == 0
    assert f"no run below {tmp_path}\n" in out


# Filling it


@pytest.fixture
def launched(monkeypatch):
    """The runs that a sweep is asked for, none of which is made: their configs and changes, and where."""
    asked = []

    def run_points(points, workdir, launcher, stop, origin, given, tiny, names):
        asked.append((points, workdir, origin, names))
        return []

    monkeypatch.setattr(launching, "run_points", run_points)
    return asked


def test_run_asks_for_what_is_missing_or_was_made_there_and_for_nothing_else(reproduce, launched, tmp_path):
    """By the directories of the commands that are printed for them."""
    _, out, _ = reproduce(*SMALL, "--workdir", tmp_path, "--format", "json")
    commands = [shlex.split(command) for row in json.loads(out)["rows"] for command in row["missing"]]
    printed = [Path(words[words.index("--workdir") + 1]) for words in commands]
    finish(tmp_path / "elsewhere", seed=1)
    finish(printed[2], seed=2)
    code, out, _ = reproduce(*SMALL, "--workdir", tmp_path, "--run")
    assert code == 0
    ((points, workdir, origin, names),) = launched
    assert [workdir / name for name in names] == [printed[0], *printed[2:]]
    assert (workdir, origin) == (tmp_path / "table5_small", "experiments/tables/table5.py:small")
    assert {spec for spec, _ in points} == {"configs/fashion_mnist.py"}
    seeds = [(changes["model.num_cross_attends"], changes.get("seed", 0)) for _, changes in points]
    assert seeds == [(1, 0), (1, 2), *((count, seed) for count in (2, 4) for seed in (0, 1, 2))]
    assert "The question of table 5 in small" in out


def test_rows_of_one_network_ask_for_one_run(reproduce, launched, tmp_path):
    reproduce("--table", "2", "--workdir", tmp_path / "new", "--run")
    ((points, *_),) = launched
    assert [spec for spec, _ in points].count("configs/imagenet.py:fourier") == 1
    assert "configs/imagenet.py:permuted" not in [spec for spec, _ in points]


def test_a_full_table_launches_nothing(reproduce, launched, tmp_path):
    for number, row in enumerate(tables.load("5").small.rows):
        for seed in (0, 1, 2):
            finish(tmp_path / f"{number}{seed}", row.point, seed=seed)
    code, out, _ = reproduce(*SMALL, "--workdir", tmp_path, "--run")
    assert (code, launched) == (0, [])
    assert "missing" not in out


def test_the_table_is_printed_although_runs_failed(reproduce, monkeypatch, tmp_path):
    def run_points(*_, **__):
        raise Failure(Code.NUMERICS, "1 of 9 runs failed")

    monkeypatch.setattr(launching, "run_points", run_points)
    code, out, err = reproduce(*SMALL, "--workdir", tmp_path, "--run")
    assert code == 5
    assert "1 of 9 runs failed" in err
    assert "The question of table 5 in small" in out


def test_run_fills_a_table_of_ones_own(reproduce, launcher, monkeypatch, tmp_path):
    """With what training itself leaves."""
    words = [word.removeprefix("--config.").partition("=") for word in [*SMALL_RUN, "--config.train.duration=2 steps"]]
    point = tables.Point("digits", {name: overrides.read(text).value for name, _, text in words})

    def run_points(points, workdir, *_, **__):
        for spec, changes in points:
            given = [f"--config.{name}={override.text}" for name, override in as_overrides(changes).items()]
            launcher.finish(workdir / "one", *given, config=spec)
        return []

    monkeypatch.setattr(launching, "run_points", run_points)
    monkeypatch.setattr(tables, "modules", lambda: {"own": "own"})
    monkeypatch.setattr(
        tables, "load", lambda name: tables.Table(tables.Study("digits, accuracy in percent", (tables.Row("one", point),)))
    )
    code, out, err = reproduce("--table", "own", "--workdir", tmp_path, "--run", "--format", "json")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)["rows"]
    assert (row["seeds"], row["missing"], row["runs_of_other_code"], row["train_examples"]) == ([0], [], 0, 1347)
    result = json.loads((tmp_path / "own/one/result.json").read_text())
    assert row["ours"] == pytest.approx(100 * result["metrics"]["test"]["accuracy"])
