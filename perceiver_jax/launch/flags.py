"""The flags of commands that launch others: where their jobs run, and what is asked of Slurm."""

import re
from pathlib import Path

from absl import flags

from perceiver_jax.errors import Code, Failure
from perceiver_jax.launch.jobs import Launcher

flags.disclaim_key_flags()  # they are the flags of the command that defines them

DAY = 24 * 60  # minutes
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_NAMES = ("partition", "account", "qos", "constraint", "mem")  # texts that go to Slurm as they are
NAMES = (
    *("launcher", "processes", "time", "requeues", "nodes", "gpus_per_node", "cpus_per_task", "slurm_option", "cluster"),
    *_NAMES,
)


def define_flags(what: str) -> None:
    """Adds them; `what` are the jobs, in the plural."""
    flags.DEFINE_enum("launcher", "local", ["local", "slurm"], f"Where {what} run: on this machine, or as Slurm's jobs.")
    flags.DEFINE_integer("processes", 1, f"How many {what} run at a time.", lower_bound=1)
    flags.DEFINE_string("time", "1-00:00:00", "Slurm: limit of a job, in minutes or as [DAYS-]HOURS:MINUTES[:SECONDS].")
    flags.DEFINE_integer("requeues", 3, "Slurm: how often a job goes on after its limit or preemption.", lower_bound=0)
    flags.DEFINE_string("partition", None, "Slurm: partition.")
    flags.DEFINE_string("account", None, "Slurm: account.")
    flags.DEFINE_string("qos", None, "Slurm: quality of service.")
    flags.DEFINE_string("constraint", None, "Slurm: features that a node must have.")
    flags.DEFINE_string("mem", None, "Slurm: memory of a node, such as 64G.")
    flags.DEFINE_integer("nodes", 1, "Slurm: nodes of a job; what is launched here runs on one.", lower_bound=1)
    flags.DEFINE_integer("gpus_per_node", None, "Slurm: GPUs of a job.", lower_bound=0)
    flags.DEFINE_integer("cpus_per_task", None, "Slurm: cores of a job.", lower_bound=1)
    flags.DEFINE_multi_string("slurm_option", [], "Slurm: another option of sbatch, NAME=VALUE or NAME.")
    flags.DEFINE_enum(
        "cluster", "slurm", ["slurm", "local"], "What submitit submits to; local tries the same without Slurm."
    )


def given() -> list[str]:
    """Those that the command line has."""
    return [name for name in NAMES if flags.FLAGS[name].present]


def launcher(folder: Path) -> Launcher:
    """The launcher that the flags ask for; submitit's files go to `folder`. Raises Failure(CONFIG) where there is none."""
    values = {name: flags.FLAGS[name].value for name in NAMES}
    if values["launcher"] == "local":
        from perceiver_jax.launch.local import Local

        asked = [f"--{name}" for name in given() if name not in ("launcher", "processes")]
        if asked:
            raise Failure(
                Code.CONFIG, f"{asked[0]} is an option of Slurm", found="--launcher local", hint="--launcher slurm"
            )
        return Local(values["processes"])
    from perceiver_jax.launch.slurm import Options, Slurm

    if values["nodes"] > 1:
        hint = "more --processes, each on a node of its own"
        raise Failure(Code.CONFIG, f"--nodes {values['nodes']}: a job is one process, on one node", hint=hint)
    options = Options(
        processes=values["processes"],
        minutes=minutes(values["time"]),
        requeues=values["requeues"],
        gpus_per_node=values["gpus_per_node"],
        cpus_per_task=values["cpus_per_task"],
        more=_more(values["slurm_option"]),
        **{name: values[name] for name in _NAMES},
    )
    return Slurm(folder, options, values["cluster"])


def minutes(text: str) -> int:
    """A limit of time as sbatch takes it, in whole minutes: 90, 1:30:00, 2-12 and 2-12:30. Raises Failure(CONFIG)."""
    matched = _TIME.fullmatch(text)
    found = 0
    if matched:
        days, first, second, third = (int(part) if part else None for part in matched.groups())
        if days is not None:  # DAYS-HOURS[:MINUTES[:SECONDS]]
            found = days * DAY + first * 60 + (second or 0) + (third or 0) // 60
        elif third is not None:  # HOURS:MINUTES:SECONDS
            found = first * 60 + second + third // 60
        elif second is not None:
            raise Failure(Code.CONFIG, f"--time {text}: minutes and seconds, or hours and minutes?", hint=f"{text}:00")
        else:
            found = first
    if not found:
        raise Failure(Code.CONFIG, f"--time {text}", expected="minutes, HOURS:MINUTES:SECONDS or DAYS-HOURS:MINUTES:SECONDS")
    return found


def _more(words: list[str]) -> dict[str, str | bool]:
    found = {}
    for word in words:
        name, equals, value = word.lstrip("-").partition("=")
        if not name:
            raise Failure(
                Code.CONFIG, f"--slurm_option {word}", expected="NAME=VALUE, such as reservation=maintenance, or NAME"
            )
        found[name] = value if equals else True
    return found
