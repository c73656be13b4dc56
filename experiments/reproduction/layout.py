"""A filled table as text, Markdown, CSV or JSON."""

import csv
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.reproduction.claims import CONFIDENCE, Verdict
from experiments.reproduction.filling import Filled, mean, spread
from experiments.reproduction.launching import all_missing, runs_of
from experiments.reproduction.sheet import Sheet, command
from experiments.reproduction.survey import this_code
from perceiver_jax.errors import some
from perceiver_jax.report.json_numbers import json_text
from perceiver_jax.report.tables import markdown, table

COMMANDS, A_FEW, NEAR = 16, 3, 10  # lines at most, below a table


def record(sheet: Sheet, filled: Filled) -> dict[str, Any]:
    """A row as plain values; scores in percent, None where something is not known. Names do not depend on the row."""
    row, cost, checks = filled.row, filled.cost, filled.checks
    train, test = filled.share("train") or (None, None), filled.share("test") or (None, None)
    paper = {
        "whose": "others" if filled.made is None else "this paper's",
        "paper": row.paper,
        "paper_parameters": row.parameters or None,
        "parameters_agree": checks.get("parameters"),
        "paper_flops": row.flops or None,
        "flops_agree": checks.get("flops"),
    }
    return {
        "row": row.name,
        "column": row.column,
        **row.more,
        "config": None if filled.made is None else row.point.path,
        "changes": {} if filled.made is None else dict(row.point.changes),
        **(paper if sheet.scale == "full" else {}),
        "parameters": cost and cost.parameters,
        "flops_per_example": cost and cost.flops,
        "training_flops": cost and cost.training_flops,
        "hours": cost and sheet.machine.hours(cost.training_flops),
        "ours": mean(filled.scores),
        "spread": spread(filled.scores),
        "scores": list(filled.scores),
        "best_by_test": mean(filled.best_scores),
        "best_by_test_spread": spread(filled.best_scores),
        "seeds": [run.seed for run in filled.runs],
        "runs": [str(run.path) for run in filled.runs],
        "runs_of_other_code": filled.num_of_other_code,
        "epochs": filled.epochs,
        "seconds": filled.seconds,
        "train_examples": train[0],
        "published_train_examples": train[1],
        "test_examples": test[0],
        "published_test_examples": test[1],
        "begun": list(filled.begun),
        "missing": [one.command(sheet.place) for one in runs_of(filled, filled.missing, sheet.data_dir)],
        "note": row.note,
    }


def as_json(sheet: Sheet) -> str:
    """One object: the table, and its rows as `record` has them."""
    about = {
        "table": sheet.name,
        "scale": sheet.scale,
        "title": sheet.title,
        "page": sheet.page if sheet.scale == "full" else None,
        "note": sheet.study.note,
        "hours_are_for": sheet.machine.words,
        "seeds": list(sheet.study.seeds),
        "code": this_code(),
        "rows": [record(sheet, filled) for filled in sheet.rows],
        "claims": [_claim(verdict) for verdict in sheet.verdicts],
        "fill_no_row": sheet.found.near,
    }
    return json_text(about).rstrip("\n")


def _claim(verdict: Verdict) -> dict[str, Any]:
    """What runs say to a claim, as plain values in points of a percent."""
    return {
        "claim": verdict.claim.words,
        "higher": dataclasses.asdict(verdict.claim.higher),
        "lower": dataclasses.asdict(verdict.claim.lower),
        "difference": verdict.difference,
        "interval": verdict.interval,
        "verdict": verdict.words,
    }


def as_csv(sheet: Sheet) -> str:
    """A line for each row, as `record` has it; lists are joined by semicolons."""
    rows = [{name: _flat(value) for name, value in record(sheet, filled).items()} for filled in sheet.rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _flat(value: Any) -> Any:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}={inner!r}" for name, inner in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else value


def as_markdown(sheet: Sheet) -> str:
    """A Markdown table with what is said below it."""
    header, rows = _cells(sheet)
    lines = [f"**{sheet.title}**", "", markdown(header, rows), ""]
    lines += [*(f"- {text}" for text in _remarks(sheet)), *_claims(sheet, markdown), *_wanted(sheet, "```")]
    return "\n".join(lines)


def as_text(sheet: Sheet) -> str:
    """A table for a terminal."""
    header, rows = _cells(sheet)
    return "\n".join([sheet.title, "", table(header, rows), "", *_remarks(sheet), *_claims(sheet, table), *_wanted(sheet)])


FORMATS = {"text": as_text, "markdown": as_markdown, "csv": as_csv, "json": as_json}


def _cells(sheet: Sheet) -> tuple[list[str], list[list[str]]]:
    """The header and the rows; columns that nothing is in are left out."""
    each = [_row(sheet, filled) for filled in sheet.rows]
    names = list(dict.fromkeys(name for row in each for name in row))
    always = ("parameters", "GFLOPs", "ours")
    names = [name for name in names if name in always or any(row[name] not in ("", "-") for row in each if name in row)]
    return names, [[row.get(name, "-") for name in names] for row in each]


