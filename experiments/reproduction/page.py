"""The page of the small studies: what the runs say to each of the paper's claims, and the tables behind it."""

from collections.abc import Sequence
from pathlib import Path

from experiments.reproduction.claims import CONFIDENCE
from experiments.reproduction.filling import mean, spread
from experiments.reproduction.sheet import Sheet, command
from perceiver_jax.report.dots import draw_dots
from perceiver_jax.report.tables import duration, markdown
from perceiver_jax.system.disk import write_atomically

NAME, PICTURES = "findings.md", "findings"  # of the page, and of the folder beside it
INTRODUCTION = f"""# Findings at small scale

Does what the paper says on ImageNet, AudioSet and ModelNet40 show on data that run here, with models of some 100,000
parameters and runs of minutes? Each claim is the difference of two means over seeds, in points of a percent, with its
{100 * CONFIDENCE:.0f} % confidence interval by Welch's t test. A claim **shows** if the whole interval is on its side,
**does not show** if it is on the other, and **cannot be told** from so few seeds if zero is within. Where the paper says
that two things do not differ, the bound of the difference is given. Of many claims one in twenty falls outside its
interval by chance. Large models and long runs may differ: a claim that holds here may fail there, and the other way round.

This page is made by `python -m experiments.findings`, from runs alone; nothing in it is written by hand."""


def write_page(sheets: Sequence[Sheet], output: Path) -> list[Path]:
    """Writes the page into a directory, with a picture of each study that has runs; what has been written.

    Raises OSError where one cannot be written.
    """
    folder = output / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    written, parts = [], [INTRODUCTION, _claims(sheets)]
    for sheet in sheets:
        if any(filled.runs for filled in sheet.rows):
            written.append(folder / f"{sheet.name}.png")
            _draw(sheet, written[-1])
        parts.append(_study(sheet))
    write_atomically(output / NAME, ("\n\n".join(parts) + "\n").encode())
    return [output / NAME, *written]


def _claims(sheets: Sequence[Sheet]) -> str:
    rows = [
        (f"[{verdict.claim.words}](#{sheet.what.lower().replace(' ', '-')})", verdict.numbers, f"**{verdict.words}**")
        for sheet in sheets
        for verdict in sheet.verdicts
    ]
    return markdown(("the paper says", f"points [{100 * CONFIDENCE:.0f} %]", "here"), rows)


def _study(sheet: Sheet) -> str:
    """A study with its table, its picture, what it cost and the command that makes it."""
    rows = []
    for filled in sheet.rows:
        around = spread(filled.scores)
        scores = ", ".join(f"{score:.1f}" for score in filled.scores)
        shown = "-" if mean(filled.scores) is None else f"{mean(filled.scores):.1f}"
        counts = (f"{filled.cost.parameters:,}", f"{filled.cost.flops / 1e9:.4f}") if filled.cost else ("-", "-")
        column = filled.row.column or "-"
        rows.append((filled.row.name, column, *counts, shown, "-" if around is None else f"{around:.1f}", scores or "-"))
    header = ["row", "of", "parameters", "GFLOPs", "mean", "deviation", "seeds"]
    if all(row[1] == "-" for row in rows):
        header, rows = header[:1] + header[2:], [row[:1] + row[2:] for row in rows]
    picture = [f"![scores]({PICTURES}/{sheet.name}.png)"] if any(filled.runs for filled in sheet.rows) else []
    note = [sheet.study.note[:1].upper() + sheet.study.note[1:] + "."] if sheet.study.note else []
    return "\n\n".join(
        [
            f"## {sheet.what}",
            f"{sheet.study.title[:1].upper()}{sheet.study.title[1:]}.",
            markdown(header, rows),
            *picture,
            *note,
            _cost(sheet),
        ]
    )


def _cost(sheet: Sheet) -> str:
    """How long the runs took, and the command."""
    runs = {run.path: run for filled in sheet.rows for run in filled.runs}
    known = [run.seconds for run in runs.values() if run.seconds is not None]
    codes = sorted({run.code or "unknown" for run in runs.values()})
    took = f", {duration(sum(known))} one after the other" if known else ""
    by = f", code {', '.join(codes)}" if codes else ""
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}{took}{by}: `{command(sheet.name, sheet.scale, Path('runs'))}`"


def _draw(sheet: Sheet, path: Path) -> None:
    rows: dict[str, dict[str, Sequence[float]]] = {}
    for filled in sheet.rows:
        rows.setdefault(filled.row.name, {})[filled.row.column] = filled.scores
    draw_dots(rows, path, "percent")
