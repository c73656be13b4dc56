"""Jobs as processes of this machine, each with a share of its cores and devices."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from perceiver_jax.errors import Code
from perceiver_jax.launch import child
from perceiver_jax.launch.jobs import AtWork, Job
from perceiver_jax.system import disk
from perceiver_jax.system.processor import num_cores

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # of libraries that count the machine's cores
DEVICES = "CUDA_VISIBLE_DEVICES"
PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


class Local:
    """`processes` jobs at a time, each on cores of its own: XLA on a CPU makes a thread for each that it may use."""

    restarts = 0  # whoever stops a process of this machine means it

    def __init__(self, processes: int):
        self.room = self.processes = processes
        self.cores = max(1, num_cores() // processes)
        self._shares = [_share(_cores(), place, processes) for place in range(processes)]
        self._devices = [_share(_devices(), place, processes) for place in range(processes)]
        self._crowded = processes > len(_devices())
        self._free = list(range(processes))[::-1]

    def start(self, jobs: Sequence[Job]) -> list[AtWork]:
        """As `Launcher.start`; one whose log cannot be written is refused."""
        return [self._start(job) for job in jobs]

    def _start(self, job: Job) -> AtWork:
        place = self._free.pop()
        cores = ",".join(self._shares[place]) if len(self._shares) > 1 else ""
        words = child_words(job.words, cores)
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            with open(job.log, "ab") as log:
                # A session of its own: a terminal's Ctrl-C reaches the launcher alone, which asks each job once.
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment(place),
                    start_new_session=True,
                )
        except OSError as error:
            self._free.append(place)
            return _Refused(str(disk.unusable(f"{error.filename or job.log}", job.log, error)).partition("\n")[0])
        return _Process(process, lambda: self._free.append(place))

    def _environment(self, place: int) -> Mapping[str, str]:
        if len(self._shares) == 1:
            return os.environ
        found = os.environ | {name: str(len(self._shares[place])) for name in THREADS if name not in os.environ}
        if self._devices[place]:
            found[DEVICES] = ",".join(self._devices[place])
            if self._crowded:  # otherwise the first would take the device's memory
                found.setdefault(PREALLOCATE, "false")
        return found


class _Refused:
    """A job that could not be started."""

    def __init__(self, why: str):
        self.refused = why

    def poll(self) -> int:
        """As `AtWork.poll`."""
        return Code.WORKDIR

    def ask(self) -> None:
        """As `AtWork.ask`: there is nothing to stop."""


class _Process:
    """A job's process."""

    refused = ""

    def __init__(self, process: subprocess.Popen, leave: Callable[[], None]):
        self._process, self._leave, self._left = process, leave, False

    def poll(self) -> int | None:
        """As `AtWork.poll`."""
        code = self._process.poll()
        if code is not None and not self._left:
            self._left = True
            self._leave()
        return code

    def ask(self) -> None:
        """As `AtWork.ask`: SIGUSR1 may come any number of times, unlike SIGTERM and SIGINT."""
        self._process.send_signal(signal.SIGUSR1)


def child_words(words: Sequence[str], cores: str = "") -> list[str]:
    """The command line of a child that becomes the command in `words` on some cores, and stops when this process ends."""
    return [sys.executable, "-S", child.__file__, str(os.getpid()), cores, *words]


def _cores() -> list[str]:
    return [str(core) for core in sorted(os.sched_getaffinity(0))] if hasattr(os, "sched_getaffinity") else []


def _devices() -> list[str]:
    """The names of this machine's CUDA devices, as far as this process may see them."""
    if os.environ.get("JAX_PLATFORMS", "") == "cpu":
        return []
    if DEVICES in os.environ:
        return [name for name in os.environ[DEVICES].split(",") if name]
    numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return sorted(numbers, key=int)


def _share(things: Sequence[str], place: int, places: int) -> list[str]:
    """The things of one of several places: neighbours, or one that it shares with others where there are too few."""
    if len(things) < places:
        return [things[place % len(things)]] if things else []
    return list(things[place * len(things) // places : (place + 1) * len(things) // places])
