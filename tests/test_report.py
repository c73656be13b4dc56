"""The command that makes a page, through its door."""

import runpy
import sys

import pytest

from perceiver_jax import command
from tests.door import fresh_flags
from tests.pastruns import past_run


@pytest.fixture
def report(monkeypatch, capsys, tmp_path):
    """Runs `experiments.report` in a directory of its own: the exit code, what it prints, what it says on stderr."""

    def report(*arguments):
        monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
        monkeypatch.chdir(tmp_path)
        with fresh_flags():
            main = runpy.run_module("experiments.report", run_name="report_under_test")["main"]
            with pytest.raises(SystemExit) as end:
                command.run(main, takes_files=True)
        return end.value.code, *capsys.readouterr()

    return report


def test_a_runs_page_is_put_into_it(report, tmp_path):
    past_run(tmp_path / "runs/a")
    assert report("runs/a") == (0, "runs/a/report.html\n", "")
    assert "<h1>a</h1>" in (tmp_path / "runs/a/report.html").read_text()


def test_runs_beside_each_other_have_a_page_here(report, tmp_path):
    past_run(tmp_path / "a"), past_run(tmp_path / "b")
    assert report("a", "b") == (0, "report.html\n", "")
    assert "<h1>2 runs</h1>" in (tmp_path / "report.html").read_text()


def test_a_directory_of_runs_stands_for_them(report, tmp_path):
    past_run(tmp_path / "sweep/a"), past_run(tmp_path / "sweep/b/c"), past_run(tmp_path / "sweep/broken")
    (tmp_path / "sweep/broken/config.json").write_text("{")
    code, printed, said = report("sweep")
    assert (code, printed) == (0, "sweep/report.html\n")
    assert said.startswith("note: left out sweep/broken: error[4] ")
    assert "<h1>2 runs</h1>" in (tmp_path / "sweep/report.html").read_text()


def test_a_run_that_is_given_twice_is_shown_once_and_told(report, tmp_path):
    past_run(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    code, printed, said = report("a", tmp_path / "a", "link", "--output", "page.html")
    assert (code, printed) == (0, "page.html\n")
    assert said.count("is given twice; it is shown once") == 2
    assert "<h1>a</h1>" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "error[2] no workdir given\n  try: python -m experiments.report runs/NAME"),
        (["none"], 4, "error[4] no run at none\n  found: nothing there\n  try: --workdir "),
        (["file"], 4, "error[4] no run at file\n  found: a file\n"),
        (["empty"], 4, "error[4] no run at empty\n  found: a directory that holds nothing\n"),
        (["x" * 300], 4, f"error[4] no run at {'x' * 197}...\n  found: file name too long\n"),
        (["a", "none"], 4, "error[4] no run at none\n"),
        (["a", "--output", "empty"], 2, "error[2] --output empty: is a directory\n  try: --output empty/report.html"),
        (["a", "--output", "file"], 2, "error[2] --output file: is there, and no report\n"),
        (["a", "--output", "none/page.html"], 6, "error[6] report none/page.html: no such file or directory\n"),
        (["a", "--outptu", "x"], 2, "error[2] Unknown command line flag 'outptu'. Did you mean: output?"),
    ],
)
def test_a_wrong_use_is_told(report, tmp_path, arguments, code, told):
    past_run(tmp_path / "a")
    (tmp_path / "file").write_text("words")
    (tmp_path / "empty").mkdir()
    found = report(*arguments)
    assert (found[0], found[1]) == (code, "")
    assert told in found[2]


def test_a_config_of_another_version_is_told_with_its_run(report, tmp_path):
    workdir = past_run(tmp_path / "a")
    workdir.config.write_text(workdir.config.read_text().replace('"num_latents"', '"num_latent"'))
    code, _, said = report("a")
    assert code == 2
    assert "unknown key model.num_latent" in said
    assert "found: in the config of a" in said
