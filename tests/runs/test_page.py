"""The page of runs on disk: whole, harmless, and never in the place of something else."""

import importlib.util
import json
import os
import re
from html.parser import HTMLParser

import pytest

from perceiver_jax.errors import Code, Failure, MissingPackage
from perceiver_jax.runs.page import NAME, names_of, renew_own, write_own, write_page
from perceiver_jax.runs.past import read_run
from tests.pastruns import past_run

NASTY = '<script>alert("1")</script>&amp;\'{{ 7 * 7 }}'


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and its words."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self._inside = [], "", None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.words += f"{data} "

    def handle_endtag(self, tag):
        self._inside = None

    def of(self, name):
        """The attributes of every element of a kind."""
        return [attributes for tag, attributes in self.elements if tag == name]


def page(tmp_path, *workdirs):
    """The page of some runs, and its text."""
    output = tmp_path / "page.html"
    write_page([read_run(workdir.path) for workdir in workdirs], output)
    text = output.read_text()
    return Page(text), text


def test_a_page_says_what_the_run_is(tmp_path):
    found, text = page(tmp_path, past_run(tmp_path / "mine"))
    assert text.startswith("<!doctype html>")
    for words in ("finished, 4 steps", "66.7 %", "ab" * 32, "python -m experiments.train", "numerics", "train.duration"):
        assert words in found.words
    data = json.loads(re.search(r'id="curves-data">(.*?)</script>', text)[1])
    assert data["panels"][0]["metric"] == "loss"
    assert data["colours"].keys() == {"mine"}


