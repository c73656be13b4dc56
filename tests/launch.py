"""Runs of the real commands, cheap enough for many: each is a process of its own, forked from one that has imported JAX.

Half of a small run is imports, and a fifth of the rest what is alike in all (`warm`), paid here once.
"""

import ast
import contextlib
import dataclasses
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

from configs.digits import get_config
from perceiver_jax.runs.problem import Problem, resolve
from perceiver_jax.settings.config import Config, parse

SECONDS = 120  # after which a run counts as hung
SMALL = [
    f"--config.{setting}"
    for setting in (
        "model.num_latents=4",
        "model.latent_channels=8",
        "model.num_blocks=0",
        "model.num_cross_attends=1",
        "model.num_self_attends_per_block=1",
        "model.num_self_attend_heads=2",
        "model.num_cross_attend_heads=1",
        "model.positions.num_bands=4",
        "model.latent_init_scale=0.02",
        "optim.kind=lamb",
        "optim.learning_rate=0.01",
        "data.batch_size=8",
        "data.eval_batch_size=450",
        "train.log_every=1 steps",
    )
]  # of configs/digits.py: one cross-attend and the head


def config_of(*settings: str, tiny: bool = False) -> Config:
    """The config of configs/digits.py with flags as in `SMALL`."""
    values = get_config()
    for setting in settings:
        name, _, text = setting.removeprefix("--config.").partition("=")
        *sections, field = name.split(".")
        section = values
        for part in sections:
            section = section[part]
        with section.ignore_type():
            try:
                section[field] = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                section[field] = text
    return parse(values, shrink=tiny)


def problem_of(*settings: str, tiny: bool = False) -> Problem:
    """What a run of that config learns."""
    return resolve(config_of(*settings, tiny=tiny))


def rest_collector() -> None:
    """Has Python look for garbage seldom, and not among what is imported: looking takes a seventh of the time of tracing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def on_devices(count: int) -> dict[str, str]:
    """The environment of a process with `count` devices, all of them this computer's processor."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={count}"
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
        return self.launcher.ask(pid=self.pid)

    def wait(self) -> int:
        """The exit code, once it has ended."""
        return self._until(self.poll, every=0.02)  # each question takes time of both processes

    def until(self, text: str) -> "Run":
        """Itself, as soon as it has printed `text` on stderr."""
        self._until(lambda: True if text in self.stderr else self._fail(f"ended before {text!r}") if self.ended else None)
        return self

    def kill(self, number: int) -> int:
        """The exit code after a signal."""
        os.kill(self.pid, number)
        return self.wait()

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self.poll() is not None

    def _until(self, ask, every=0.005):
        deadline = time.monotonic() + SECONDS
        while (answer := ask()) is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                self._fail("hangs")
            time.sleep(every)
        return answer

    def _fail(self, what):
        raise AssertionError(f"the run {what}:\n{self.stderr}")


class Launcher:
    """Starts runs; `environment` is that of all of them."""

    def __init__(self, directory: Path):
        self._directory, self._count = directory, 0
        self.environment = os.environ | {"JAX_PLATFORMS": "cpu"}

    def __enter__(self):
        command = [sys.executable, "-m", "tests.launch"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._server = subprocess.Popen(command, env=self.environment, text=True, **pipes)
        return self

    def __exit__(self, *_):
        self._server.communicate()

    def ask(self, **request):
        """The server's answer."""
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(self, module: str, *arguments: str, cwd: Path | str = ".") -> Run:
        """`python -m module arguments`, at work."""
        self._count += 1
        log = self._directory / str(self._count)
        for suffix in (".out", ".err"):
            log.with_suffix(suffix).touch()
        argv = [module, *map(str, arguments)]
        return Run(self, self.ask(argv=argv, cwd=os.path.abspath(cwd), log=str(log)), log)

    def train(self, workdir: Path, *arguments: str, config: str = "configs/digits.py", **place) -> Run:
        """A training run, at work; of two arguments that set the same the later one counts."""
        settings = {argument.partition("=")[0]: argument for argument in arguments}.values()
        return self.start("experiments.train", "--config", config, "--workdir", workdir, *settings, **place)

    def finish(self, workdir: Path, *arguments: str, **where) -> dict:
        """The result of a training run that has come to its end."""
        run = self.train(workdir, *arguments, **where)
        assert run.wait() == 0, run.stderr
        return json.loads((Path(workdir) / "result.json").read_text())


def _serve() -> None:
    import cv2  # noqa: F401
    import grain  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import orbax.checkpoint  # noqa: F401
    import tensorboardX  # noqa: F401

    import perceiver_jax.runs.train  # noqa: F401
    from tests import warm

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
        print(json.dumps(answer), flush=True)


def _become(argv: list[str], cwd: str, log: str) -> None:
    for number, path, mode in ((0, os.devnull, "r"), (1, f"{log}.out", "w"), (2, f"{log}.err", "w")):
        with open(path, mode) as file:
            os.dup2(file.fileno(), number)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    sys.path.insert(0, os.getcwd())
    os.chdir(cwd)
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve()
