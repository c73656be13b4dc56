"""What the small studies say to the paper's claims, as a page: `findings.md` with pictures, from finished runs.

python -m experiments.findings --workdir runs --output docs

The runs are those of `experiments.reproduce --scale small --run`, anywhere below the directory. A page that is already in
the output is replaced.
"""

from pathlib import Path

from absl import flags

from experiments import tables
from experiments.reproduction.page import write_page
from experiments.reproduction.sheet import sheet_of
from perceiver_jax import command
from perceiver_jax.report.progress import note, say
from perceiver_jax.runs.past import runs_below
from perceiver_jax.system import disk

_WORKDIR = flags.DEFINE(command.PATH, "workdir", None, "Directory with runs, at any depth.")
_OUTPUT = flags.DEFINE(command.PATH, "output", None, "Directory for the page.")
_DATA_DIR = flags.DEFINE(command.PATH, "data_dir", None, "Where the data are, if not where the configs say.")


def main() -> None:
    workdir, output = Path(command.require("workdir")), Path(command.require("output"))
    studied = [name for name in tables.names() if tables.load(name).small is not None]
    runs = list(runs_below(workdir, note))
    sheets = [sheet_of(name, "small", runs, workdir, _DATA_DIR.value, note) for name in studied]
    try:
        written = write_page(sheets, output)
    except OSError as error:
        raise disk.unusable(f"output {output}", output, error) from error
    say(f"{written[0]}, {len(written) - 1} pictures")


if __name__ == "__main__":
    command.run(main)
