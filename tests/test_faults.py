"""The campaign of faults: the quick form of each suite, and that a run which is not as promised is told."""

import json
import os
import shutil

import pytest

from perceiver_jax.errors import Failure
from perceiver_jax.members import kinds, member
from perceiver_jax.system import disk
from scripts.faults import kinds as room
from scripts.faults.campaign import Campaign, Trial, learned
from scripts.faults.table import COLUMNS, Row, total
from scripts.faults.volatile import Volatile


@pytest.fixture
def campaign(launcher, undisturbed, tmp_path):
    return Campaign(launcher, tmp_path, undisturbed, 0, print)


@pytest.mark.parametrize("name", kinds(room))
def test_the_few_faults_of_a_suite_are_survived(name, campaign, capsys):
    suite = member(room, name, "--suite")()
    suite.inject(campaign, suite.quick)
    row = Row(name, suite.rows, campaign.trials)
    said = capsys.readouterr().out
    assert (row.injected, row.survived) == (suite.quick, suite.quick), said
    numbers = dict(zip(COLUMNS, row.cells(), strict=True))
    assert (numbers["wrong results"], numbers["bytes leaked"]) == (0, 0), said
    assert suite.full >= 50


# A campaign that could not fail would show nothing


def judged(campaign, path):
    with campaign.trial("a fault") as trial:
        campaign.judge(path, [trial])
    return trial


def copied(campaign):
    return shutil.copytree(campaign.quiet, campaign.new())


def test_the_undisturbed_run_has_logged_all_and_is_as_itself(campaign):
    assert set(learned(campaign.quiet)) == {(s, "train") for s in range(1, 61)} | {(s, "test") for s in (20, 40, 60)}
    trial = judged(campaign, copied(campaign))
    assert (trial.problem, trial.wrong, trial.leaked) == ("", False, 0)


def test_a_run_with_another_state_is_wrong(campaign):
    path = copied(campaign)
    result = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps(result | {"state_sha256": "0" * 64}))
    trial = judged(campaign, path)
    assert trial.wrong
    assert trial.problem.startswith("state_sha256 0000")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: [lines[0].replace('"loss": 2', '"loss": 3'), *lines[1:]], "metrics.jsonl has other numbers"),
        (lambda lines: [*lines, lines[-1]], "metrics.jsonl repeats records"),
    ],
)
def test_a_run_with_another_log_is_wrong(campaign, change, problem):
    path = copied(campaign)
    lines = (path / "metrics.jsonl").read_text().splitlines()
    (path / "metrics.jsonl").write_text("\n".join(change(lines)) + "\n")
    trial = judged(campaign, path)
    assert (trial.wrong, trial.problem) == (True, problem)


def test_what_a_run_leaves_behind_is_counted(campaign):
    path = copied(campaign)
    (path / "checkpoints" / ".tmp-65").mkdir()
    (path / "checkpoints" / ".tmp-65" / "array").write_bytes(b"12345")
    (path / ".tmp-config.json").write_bytes(b"123")
    assert judged(campaign, path).leaked == 8


def test_what_is_not_as_promised_ends_its_trial_alone(campaign, capsys):
    with campaign.trial("one") as trial:
        trial.says("^error", "a line\nerror: this one")
        trial.says("^warning", "a line\nerror: this one")
        raise AssertionError("not reached")
    with campaign.trial("two") as other:
        other.trust(False, "damage was not found")
    assert [(one.messages, one.wrong, bool(one.problem)) for one in campaign.trials] == [(1, False, True), (0, True, True)]
    assert capsys.readouterr().out.count("NOT SURVIVED") == 2


def test_a_disk_without_power_has_what_was_flushed_and_of_the_rest_anything(tmp_path):
    """An unflushed file is there, cut, zeroed or absent; one that was flushed and then appended to keeps what it had."""
    found = {"log": set(), "new": set(), "moved": set()}
    for seed in range(60):
        folder, image = tmp_path / f"{seed}", tmp_path / f"{seed}.image"
        folder.mkdir()
        (folder / "log").write_bytes(b"kept")
        with pytest.raises(KeyboardInterrupt), Volatile(folder, image, 4, seed, _lose_power):
            _change(folder)
        assert (image / "safe").read_bytes() == b"safe"
        for name, contents in found.items():
            contents.add((image / name).read_bytes() if (image / name).exists() else None)
    assert found["new"] >= {None, b"new", b"", bytes(3)}
    assert found["log"] > {b"kept", b"keptmore", b"kept" + bytes(4)}
    assert all(content.startswith(b"kept") for content in found["log"])
    assert found["moved"] == {None}  # not before the call is made


def _change(folder):
    with open(folder / "log", "ab") as log:
        log.write(b"more")
    disk.write_atomically(folder / "safe", b"safe")  # two flushes and a rename
    (folder / "new").write_bytes(b"new")
    os.rename(folder / "safe", folder / "moved")


def _lose_power():
    raise KeyboardInterrupt


def test_the_table_adds_up():
    lost = Trial("a", lost=3, leaked=5, seconds=0.5, messages=2, wrong=True, problem="bad")
    rows = [Row("one", "", [lost, Trial("b", lost=1, seconds=2.0)]), Row("other", "", [])]
    assert rows[0].cells() == ["one", 2, 1, 1, 3, 5, 2.0, 2]
    assert total(rows).cells() == ["total", *rows[0].cells()[1:]]
    assert [fault["fault"] for fault in rows[0].record()["not survived"]] == ["a"]


def test_an_unknown_suite_is_refused_with_the_nearest(campaign):
    with pytest.raises(Failure, match="one of sigkill, "):
        member(room, "sigkil", "--suite")
