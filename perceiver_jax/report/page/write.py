"""The page itself: facts of runs in the templates beside this file, with a library for the curves inside."""

import functools
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Code, MissingPackage
from perceiver_jax.report.curves import PANELS, shown
from perceiver_jax.report.page import lines, pictures
from perceiver_jax.report.page.facts import RunFacts, Table

START = "<!doctype html>"  # what every page begins with
HERE = Path(__file__).parent
EXTRA = "pip install -e .[report]"
# Far apart, and to be told from black and from white. Of more runs than these the colours come again.
COLOURS = ("#2f7fd1", "#d9662b", "#2c9a6b", "#a45bc4", "#c9a227", "#d14b6f", "#4aa6b5", "#8a7a5c", "#6f78d6", "#7aa536")
GREY = "#8793a3"  # of the training split of a single run
ALL_CLASSES = 60  # of a table: of more, the first and last are shown, and the others on demand


def check_packages() -> None:
    """Raises MissingPackage, saying how it is installed, where one of the page's libraries is not there."""
    for name in ("jinja2", "bokeh"):
        if importlib.util.find_spec(name) is None:
            raise MissingPackage(Code.CONFIG, f"a report needs the package {name}", found="not installed", hint=EXTRA)


def html(runs: Sequence[RunFacts], title: str) -> str:
    """The page of some runs with names of their own. Raises MissingPackage as `check_packages` does."""
    curves = lines.panels({run.name: run.log for run in runs})
    notes = {run.name: list(run.notes) for run in runs}
    budget = pictures.ALL_BYTES // len(runs)
    drawn = {run.name: pictures.embedded(run.pictures, budget, notes[run.name].append) for run in runs}
    return template().render(
        title=title,
        runs=runs,
        colours=colours(runs),
        notes=notes,
        pictures=drawn,
        curves=curves,
        curves_json=_script_json({"panels": curves.panels, "colours": colours(runs)}),
        splits=list(dict.fromkeys(line["split"] for panel in curves.panels for line in panel["lines"])),
        scores=_scores(runs),
        differing=differing(runs),
        beside=beside,
        most_classes=ALL_CLASSES,
        style=(HERE / "page.css").read_text(),
        script=(HERE / "page.js").read_text(),
        library=_library(),
    )


@functools.cache
def template() -> Any:
    """The page without its facts, compiled; raises as `check_packages`."""
    check_packages()
    import jinja2

    loader = jinja2.FileSystemLoader(HERE)
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    made.lstrip_blocks = True
    made.filters |= {"cell": cell, "shown_as": _shown_as}
    return made.get_template("page.html")


def colours(runs: Sequence[RunFacts]) -> dict[str, dict[str, str]]:
    """The colour of each run's splits: of several runs one each, of a single one by split."""
    splits = {run.name: list(dict.fromkeys(record["split"] for record in run.log.records)) for run in runs}
    if len(runs) > 1:
        return {name: dict.fromkeys(of, COLOURS[i % len(COLOURS)]) for i, (name, of) in enumerate(splits.items())}
    (name, of), evaluations = *splits.items(), sorted(set(*splits.values()) - {"train"})
    own = {split: COLOURS[(i + 1) % len(COLOURS)] for i, split in enumerate(evaluations)}
    return {name: {split: GREY if split == "train" else own[split] for split in of}}


def differing(runs: Sequence[RunFacts]) -> Table:
    """The settings that are not the same in all runs: a row for each, or for each run where there are more runs."""
    every = beside(runs, "settings")
    columns = list(zip(every.header, *every.rows, strict=True))
    columns = [columns[0], *(column for column in columns[1:] if len(set(column[1:])) > 1)]
    header, *rows = columns if len(columns) > len(runs) else zip(*columns, strict=True)
    return Table("", ["setting" if len(columns) > len(runs) else "run", *header[1:]], rows if len(columns) > 1 else [])


def beside(runs: Sequence[RunFacts], what: str) -> Table:
    """Facts of one kind, such as "costs", as a table: a row for each run, a column for each fact that one of them has."""
    facts = [dict(getattr(run, what)) for run in runs]
    names = dict.fromkeys(name for one in facts for name in one)
    cells = ([one[name] if name in one else None for name in names] for one in facts)  # noqa: SIM401
    return Table("", ["run", *names], [[run.name, *row] for run, row in zip(runs, cells, strict=True)])


def cell(value: Any) -> str:
    """A cell of a table as people read it."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _scores(runs: Sequence[RunFacts]) -> Table:
    """Every evaluation, with the metrics of all of them in columns; those of training alone are not among them."""
    given = [(run, one) for run in runs for one in run.scores]
    names = dict.fromkeys(metric for _, one in given for metric in one.metrics)
    names = [*(name for name in PANELS if name in names), *sorted(names.keys() - PANELS.keys())]
    rows = [
        [run.name, one.of, one.split, *(shown(name, one.metrics[name]) if name in one.metrics else None for name in names)]
        for run, one in given
    ]
    return Table("", ["run", "when", "split", *(name.replace("_", " ") for name in names)], rows)


def _shown_as(value: Any, name: str) -> str:
    """A value of a table by class as people read it, by its column."""
    return shown(name, value) if isinstance(value, float) else cell(value)


def _script_json(value: Any) -> str:
    """JSON that cannot end the element of the page that it is in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _library() -> str:
    """BokehJS: what draws the curves. Its Python, which takes a second to import, is not needed."""
    folder = Path(importlib.util.find_spec("bokeh").origin).parent / "server/static/js"
    texts = [(folder / f"{name}.min.js").read_text() for name in ("bokeh", "bokeh-api")]
    return "\n".join(texts).replace("</script", "<\\/script")
