"""How a launch of training begins: the problem that the run has stored, or that of data seen for the first time."""

from perceiver_jax.data import checking, pipeline
from perceiver_jax.data.folder_source import FolderSource
from perceiver_jax.errors import Code, Failure, Stopped
from perceiver_jax.report.progress import Progress
from perceiver_jax.runs.problem import Problem, check_same, make, resolve
from perceiver_jax.runs.workdir import Workdir, read_problem, write_problem
from perceiver_jax.settings.config import Config
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.training import manifest


def problem_of(workdir: Workdir, config: Config, stop: StopFlag) -> Problem:
    """What the run in a claimed workdir learns: as it is stored, or, at first, made from the data and stored.

    Data are compared with what is stored by `check_data`. Raises Failure: DATA for data that are not there or wrong,
    CONFIG for too few, CHECKPOINT for a problem file that is damaged. Raises Stopped where a signal has asked for it.
    """
    if workdir.problem.exists() and not workdir.is_untrained:
        return read_problem(workdir, config)
    # Before many files are read: what their number alone shows to be wrong.
    counted = make(config, config.source().contents(), fingerprint="")
    pipeline.check_size(counted.num_examples["train"], config.data.batch_size)
    problem = resolve(config, *_checked(config, stop))
    pipeline.check(problem.data)
    _check_saved(workdir, problem)
    write_problem(workdir, problem)
    return problem


def check_data(problem: Problem) -> None:
    """Raises Failure(DATA), with what has changed, where the data are not those that the run began with."""
    check_same(problem, resolve(problem.config, problem.left_out))
    pipeline.check(problem.data)


def _check_saved(workdir: Workdir, problem: Problem) -> None:
    """Raises Failure(DATA) where checkpoints without a problem file are of other data: it would name wrong classes."""
    newest = manifest.newest_valid(workdir.checkpoints, set_aside=False)
    if newest is not None and newest[1].fingerprints["data"] != problem.fingerprint:
        step, saved = newest
        what, where = f"checkpoint {step} was trained on other data", problem.config.data.where
        hint = "the data that the run began with, or a new --workdir"
        raise Failure(Code.DATA, what, where, saved.fingerprints["data"], problem.fingerprint, hint)


def _checked(config: Config, stop: StopFlag) -> checking.Checked | tuple[()]:
    """What is found in the files of users' own data; nothing of other data, which were checked when they were prepared."""
    source = config.source()
    if not isinstance(source, FolderSource):
        return ()
    contents = source.contents()
    count = sum(contents.num_examples.values())
    task = config.task_of(contents.classes)
    with Progress(count, 0) as progress:

        def observe(done: int) -> None:
            if stop.should_stop is not None:
                raise Stopped(stop.should_stop, 0, "the same command starts over")
            progress.update(done, {})

        progress.note(f"checking {count:,} files")
        return checking.check_files(source, config.modalities, task, observe, progress.note)
