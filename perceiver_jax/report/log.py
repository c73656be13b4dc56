"""The numbers of a run on disk: metrics.jsonl, which is the record, and TensorBoard events of the same numbers.

A number that is not finite is written as the string "NaN", "Infinity" or "-Infinity" (as in protobuf's JSON): every
line stays valid JSON and distinguishes a loss that overflowed from an undefined one. `read_metrics` returns floats again.
"""

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.json_numbers import floats, plain
from perceiver_jax.report.tensorboard import Events
from perceiver_jax.system.crash_points import crash_point
from perceiver_jax.system.disk import sync, write_atomically

METRICS = "metrics.jsonl"
MAX_FAULTS = 3  # in a row, before a file is tried only where a checkpoint is saved, and at the end
TAIL_BYTES = 65_536  # of a file, in which the newest records are looked for
LARGEST_STEP = 2**53  # beyond which a number in JSON may not be what it says

_logger = logging.getLogger(__name__)

Key = tuple[int, str]  # (step, split)
T = TypeVar("T")


class Log(NamedTuple):
    """What a metrics.jsonl holds."""

    records: list[dict[str, Any]]  # by rising step, each (step, split) once
    damaged: int  # lines that are not records
    repeated: int  # records that newer ones of the same (step, split) replace


def read_log(path: str | Path) -> Log:
    """A metrics.jsonl with what a killed run leaves in it; raises Failure(WORKDIR) where there is no file to read."""
    try:
        with open(path, "rb") as lines:
            found, damaged, repeated = _newest(lines, lambda _, record: record)
    except OSError as error:
        raise Failure(Code.WORKDIR, "no metrics to read", str(path), found=error.strerror or str(error)) from None
    records = [record for _, record in sorted(found.items(), key=lambda item: item[0][0])]
    return Log(list(map(floats, records)), damaged, repeated)


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl, by rising step, each (step, split) once.

    Tolerates what a killed run leaves: lines that are not records are skipped and of several records of one (step, split)
    the newest counts; both are reported in one warning. Raises Failure(WORKDIR) where there is no file to read.
    """
    log = read_log(path)
    if log.damaged or log.repeated:
        _logger.warning(
            "%s: skipped %d damaged line(s), left out %d record(s) that newer ones repeat", path, log.damaged, log.repeated
        )
    return log.records


def read_latest(path: str | Path) -> dict[str, dict[str, Any]]:
    """The newest record of each split in the end of a metrics.jsonl that is being written; none where there is no file."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            found = _newest(file, lambda _, record: record)[0]
    except OSError:
        return {}
    newest = {split: record for (_, split), record in found.items()}
    return {split: floats(record) for split, record in newest.items()}


