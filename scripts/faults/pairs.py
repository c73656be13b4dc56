"""Two processes of one run, to which faults can be done."""

import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.faults.processes import Launcher, Run
from scripts.faults.tiny import CONFIG, TINY, last

LOST_SECONDS = 10  # of silence, after which one of a pair misses the other
PATIENCE = ["--arrival_seconds=20", f"--lost_seconds={LOST_SECONDS}"]


class Pair:
    """The tiny run by two processes, at work. `layers` and `extra`, more flags, are of one of them, by its number.

    `launchers` start one each, and the second one reaches the first at `host`.
    """

    def __init__(
        self,
        launchers: Sequence[Launcher],
        workdir: Path,
        *settings: str,
        layers: Mapping[int, Sequence[Any]] | None = None,
        extra: Mapping[int, Sequence[str]] | None = None,
        host: str = "localhost",
    ):
        layers, extra, coordinator = layers or {}, extra or {}, f"{host}:{free_port()}"
        self.began, self.runs = time.monotonic(), list[Run]()
        for index, launcher in enumerate(launchers):
            place = ["--distributed", f"--coordinator={coordinator}", "--num_processes=2", f"--process_id={index}"]
            given = [*TINY, *PATIENCE, *settings, *place, *extra.get(index, ())]
            given = last([f"--config={CONFIG}", f"--workdir={workdir}", *given])
            self.runs.append(launcher.start("experiments.train", *given, layer=layers.get(index, ())))

    def until(self, text: str) -> "Pair":
        """Itself, as soon as process 0 has printed a text on stderr."""
        self.runs[0].until(text)
        return self

    def wait(self) -> list[int]:
        """Both exit codes."""
        return [run.wait() for run in self.runs]

    @property
    def said(self) -> list[str]:
        """What each has printed on stderr."""
        return [run.stderr for run in self.runs]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return taken.getsockname()[1]
