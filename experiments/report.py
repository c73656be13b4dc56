"""Writes a page of a run, or of several beside each other: one HTML file, opened in any browser, without a server.

python -m experiments.report WORKDIR... [--output page.html]

A directory of runs stands for all of them. Without --output the page is report.html: in the directory, if one is given,
otherwise here. The config file that a run's command names is run, to tell what the run has changed of it.
"""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.page import write
from perceiver_jax.report.progress import note, say
from perceiver_jax.runs.page import NAME, write_page
from perceiver_jax.runs.past import PastRun, read_run, runs_below
from perceiver_jax.runs.workdir import Workdir

_OUTPUT = flags.DEFINE(command.PATH, "output", None, "The page's file; default: report.html in the only directory, or here.")


def main(directories: list[Path]) -> None:
    if not directories:
        raise Failure(Code.CONFIG, "no workdir given", hint="python -m experiments.report runs/NAME [runs/OTHER ...]")
    write.check_packages()
    output = (
        Path(_OUTPUT.value) if _OUTPUT.value is not None else (directories[0] if len(directories) == 1 else Path()) / NAME
    )
    write_page(once(run for directory in directories for run in runs_at(directory)), output)
    say(str(output))


def runs_at(directory: Path) -> list[PastRun]:
    """The run in a directory, or those below it; raises Failure where there is none."""
    alone = not os.path.isdir(directory) or os.path.exists(Workdir(directory).config)
    found = [] if alone else list(runs_below(directory, note))
    try:
        return found or [read_run(directory)]  # which says what is there
    except Failure as failure:
        if failure.code != Code.CONFIG:  # the others name it
            raise
        raise dataclasses.replace(failure, found=f"in the config of {directory}") from None


def once(runs: Iterable[PastRun]) -> list[PastRun]:
    """The runs, those that are given twice only once."""
    found: dict[str, PastRun] = {}
    for run in runs:
        place = os.path.realpath(run.workdir.path)
        if place in found:
            note(f"note: {run.workdir.path} is given twice; it is shown once")
        found.setdefault(place, run)
    return list(found.values())


if __name__ == "__main__":
    command.run(main, takes_files=True)
