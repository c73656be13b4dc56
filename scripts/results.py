"""The file that a campaign leaves its results in, and the table beside it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.tables import Cell, markdown
from perceiver_jax.system.disk import write_atomically


def check_output(output: str | None) -> None:
    """Raises Failure(WORKDIR) where --output could not be written: better now than after an hour."""
    if output is not None and not os.access(Path(output).parent, os.W_OK):
        raise Failure(Code.WORKDIR, f"--output {output}", f"{Path(output).parent} is not writable")


def write_results(
    path: Path, facts: Mapping[str, Any], found: Mapping[str, Any], columns: Sequence[str], cells: Sequence[Sequence[Cell]]
) -> None:
    """Writes what was found as JSON, and beside it the table as Markdown; `facts` are of the campaign: date, versions."""
    write_atomically(path, json.dumps({**facts, **found}, indent=1).encode())
    said = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    write_atomically(path.with_suffix(".md"), f"{markdown(columns, cells)}\n\n{said}\n".encode())
