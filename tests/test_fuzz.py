"""The fuzzer: inputs come from (seed, number) alone, each reader holds what is promised, and one that does not is told."""

import hashlib
import json
import random
import runpy
import sys

import pytest

from perceiver_jax.errors import Code, Failure, MissingPackage
from perceiver_jax.members import kinds, member
from scripts.fuzz import parsers as room
from scripts.fuzz.campaign import Campaign
from scripts.fuzz.mutations import CHANGES, MAX_BYTES, mutation
from scripts.fuzz.parser import judged
from tests import fuzzed as unruly_room
from tests.door import fresh_flags
from tests.fuzzed import unruly

SEEDS = [b"OFF 3 1\n0 0 0\n", bytes(range(200)), b""]


def test_an_input_is_a_function_of_seed_and_number():
    inputs = [mutation(SEEDS, 7, number) for number in range(300)]
    assert inputs == [mutation(SEEDS, 7, number) for number in range(300)]
    assert inputs != [mutation(SEEDS, 8, number) for number in range(300)]
    assert hashlib.sha256(repr(inputs[:100]).encode()).hexdigest()[:16] == KNOWN
    assert {which for which, _ in inputs} == {0, 1, 2}
    assert max(len(data) for _, data in inputs) <= MAX_BYTES


KNOWN = "f4b4e36c618f9669"  # inputs of a seed and number are the same in every version: a finding can be told by them


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_each_change_changes_and_takes_what_is_empty(change):
    changed = {change(SEEDS[0], SEEDS[1], random.Random(number)) for number in range(30)}
    assert len(changed) > 3
    for number in range(30):
        assert isinstance(change(b"", b"", random.Random(number)), bytes)


@pytest.fixture(scope="module", params=kinds(room))
def parser(request):
    return member(room, request.param, "--parser")()


def within(parser, number, name, data, tmp_path):
    folder = tmp_path / f"{number}"
    folder.mkdir()
    return judged(parser, number, name, data, folder)


def test_a_parser_accepts_its_seeds_and_refuses_or_accepts_what_becomes_of_them(parser, tmp_path):
    for number, (name, data) in enumerate(parser.whole.items()):
        outcome = within(parser, f"seed{number}", name, data, tmp_path)
        assert outcome.accepted, outcome
    names, seeds = list(parser.seeds), list(parser.seeds.values())
    for number in range(20):
        which, data = mutation(seeds, 0, number)
        outcome = within(parser, number, names[which], data, tmp_path)
        assert not outcome.problem, outcome
        assert outcome.accepted != bool(outcome.refused)


# A fuzzer that could not find would show nothing: what the readers of tests/fuzzed do is told

PROBLEMS = {
    "raising": ("ValueError: not a number", "ValueError at tests/fuzzed/unruly.py:"),
    "faulty": ("a fault of ours: error[1] a bug", "Failure at tests/fuzzed/unruly.py:"),
    "dying": ("died of SIGKILL", "died of SIGKILL"),
    "hanging": ("hangs: more than 0.5 s", "hangs: more than 0.5 s at File"),
    "greedy": ("out of memory, told as cannot be decoded", "BadFile at tests/fuzzed/unruly.py:"),
    "hungry": ("out of memory, told as cannot be decoded", "BadFile at tests/fuzzed/unruly.py:"),
    "writing": ("wrote outside its folder: open ", "wrote outside its folder"),
    "pickled": ("a pickle was loaded", "a pickle was loaded"),
    "printing": ("printed a traceback: ValueError: of a callback", "ValueError: of a callback"),
}
REFUSED = ("refusing", "unbelieving")
COUNT = 50


def campaign_of(name, tmp_path, said, seconds=10.0):
    return Campaign("tests.fuzzed", name, 0, tmp_path, said.append, seconds)


