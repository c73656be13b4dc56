"""The real commands as processes that faults can be done to, cheap enough for thousands.

Half of a tiny run is imports, and a fifth of the rest what is alike in all (`warm`). `Launcher` therefore forks each process
from one that has paid for both: it has a process id, files, locks, threads and signals of its own, but not its own imports.
`FreshLauncher` starts each from nothing, as a shell does.
"""

import contextlib
import dataclasses
import gc
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.faults.tiny import CONFIG, SMALL, last, problem_of

SECONDS = 120  # without a word on stderr, after which a run counts as hung
Layer = Sequence[Any]  # what is done to a process before its command runs: a function of scripts.faults.layers, arguments


def rest_collector() -> None:
    """Has Python look for garbage seldom, and not among what is imported: looking takes a seventh of the time of tracing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def on_devices(count: int) -> dict[str, str]:
    """The environment of a process with `count` devices, all of them this computer's processor."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


@dataclasses.dataclass
class Run:
    """A launched command."""

    launcher: "Launcher"
    pid: int
    log: Path

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self.log.with_suffix(".out").read_text()

    @property
    def stderr(self) -> str:
        """What it has printed on stderr so far."""
        return self.log.with_suffix(".err").read_text()

    def poll(self) -> int | None:
        """The exit code (negative: the signal that killed it), None while it runs."""
        return self.launcher.exit_code(self.pid)

    def wait(self) -> int:
        """The exit code, once it has ended."""
        return self._until(self.poll, every=0.02)  # each question takes time of both processes

    def until(self, text: str) -> "Run":
        """Itself, as soon as it has printed `text` on stderr."""
        self._until(lambda: True if text in self.stderr else self._fail(f"ended before {text!r}") if self.ended else None)
        return self

    @property
    def came_to_steps(self) -> bool:
        """Whether it has told of a step, or of an evaluation at one."""
        return re.search(r"^step \d", self.stderr, re.M) is not None

    def until_step(self) -> "Run":
        """Itself, as soon as it has told of a step."""
        self._until(lambda: True if self.came_to_steps else self._fail("ended before a step") if self.ended else None)
        return self

    def until_suspended(self) -> "Run":
        """Itself, as soon as it is suspended, or has ended."""
        status = Path(f"/proc/{self.pid}/stat")  # its letter for what a process does: T for suspended, Z for ended
        self._until(lambda: True if status.read_text().rpartition(") ")[2][0] in "TZ" else None)
        return self

    def kill(self, number: int) -> int:
        """The exit code after a signal."""
        os.kill(self.pid, number)
        return self.wait()

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self.poll() is not None

    def _until(self, ask: Callable[[], Any], every: float = 0.005) -> Any:
        said, deadline = -1, 0.0
        while (answer := ask()) is None:
            length = self.log.with_suffix(".err").stat().st_size
            if length != said:
                said, deadline = length, time.monotonic() + SECONDS
            elif time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                self._fail("hangs")
            time.sleep(every)
        return answer

    def _fail(self, what: str) -> None:
        raise AssertionError(f"the run {what}:\n{self.stderr}")


class Launcher:
    """Starts runs; `environment` is that of all of them."""

    def __init__(self, directory: Path):
        self._directory, self._count = directory, 0
        self.environment = os.environ | {"JAX_PLATFORMS": "cpu"}

    def __enter__(self) -> "Launcher":
        command = [sys.executable, "-m", "scripts.faults.processes"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._server = subprocess.Popen(command, env=self.environment, text=True, **pipes)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def exit_code(self, pid: int) -> int | None:
        """That of a process it has started, None while it runs."""
        return self._ask(pid=pid)

    def launch(self, argv: list[str], cwd: str, log: str, environment: Mapping[str, str], layer: Layer) -> int:
        """The process id of a new process."""
        return self._ask(argv=argv, cwd=cwd, log=log, environment=dict(environment), layer=list(layer))

    def _ask(self, **request: Any) -> Any:
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(
        self,
        module: str,
        *arguments: Any,
        cwd: Path | str = ".",
        environment: Mapping[str, str] | None = None,
        layer: Layer = (),
    ) -> Run:
        """`python -m module arguments`, at work, with more environment and under a layer of faults."""
        self._count += 1
        log = self._directory / str(self._count)
        for suffix in (".out", ".err"):
            log.with_suffix(suffix).touch()
        argv = [module, *map(str, arguments)]
        return Run(self, self.launch(argv, os.path.abspath(cwd), str(log), environment or {}, layer), log)

    def train(self, workdir: Path, *arguments: str, config: str = CONFIG, **how: Any) -> Run:
        """A training run, at work; of two arguments that set the same the later one counts."""
        return self.start("experiments.train", "--config", config, "--workdir", workdir, *last(arguments), **how)

    def finish(self, workdir: Path, *arguments: str, **how: Any) -> dict[str, Any]:
        """The result of a training run that has come to its end."""
        run = self.train(workdir, *arguments, **how)
        assert run.wait() == 0, run.stderr
        return json.loads((Path(workdir) / "result.json").read_text())


class FreshLauncher(Launcher):
    """Starts each process from nothing, by a command that `prefix` may begin."""

    def __init__(self, directory: Path, prefix: Sequence[str] = ()):
        super().__init__(directory)
        self._prefix = prefix

    def __enter__(self) -> "Launcher":
        self._processes: dict[int, subprocess.Popen] = {}
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.wait()

    def exit_code(self, pid: int) -> int | None:
        """That of a process it has started, None while it runs."""
        return self._processes[pid].poll()

    def launch(self, argv: list[str], cwd: str, log: str, environment: Mapping[str, str], layer: Layer) -> int:
        """The process id of a new process."""
        command = [*self._prefix, sys.executable, "-m", "scripts.faults.layers", json.dumps(list(layer)), *argv]
        paths = {"PYTHONPATH": os.getcwd()}
        with open(f"{log}.out", "w") as out, open(f"{log}.err", "w") as err:
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
            process = subprocess.Popen(command, cwd=cwd, env=self.environment | paths | environment, **streams)
        self._processes[process.pid] = process
        return process.pid


def _serve() -> None:
    import cv2  # noqa: F401
    import grain  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import orbax.checkpoint  # noqa: F401
    import tensorboardX  # noqa: F401

    import perceiver_jax.runs.train  # noqa: F401
    from scripts.faults import warm

    warm.draw()
    warm.trace(problem_of(*SMALL))
    rest_collector()
    codes: dict[int, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "pid" in request:
            pid = request["pid"]
            done, status = (0, 0) if pid in codes else os.waitpid(pid, os.WNOHANG)
            if done:
                codes[pid] = os.waitstatus_to_exitcode(status)
            answer = codes.get(pid)
        else:
            answer = os.fork()
            if not answer:
                return _become(**request)
            codes.pop(answer, None)  # of an earlier process, whose id it has
        print(json.dumps(answer), flush=True)


def _become(argv: list[str], cwd: str, log: str, environment: dict[str, str], layer: list[Any]) -> None:
    from scripts.faults import layers

    for number, path, mode in ((0, os.devnull, "r"), (1, f"{log}.out", "w"), (2, f"{log}.err", "w")):
        with open(path, mode) as file:
            os.dup2(file.fileno(), number)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever launches may run under nohup
    sys.path.insert(0, os.getcwd())
    os.chdir(cwd)
    os.environ |= environment
    sys.argv = argv
    layers.put(layer)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve()
