"""Figures of matplotlib as files."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceiver_jax.system.disk import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(figure: "Figure", output_png: str | Path, **options: Any) -> None:
    """Writes a figure as a PNG file; `options` are those of `savefig`. Raises OSError where it cannot be written."""
    png = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # words may be of any script; what the font lacks is a box
        figure.savefig(png, format="png", **options)
    write_atomically(Path(output_png), png.getvalue())
