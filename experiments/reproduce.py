"""A table of the paper: its figures, ours from finished runs, and how to fill what is empty. Nothing is allocated.

python -m experiments.reproduce --table 6 [--workdir runs/t6] [--run [--processes 2]] [--scale small] [--format markdown]

Tables: 1 to 7, fig5, fig6. `--workdir` is a directory with runs anywhere below it. `--scale small` is the same question on
small data, a table of its own.
"""

from collections.abc import Iterator
from pathlib import Path

from absl import flags

from experiments import tables
from experiments.reproduction.costs import MACHINES, Cost, cost_of
from experiments.reproduction.filling import fill
from experiments.reproduction.launching import launch
from experiments.reproduction.layout import FORMATS, Sheet
from experiments.reproduction.points import Made, made
from experiments.reproduction.survey import Survey, survey
from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.launch import flags as launching
from perceiver_jax.report.progress import note, say
from perceiver_jax.system import disk

_TABLE = flags.DEFINE_string("table", None, "1 to 7, fig5 or fig6.")
_WORKDIR = flags.DEFINE(command.PATH, "workdir", None, "Directory with runs, at any depth; what is missing goes there too.")
_DATA_DIR = flags.DEFINE(command.PATH, "data_dir", None, "Where the data are, if not where the configs say.")
_SCALE = flags.DEFINE_enum("scale", "full", ["full", "small"], "The paper's data, or small ones.")
_FORMAT = flags.DEFINE_enum("format", "text", list(FORMATS), "How the table is printed.")
_RUN = flags.DEFINE_bool("run", False, "Train what is missing, then print the table.")
launching.define_flags("runs")


def main() -> None:
    name = tables.known(command.require("table"))
    if not _RUN.value:
        say(FORMATS[_FORMAT.value](sheet(name)))
        return
    workdir = Path(command.require("workdir"))
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk.unusable(f"workdir {workdir}", workdir, error) from error
    asked = sheet(name)
    launcher = launching.launcher(asked.place / "jobs")
    try:
        launch(asked.rows, asked.place, tables.origin(name, asked.scale), asked.data_dir, launcher)
    finally:
        say(FORMATS[_FORMAT.value](sheet(name)))


def sheet(name: str) -> Sheet:
    """The table as the flags ask for it, filled."""
    table, scale = tables.load(name), _SCALE.value
    study = getattr(table, scale)
    if study is None:
        raise Failure(Code.CONFIG, f"table {name} has no study on small data", hint="without --scale small")
    points = _made(study)
    tree = Path(_WORKDIR.value) if _WORKDIR.value is not None else None
    found = survey(tree, points, lambda: _elsewhere(name), note)
    by_name = {one.point.name: one for one in points}
    costs = {name: _cost(one, found) for name, one in by_name.items()}
    rows = fill(study, by_name, costs, found, note)
    return Sheet(name, table.page, scale, study, rows, found, MACHINES[scale], tree, _DATA_DIR.value)


def _cost(one: Made, found: Survey) -> Cost | None:
    """The cost of a point; where its data are not here, as one of its runs knew them."""
    problems = [one.problem, *(run.problem for run in found.finished[one.key])]
    return next((cost_of(problem) for problem in problems if problem is not None), None)


def _made(study: tables.Study) -> list[Made]:
    return made(study.points(), _DATA_DIR.value)


def _elsewhere(name: str) -> Iterator[Made]:
    """The points of all other studies of the same scale."""
    for other in tables.names():
        study = getattr(tables.load(other), _SCALE.value)
        if other != name and study is not None:
            yield from _made(study)


if __name__ == "__main__":
    command.run(main)