def _row(sheet: Sheet, filled: Filled) -> dict[str, str]:
    row, cost = filled.row, filled.cost
    paper = {"paper": "-" if row.paper is None else str(row.paper)} if sheet.scale == "full" else {}
    mark = " *" if filled.num_of_other_code else ""
    return {
        "row": row.name,
        "of": row.column or "-",
        **{name: f"{value:,}" for name, value in row.more.items()},
        "parameters": f"{cost.parameters:,}" if cost else "-",
        "paper's count": row.parameters or "-",
        "GFLOPs": f"{cost.flops / 1e9:,.{1 if cost.flops > 1e9 else 4}f}" if cost else "-",
        "paper's FLOPs": row.flops or "-",
        "hours": _shown(sheet.machine.hours(cost.training_flops)) if cost else "-",
        **paper,
        "ours": _scores(filled.scores) + mark if filled.scores else "-",
        "best by test": _scores(filled.best_scores),
        "seeds": str(len(filled.runs)) if filled.runs else "-",
        "trained on": _seen(filled),
        "filled by": "others' model" if filled.made is None else row.point.config,
    }


def _shown(hours: float) -> str:
    """Hours in two digits or more: they are estimates."""
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _scores(scores: Sequence[float]) -> str:
    if not scores:
        return "-"
    around = spread(scores)
    return f"{mean(scores):.1f}" + ("" if around is None else f" +- {around:.1f}")


def _seen(filled: Filled) -> str:
    """How much of the data the runs of a row saw."""
    if not filled.runs:
        return "-"
    (train, all_train), (test, all_test) = filled.share("train"), filled.share("test")
    words = f"{filled.epochs:,.4g} x {train:,}" + ("" if all_train in (None, train) else f" of {all_train:,}")
    return words + ("" if all_test in (None, test) else f", tested on {test:,} of {all_test:,}")


def _remarks(sheet: Sheet) -> list[str]:
    """What is said below a table, a line each."""
    rows, near = sheet.rows, sheet.found.near
    words = [sheet.study.note] if sheet.study.note else []
    words += list(dict.fromkeys(f"{filled.row.name}: {filled.row.note}" for filled in rows if filled.row.note))
    words += [*_counts(rows), _hours(sheet)]
    if any(filled.runs for filled in rows):
        words.append("ours: mean and standard deviation over seeds, at the last step")
    if any(filled.num_of_other_code for filled in rows):
        codes = sorted({run.code or "unknown" for filled in rows for run in filled.runs if run.is_of_other_code})
        words.append(f"*: trained by another version of the code, {some(codes, 3)}; this one is {this_code()}")
    if sheet.workdir is not None and not sheet.found.count:
        words.append(f"no run below {sheet.workdir}")
    words += [f"not finished: {one}" for one in dict.fromkeys(one for filled in rows for one in filled.begun)]
    words += [f"fills no row: {one}" for one in near[:NEAR]]
    return words + ([f"and {len(near) - NEAR} more runs fill no row"] if len(near) > NEAR else [])


def _counts(rows: Sequence[Filled]) -> list[str]:
    """How many of the paper's counts the counted ones are, and which they are not."""
    checks = [(f"{filled.row.name}: {name}", ok) for filled in rows for name, ok in filled.checks.items()]
    differ = [name for name, ok in checks if not ok]
    but = f", but for {some(differ, 5)}" if differ else ""
    return [f"{len(checks) - len(differ)} of {len(checks)} counts are as the paper prints them{but}"] if checks else []


def _hours(sheet: Sheet) -> str:
    """What the hours are, and how many they are in all."""
    costs = {filled.made.key: filled.cost for filled in sheet.rows if filled.made}
    hours = [sheet.machine.hours(cost.training_flops) for cost in costs.values() if cost]
    if not hours:
        return "nothing is counted: only the data, which are not here, say how many classes there are"
    seeds = len(sheet.study.seeds)
    of = f"{seeds * len(hours)} runs" + (f" ({seeds} seeds each)" if seeds > 1 else "")
    rest = "" if len(hours) == len(costs) else f"; {len(costs) - len(hours)} rows are not counted, their data are not here"
    return f"hours: of a run, estimated: {sheet.machine.words}; {of} take {_shown(seeds * sum(hours))} in all{rest}"


def _claims(sheet: Sheet, layout: Callable[[Sequence[str], Sequence[Sequence[str]]], str]) -> list[str]:
    """What runs say to the paper's claims; nothing where there are no runs or no claims."""
    if not any(filled.runs for filled in sheet.rows) or not sheet.verdicts:
        return []
    rows = [(verdict.claim.words, verdict.numbers, verdict.words) for verdict in sheet.verdicts]
    return ["", layout(("claim", f"points [{100 * CONFIDENCE:.0f} %]", "verdict"), rows)]


def _wanted(sheet: Sheet, fence: str = "") -> list[str]:
    """The commands that fill what is empty; a fence stands around them in Markdown."""
    lacking = all_missing(sheet.rows, sheet.data_dir)
    if not lacking:
        return []
    every = command(sheet.name, sheet.scale, sheet.workdir or Path("runs"), sheet.data_dir)
    most = COMMANDS if len(sheet.study.seeds) == 1 else A_FEW
    commands = [one.command(sheet.place) for one in lacking[:most]]
    rest = [f"# and {len(lacking) - most} more"] if len(lacking) > most else []
    words = f"missing: {len(lacking)} run{'s' if len(lacking) > 1 else ''}; the first command makes all, the others one each"
    return ["", words, *filter(None, ("", fence)), every, *commands, *rest, *filter(None, (fence,))]
