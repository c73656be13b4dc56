"""The directory of one run: claimed by one trainer at a time, and never shared with another run."""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Code, Failure, printable, some
from perceiver_jax.report.log import METRICS
from perceiver_jax.runs import config_json
from perceiver_jax.runs import problem as problems
from perceiver_jax.runs.config_json import EARLIER, ORIGIN, Origin
from perceiver_jax.runs.problem import Problem
from perceiver_jax.settings.config import Config, dump, lasting, read
from perceiver_jax.system import disk, locks
from perceiver_jax.system.crash_points import crash_point
from perceiver_jax.training import manifest


@dataclasses.dataclass(frozen=True)
class Workdir:
    """A run's directory and the paths in it."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config and the command of the latest launch."""
        return self.path / "config.json"

    @property
    def problem(self) -> Path:
        """The problem: classes, streams, fingerprint of the data."""
        return self.path / "problem.json"

    @property
    def checkpoints(self) -> Path:
        """One directory for each saved step."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """The logged metrics, a line for each step and split."""
        return self.path / METRICS

    @property
    def result(self) -> Path:
        """The result of the run; written last."""
        return self.path / "result.json"

    @property
    def is_untrained(self) -> bool:
        """Whether no launch has come to a first step: then there is nothing in it to be kept."""
        begun = self.result.exists() or self.metrics.exists()
        return not begun and not (self.checkpoints.is_dir() and any(self.checkpoints.iterdir()))

    @property
    def plots(self) -> Path:
        """Curves, attention maps, confusion matrices."""
        return self.path / "plots"


@contextlib.contextmanager
def claim(path: str, config: Config, command: list[str]) -> Iterator[Workdir]:
    """The workdir at `path`, made if absent and locked until the block ends.

    The lock is between processes and ends with its own. Settings may change until a launch has come to a first step. A run
    may have another length than before, where `length` allows it; then what it had come to is removed.
    Raises Failure: WORKDIR where the directory cannot be used (a file, read-only, full, in use), CONFIG where it holds a
    run with other settings, CHECKPOINT for a damaged config.json.
    """
    where = f"workdir {_shown(path)}"
    if not path or "\0" in path:
        raise Failure(Code.WORKDIR, where, "is not a path", hint="--workdir runs/NAME")
    workdir = Workdir(Path(os.path.abspath(path)))
    if workdir.path.parent == workdir.path:
        raise Failure(Code.WORKDIR, where, "is the root of the file system", hint="--workdir runs/NAME")

    def in_use(owner: str) -> Failure:
        return Failure(Code.WORKDIR, where, f"in use by {owner}", hint="another --workdir")

    with contextlib.ExitStack() as stack:
        try:
            workdir.path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.held(workdir.path / ".lock", where, in_use))
            disk.remove_unfinished(workdir.path)
            facts = _matched(workdir, where, config)
            written = _text({"config": dump(config), "command": command, **facts})
            if not workdir.config.exists() or workdir.config.read_bytes() != written:
                disk.write_atomically(workdir.config, written)
            workdir.plots.mkdir(exist_ok=True)
            workdir.checkpoints.mkdir(exist_ok=True)
            disk.remove_unfinished(workdir.checkpoints)
        except OSError as error:
            raise disk.unusable(where, workdir.path, error) from error
        crash_point("after-claim")
        yield workdir
        crash_point("before-lock-release")


def read_config(path: str) -> Config:
    """The config of the run at `path`.

    Raises Failure(CHECKPOINT), saying what is there, where `path` is not a run, its config.json is damaged or of a version
    that this one does not read.
    """
    workdir = Workdir(Path(path))
    try:
        return read(config_json.read(workdir.config)["config"])
    except (FileNotFoundError, NotADirectoryError):
        found, hint = _there(workdir.path), _near(workdir.path)
        raise Failure(Code.CHECKPOINT, f"no run at {path}", found=found, hint=hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise Failure(Code.CHECKPOINT, f"no run at {_shown(path)}", found=disk.reason(error)) from error


def read_command(workdir: Workdir) -> tuple[str, ...]:
    """The command of a run's latest launch, word by word. Raises Failure(CHECKPOINT) where it is not recorded."""
    try:
        return tuple(map(str, config_json.read(workdir.config)["command"]))
    except KeyError:
        raise Failure(Code.CHECKPOINT, str(workdir.config), "is damaged", found="no command in it") from None