def test_what_is_not_allowed_is_told_and_the_campaign_goes_on(tmp_path):
    said = []
    campaign = campaign_of("unruly", tmp_path, said, seconds=0.5)
    campaign.feed(COUNT, lambda _: None)
    parser = unruly.MEMBER()
    seeds = list(parser.seeds.values())
    inputs = {}  # the damaged ones, by the seed that they began as
    for number in range(COUNT):
        which, data = mutation(seeds, 0, number)
        if data != seeds[which]:
            inputs.setdefault(list(parser.seeds)[which], []).append(data)
    findings = {finding.outcome.name: finding for finding in campaign.findings.values()}
    assert findings.keys() == PROBLEMS.keys() == inputs.keys() - {*REFUSED}
    for name, finding in findings.items():
        problem, place = PROBLEMS[name]
        assert finding.outcome.problem.startswith(problem)
        assert finding.outcome.place.startswith(place)
        assert (finding.times, finding.data) == (len(inputs[name]), min(inputs[name], key=len))
    row, refused = campaign.row, sum(len(inputs[name]) for name in REFUSED)
    found = sum(map(len, inputs.values())) - refused
    assert (row.inputs, row.accepted, row.refused, row.findings) == (COUNT, COUNT - found - refused, refused, found)
    assert row.slowest == 0.5
    assert sorted(line.partition(" number ")[0] for line in said) == ["FINDING: unruly --seed 0"] * len(PROBLEMS)


def command(monkeypatch, capsys, *words):
    """Runs the command in this process: its exit code, what it printed and what it said."""
    monkeypatch.setattr(sys, "argv", ["fuzz", *words])
    with fresh_flags(), pytest.raises(SystemExit) as end:
        runpy.run_module("scripts.fuzz", run_name="__main__", alter_sys=True)
    return end.value.code, *capsys.readouterr()


def test_the_command_prints_a_table_and_keeps_it(monkeypatch, capsys, tmp_path):
    words = "--parser=soundfonts", "--count=15", f"--output={tmp_path}/fuzz.json"
    code, printed, said = command(monkeypatch, capsys, *words)
    assert (code, said) == (0, "")
    names, _, row = printed.splitlines()
    assert (names.split()[:5], row.split()[:2], row.split()[4]) == (
        ["parser", "inputs", "accepted", "refused", "findings"], ["soundfonts", "15"], "0"
    )  # fmt: skip
    kept = json.loads((tmp_path / "fuzz.json").read_text())
    assert (kept["parsers"][0]["inputs"], kept["findings"], kept["seed"]) == (15, [], 0)
    assert (tmp_path / "fuzz.md").read_text().startswith("| parser | inputs |")


def test_a_finding_ends_the_command_with_1_and_its_input_is_kept(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(room, "__path__", unruly_room.__path__)
    monkeypatch.setattr(room, "__name__", unruly_room.__name__)
    code, _, said = command(monkeypatch, capsys, "--parser=once", "--count=3", f"--output={tmp_path}/fuzz.json")
    assert (code, said.splitlines()[1]) == (1, "error[1] 1 findings")
    (finding,) = json.loads((tmp_path / "fuzz.json").read_text())["findings"]
    assert finding["problem"] == "ValueError: as always"
    assert len((tmp_path / finding["input"]).read_bytes()) == finding["bytes"]


def test_what_the_command_cannot_do_is_told(monkeypatch, capsys):
    code, _, said = command(monkeypatch, capsys, "--parser=meshs")
    assert code == 2
    assert said.startswith("error[2] --parser: unknown value 'meshs'\n  expected: one of meshes, ")
    monkeypatch.setitem(sys.modules, "atheris", None)
    assert command(monkeypatch, capsys, "--guided", "--parser=meshes") == (
        2, "", "error[2] --guided needs the package atheris\n  try: pip install -e .[fuzz]\n"
    )  # fmt: skip


def test_a_parser_that_refuses_its_own_seed_is_no_parser(tmp_path):
    with pytest.raises(Failure) as failure:
        campaign_of("unfit", tmp_path, []).feed(1, lambda _: None)
    assert (failure.value.code, failure.value.what) == (Code.FAULT, "parser unfit: its seed a is not read")
    assert failure.value.found == "is damaged"


def test_a_parser_whose_package_is_missing_says_so(tmp_path):
    with pytest.raises(MissingPackage) as failure:
        campaign_of("lacking", tmp_path, []).feed(1, lambda _: None)
    assert failure.value.hint == "pip install it"
