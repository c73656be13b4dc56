"""What finished runs say to the paper's claims."""

import runpy
import sys

import pytest
from scipy import stats

from experiments import tables
from experiments.reproduction import costs, sheet
from experiments.reproduction.claims import Verdict
from experiments.reproduction.sheet import sheet_of
from experiments.tables import Claim, Score
from perceiver_jax import command
from perceiver_jax.runs.past import runs_below
from tests.door import fresh_flags
from tests.pastruns import finish

CLAIM = Claim("a is better", Score("a"), Score("b"))
ALIKE = Claim("a is as good", Score("a"), Score("b"), alike=True)


@pytest.mark.parametrize(
    ("claim", "higher", "lower", "numbers", "words"),
    [
        # By hand: variances 1 and 1, so the difference's deviation is sqrt(2/3), 4 degrees of freedom, t = 2.776.
        (CLAIM, (83, 84, 85), (80, 81, 82), "+3.0 [+0.7, +5.3]", "shows"),
        (CLAIM, (80, 81, 82), (83, 84, 85), "-3.0 [-5.3, -0.7]", "does not show"),
        (CLAIM, (81, 82, 83), (80, 81, 82), "+1.0 [-1.3, +3.3]", "cannot be told"),
        (ALIKE, (81, 82, 83), (80, 81, 82), "+1.0 [-1.3, +3.3]", "no difference above 3.3 points"),
        (ALIKE, (83, 84, 85), (80, 81, 82), "+3.0 [+0.7, +5.3]", "does not show"),
        (CLAIM, (81,), (80, 81, 82), "+0.0", "cannot be told: one seed"),
        (CLAIM, (81, 81), (80, 80), "+1.0 [+1.0, +1.0]", "shows"),
        (CLAIM, (), (80, 81, 82), "-", "no runs yet"),
    ],
)
def test_a_claim_is_told_by_the_interval_of_a_difference(claim, higher, lower, numbers, words):
    verdict = Verdict(claim, higher, lower)
    assert (verdict.numbers, verdict.words) == (numbers, words)


def test_the_interval_is_that_of_a_library():
    higher, lower = (83.0, 84.5, 85.0), (80.0, 82.5)
    theirs = stats.ttest_ind(higher, lower, equal_var=False).confidence_interval(0.95)
    assert Verdict(CLAIM, higher, lower).interval == pytest.approx(tuple(theirs))


@pytest.mark.parametrize("name", tables.names())
def test_every_claim_is_of_rows_that_there_are(name):
    study = tables.load(name).small
    rows = {(row.name, row.column) for row in study.rows}
    for claim in study.claims:
        for score in (claim.higher, claim.lower):
            assert {(score.row, score.column), (score.row, score.above or score.column)} <= rows


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sheet, "cost_of", lambda problem: costs.Cost(123, 10**9, 64, 1.0))


def test_overfitting_is_what_train_is_above_test_in_the_same_runs(quick, tmp_path):
    unshared, shared = (tables.load("7").small.rows[i].point for i in (0, 2))
    for seed, (test, train) in enumerate([(0.70, 0.90), (0.72, 0.91), (0.71, 0.92)]):
        scores = {"test": {"accuracy": test, "loss": 1.0}, "train": {"accuracy": train, "loss": 1.0}}
        finish(tmp_path / f"unshared{seed}", unshared, seed=seed, result={"metrics": scores})
        scores = {"test": {"accuracy": 0.8, "loss": 1.0}, "train": {"accuracy": 0.8 + 0.01 * seed, "loss": 1.0}}
        finish(tmp_path / f"shared{seed}", shared, seed=seed, result={"metrics": scores})
    better, overfits = sheet_of("7", "small", runs_below(tmp_path, print), tmp_path, None, print).verdicts
    assert (better.difference, better.words) == (pytest.approx(9.0), "shows")
    assert overfits.higher == pytest.approx((20.0, 19.0, 21.0))
    assert overfits.lower == pytest.approx((0.0, 1.0, 2.0))
    assert overfits.words == "shows"


def test_the_page_has_every_claim_and_the_scores_of_the_runs(quick, tmp_path, monkeypatch, capsys):
    for row, accuracies in ((0, (0.5, 0.51)), (2, (0.625, 0.635))):
        for seed, accuracy in enumerate(accuracies):
            finish(tmp_path / f"runs/{row}{seed}", tables.load("5").small.rows[row].point, accuracy, seed=seed)
    monkeypatch.setattr(tables, "names", lambda: ["5", "7"])
    monkeypatch.setattr(sys, "argv", ["findings", f"--workdir={tmp_path / 'runs'}", f"--output={tmp_path / 'docs'}"])
    with fresh_flags(), pytest.raises(SystemExit) as end:
        command.run(runpy.run_module("experiments.findings", run_name="findings_under_test")["main"])
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (0, f"{tmp_path}/docs/findings.md, 1 pictures\n"), err
    text = (tmp_path / "docs/findings.md").read_text()
    claims = [claim.words for name in ("5", "7") for claim in tables.load(name).small.claims]
    assert [line.split("[")[1].split("]")[0] for line in text.splitlines() if line.startswith("| [")] == claims
    assert "](#table-5) | +12.5 [+9.5, +15.5] | **shows** |" in text
    assert "](#table-7) | - | **no runs yet** |" in text
    assert "| 4 | 123 | 1.0000 | 63.0 | 0.7 | 62.5, 63.5 |" in text
    assert "4 runs, 0:28 one after the other" in text
    assert "![scores](findings/5.png)" in text
    assert (tmp_path / "docs/findings/5.png").stat().st_size > 5_000
    assert not (tmp_path / "docs/findings/7.png").exists()