def write_problem(workdir: Workdir, problem: Problem) -> None:
    """Stores what a run learns, with a checksum. Raises Failure(WORKDIR) where the disk refuses."""
    try:
        disk.write_atomically(workdir.problem, _text(_signed(problems.dump(problem))))
    except OSError as error:
        raise disk.unusable(f"workdir {workdir.path}", workdir.problem, error) from error


def read_problem(workdir: Workdir, config: Config) -> Problem:
    """What the run of a config learns, as it is stored.

    Raises Failure(CHECKPOINT) where it is absent, damaged or of a version that this one does not read.
    """
    hint = "delete it and launch training again with the same data: it is made again, and checkpoints verify it"
    try:
        record = json.loads(workdir.problem.read_bytes())
        if _signed({name: value for name, value in record.items() if name != "sha256"}) != record:
            raise ValueError("its checksum differs")
        return problems.load(config, record)
    except FileNotFoundError:
        hint = "launch training again with the same data: it is made again, and checkpoints verify it"
        raise Failure(Code.CHECKPOINT, f"{workdir.problem}", "is missing", hint=hint) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, Failure) as error:
        found = disk.reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        raise Failure(Code.CHECKPOINT, f"{workdir.problem}", "is damaged", found=found, hint=hint) from error


def _signed(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"sha256": hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}


def _matched(workdir: Workdir, where: str, config: Config) -> dict[str, Any]:
    """What config.json keeps from launch to launch; raises Failure(CONFIG) where the run in it has other settings."""
    if not workdir.config.exists():
        return {}
    record = config_json.read(workdir.config)
    kept = {name: record[name] for name in (EARLIER, ORIGIN) if name in record}
    before = read(record["config"])
    old, new = lasting(before), lasting(config)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if names and workdir.is_untrained:
        return {}
    if names == ["train.duration"] and workdir.problem.exists():
        from perceiver_jax.runs.length import check_length  # JAX: no other launch needs it so early

        problem = read_problem(workdir, before)
        after = dataclasses.replace(problem, config=config)
        check_length(where, problem, after, done=max(manifest.steps(workdir.checkpoints), default=0))
        if after.num_steps != problem.num_steps:
            print(f"note: the run is now {after.num_steps:,} steps long, was {problem.num_steps:,}", file=sys.stderr)
            workdir.result.unlink(missing_ok=True)
        kept[EARLIER] = [*kept.get(EARLIER, []), before.train.duration]
    elif names:
        changes = [f"{name} {old.get(name, '(none)')} -> {new.get(name, '(none)')}" for name in names[:10]]
        changes += [f"and {len(names) - 10} more"] if len(names) > 10 else []
        what = f"{where} holds a run with other settings"
        raise Failure(Code.CONFIG, what, found="; ".join(changes), hint="a new --workdir")
    return kept


def earlier_configs(workdir: Workdir, config: Config) -> list[Config]:
    """The config of a run with each of the lengths that the run had before."""
    durations = config_json.read(workdir.config).get(EARLIER, [])
    return [config.model_copy(update={"train": config.train.model_copy(update={"duration": d})}) for d in durations]


def read_origin(workdir: Workdir) -> Origin | None:
    """Where the parameters of a claimed run began, if they are another run's."""
    record = config_json.read(workdir.config)
    return Origin(**record[ORIGIN]) if ORIGIN in record else None


def write_origin(workdir: Workdir, origin: Origin) -> None:
    """Stores it. Raises Failure(WORKDIR) where the disk refuses."""
    try:
        disk.write_atomically(workdir.config, _text({**config_json.read(workdir.config), ORIGIN: origin._asdict()}))
    except OSError as error:
        raise disk.unusable(f"workdir {workdir.path}", workdir.config, error) from error


def _text(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()


def _shown(path: str) -> str:
    return printable(path if path.isprintable() and path else repr(path), 197)


def _there(path: Path) -> str:
    if not path.is_dir():
        return "a file" if path.exists() else "nothing there"
    names = sorted(entry.name for entry in path.iterdir())
    return f"a directory that holds {some(names, 10) or 'nothing'}"


def _near(path: Path) -> str:
    """Runs near a path that is not a run: the one it is in, or those in or beside it."""
    path = path.absolute()
    above = [parent for parent in path.parents if Workdir(parent).config.is_file()]
    beside = path if path.is_dir() else path.parent
    begun = (config.parent for config in beside.glob("*/config.json") if Workdir(config.parent).problem.is_file())
    runs = above[:1] or sorted(begun)[:5]
    return "--workdir " + " or ".join(map(str, runs)) if runs else ""
