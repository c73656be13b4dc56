"""The profile of a step as a table: time by part of the model, beside what the machine could do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.tables import quantity, table
from perceiver_jax.system import disk

PROFILE, PARTS = "profile", "parts.json"  # in a workdir: the directory, and the file of the table
FORMAT = 1  # of that file
HEADER = ("part", "forward ms", "backward ms", "% of step", "FLOPs", "% of matmul rate")


def read_profile(workdir: str | Path) -> dict[str, Any] | None:
    """What `profile/parts.json` of a workdir holds; None for a run that was not profiled.

    Raises Failure(CHECKPOINT) where the file cannot be read.
    """
    path = Path(workdir) / PROFILE / PARTS
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or not {"format", "parts"} <= found.keys() or found["format"] != FORMAT:
            raise ValueError("not a profile of this version")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        hint = "delete it, and profile a run again"
        raise Failure(Code.CHECKPOINT, f"{path}", "is damaged", found=disk.reason(error), hint=hint) from None
    return found


def step_table(profile: Mapping[str, Any]) -> str:
    """The table of a profile as `profile/parts.json` has it, and what it is measured against, as plain text."""
    rows = [_row(part) for part in profile["parts"]]
    rows.append(_row(_whole(profile)))
    steps, first = profile["steps"], profile["first_step"]
    which = f"step {first:,}" if steps == 1 else f"steps {first:,} to {first + steps - 1:,}"
    devices = f"{profile['devices']} x {profile['device']}"
    rate = f"{quantity(profile['matmul_flops_per_second'])}FLOP/s, {profile['matmul_dtype']}"
    compiled = f"compile {profile['compile_seconds']:.1f} s, before it tracing {profile['tracing_seconds']:.1f} s"
    return "\n".join(
        [
            f"profile of {which} on {devices}, in the mean of one step:",
            table(HEADER, rows),
            f"matmul rate {rate}, measured now; {compiled}",
        ]
    )


def _whole(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the whole step."""
    sums = {name: sum(part[name] for part in profile["parts"]) for name in ("forward_seconds", "backward_seconds")}
    return sums | {
        "part": "step",
        "share": 1.0,
        "flops": profile["flops_per_step"],
        "matmul_share": profile["matmul_share"],
    }


def _row(part: Mapping[str, Any]) -> tuple[str, ...]:
    forward, backward = (1000 * part[name] for name in ("forward_seconds", "backward_seconds"))
    flops = quantity(part["flops"]) if part["flops"] else ""
    rate = f"{100 * part['matmul_share']:.1f}" if part["flops"] and part["matmul_share"] is not None else ""
    times = f"{forward:.3f}", f"{backward:.3f}" if backward else ""
    return (part["part"], *times, f"{100 * part['share']:.1f}", flops, rate)
