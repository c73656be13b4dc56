"""Runs at a time: a line for each that begins or ends, or a live table with as many rows as a screen has room for."""

import io
import math
import re

import pytest

from perceiver_jax.report import board as boards
from perceiver_jax.report.board import Board, Row


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def rows(*states):
    return [row(f"run{i}", state, score=i / 10 if state == "done" else None) for i, state in enumerate(states)]


def row(name, state, *more, **fields):
    return Row(name, state, *more, metric="test accuracy", **fields)


def test_where_there_is_no_terminal_each_change_is_a_line():
    stream, clock = io.StringIO(), Clock()
    with Board(rows("waiting", "waiting", "done"), stream=stream, clock=clock) as board:
        board.update(row("run0", "running"))
        board.update(row("run0", "running", 5, 10, 0.5))
        clock.now += 60
        board.update(row("run0", "done", 10, 10, 0.75))
        board.update(row("run1", "running"))
        board.update(row("run1", "failed", words="error[5] loss is nan: step 4"))
    assert stream.getvalue().splitlines() == [
        "run0: running",
        "run0: done, test accuracy 0.7500  (2 of 3 done; best test accuracy 0.7500: run0; 1:00 left)",
        "run1: running",
        "run1: failed: error[5] loss is nan: step 4  (2 of 3 done, 1 failed; best test accuracy 0.7500: run0)",
    ]


def test_the_time_left_counts_what_is_at_work_and_what_is_to_come():
    clock = Clock()
    board = Board(rows("done", "waiting"), count=4, stream=io.StringIO(), clock=clock)
    assert "left" not in board.summary()
    board.update(row("run1", "running", 3, 10))  # it goes on where it was
    clock.now += 30
    assert "left" not in board.summary()
    board.update(row("run1", "running", 5, 10))
    assert board.summary().endswith("; 6:15 left")  # 0.2 in 30 s, 2.5 to go
    assert board.summary().startswith("1 of 4 done, 1 running; ")


def test_a_score_that_is_not_finite_is_never_the_best():
    board = Board([row("a", "done", score=math.nan), row("b", "done", score=0.1)], stream=io.StringIO())
    assert "best test accuracy 0.1000: b" in board.summary()


def test_scores_of_two_metrics_are_not_compared():
    board = Board([row("a", "done", score=0.5), Row("b", "done", score=0.1, metric="test d_prime")], stream=io.StringIO())
    assert board.summary() == "2 of 2 done"


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize("lines", [40, 14])
def test_a_terminal_shows_a_table_those_at_work_first(monkeypatch, lines):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LINES", str(lines))
    monkeypatch.setenv("COLUMNS", "100")
    screen = Screen()
    given = rows(*["done"] * 10, "running", "failed", *["waiting"] * 8)
    with Board(given, stream=screen) as board:
        board.update(row("run10", "running", 1500, 3000, 0.875))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"run10 +running +1,500 of 3,000 +0\.8750", shown)
    assert re.search(r"run11 +failed", shown)
    assert "10 of 20 done, 1 failed, 1 running; best test accuracy 0.9000: run9" in shown
    assert ("run19" in shown) == (lines == 40)
    assert ("12 not shown" in shown) == (lines == 14)


def test_every_state_has_a_place_and_a_colour():
    assert set(boards._FIRST) == set(boards._COLOURS) == set(boards.STATES)
