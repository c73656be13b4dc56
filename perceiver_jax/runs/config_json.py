"""What a workdir's config.json holds beside the config: checked as it is read, for whoever reads it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pydantic

from perceiver_jax.errors import Code, Failure, printable
from perceiver_jax.runs.problem import READS_FORMAT_1
from perceiver_jax.section import Duration

EARLIER, ORIGIN = "earlier_durations", "init_from"  # of runs that have them


class Origin(NamedTuple):
    """The state of another run whose parameters a run began with."""

    run: str  # its directory, absolute
    step: int
    state_sha256: str


class _Record(pydantic.BaseModel):
    """The form of the file; it may lack what a command has not written yet."""

    model_config = pydantic.ConfigDict(strict=True)

    config: dict[str, Any]
    command: list[str] = []
    earlier_durations: list[Duration] = []
    init_from: Origin | None = None


def read(path: Path) -> dict[str, Any]:
    """What config.json holds. Raises OSError where it cannot be read, Failure(CHECKPOINT) where it is damaged."""
    try:
        record = json.loads(path.read_bytes())
        found = "no config in it"
        if isinstance(record, dict) and isinstance(record["config"], dict):
            data = record["config"]["data"]
            if isinstance(data, dict) and "source" in data:
                hint = f"{READS_FORMAT_1} reads it; or train again in another --workdir"
                raise Failure(Code.CHECKPOINT, str(path), "is of perceiver_jax 0.1", hint=hint)
            _Record.model_validate_json(json.dumps(record))
            return record
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        found = printable(f"no {'.'.join(map(str, first['loc']))} that a run has: {first['msg'].lower()}")
    except (ValueError, RecursionError) as error:
        found = f"not JSON: {error}"
    except KeyError:
        found = "no config in it"
    retrain = "delete it and launch training with the run's settings: the checkpoints will verify them"
    hint = f"restore it from a copy, or {retrain}"
    raise Failure(Code.CHECKPOINT, str(path), "is damaged", found=found, hint=hint)
