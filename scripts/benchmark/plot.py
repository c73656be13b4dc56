"""The picture of a benchmark: the core's time against the number of inputs, and ratios to the plain form."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.system.disk import write_atomically
from scripts.benchmark.run import Row

COLOURS = {
    "ours": "#c8501e",
    "ours_remat_block": "#dd8a5f",
    "ours_remat_layer": "#eebfa5",
    "plain": "#7a8ca3",
    "transformers": "#2a7f62",
    "perceiver-pytorch": "#7b4ba0",
}
INK, GRID = "#333333", "#e4e4e4"
RATIOS = {
    "forward": ("ratio_min", "forward: time"),
    "train_step": ("ratio_min", "training step: time"),
    "memory": ("ratio_temporary", "training step: memory of temporaries"),
}


def draw(results: dict[str, list[Row]], output_png: Path) -> list[str]:
    """The suites that got a panel, having written the picture; without any there is no picture.

    Raises OSError where it cannot be written.
    """
    panels: list[tuple[str, Callable[[Any], None]]] = []
    core = [row for row in results.get("cross_attend", []) if "min_seconds" in row]
    for kind in dict.fromkeys(row["inputs"] for row in core):
        own = [row for row in core if row["inputs"] == kind]
        panels.append(("cross_attend", lambda axes, own=own, kind=kind: _draw_core(axes, own, kind)))
    for suite, (ratio, title) in RATIOS.items():
        rows = [row for row in results.get(suite, []) if ratio in row and row["contestant"] != "plain"]
        rows = [row for row in rows if suite != "memory" or row["operation"] == "train_step"]
        if rows:
            panels.append((suite, lambda axes, rows=rows, ratio=ratio, title=title: _draw_ratios(axes, rows, ratio, title)))
    if not panels:
        return []
    from matplotlib.figure import Figure

    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(6.2 * columns, 4.0 * lines), dpi=120, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.1)
    for i, (_, draw_panel) in enumerate(panels):
        axes = figure.add_subplot(lines, columns, i + 1)
        draw_panel(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=INK)
        axes.set_axisbelow(True)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    write_atomically(output_png, png.getvalue())
    return list(dict.fromkeys(suite for suite, _ in panels))


def _draw_core(axes: Any, rows: Sequence[Row], kind: str) -> None:
    """Time against M, both axes logarithmic."""
    from matplotlib.ticker import EngFormatter

    styles = {"core_value": ("--", "value"), "core_gradient": ("-", "with gradient")}
    for operation, (line, words) in styles.items():
        times = {
            name: {row["num_inputs"]: row["min_seconds"] for row in rows if _is(row, name, operation)}
            for name in ("plain", "ours")
        }
        for name, own in times.items():
            if own:
                x, y = zip(*sorted(own.items()), strict=True)
                axes.plot(x, y, line, color=COLOURS[name], marker="o", ms=4, lw=1.6, label=f"{name}, {words}")
        both = set(times["plain"]) & set(times["ours"])
        if both:
            most = max(both)
            slower, faster = times["plain"][most], times["ours"][most]
            at = {"xytext": (-7, 3), "textcoords": "offset points", "va": "bottom", "ha": "right"}
            axes.annotate(f"{slower / faster:.1f} x ours", (most, slower), fontsize=8, color=COLOURS["plain"], **at)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(EngFormatter(unit="s", sep=" "))
    axes.grid(True, which="major", color=GRID, lw=0.7)
    axes.set_xlabel("inputs M", fontsize=9, color=INK)
    axes.set_title(f"core of one cross-attend to {kind}, best of all rounds", loc="left", fontsize=9, color=INK)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, handlelength=3.5)


def _is(row: Row, contestant: str, operation: str) -> bool:
    return (row["contestant"], row["operation"]) == (contestant, operation)


def _draw_ratios(axes: Any, rows: Sequence[Row], ratio: str, title: str) -> None:
    """A bar for each contestant at each shape; 1 is the plain form."""
    names = [name for name in COLOURS if name in {row["contestant"] for row in rows}]
    sizes = list(dict.fromkeys(row["shape"] for row in rows))
    height = 0.8 / len(names)
    for i, name in enumerate(names):
        own = [row for row in rows if row["contestant"] == name]
        places = [sizes.index(row["shape"]) + (i - (len(names) - 1) / 2) * height for row in own]
        bars = axes.barh(places, [row[ratio] for row in own], 0.92 * height, color=COLOURS[name], label=name)
        axes.bar_label(bars, [f"{row[ratio]:.2f}" for row in own], fontsize=7, padding=2, color=INK)
    axes.axvline(1, color=COLOURS["plain"], lw=1.4)
    axes.set_yticks(range(len(sizes)), sizes)
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.08, 1.12 * max(row[ratio] for row in rows)))
    axes.grid(True, axis="x", color=GRID, lw=0.7)
    axes.set_title(f"{title} as share of the plain form's (line)", loc="left", fontsize=9, color=INK)
    if len(names) > 1:
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.06), "ncols": len(names)}
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, **place)
