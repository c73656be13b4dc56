"""The processes of one run that many hosts share, seen from one of them: what they agree on, and how they end."""

import json
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from perceiver_jax.errors import STOPPED, Code, Failure, some
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.system.store import Store
from perceiver_jax.system.watch import Watch

SHOWN = 5  # differences that are named


class Processes:
    """The processes of a run. This one alone, whose calls are answered at once, unless they are `Joined`."""

    def __init__(self, index: int, count: int, stop: "StopFlag | AgreedStop"):
        self.index, self.count = index, count
        self.stop = stop  # the same answer at the same place in every process

    @property
    def first(self) -> bool:
        """Whether this is the process that writes what is written once."""
        return self.index == 0

    def exchange(self, name: str, text: str) -> list[str]:
        """What each process gives under a name, in their order, once all have; a name is used once."""
        del name
        return [text]

    def shared(self, name: str, make: Callable[[], str]) -> str:
        """What process 0 makes, in all of them, once it has; a name is used once."""
        del name
        return make()

    def meet(self, name: str) -> None:
        """Waits for all processes; a name is used once."""
        self.exchange(name, "")

    def check_alike(self, facts: Mapping[str, str]) -> None:
        """Waits for all processes; raises Failure(CONFIG) in one whose facts are not those of process 0."""
        expected = json.loads(self.shared("facts", lambda: json.dumps(dict(facts))))
        here, there = ([f"{name} {those.get(name, '(none)')}" for name in {**expected, **facts} if
                        expected.get(name) != facts.get(name)] for those in (facts, expected))  # fmt: skip
        if here:
            more = f"and {len(here) - SHOWN} more"
            what = f"process {self.index} was not launched as process 0"
            hint = "the same command, code and versions on every host"
            raise Failure(Code.CONFIG, what, found=some(here, SHOWN, more), expected=some(there, SHOWN, more), hint=hint)
        self.meet("alike")

    def doubt(self, error: Exception) -> Failure | None:
        """Where a computation of all has failed, waits for news of a process that is lost; such news end this one.

        Returns what the error means, where it comes from between the processes.
        """
        del error

    def end(self, code: Code, text: str) -> NoReturn:
        """Ends this process at once, and the others with it, from any thread."""
        del text
        os._exit(int(code))

    def leave(self, code: Code, text: str) -> None:
        """Ends this process's part of the run: returns once all have come to the same end.

        Any other end is told the others, which end as well, and does not return.
        """
        del code, text


class Joined(Processes):
    """The processes that JAX has joined; `client` is that of its coordination service. They watch each other."""

    def __init__(self, client: Any, index: int, count: int, stop: StopFlag, lost_seconds: float):
        super().__init__(index, count, AgreedStop(self.exchange))
        self._store = Store(client)
        self._watch = Watch(self._store, index, count, stop, lost_seconds, self.stop.ask)

    def exchange(self, name: str, text: str) -> list[str]:
        """As in `Processes`."""
        self._store.set(f"{name}/{self.index}", text)
        if self.first:
            everyone = [self._store.read(f"{name}/{index}") for index in range(self.count)]
            self._store.set(f"{name}/all", json.dumps(everyone))
        return json.loads(self._store.read(f"{name}/all"))

    def shared(self, name: str, make: Callable[[], str]) -> str:
        """As in `Processes`."""
        if self.first:
            self._store.set(name, make())
        return self._store.read(name)

    def doubt(self, error: Exception) -> Failure | None:
        """As in `Processes`."""
        if type(error).__name__ != "JaxRuntimeError" or "RESOURCE_EXHAUSTED" in str(error):
            return None
        self._watch.doubt()
        if "Gloo" not in str(error):
            return None
        hint = "every host's name must stand for an address that the others reach: getent hosts $(hostname)"
        found = str(error).partition("\n")[0]
        return Failure(Code.WATCHDOG, f"process {self.index} does not reach the others", found=found, hint=hint)

    def end(self, code: Code, text: str) -> NoReturn:
        """As in `Processes`."""
        self._watch.end(code, text)

    def leave(self, code: Code, text: str) -> None:
        """As in `Processes`."""
        if code != Code.DONE and not (code in STOPPED and self.stop.reached):
            self.end(code, text)
        self.meet("end")
        self._watch.over()


class AgreedStop:
    """A StopFlag for all processes: read in the same places by each of them, it is raised at the same reading.

    After a signal anywhere each process says how often the flag has been read there, and waits at its next reading until
    it knows what all have said. The reading after the latest of them is where they stop: none has come further.
    """

    def __init__(self, exchange: Callable[[str, str], list[str]]):
        self._exchange, self._lock, self._known = exchange, threading.Lock(), threading.Event()
        self._readings, self._place = 0, 0
        self._code: Code | None = None

    @property
    def should_stop(self) -> Code | None:
        """The exit code that a signal asked for, or None."""
        with self._lock:
            self._readings += 1
            code = self._code
        if code is None:
            return None
        self._known.wait()
        return code if self.reached else None

    @property
    def reached(self) -> bool:
        """Whether this process has come to the place where all stop."""
        return self._known.is_set() and self._readings >= self._place

    def ask(self, code: Code) -> None:
        """Has all stop; but the first signal changes nothing more."""
        with self._lock:
            if self._code is not None:
                return
            self._code, readings = code, self._readings
        threading.Thread(target=self._agree, args=(readings,), daemon=True).start()

    def _agree(self, readings: int) -> None:
        self._place = max(map(int, self._exchange("readings", str(readings)))) + 1
        self._known.set()


_current = [Processes(0, 1, StopFlag())]


def current() -> Processes:
    """Those of this run: this process alone, unless others have been joined."""
    return _current[0]


def enter(processes: Processes) -> Processes:
    """These, which are the current ones from now on."""
    _current[0] = processes
    return processes
