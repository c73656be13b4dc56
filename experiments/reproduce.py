"""A table of the paper: its figures, ours from finished runs, and how to fill what is empty. Nothing is allocated.

python -m experiments.reproduce --table 6 [--workdir runs/t6] [--run [--processes 2]] [--scale small] [--format markdown]

Tables: 1 to 7, fig4 to fig6, bands. `--workdir` is a directory with runs anywhere below it. `--scale small` is the same
question on small data, a table of its own.
"""

from pathlib import Path

from absl import flags

from experiments import tables
from experiments.reproduction.launching import launch
from experiments.reproduction.layout import FORMATS
from experiments.reproduction.sheet import Sheet, sheet_of
from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.launch import flags as launching
from perceiver_jax.report.progress import note, say
from perceiver_jax.runs.past import runs_below
from perceiver_jax.system import disk

_TABLE = flags.DEFINE_string("table", None, "1 to 7, fig4 to fig6, or bands.")
_WORKDIR = flags.DEFINE(command.PATH, "workdir", None, "Directory with runs, at any depth; what is missing goes there too.")
_DATA_DIR = flags.DEFINE(command.PATH, "data_dir", None, "Where the data are, if not where the configs say.")
_SCALE = flags.DEFINE_enum("scale", "full", ["full", "small"], "The paper's data, or small ones.")
_FORMAT = flags.DEFINE_enum("format", "text", list(FORMATS), "How the table is printed.")
_RUN = flags.DEFINE_bool("run", False, "Train what is missing, then print the table.")
launching.define_flags("runs")


def main() -> None:
    name = tables.known(command.require("table"))
    if not _RUN.value:
        if given := launching.given():
            raise Failure(Code.CONFIG, f"--{given[0]} says how runs are launched, and none is", hint="--run")
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
    workdir = None if _WORKDIR.value is None else Path(_WORKDIR.value)
    runs = () if workdir is None else runs_below(workdir, note)
    return sheet_of(name, _SCALE.value, runs, workdir, _DATA_DIR.value, note)


if __name__ == "__main__":
    command.run(main)
