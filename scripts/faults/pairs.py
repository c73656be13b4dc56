"""Two processes of one run, to which faults can be done."""

import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PATIENCE = ["--arrival_seconds=20", "--lost_seconds=10"]
TRAIN, CONFIG = "experiments.train", "configs/digits.py"


class Pair:
    """The runs of a command of two processes, at work; a launcher has `start(module, *arguments)`, which gives one.

    `faults` are those that `at_step` does inside a process, `extra` more flags of one, both by its number.
    """

    def __init__(
        self,
        launcher: Any,
        workdir: Path,
        *settings: str,
        faults: Mapping[int, str] | None = None,
        extra: Mapping[int, Sequence[str]] | None = None,
        command: str = TRAIN,
    ):
        faults, extra, coordinator = faults or {}, extra or {}, f"localhost:{free_port()}"
        self.began, self.runs = time.monotonic(), []
        for index in (0, 1):
            module = ["scripts.faults.at_step", faults[index]] if index in faults else [command]
            place = ["--distributed", f"--coordinator={coordinator}", "--num_processes=2", f"--process_id={index}"]
            config = [f"--config={CONFIG}"] if command == TRAIN else []
            given = [*config, f"--workdir={workdir}", *PATIENCE, *settings, *place, *extra.get(index, ())]
            last = {flag.partition("=")[0]: flag for flag in given}  # of two that set the same the later one counts
            self.runs.append(launcher.start(*module, *last.values()))

    def until(self, text: str) -> "Pair":
        """Itself, as soon as process 0 has printed a text on stderr."""
        self.runs[0].until(text)
        return self

    def wait(self) -> list[int]:
        """Both exit codes."""
        return [run.wait() for run in self.runs]

    def seconds(self) -> float:
        """How long it took both to end, from now on."""
        began = time.monotonic()
        self.wait()
        return time.monotonic() - began

    @property
    def said(self) -> list[str]:
        """What each has printed on stderr."""
        return [run.stderr for run in self.runs]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return taken.getsockname()[1]
