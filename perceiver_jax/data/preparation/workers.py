"""Many shards at once, each in a process of its own: one that hangs, crashes or is killed costs only its own shard.

Nothing depends on how many there are: a shard is a function of its unit. Processes are forked from one that has imported
what they need and nothing else, in milliseconds.
"""

import collections
import dataclasses
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from perceiver_jax.data.preparation import shard
from perceiver_jax.data.preparation.items import Convert, Unit
from perceiver_jax.data.preparation.shard import ShardRecord
from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import disk
from perceiver_jax.system.signals import STOPS, enter_worker

DECODE_SECONDS = 30.0  # for one item; the largest picture allowed takes 2
POLL_SECONDS = 0.5
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}


@dataclasses.dataclass
class _Running:
    process: BaseProcess
    unit: Unit
    done: int = 0  # items
    decoding: int = -1  # the item at work, if any
    since: float = 0.0
    overdue: bool = False


class Pool:
    """Writes the shards of units into `folder`, `num_workers` at a time; `preload` names what `convert` imports.

    The names of what is unfinished begin with `mark`. An item that takes more than `most_seconds`, DECODE_SECONDS where it
    is None, is bad.
    """

    def __init__(
        self,
        folder: Path,
        recipe: str,
        convert: Convert,
        preload: Sequence[str],
        num_workers: int,
        mark: str = "",
        most_seconds: float | None = None,
    ):
        self._folder, self._recipe, self._convert, self._num_workers = folder, recipe, convert, num_workers
        self._mark, self._most_seconds = mark, DECODE_SECONDS if most_seconds is None else most_seconds
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, "array_record.python.array_record_module", *preload])
        self._running: dict[Connection, _Running] = {}
        self._skip = collections.defaultdict(dict)  # by shard the items that ended a process: key, code and sentence

    def run(self, units: Sequence[Unit], observe: Callable[[int], None]) -> dict[str, ShardRecord]:
        """The records of all shards, by name. `observe(items done)` is called often and may raise to end all.

        Raises what it raises, and Failure: DATA where a source has changed, WORKDIR for a full disk, MEMORY where a
        process was killed, FAULT for a bug of ours.
        """
        pending, records, done = list(reversed(units)), {}, 0
        try:
            while pending or self._running:
                while pending and len(self._running) < self._num_workers:
                    self._start(pending.pop())
                for pipe in wait(list(self._running), timeout=POLL_SECONDS):
                    running = self._running[pipe]
                    record = self._receive(pipe)
                    if record is not None:
                        records[running.unit.shard] = record
                        done += len(running.unit.items)
                    elif pipe not in self._running:
                        pending.append(running.unit)
                self._end_overdue()
                observe(done + sum(running.done for running in self._running.values()))
            return records
        finally:
            for running in self._running.values():
                running.process.kill()
                running.process.join()

    def _start(self, unit: Unit) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        arguments = (unit, self._recipe, self._convert, self._folder, self._skip[unit.shard], self._mark, theirs)
        process = self._context.Process(target=_work, args=arguments, daemon=True)
        process.start()
        theirs.close()
        self._running[ours] = _Running(process, unit)

    def _receive(self, pipe: Connection) -> ShardRecord | None:
        """The record that a process ends with; without one it is still at work, or has gone with its item to skip."""
        running = self._running[pipe]
        try:
            message = pipe.recv()
        except (EOFError, OSError):  # OSError: it ended amid a message
            self._forget(pipe)
            self._blame(running)
            return None
        if isinstance(message, int):
            running.decoding, running.since = message, time.monotonic()
            running.done = max(running.done, message)
            return None
        self._forget(pipe)
        if isinstance(message, Failure):
            raise message
        return message

    def _forget(self, pipe: Connection) -> None:
        running = self._running.pop(pipe)
        running.process.join()
        pipe.close()

    def _blame(self, running: _Running) -> None:
        """Notes the item that a process died of; raises Failure if no item is to blame."""
        died = -running.process.exitcode
        if running.decoding < 0 or not (running.overdue or died in _CRASHES):
            raise Failure(Code.MEMORY, f"a worker process was killed (exit code {-died})", running.unit.shard,
                          hint="fewer --num_workers, each needs about 300 MB; the same command resumes")  # fmt: skip
        bad = ("decode-timeout", f"takes more than {self._most_seconds:.0f} s to decode") if running.overdue else \
              ("decoder-crash", f"ends its decoder by {signal.Signals(died).name}")  # fmt: skip
        self._skip[running.unit.shard][running.unit.items[running.decoding].key] = bad

    def _end_overdue(self) -> None:
        for running in self._running.values():
            if running.decoding >= 0 and time.monotonic() - running.since > self._most_seconds:
                running.overdue = True
                running.process.kill()


def _work(unit: Unit, recipe: str, convert: Convert, folder: Path, skip: dict, mark: str, pipe: Connection) -> None:
    """A worker process: sends the items that it decodes, then the record, or a Failure."""
    enter_worker(*STOPS)
    try:
        record = shard.finished(unit, recipe, folder)
        pipe.send(record or shard.write(unit, recipe, convert, folder, skip, pipe.send, mark))
    except Failure as failure:
        pipe.send(failure)
    except (OSError, RuntimeError) as error:  # RuntimeError: how the writer of records reports a full disk
        hint = "free some space; the same command resumes"
        pipe.send(Failure(Code.WORKDIR, f"cannot write {folder / unit.shard}", found=disk.reason(error), hint=hint))
    except Exception:  # noqa: BLE001 reported by the parent
        pipe.send(Failure(Code.FAULT, f"worker of {unit.shard}", traceback.format_exc()))
