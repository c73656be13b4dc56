"""Contestants, each in a process of its own, that step in turn: what disturbs the machine disturbs them alike."""

import dataclasses
import multiprocessing
import os
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system.processor import num_cores

END_SECONDS = 5  # that a process may take to end by itself
LEAST_ROUNDS = 3  # of a comparison whose time is over


@dataclasses.dataclass
class Built:
    """A contestant ready to step, and what is known of it before it does."""

    step: Callable[[], Any] | None  # one unit of work, complete when it returns; None: only built
    facts: dict[str, Any]  # such as flops or compile_seconds
    close: Callable[[], None] | None = None  # ends what it has started itself
    device_bytes: Callable[[], int | None] | None = None  # the most that it has held on an accelerator; None: there is none


Build = Callable[[], Built]  # picklable: made here, called in the contestant's process


class Contestant:
    """One process: built and warmed up once, then stepped on request. Failures there are raised here."""

    def __init__(self, name: str, build: Build):
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build))
        self._process.start()
        theirs.close()

    def close(self) -> None:
        """Ends the process; `contextlib.closing` calls it."""
        self._pipe.close()
        self._process.join(END_SECONDS)
        self._process.terminate()
        self._process.join()

    def facts(self) -> dict[str, Any]:
        """What its builder reports, as soon as it is ready. Raises Failure where it cannot be."""
        return self._receive()

    def step(self) -> dict[str, float]:
        """Wall and processor seconds of the second of two steps, and the most memory that any step has taken.

        `others` are the processor seconds of all other programs in that time, where the system tells.
        """
        self._send("step")
        return self._receive()

    def _send(self, message: str) -> None:
        try:
            self._pipe.send(message)
        except BrokenPipeError:
            raise self._dead() from None

    def _receive(self) -> dict[str, Any]:
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise self._dead() from None
        if isinstance(answer, Failure):
            raise answer
        return answer

    def _dead(self) -> Failure:
        self._process.join()
        code = self._process.exitcode
        killed = code == -signal.SIGKILL
        return Failure(
            Code.MEMORY if killed else Code.FAULT,
            f"contestant {self.name}: its process has ended",
            found=f"exit code {code}" + (", killed: most likely for the memory it took" if killed else ""),
            hint="cheaper --shapes" if killed else "",
        )


def compare(contestants: Sequence[Contestant], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """What `rounds` steps of each took, by name; after `seconds` of them all together, at least `LEAST_ROUNDS`.

    Raises Failure where a contestant does.
    """
    times: dict[str, list[dict[str, float]]] = {contestant.name: [] for contestant in contestants}
    began = time.monotonic()
    for done in range(rounds):
        if done >= LEAST_ROUNDS and time.monotonic() - began > seconds:
            break
        for contestant in contestants:
            times[contestant.name].append(contestant.step())
    return {name: _summary(steps) for name, steps in times.items()}


def _summary(steps: list[dict[str, float | None]]) -> dict[str, float]:
    on_device = [step["device_bytes"] for step in steps if step["device_bytes"] is not None]
    return {
        "rounds": len(steps),
        "min_seconds": min(step["wall"] for step in steps),
        "median_seconds": statistics.median(step["wall"] for step in steps),
        "cpu_seconds": min(step["cpu"] for step in steps),
        "peak_bytes": max(step["peak_bytes"] for step in steps),
        "busy_elsewhere": sum(step["others"] for step in steps) / sum(step["wall"] for step in steps) / num_cores(),
        **({"device_bytes": max(on_device)} if on_device else {}),
    }


def merged(starts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What several starts of a contestant took, each the least of its rounds: a process may be slower than the next one."""
    least = [start["min_seconds"] for start in starts]
    on_device = [start["device_bytes"] for start in starts if "device_bytes" in start]
    return {
        "rounds": sum(start["rounds"] for start in starts),
        "min_seconds": min(least),
        "median_seconds": statistics.median(start["median_seconds"] for start in starts),
        "cpu_seconds": min(start["cpu_seconds"] for start in starts),
        "peak_bytes": max(start["peak_bytes"] for start in starts),
        "busy_elsewhere": max(start["busy_elsewhere"] for start in starts),
        "start_seconds": least,
        "spread": max(least) / min(least),
        **({"device_bytes": max(on_device)} if on_device else {}),
    }


def _serve(pipe: Connection, build: Build) -> None:
    """The contestant's process: builds, then steps until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # our parent ends us
    built = None
    try:
        built = build()
        if built.step is not None:
            built.step()
        pipe.send(built.facts)
        _forget_peak()
        while pipe.recv():
            built.step()  # not counted: while others stepped, its memory and caches went to them
            busy, wall, cpu = _busy_seconds(), time.perf_counter(), time.process_time()
            built.step()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            others = max(0.0, _busy_seconds() - busy - cpu)
            held = {"peak_bytes": _peak_bytes(), "device_bytes": built.device_bytes and built.device_bytes()}
            pipe.send({"wall": wall, "cpu": cpu, "others": others, **held})
    except (EOFError, BrokenPipeError):  # the parent has closed the pipe
        pass
    except Failure as failure:
        pipe.send(failure)
    except Exception as error:  # noqa: BLE001 every error is sent to the process that can print it
        text = str(error).partition("\n")[0]
        pipe.send(Failure(Code.FAULT, f"{getattr(build, 'name', 'contestant')}: {type(error).__name__}", text))
    finally:
        if built is not None and built.close is not None:
            built.close()


def _busy_seconds() -> float:
    """The seconds that all programs have had of all cores so far; 0 where the system does not tell."""
    record = Path("/proc/stat")
    if not record.exists():
        return 0.0
    user, nice, system, _, _, *interrupts = map(int, record.read_text().partition("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _forget_peak() -> None:
    """Resets the record of memory, where the system can: what building took is not what stepping takes."""
    record = Path("/proc/self/clear_refs")
    if record.exists() and os.access(record, os.W_OK):
        record.write_text("5")


def _peak_bytes() -> int:
    """The most memory of this process since `_forget_peak`; where that does nothing, since it began."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
