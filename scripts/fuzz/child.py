"""The process that reads: one input after the other, each told in a line of JSON on stdout.

python -m scripts.fuzz.child ROOM PARSER SEED FIRST LAST FOLDER

Its address space has a limit, and what it does is watched; who started it ends it where an input takes too long.
"""

import dataclasses
import faulthandler
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from perceiver_jax.errors import Code, Failure, printable
from perceiver_jax.members import member
from scripts.fuzz.guard import Guard
from scripts.fuzz.mutations import mutation
from scripts.fuzz.parser import Outcome, Parser, judged

MEMORY = 2**30  # bytes that reading may take beside what a process has when it begins
SECONDS = 10.0  # that it may take
# In the folder: the input that is read, where a process hung or died, and its stderr.
CURRENT, STACKS, SAID = "current", "stacks", "stderr"
FOUND = "found-{}"  # likewise: the input of that number, which shows a problem
_SOON = 0.9  # of the seconds: when a process that hangs says where


def main() -> None:
    room, kind, seed, first, last, folder = sys.argv[1:]
    with Reader(
        member(importlib.import_module(room), kind, "--parser")(), Path(folder), float(os.environ["SECONDS"])
    ) as reader:
        names, seeds = list(reader.parser.seeds), list(reader.parser.seeds.values())
        for number in range(int(first), int(last)):
            which, data = mutation(seeds, int(seed), number)
            reader.read(number, names[which], data)


class Reader:
    """Reads inputs in this process and reports the outcome of each; refuses a parser that does not accept its own seeds."""

    def __init__(self, parser: Parser, folder: Path, seconds: float):
        self.parser, self._folder, self._seconds = parser, folder, seconds
        self._told = _own_stdout()
        self._stacks = open(folder / STACKS, "w")  # noqa: SIM115 until this process ends
        faulthandler.enable(self._stacks)
        self._guard: Guard | None = None
        self._said = open(folder / SAID, errors="replace")  # noqa: SIM115 likewise
        self._begun = 0

    def __enter__(self) -> "Reader":
        try:
            for name, data in self.parser.whole.items():
                self._check(name, data)
        except Failure as failure:  # MissingPackage too
            self._tell({"unfit": dataclasses.asdict(failure)})
            sys.exit(0)
        self._guard = Guard()
        self._begun = _status("VmRSS")
        self._limit = _status("VmSize") + MEMORY
        self._limit_memory(self._limit)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self._tell({"ready": len(self.parser.seeds)})
        return self

    def __exit__(self, *_: object) -> None:
        faulthandler.cancel_dump_traceback_later()
        self._stacks.close()

    def read(self, number: int, name: str, data: bytes) -> Outcome:
        """Reads one input, and tells it."""
        (self._folder / CURRENT).write_bytes(json.dumps([number, name]).encode() + b"\n" + data)
        faulthandler.dump_traceback_later(_SOON * self._seconds, file=self._stacks)
        Path("/proc/self/clear_refs").write_text("5")  # the most memory is counted from here on
        judge = lambda folder: judged(self.parser, number, name, data, folder)  # noqa: E731
        outcome = self._within(judge)
        if outcome.doubted:
            outcome = self._believed(outcome, judge)
        faulthandler.cancel_dump_traceback_later()
        memory = _status("VmHWM") - self._begun
        problem, place = outcome.problem, outcome.place
        found = [(words, words.partition(": ")[0]) for words in self._guard.seen]
        found += [(f"printed a traceback: {line}", line) for line in self._tracebacks()]
        found += [(f"took {memory:,} bytes", "memory")] if memory > MEMORY else []
        self._guard.seen.clear()
        if found and not problem:
            problem, place = found[0]
        accepted = outcome.accepted and not problem
        outcome = dataclasses.replace(outcome, accepted=accepted, memory=memory, problem=problem, place=place)
        if outcome.problem:
            os.replace(self._folder / CURRENT, self._folder / FOUND.format(number))
        self._tell(dataclasses.asdict(outcome))
        return outcome

    def _believed(self, outcome: Outcome, judge: Callable[[Path], Outcome]) -> Outcome:
        """An outcome that is out of memory, unless it is so where there is more: a number was refused then."""
        self._limit_memory(None)
        try:
            again = self._within(judge)
        finally:
            self._limit_memory(self._limit)
        return dataclasses.replace(outcome, problem="", place="", refused=outcome.problem) if again.doubted else outcome

    def _limit_memory(self, limit: int | None) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most if limit is None else limit, most))

    def _tracebacks(self) -> Iterator[str]:
        """The last line of a traceback that was printed since the last call, as for errors that no caller can catch."""
        printed = self._said.read()
        if "Traceback" in printed:
            yield printable(printed.strip().rpartition("\n")[2])

    def _within(self, judge: Callable[[Path], Outcome]) -> Outcome:
        """What becomes of an input in a folder of its own, which is then removed."""
        folder = Path(tempfile.mkdtemp(prefix="input-", dir=self._folder))  # never the same: readers remember what they read
        os.chdir(folder)
        began = time.perf_counter()
        try:
            if self._guard is not None:
                self._guard.folder = folder
            outcome = judge(folder)
        finally:
            if self._guard is not None:
                self._guard.folder = None
            seconds = time.perf_counter() - began
            os.chdir(self._folder)
            shutil.rmtree(folder)
        return dataclasses.replace(outcome, seconds=seconds)

    def _check(self, name: str, data: bytes) -> None:
        """Raises Failure where a seed is not read."""
        outcome = self._within(lambda folder: judged(self.parser, -1, name, data, folder))
        if not outcome.accepted:
            what = f"parser {type(self.parser).__module__.rpartition('.')[2]}: its seed {name} is not read"
            raise Failure(Code.FAULT, what, found=outcome.refused or outcome.problem)

    def _tell(self, record: dict[str, object]) -> None:
        self._told.write(json.dumps(record) + "\n")
        self._told.flush()


def _own_stdout() -> TextIO:
    """Stdout for what is told alone: what readers and libraries print goes to stderr."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return told


def _status(name: str) -> int:
    """A number of bytes that the system says of this process."""
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
