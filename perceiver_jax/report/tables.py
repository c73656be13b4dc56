"""Plain text tables, ASCII only, for the end of a run and for the scripts."""

import math
import sys
from collections.abc import Mapping, Sequence

Cell = str | int | float


def table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """The rows under their header, columns aligned, without a line end.

    Integers get thousands separators, other numbers four digits; columns of numbers, also of numbers with units, stand
    to the right, others to the left. Raises ValueError for a row of another length than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"table: row {tuple(row)} has {len(row)} cells, the header {len(header)}")
    texts = [[_text(cell) for cell in row] for row in rows]
    columns = list(zip(header, *texts, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [len(column) > 1 and all(map(_is_number, column[1:])) for column in columns]

    def line(cells: Sequence[str]) -> str:
        aligned = zip(cells, widths, right, strict=True)
        return "  ".join(cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in aligned).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, texts)])


def markdown(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """The same as a table of Markdown, numbers to the right, without a line end."""
    texts = [[_text(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in [header, *rows]]
    right = [len(texts) > 1 and all(map(_is_number, column[1:])) for column in zip(*texts, strict=True)]
    rule = ["---:" if to_right else "---" for to_right in right]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [texts[0], rule, *texts[1:]])


def summary(
    split: str, metric: str, score: float, others: Mapping[str, float], parameters: int, steps: int, seconds: float
) -> str:
    """The summary at the end of a run: its score among others, such as simple models', best first, then its size and cost.

    The scores are fractions (0 to 1) on the same split, shown in percent; `metric` may be a key of metrics.jsonl.
    """
    scores = {"Perceiver (this run)": score} | dict(others)
    best_first = sorted(scores.items(), key=lambda item: -item[1])
    rows = [(name, f"{100 * value:.1f} %") for name, value in best_first]
    plural = "" if steps == 1 else "s"
    return "\n".join(
        [
            table(["model", f"{split} {metric.replace('_', ' ')}"], rows),
            "",
            f"{parameters:,} parameters, {steps:,} step{plural} in {duration(seconds)}",
        ]
    )


def quantity(value: int | float) -> str:
    """A large number in four digits with its prefix: 44.91 M, 707.2 G."""
    value = min(value, sys.float_info.max)  # an integer may be larger
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.4g} {prefix}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """A length of time as 1:23, 4:05:06 or 2d 04:05:06; one that is not finite, of a damaged file, as a dash."""
    if isinstance(seconds, float) and not math.isfinite(seconds):
        return "-"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02}:{minute:02}:{second:02}"
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def _text(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"


def _is_number(text: str) -> bool:
    return text in ("", "-", "nan", "inf", "-inf") or text.lstrip("+-.")[:1].isdigit()
