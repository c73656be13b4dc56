"""Named instants: each is one place of the code, and nothing happens there unless the environment names it."""

import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

import perceiver_jax
from perceiver_jax.errors import Failure
from perceiver_jax.system import crash_points
from perceiver_jax.system.crash_points import POINTS, VARIABLE, asked, crash_point


@pytest.fixture
def sent(monkeypatch):
    """The signals that this process sends to itself."""
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid == os.getpid(), number)))
    monkeypatch.setattr(crash_points, "_passes", Counter())
    return sent


def test_every_instant_is_one_place_of_the_package():
    texts = [path.read_text() for path in Path(perceiver_jax.__file__).parent.rglob("*.py")]
    found = Counter(name for text in texts for name in re.findall(r"\bcrash_point\(\"([^\"]+)\"\)", text))
    assert found == dict.fromkeys(POINTS, 1)


def test_without_the_variable_nothing_happens(sent, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    for name in POINTS:
        crash_point(name)
    assert sent == []


def test_the_signal_comes_at_the_instant_and_the_pass_that_are_named(sent, monkeypatch):
    monkeypatch.setenv(VARIABLE, "after-log:SIGTERM:2")
    for name in ("after-log", "after-step", "after-log", "after-log"):
        crash_point(name)
        sent.append(name)
    assert sent == ["after-log", "after-step", (True, signal.SIGTERM), "after-log", "after-log"]


def test_by_default_it_is_sigkill_at_once():
    assert asked("mid-prune") == ("mid-prune", signal.SIGKILL, 1)
    assert asked("mid-prune:SIGSTOP") == ("mid-prune", signal.SIGSTOP, 1)


@pytest.mark.parametrize("text", ["", "mid-pruning", "mid-prune:KILL", "mid-prune:SIGKILL:x"])
def test_another_value_is_an_error_at_the_first_instant(text, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(Failure, match=f"{VARIABLE}: "):
        crash_point("after-claim")
