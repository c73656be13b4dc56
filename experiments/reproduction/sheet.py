"""A table with all that is known of its rows."""

import dataclasses
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from experiments import tables
from experiments.reproduction.claims import Verdict, judge
from experiments.reproduction.costs import MACHINES, Cost, Machine, cost_of
from experiments.reproduction.filling import Filled, fill
from experiments.reproduction.points import Made, made
from experiments.reproduction.survey import Survey, survey
from experiments.tables import Study
from perceiver_jax.errors import Code, Failure
from perceiver_jax.runs.past import PastRun

PAPER = "arXiv 2103.03206 v2"


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A table to be shown."""

    name: str  # as --table takes it
    page: int | None
    scale: str
    study: Study
    rows: Sequence[Filled]
    found: Survey
    machine: Machine
    workdir: Path | None  # None: no runs were looked for
    data_dir: str | None

    @property
    def verdicts(self) -> list[Verdict]:
        """What the runs say to the study's claims."""
        return [judge(claim, self.rows) for claim in self.study.claims]

    @property
    def what(self) -> str:
        """The table or figure, in words."""
        number = self.name.removeprefix("fig")
        if not number.isdecimal():
            return self.name.capitalize()
        return f"{'Table' if number == self.name else 'Figure'} {number}"

    @property
    def title(self) -> str:
        """What the table is; one of small data says that it is not the paper's."""
        what = self.what
        if self.scale == "small":
            what = f"The question of {what.lower()} in small, not to be compared with the paper's numbers"
        elif self.page is not None:
            what += f", page {self.page} of {PAPER}"
        return f"{what}: {self.study.title}"

    @property
    def place(self) -> Path:
        """Where missing runs go: a directory of the table's own."""
        name = tables.modules()[self.name] + ("" if self.scale == "full" else "_small")
        return (self.workdir or Path("runs")) / name


def command(name: str, scale: str, workdir: Path, data_dir: str | None = None) -> str:
    """The line for a shell that makes what a table lacks."""
    words = ["--table", name, *(["--scale", "small"] if scale == "small" else []), "--workdir", str(workdir)]
    words += ["--data_dir", data_dir] if data_dir else []
    return shlex.join(["python", "-m", "experiments.reproduce", *words, "--run"])


def sheet_of(
    name: str,
    scale: str,
    runs: Iterable[PastRun],
    workdir: Path | None,
    data_dir: str | None,
    note: Callable[[str], None],
) -> Sheet:
    """A table at a scale, filled from runs, those below `workdir`; what is left out of it goes to `note`.

    Raises Failure: CONFIG where there is no study at that scale, WORKDIR where the runs are of no directory.
    """
    table = tables.load(name)
    study = getattr(table, scale)
    if study is None:
        raise Failure(Code.CONFIG, f"table {name} has no study on small data", hint="without --scale small")
    points = made(study.points(), data_dir)
    found = survey(runs, points, lambda: _elsewhere(name, scale, data_dir), note)
    costs = {one.point.name: _cost(one, found) for one in points}
    rows = fill(study, {one.point.name: one for one in points}, costs, found, note)
    return Sheet(name, table.page, scale, study, rows, found, MACHINES[scale], workdir, data_dir)


def _cost(one: Made, found: Survey) -> Cost | None:
    """The cost of a point; where its data are not here, as one of its runs knew them."""
    problems = [one.problem, *(run.problem for run in found.finished[one.key])]
    return next((cost_of(problem) for problem in problems if problem is not None), None)


def _elsewhere(name: str, scale: str, data_dir: str | None) -> Iterator[Made]:
    """The points of all other studies of the same scale."""
    for other in tables.names():
        study = getattr(tables.load(other), scale)
        if other != name and study is not None:
            yield from made(study.points(), data_dir)
