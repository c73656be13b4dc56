"""The table of a campaign."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from perceiver_jax.report.tables import Cell
from scripts.faults.campaign import Trial

COLUMNS = (
    "suite", "injected", "survived", "wrong results", "worst steps lost", "bytes leaked", "slowest detection (s)",
    "messages checked",
)  # fmt: skip


@dataclasses.dataclass
class Row:
    """What the faults of a suite came to."""

    suite: str
    rows: str  # what was done, in words
    trials: Sequence[Trial]

    @property
    def injected(self) -> int:
        """How many faults."""
        return len(self.trials)

    @property
    def survived(self) -> int:
        """How many of them were."""
        return sum(not trial.problem for trial in self.trials)

    def cells(self) -> list[Cell]:
        """Those of `COLUMNS`."""
        trials = self.trials
        return [
            self.suite,
            self.injected,
            self.survived,
            sum(trial.wrong for trial in trials),
            max((trial.lost for trial in trials), default=0),
            sum(trial.leaked for trial in trials),
            max((trial.seconds for trial in trials), default=0.0),
            sum(trial.messages for trial in trials),
        ]

    def record(self) -> dict[str, Any]:
        """All of it, for JSON: the cells, and the faults that were not survived."""
        failed = [dataclasses.asdict(trial) for trial in self.trials if trial.problem]
        return dict(zip(COLUMNS, self.cells(), strict=True)) | {"what": self.rows, "not survived": failed}


def total(rows: Sequence[Row]) -> Row:
    """All suites in one."""
    return Row("total", "", [trial for row in rows for trial in row.trials])
