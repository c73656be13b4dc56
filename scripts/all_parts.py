"""All parts of a preparation, launched together: processes of this machine, or an array of Slurm's jobs."""

import sys
from pathlib import Path

from absl import flags

from perceiver_jax.errors import Code, Failure
from perceiver_jax.launch import flags as launching
from perceiver_jax.launch import jobs
from perceiver_jax.launch.jobs import Ended, Job, Launcher
from perceiver_jax.report.board import DONE, FAILED, RUNNING, STOPPED, WAITING, Board, Row
from perceiver_jax.system.signals import StopFlag

LOGS = "logs"  # in the directory of data sets
_OWN = (*launching.NAMES, "parts", "part", "seal", "verify", "max_bad")  # of whoever launches the parts and seals the whole


def check_flags() -> None:
    """Raises Failure(CONFIG) for flags that do not go with --parts, or not without it."""
    others = [name for name in ("part", "seal") if flags.FLAGS[name].present]
    if flags.FLAGS["parts"].value is None:
        if given := launching.given():
            raise Failure(Code.CONFIG, f"--{given[0]} without --parts", hint="--parts N: how many parts are launched")
    elif others:
        raise Failure(Code.CONFIG, f"--parts and --{others[-1]}", expected="one of them: --parts prepares all, then seals")


def prepare(data_dir: Path, stop: StopFlag) -> None:
    """Prepares every part, as many at a time as --processes says.

    Raises Failure where some have failed, with the code of the first, or a signal has asked to stop.
    """
    count, command = flags.FLAGS["parts"].value, Path(sys.modules["__main__"].__file__).stem
    launcher = launching.launcher(data_dir / LOGS / "jobs")
    parts = [_job(command, f"{number}/{count}", data_dir, launcher) for number in range(1, count + 1)]
    ends: list[Ended] = []
    with Board([Row(job.name, WAITING) for job in parts]) as board:

        def observe(at_work: list[str], ended: list[Ended]) -> None:
            for end in ended:
                ends.append(end)
                state = DONE if end.code == Code.DONE else STOPPED if jobs.was_stopped(end.code) else FAILED
                board.update(Row(end.job.name, state, words=end.error))
            for name in at_work:
                board.update(Row(name, RUNNING))

        jobs.run(parts, launcher, stop, observe)
    jobs.check([end for end in ends if end.code != Code.DONE], len(parts), len(parts) - len(ends), stop, "parts")


def _job(command: str, part: str, data_dir: Path, launcher: Launcher) -> Job:
    """The command that prepares one part: this one, with --part in place of --parts."""
    given = [(name, flags.FLAGS[name]) for name in flags.FLAGS if name not in _OWN]
    words = [_word(name, flag) for name, flag in given if flag.present]
    if not flags.FLAGS["num_workers"].present and launcher.cores is not None:
        words.append(f"--num_workers={launcher.cores}")
    log = data_dir / LOGS / f"{command}-{part.replace('/', '-of-')}.txt"
    return Job(f"part {part}", (sys.executable, "-m", f"scripts.{command}", *words, f"--part={part}"), log)


def _word(name: str, flag: flags.Flag) -> str:
    return f"--{'' if flag.value else 'no'}{name}" if flag.boolean else f"--{name}={flag.value}"