class MetricsLog:
    """The log of the training run in a workdir, from `resume_step` on.

    Entering it drops from metrics.jsonl what a killed run wrote beyond `resume_step`, so it is for the program that
    trains, never for one that only reads. A fault of the disk does not reach the caller: what it refused is written later.
    After three in a row there is a warning, and another try at each `sync` and at the end.
    """

    def __init__(self, workdir_path: str | Path | None, resume_step: int):
        """Without a path nothing is written."""
        self._writers = ()
        if workdir_path is not None:
            workdir = Path(workdir_path)
            self._writers = (
                _Writer(METRICS, lambda: _JsonLines(workdir / METRICS, resume_step)),
                _Writer("tensorboard", lambda: Events(workdir / "tensorboard", resume_step)),
            )

    def __enter__(self) -> "MetricsLog":
        for writer in self._writers:
            writer.open()
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()

    def write(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Records the numbers of one split at one step; an earlier record of the same (step, split) gives way."""
        numbers = {name: float(value) for name, value in metrics.items()}
        for writer in self._writers:
            writer.write(step, split, numbers)
        crash_point("after-log")

    def sync(self) -> None:
        """Waits until all that is written is on the disk: before a checkpoint, so that no log has a gap before it."""
        for writer in self._writers:
            writer.sync()


class _JsonLines:
    """metrics.jsonl: one line, one write, no buffer, so that a kill tears the last line at most."""

    def __init__(self, path: Path, resume_step: int):
        self._path = path
        self._keep(lambda key: key[0] <= resume_step)

    def _keep(self, wanted: Callable[[Key], bool]) -> None:
        data = self._path.read_bytes() if self._path.exists() else b""
        newest, _, _ = _newest(data.split(b"\n"), lambda line, _: line)
        kept = {key: line for key, line in newest.items() if wanted(key)}
        whole = b"".join(line + b"\n" for line in kept.values())
        if whole != data:
            write_atomically(self._path, whole)
        self._keys, self._torn = set(kept), False
        self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115 - `close` does

    def write(self, step: int, split: str, numbers: Mapping[str, float]) -> None:
        if (step, split) in self._keys:
            before = self._file
            self._keep(lambda key: key != (step, split))
            before.close()
        record = {"step": step, "split": split} | {name: plain(value) for name, value in numbers.items()}
        line = b"\n" * self._torn + json.dumps(record, allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file.fileno()).st_size
        self._torn = True  # until the whole line is out, or none of it: the next one must not run on from half of this
        if (written := self._file.write(line)) != len(line):
            self._file.truncate(size)
            self._torn = False
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, {written} of {len(line)} bytes written")
        self._torn = False
        self._keys.add((step, split))

    def sync(self) -> None:
        os.fsync(self._file.fileno())
        sync(self._path.parent)  # where the file may be new

    def close(self) -> None:
        self._file.close()


class _Writer:
    """A writer whose faults stay inside; what it could not write waits."""

    def __init__(self, name: str, make: Callable[[], _JsonLines | Events]):
        self._name, self._make = name, make
        self._writer: _JsonLines | Events | None = None
        self._waiting: list[tuple[int, str, Mapping[str, float]]] = []
        self._faults = 0

    def open(self) -> None:
        self._try(lambda: None)

    def write(self, step: int, split: str, numbers: Mapping[str, float]) -> None:
        self._waiting.append((step, split, numbers))
        if self._faults < MAX_FAULTS:
            self._try(lambda: None)

    def sync(self) -> None:
        self._try(lambda: self._writer.sync())

    def close(self) -> None:
        if self._waiting:
            self._try(lambda: None)
        if self._waiting:
            _logger.warning("%s lacks the last %d record(s), which could not be written", self._name, len(self._waiting))
        if self._writer is not None:
            with contextlib.suppress(OSError):  # what it still holds does not fit; a writer that failed has been named
                self._writer.close()

    def _try(self, action: Callable[[], None]) -> None:
        """Writes what waits, then does the action."""
        try:
            if self._writer is None:
                self._writer = self._make()
            while self._waiting:
                self._writer.write(*self._waiting[0])
                del self._waiting[0]
            action()
            self._faults = 0
        except OSError as error:
            self._faults += 1
            if self._faults == MAX_FAULTS:
                then = "what is logged waits in memory for the next checkpoint"
                _logger.warning("%s not written, %d faults in a row; %s: %s", self._name, MAX_FAULTS, then, error)


def _newest(lines: Iterable[bytes], kept: Callable[[bytes, dict[str, Any]], T]) -> tuple[dict[Key, T], int, int]:
    """What is `kept` of the newest line of every (step, split), in file order, given the line and the record in it.

    Then how many lines are not records, and how many were older.
    """
    found: dict[Key, T] = {}
    damaged = repeated = 0
    for line in filter(None, (line.rstrip(b"\n") for line in lines)):
        record = _record(line)
        damaged += record is None
        if record is not None:
            key = record["step"], record["split"]
            repeated += found.pop(key, None) is not None
            found[key] = kept(line, record)
    return found, damaged, repeated


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or type(record.get("step")) is not int or not isinstance(record.get("split"), str):
        return None
    return record if abs(record["step"]) < LARGEST_STEP else None
