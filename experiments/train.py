"""Trains one config; run again, it resumes or says that it is done.

python -m experiments.train --config configs/mnist5k.py[:variant] --workdir runs/a [--init_from RUN]
                             [--config.optim.learning_rate=0.002] [--profile 10]
                             [--distributed [--coordinator HOST:PORT --num_processes 2 --process_id 0]]
"""

from perceiver_jax.system import memory

if __name__ == "__main__":
    memory.keep()  # before anything else is imported: it would be imported twice

import json
import sys
from typing import Any

from absl import flags

from perceiver_jax import command
from perceiver_jax.errors import Code, Failure
from perceiver_jax.launch import distributed
from perceiver_jax.report.progress import say
from perceiver_jax.report.selection import reported_split
from perceiver_jax.report.tables import summary
from perceiver_jax.runs import together
from perceiver_jax.runs.begin import check_data
from perceiver_jax.runs.page import NAME as PAGE
from perceiver_jax.runs.past import read_result
from perceiver_jax.runs.problem import Problem
from perceiver_jax.runs.start import source_of
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.settings.config import Config
from perceiver_jax.system.processes import Processes
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
_STALL = flags.DEFINE_float(
    "stall_seconds",
    600.0,
    "After how long without progress the run ends with exit code 70: of a step, a batch, a save; 0: never.",
    lower_bound=0,
)
_COMPARE = flags.DEFINE_bool(
    "compare_copies",
    True,
    "Compare what several devices hold of the same array before each save; one that differs ends with 5.",
)
command.define_config()
distributed.define_flags()


def main() -> None:
    with StopFlag() as stop:
        processes = distributed.joined(stop)
        config = command.config()
        if _PROFILE.value is not None:
            check_profile(config, processes)
        with together.claim(command.require("workdir"), config, sys.argv, processes) as workdir:
            run(config, workdir, stop, processes)


def check_profile(config: Config, processes: Processes) -> None:
    """Raises Failure(CONFIG) where --profile cannot take a step apart."""
    shards = config.mesh.virtual_shards
    if processes.count > 1:
        raise Failure(Code.CONFIG, "--profile is for a single process", found=f"{processes.count} processes")
    if shards is not None:
        what, why = f"--profile with mesh.virtual_shards {shards}", "a step is many programs then; one can be taken apart"
        raise Failure(Code.CONFIG, what, why, hint="another --workdir with --config.mesh.virtual_shards=None")


def run(config: Config, workdir: Workdir, stop: StopFlag, processes: Processes) -> None:
    """Trains what a claimed workdir holds to its end, and reports it."""
    source, unwritten = source_of(workdir, _INIT_FROM.value), None  # before many files are read
    problem, begun = together.problem_of(workdir, config, stop, processes)
    result = json.loads(processes.shared("finished", lambda: json.dumps(finished(workdir, problem))))
    if result is None:
        if begun:  # a problem that was made just now is that of the data as they are
            check_data(problem)
        from perceiver_jax.runs.train import Options, train  # JAX from here on: every wrong config has ended by now

        options = Options(source, _PROFILE.value, _STALL.value or None, _COMPARE.value)
        result, unwritten = train(problem, workdir, processes.stop, options)
    elif processes.first:
        say(f"{workdir.path} is done.")
        if _PROFILE.value is not None:
            say("Nothing to profile: it has no steps left. A new --workdir has.")
    if processes.first:
        report(result, problem, workdir)
    else:
        say(f"state_sha256 {result['state_sha256']}")
    if unwritten is not None:
        raise unwritten


def finished(workdir: Workdir, problem: Problem) -> dict[str, Any] | None:
    """The result of a run that has already come to its end, and has written all of it."""
    result = read_result(workdir)
    whole = result and result["step"] == problem.num_steps and "unwritten" not in result
    return result if whole else None


def report(result: dict[str, Any], problem: Problem, workdir: Workdir) -> None:
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