def test_a_page_needs_nothing_from_elsewhere(tmp_path):
    found, text = page(tmp_path, past_run(tmp_path / "a"))
    addresses = [value for _, given in found.elements for name, value in given.items() if name in ("src", "href")]
    assert [one for one in addresses if not one.startswith(("#", "data:"))] == []
    assert re.findall(r"@import|url\(", re.search("<style>(.*?)</style>", text, re.DOTALL)[1]) == []
    (policy,) = [given["content"] for given in found.of("meta") if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy


def test_words_of_users_are_words(tmp_path):
    """Wherever they come from: the directory, the classes, a picture's name, the command, the log."""
    workdir = past_run(tmp_path / NASTY.replace("/", ":"), classes=(NASTY, "b"))
    (workdir.path / "per_class_test.csv").write_text(f'class,accuracy\n"{NASTY.replace(chr(34), chr(34) * 2)}",0.5\n')
    (workdir.plots / f"{NASTY.replace('/', ':')}.png").write_bytes(b"no picture")
    with open(workdir.metrics, "a") as log:
        log.write(json.dumps({"step": 4, "split": NASTY, NASTY: 1.0}) + "\n")
    found, text = page(tmp_path, workdir)
    assert len(found.of("script")) == 3
    assert found.words.count("alert(") >= 4
    assert "<script>alert" not in text
    assert "{{ 7 * 7 }}" in text
    assert json.loads(re.search(r'id="curves-data">(.*?)</script>', text)[1])["panels"][-1]["metric"] == NASTY


def test_runs_beside_each_other_show_what_differs(tmp_path):
    few = past_run(tmp_path / "few", "--config.model.num_latents=8")
    found, _ = page(tmp_path, few, past_run(tmp_path / "many", finished=False))
    boxes = [given for given in found.of("input") if "data-run" in given]
    assert [box["data-run"] for box in boxes] == ["few", "many"]
    differing = found.words.partition("Settings that differ")[2].partition("Curves")[0].split()
    assert differing == ["run", "model.num_latents", "few", "8", "many", "16"]


def test_runs_of_the_same_config_and_of_other_metrics(tmp_path):
    one, two = past_run(tmp_path / "one"), past_run(tmp_path / "two")
    two.metrics.write_text('{"step": 7, "split": "validation", "mean_average_precision": "NaN"}\n')
    found, text = page(tmp_path, one, two)
    assert "None: the runs have the same config." in found.words
    panels = json.loads(re.search(r'id="curves-data">(.*?)</script>', text)[1])["panels"]
    assert [line["run"] for panel in panels for line in panel["lines"] if panel["metric"] == "loss"] == ["one", "one"]
    (line,) = next(panel["lines"] for panel in panels if panel["metric"] == "mean_average_precision")
    assert (line["run"], line["y"], line["broken"]) == ("two", [None], 7)


def test_a_run_without_anything_has_a_page(tmp_path):
    workdir = past_run(tmp_path / "a", finished=False)
    workdir.metrics.unlink()
    found, _ = page(tmp_path, workdir)
    for words in ("No metrics yet.", "Not evaluated yet.", "None yet."):
        assert words in found.words


def test_of_many_classes_the_first_and_the_last_are_shown(tmp_path):
    classes = "".join(f"class {i},{i / 500},3\n" for i in range(500))
    workdir = past_run(tmp_path / "a")
    (workdir.path / "per_class_test.csv").write_text(f"class,average_precision,examples\n{classes}")
    found, text = page(tmp_path, workdir)
    shown = set(map(int, re.findall(r"class (\d+)", found.words)))
    assert shown == {*range(30), *range(470, 500)}
    assert len(text) < 2_000_000


# Names


def test_runs_are_called_by_their_directories_and_told_apart(tmp_path):
    def names(*paths):
        return names_of([read_run(past_run(tmp_path / path).path) for path in paths])

    assert names("a/x", "a/y") == ["x", "y"]
    assert names("b/x", "c/x") == ["b/x", "c/x"]
    assert names("d/new\nline") == ["new\\nline"]
    assert names("e/\n", "e/\\n") == ["\\n", "\\n (2)"]


# The file


def test_a_page_may_replace_a_page_or_an_empty_file(tmp_path):
    run = read_run(past_run(tmp_path / "a").path)
    output = tmp_path / "page.html"
    output.touch()
    for _ in range(2):
        write_page([run], output)
        assert output.stat().st_size > 1_000_000


def test_a_link_to_a_page_stays_a_link(tmp_path):
    run = read_run(past_run(tmp_path / "a").path)
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    write_page([run], tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("a", "is a directory"),
        ("a/metrics.jsonl", "is there, and no report"),
        ("a/config.json", "is there, and no report"),
        ("empty.txt", "is there, and no report"),
        ("pipe", "is there, and no report"),
        ("a/checkpoints/4/page.html", "lies in a run's checkpoints"),
    ],
)
def test_nothing_else_is_replaced(tmp_path, place, what):
    workdir = past_run(tmp_path / "a")
    (tmp_path / "empty.txt").touch()
    os.mkfifo(tmp_path / "pipe")
    before = {path: path.read_bytes() for path in workdir.path.rglob("*") if path.is_file()}
    with pytest.raises(Failure, match=what) as failure:
        write_page([read_run(workdir.path)], tmp_path / place)
    assert failure.value.code == Code.CONFIG
    assert {path: path.read_bytes() for path in workdir.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("place", ["none/page.html", "a/config.json/page.html", "x" * 300])
def test_a_place_that_cannot_be_written_to_is_named(tmp_path, place):
    run = read_run(past_run(tmp_path / "a").path)
    with pytest.raises(Failure, match="report ") as failure:
        write_page([run], tmp_path / place)
    assert failure.value.code == Code.WORKDIR


# At a run's end


@pytest.fixture
def without_bokeh(monkeypatch):
    """As if it were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "bokeh" else find(name, *rest))


def test_without_its_library_a_page_is_refused_with_the_command_that_installs_it(tmp_path, without_bokeh):
    with pytest.raises(MissingPackage) as failure:
        write_page([read_run(past_run(tmp_path / "a").path)], tmp_path / "page.html")
    assert "needs the package bokeh" in str(failure.value)
    assert "pip install" in failure.value.hint
    assert "report" in failure.value.hint


def test_a_runs_end_goes_on_without_its_page(tmp_path, without_bokeh):
    workdir, notes = past_run(tmp_path / "a"), []
    write_own(workdir, notes.append)
    (note,) = notes
    assert note.startswith("note: report.html was not written: error[2] a report needs the package bokeh")
    assert not (workdir.path / NAME).exists()


def test_any_fault_of_a_page_costs_the_page_alone(tmp_path):
    workdir, notes = past_run(tmp_path / "a"), []
    workdir.result.write_text("{")
    write_own(workdir, notes.append)
    (workdir.path / NAME).mkdir()
    workdir.result.unlink()
    write_own(workdir, notes.append)
    assert ["result.json" in notes[0], "is a directory" in notes[1], len(notes)] == [True, True, 2]


def test_a_page_is_made_again_where_there_is_one(tmp_path):
    workdir = past_run(tmp_path / "a")
    renew_own(workdir)
    assert not (workdir.path / NAME).exists()
    write_own(workdir, pytest.fail)
    (workdir.path / "per_class_test.csv").write_text("class,accuracy\nheron,0.5\n")
    renew_own(workdir)
    assert "heron" in (workdir.path / NAME).read_text()
