"""Inputs read by a process that may die: it is started again, and goes on behind the one it died of."""

import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from perceiver_jax.errors import Code, Failure, MissingPackage
from scripts.fuzz import child
from scripts.fuzz.parser import ROOT, Outcome

START_SECONDS = 300.0  # for imports and the reading of the seeds
_READ = 65_536  # bytes


@dataclasses.dataclass
class Finding:
    """A problem, and the smallest input that shows it."""

    parser: str
    seed: int
    outcome: Outcome
    data: bytes
    times: int = 1

    def record(self) -> dict[str, object]:
        """All of it, for JSON, but for the input."""
        outcome = self.outcome
        where = {"parser": self.parser, "seed": self.seed, "number": outcome.number, "file": outcome.name}
        found = {"problem": outcome.problem, "place": outcome.place, "times": self.times, "bytes": len(self.data)}
        return where | found

    def __str__(self) -> str:
        name = (
            f"{self.parser} --seed {self.seed} number {self.outcome.number} ({self.outcome.name}, {len(self.data):,} bytes)"
        )
        place = f", {self.outcome.place}" if self.outcome.place else ""
        return f"FINDING: {name}: {self.outcome.problem}{place}"


@dataclasses.dataclass
class Row:
    """What the inputs of a parser came to."""

    parser: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    findings: int = 0
    slowest: float = 0.0  # seconds
    memory: int = 0  # bytes, the most above the process's own

    def add(self, outcome: Outcome) -> None:
        """Counts an input."""
        self.inputs += 1
        self.accepted += outcome.accepted
        self.findings += bool(outcome.problem)
        self.refused += not outcome.accepted and not outcome.problem
        self.slowest, self.memory = max(self.slowest, outcome.seconds), max(self.memory, outcome.memory)


class Campaign:
    """Feeds one parser; `room` is the module in which it is a member, `folder` for what processes write."""

    def __init__(
        self, room: str, parser: str, seed: int, folder: Path, note: Callable[[str], None], seconds: float = child.SECONDS
    ):
        self._room, self._seed, self._folder, self._note, self._seconds = room, seed, folder, note, seconds
        self.row, self.findings = Row(parser), dict[str, Finding]()

    def feed(self, count: int, done: Callable[[int], None]) -> None:
        """Reads the mutations up to that number; `done` is told how many."""
        while self.row.inputs < count:
            command = [self._room, self.row.parser, str(self._seed), str(self.row.inputs), str(count), str(self._folder)]
            for outcome in self._read(["scripts.fuzz.child", *command]):
                self._add(outcome)
                done(self.row.inputs)

    def guide(self, minutes: float, corpus: Path, done: Callable[[int], None]) -> None:
        """Reads what a coverage-guided fuzzer makes of the seeds and of a corpus, which it adds to, for that long."""
        until = time.monotonic() + 60 * minutes
        while (left := until - time.monotonic()) > 1:
            command = [self._room, self.row.parser, str(self._seed), str(round(left)), str(self._folder), str(corpus)]
            for outcome in self._read(["scripts.fuzz.guided", *command]):
                self._add(outcome)
                done(self.row.inputs)

    def _add(self, outcome: Outcome) -> None:
        self.row.add(outcome)
        if not outcome.problem:
            return
        kept = self._folder / child.FOUND.format(outcome.number)
        path = kept if kept.exists() else self._folder / child.CURRENT  # of which the process hung or died
        data = path.read_bytes().partition(b"\n")[2]
        kept.unlink(missing_ok=True)
        key = outcome.place or outcome.problem
        known = self.findings.setdefault(key, Finding(self.row.parser, self._seed, outcome, data, 0))
        known.times += 1
        if known.times == 1:
            self._note(str(known))
        if len(data) < len(known.data):
            known.outcome, known.data = outcome, data

    def _read(self, command: list[str]) -> Iterator[Outcome]:
        """What a process tells, to its end; the input that it dies of, or takes too long for, is told last."""
        environment = os.environ | {"SECONDS": str(self._seconds), "MALLOC_ARENA_MAX": "2", "PYTHONPATH": os.pathsep.join(
            [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}  # fmt: skip
        (self._folder / child.CURRENT).write_bytes(b'[-1, ""]\n')
        with open(self._folder / child.SAID, "wb") as said:
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": said}
            process = subprocess.Popen([sys.executable, "-m", *command], env=environment, cwd=self._folder, **streams)
        try:
            ready = False
            for record in _records(process, self._seconds):
                if "unfit" in record:
                    kind = MissingPackage if record["unfit"]["code"] == Code.DATA else Failure
                    raise kind(**record["unfit"] | {"code": Code(record["unfit"]["code"])})
                if "ready" in record:
                    ready = True
                else:
                    yield Outcome(**record)
            code = process.wait(self._seconds)
            if code:
                yield self._died(_signal(code), ready)
        except TimeoutError:
            process.kill()
            process.wait()
            yield self._died(f"hangs: more than {self._seconds:g} s", ready)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def _died(self, problem: str, ready: bool) -> Outcome:
        number, name = json.loads((self._folder / child.CURRENT).read_bytes().partition(b"\n")[0])
        said = (self._folder / child.SAID).read_bytes()[-2000:].decode(errors="replace").strip()
        if not ready or number < 0:
            raise Failure(Code.FAULT, f"parser {self.row.parser} does not start: {problem}", found=said)
        last = said.rpartition("\n")[2][:200]
        place = _place((self._folder / child.STACKS).read_text(errors="replace"))
        return Outcome(number, name, problem=problem + (f": {last}" if last else ""), place=f"{problem} {place}", seconds=
                       self._seconds if "hangs" in problem else 0.0)  # fmt: skip


def _records(process: subprocess.Popen, seconds: float) -> Iterator[dict]:
    """What a process tells, a line each; raises TimeoutError where the next takes too long."""
    held, wait = b"", START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(wait):
                raise TimeoutError
            found = os.read(process.stdout.fileno(), _READ)
            if not found:
                return
            *lines, held = (held + found).split(b"\n")
            wait = seconds
            yield from map(json.loads, lines)


def _signal(code: int) -> str:
    """How a process ended, in words."""
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"died with exit code {code}"


def _place(stacks: str) -> str:
    """The innermost line of ours in what a process wrote of its stack before it ended."""
    frames = [line.strip() for line in stacks.rpartition("(most recent call first):")[2].splitlines() if "File" in line]
    ours = [frame for frame in frames if f"{ROOT}/perceiver_jax" in frame]
    return "at " + (ours or frames)[0].replace(f"{ROOT}/", "") if frames else ""
