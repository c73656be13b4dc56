"""Trains one config; run again, it resumes or says that it is done.

python -m experiments.train --config configs/mnist5k.py[:variant] --workdir runs/a [--init_from RUN]
                             [--config.optim.learning_rate=0.002] [--profile 10]
"""

from perceiver_jax.system import memory

if __name__ == "__main__":
    memory.keep()  # before anything else is imported: it would be imported twice

import sys
from typing import Any

from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.progress import say
from perceiver_jax.report.selection import reported_split
from perceiver_jax.report.tables import summary
from perceiver_jax.runs import workdir as workdirs
from perceiver_jax.runs.begin import check_data, problem_of
from perceiver_jax.runs.page import NAME as PAGE
from perceiver_jax.runs.past import read_result
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.start import source_of
from perceiver_jax.system.signals import StopFlag

flags.DEFINE(command.PATH, "workdir", None, "Directory of the run.")
_INIT_FROM = flags.DEFINE(
    command.PATH,
    "init_from",
    None,
    "Trained run, RUN or RUN:STEP, with whose parameters a new one begins as far as they match.",
)
_PROFILE = flags.DEFINE_integer(
    "profile", None, "Profile this many steps: a trace and the time by part of the model, in WORKDIR/profile.", lower_bound=1
)
command.define_config()


def main() -> None:
    config = command.config()
    shards = config.mesh.virtual_shards
    if _PROFILE.value is not None and shards is not None:
        what, why = (
            f"--profile with mesh.virtual_shards {shards}",
            "a step is many programs then; one can be taken apart",
        )
        raise Failure(Code.CONFIG, what, why, hint="another --workdir with --config.mesh.virtual_shards=None")
    with StopFlag() as stop, workdirs.claim(command.require("workdir"), config, sys.argv) as workdir:
        begun = workdir.problem.exists()
        source, unwritten = source_of(workdir, _INIT_FROM.value), None  # before many files are read
        problem = problem_of(workdir, config, stop)
        result = finished(workdir, problem)
        if result is None:
            if begun:  # a problem that was made just now is that of the data as they are
                check_data(problem)
            from perceiver_jax.runs.train import train  # JAX from here on: every wrong config has ended by now

            result, unwritten = train(problem, workdir, stop, source, _PROFILE.value)
        else:
            say(f"{workdir.path} is done.")
            if _PROFILE.value is not None:
                say("Nothing to profile: it has no steps left. A new --workdir has.")
        report(result, problem, workdir)
        if unwritten is not None:
            raise unwritten


def finished(workdir: workdirs.Workdir, problem: Problem) -> dict[str, Any] | None:
    """The result of a run that has already come to its end, and has written all of it."""
    result = read_result(workdir)
    whole = result and result["step"] == problem.num_steps and "unwritten" not in result
    return result if whole else None


def report(result: dict[str, Any], problem: Problem, workdir: workdirs.Workdir) -> None:
    """Prints how the run ended: its score among the baselines and at its best step, its cost, its pictures."""
    split, metric = reported_split(result["metrics"]), problem.task.headline
    others = dict(problem.baselines) if split == "test" else {}
    chosen = {name: result[name] for name in ("best_by_validation", "best_by_test") if name in result}
    if split == "test" and "best_by_validation" in chosen:
        best = chosen["best_by_validation"]
        others[f"best by validation (step {best['step']:,})"] = best["test"][metric]
    score = result["metrics"][split][metric]
    say(summary(split, metric, score, others, result["parameters"], result["step"], result["seconds"]))
    if chosen.keys() == {"best_by_validation", "best_by_test"}:
        best = chosen["best_by_test"]
        say(f"best by test (selected on test data, step {best['step']:,}): {100 * best['test'][metric]:.1f} %")
    say(f"state_sha256 {result['state_sha256']}")
    shown = [*workdir.path.glob(PAGE), *sorted(workdir.plots.glob("*.png"))]
    say("\n".join(map(str, shown)))


if __name__ == "__main__":
    command.run(main)
