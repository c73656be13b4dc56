import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import termios

import pytest

from perceiver_jax.report.progress import Progress

METRICS = {"loss": 1.2344, "accuracy": 0.567, "examples_per_second": 5123.4, "grad_norm": 9.0}


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Screen(io.StringIO):
    """A terminal that remembers what it was sent."""

    def __init__(self, encoding="utf-8"):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return True


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error, self.attempts = error, 0

    def write(self, text):
        self.attempts += 1
        raise self.error


@pytest.fixture
def screen(monkeypatch):
    def of(columns, encoding="utf-8"):
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "24")
        return Screen(encoding)

    return of


def last_line(screen):
    """The bar as it was drawn last, without colours and cursor movements."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\r", screen.getvalue())
    return next(line for line in reversed(re.split(r"[\r\n]", re.sub(r"\r(?=[^\r\n]*\d+/)", "", text))) if line.strip())


def test_elsewhere_than_on_a_terminal_each_log_is_a_plain_line():
    stream, clock = io.StringIO(), Clock()
    with Progress(1250, 0, stream, clock) as progress:
        progress.update(50, METRICS)
        clock.now += 10
        progress.update(250, METRICS)
        progress.note("step 250: test accuracy 0.912")
    assert stream.getvalue() == (
        "step 50/1250  loss 1.234  accuracy 0.567  5123 examples/s\n"
        "step 250/1250  loss 1.234  accuracy 0.567  5123 examples/s  0:50 left\n"
        "step 250: test accuracy 0.912\n"
    )


def test_the_time_left_is_not_reported_from_the_time_that_compilation_took():
    stream, clock = io.StringIO(), Clock()
    with Progress(100, 0, stream, clock) as progress:
        clock.now += 3600
        progress.update(1, {})
        clock.now += 1
        progress.update(2, METRICS)
    assert stream.getvalue().endswith("1:38 left\n")


def test_the_time_left_follows_the_last_minute_rather_than_the_whole_run():
    stream, clock = io.StringIO(), Clock()
    with Progress(100_000, 0, stream, clock) as progress:
        for step in range(0, 1001, 10):
            clock.now += 10
            progress.update(step, {})
        for step in range(1010, 10_001, 10):
            clock.now += 1
            progress.update(step, {})
        progress.update(10_000, METRICS)
    assert stream.getvalue().endswith("2:30:00 left\n")


def test_a_resumed_run_counts_the_steps_that_it_does_itself():
    stream, clock = io.StringIO(), Clock()
    with Progress(1000, 900, stream, clock) as progress:
        progress.update(910, {})
        clock.now += 10
        progress.update(920, METRICS)
    assert stream.getvalue().endswith("1:20 left\n")


def test_the_last_line_says_how_long_it_took():
    stream, clock = io.StringIO(), Clock()
    with Progress(10, 0, stream, clock) as progress:
        clock.now += 83
        progress.update(10, METRICS)
    assert stream.getvalue().endswith("5123 examples/s  took 1:23\n")


def test_an_update_without_metrics_prints_no_line():
    stream = io.StringIO()
    with Progress(10, 0, stream) as progress:
        progress.update(1, {})
    assert stream.getvalue() == ""


def test_a_wide_terminal_shows_a_bar_and_everything(screen):
    stream = screen(100)
    with Progress(1250, 0, stream) as progress:
        progress.update(625, METRICS)
    line = last_line(stream)
    assert line.endswith("625/1250  loss 1.234  accuracy 0.567  5123 examples/s")
    assert "━" in line


@pytest.mark.parametrize("columns", [10, 20, 30, 40, 50, 60, 70])
def test_the_bar_never_exceeds_the_terminal(screen, columns):
    stream, clock = screen(columns), Clock()
    with Progress(1250, 0, stream, clock) as progress:
        progress.update(50, METRICS)
        clock.now += 83
        progress.update(100, METRICS)
    line = last_line(stream)
    assert "100/1250" in line
    assert len(line) <= columns


def test_twenty_columns_keep_the_step_and_the_time_left(screen):
    stream, clock = screen(20), Clock()
    with Progress(1250, 0, stream, clock) as progress:
        progress.update(50, METRICS)
        clock.now += 5
        progress.update(100, METRICS)
    assert last_line(stream) == "100/1250  1:55 left"


def test_a_note_is_above_the_bar(screen):
    stream = screen(80)
    with Progress(1250, 0, stream) as progress:
        progress.update(50, METRICS)
        progress.note("step 50: [test] accuracy 0.912")
    text = stream.getvalue()
    assert text.index("step 50: [test] accuracy 0.912") < text.rindex("50/1250")


def test_a_screen_without_unicode_gets_ascii_only(screen):
    stream = screen(100, encoding="ascii")
    with Progress(1250, 0, stream) as progress:
        progress.update(625, METRICS)
        progress.note("déjà vu")
    assert stream.getvalue().isascii()
    assert "----" in last_line(stream)
    assert "d\\xe9j\\xe0 vu" in stream.getvalue()


def test_no_color_is_respected(screen, monkeypatch):
    stream = screen(100)
    monkeypatch.setenv("NO_COLOR", "1")
    with Progress(1250, 0, stream) as progress:
        progress.update(625, METRICS)
    assert "━" in stream.getvalue()
    assert "\x1b[3" not in stream.getvalue()


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "I/O error"), ValueError("closed")])
def test_a_stream_that_takes_nothing_does_not_stop_the_run(error):
    stream = Broken(error)
    with Progress(20, 0, stream) as progress:
        progress.update(10, METRICS)
        progress.update(20, METRICS)
        progress.note("saved")
    assert stream.attempts == 3


RUN = """
import os, sys, time
from perceiver_jax.report.progress import Progress, say
with Progress(200, 0) as progress:
    for step in range(1, 201):
        progress.update(step, {"loss": 1.0})
        progress.note("x" * 1000)
say("test accuracy 0.97")
os.write(int(sys.argv[1]), b"finished")
"""


def run_with(tmp_path, **streams):
    """The exit code of a run with these streams, having checked that it came to its end."""
    with open(tmp_path / "end", "w+b") as end:
        command = [sys.executable, "-c", RUN, str(end.fileno())]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        streams |= {"env": env, "pass_fds": [end.fileno()]}
        code = subprocess.run(command, check=False, timeout=60, **streams).returncode
        end.seek(0)
        assert end.read() == b"finished"
    return code


def test_a_result_that_the_disk_refuses_is_a_failure(tmp_path):
    code = "import sys; from perceiver_jax import command; from perceiver_jax.report.progress import say\n"
    command = [sys.executable, "-c", f"{code}command.run(lambda: say('test accuracy 0.97'))"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr.splitlines()[0]) == (6, "error[6] stdout cannot be written")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_pipe_that_nobody_reads_leaves_the_exit_code_at_zero(tmp_path, name):
    reader, writer = os.pipe()
    os.close(reader)
    other = {"stdout": "stderr", "stderr": "stdout"}[name]
    assert run_with(tmp_path, **{name: writer, other: subprocess.DEVNULL}) == 0
    os.close(writer)


def test_a_terminal_that_goes_away_leaves_the_exit_code_at_zero(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    mine, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
    os.close(mine)
    assert run_with(tmp_path, stdout=theirs, stderr=theirs) == 0
    os.close(theirs)


def test_a_result_on_stdout_is_apart_from_the_progress(tmp_path):
    reader, writer = os.pipe()
    assert run_with(tmp_path, stdout=writer, stderr=subprocess.DEVNULL) == 0
    os.close(writer)
    with open(reader) as results:
        assert results.read() == "test accuracy 0.97\n"
