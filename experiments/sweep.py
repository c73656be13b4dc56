"""Trains a config once for each point of a sweep, several at a time; run again, it resumes.

python -m experiments.sweep --config configs/imagenet.py:fig5 --sweep experiments/sweeps/fig5.py --workdir runs/fig5
    [--processes 2] [--launcher slurm --partition gpu --gpus_per_node 1] [--search TRIALS] [--dry_run]

A sweep file has `get_sweep()`: a list of dictionaries, each the fields that one run changes, by dotted name; see
experiments/sweeping/axes.py for the words that make such lists. docs/sweeps.md says more.
"""

from pathlib import Path

from absl import flags

from experiments.sweeping import run, summary
from experiments.sweeping import search as searching
from experiments.sweeping.points import Base, has_ranges, read_sweep
from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.launch import flags as launching
from perceiver_jax.system.signals import StopFlag

flags.DEFINE(command.PATH, "workdir", None, "Directory for the runs, one subdirectory per point.")
flags.DEFINE(command.PATH, "sweep", None, "File whose get_sweep() lists what each run changes.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Only print the points, and what of them there is.")
_SEARCH = flags.DEFINE_integer("search", None, "How many points to try from the sweep's ranges (Optuna).", lower_bound=1)
_SEED = flags.DEFINE_integer("search_seed", 0, "Seed of the search.", lower_bound=0)
command.define_config()
launching.define_flags("runs")


def main() -> None:
    settings = read_sweep(Path(command.require("sweep")))
    workdir = Path(command.require("workdir"))
    base = Base(command.require("config"), command.given_overrides(), flags.FLAGS["tiny"].value)
    trials = _SEARCH.value
    if trials is None and any(map(has_ranges, settings)):
        what = "the sweep has ranges, which only a search can try"
        raise Failure(Code.CONFIG, f"sweep {flags.FLAGS['sweep'].value}", what, hint="--search TRIALS, or lists of values")
    if trials is None and flags.FLAGS["search_seed"].present:
        raise Failure(Code.CONFIG, "--search_seed is the seed of a search, and there is none", hint="--search TRIALS")
    launcher = launching.launcher(workdir / "jobs")
    if _DRY_RUN.value:
        if trials is None:
            summary.plan(base, settings, workdir)
        else:
            summary.plan_search(settings, workdir, trials)
        return
    with StopFlag() as stop:
        if trials is None:
            outcomes = run.run(base, settings, workdir, launcher, stop)
        else:
            outcomes = searching.search(base, settings, workdir, launcher, stop, trials, _SEED.value)
        summary.report(workdir, outcomes)
        (run if trials is None else searching).check(outcomes, stop)


if __name__ == "__main__":
    command.run(main)
