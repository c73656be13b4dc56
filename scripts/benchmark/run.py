"""One run of the benchmark: comparisons, their results, and who failed."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from perceiver_jax.errors import Failure
from scripts.benchmark.contestants import Matmul
from scripts.benchmark.process import Contestant, compare, merged
from scripts.benchmark.shapes import Shape, tiny

Row = dict[str, Any]
DISTURBED = 0.05  # of the cores: as much at work elsewhere shows in the times
RATIOS = {"min_seconds": "ratio_min", "median_seconds": "ratio_median", "cpu_seconds": "ratio_cpu",
          "temporary_bytes": "ratio_temporary", "compile_seconds": "ratio_compile"}  # fmt: skip


@dataclasses.dataclass
class Run:
    """How suites are run: what flags say, and where to report. A context: within, the machine's own rate can be measured."""

    shapes: list[Shape]
    peers: list[str]
    rounds: int  # of each start
    starts: int  # of each contestant in a comparison
    seconds: float  # that the rounds of one comparison may take
    tiny: bool
    plain_imagenet: bool  # whether the plain form is run at full depth
    note: Callable[[str], None]
    failures: list[Failure] = dataclasses.field(default_factory=list)
    gflops: float = 0.0  # a second, of the machine: the best of all rounds

    def __enter__(self) -> "Run":
        self._matmul = Contestant("matmul", Matmul())
        try:
            self._matmul_flops = self._matmul.facts()["flops"]
        except Failure:
            self._matmul.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._matmul.close()

    def size(self, shape: Shape) -> Shape:
        """The shape itself, or shrunk."""
        return tiny(shape) if self.tiny else shape

    def build(self, label: str, build: Any, at: Row) -> Row:
        """What a contestant reports when it is built but not stepped."""
        row = at | {"contestant": build.name}
        with self.survived(label, row), contextlib.closing(Contestant(build.name, build)) as contestant:
            row |= contestant.facts()
        return row

    def compare(self, label: str, builds: Sequence[Any], at: Row) -> list[Row]:
        """A row for each contestant, run in turn beside the machine's own rate. One that fails has a row that says so."""
        rows = [at | {"contestant": build.name} for build in builds]
        starts = [self._started(label, builds, rows) for _ in range(self.starts)]
        for row in rows:
            own = [times[row["contestant"]] for times in starts if row["contestant"] in times]
            if own:
                machine = merged([times["matmul"] for times in starts if times])
                # What others did is told by the product, which has no processes of its own at work meanwhile.
                row |= merged(own) | {"machine_gflops": self._rate(machine), "busy_elsewhere": machine["busy_elsewhere"]}
        add_ratios(rows)
        times = [f"{row['contestant']} {1000 * row['min_seconds']:.4g} ms" for row in rows if "min_seconds" in row]
        self.note(f"{label}: {', '.join(times) or 'all failed'}")
        elsewhere = max((row["busy_elsewhere"] for row in rows if "busy_elsewhere" in row), default=0.0)
        if elsewhere > DISTURBED:
            self.note(f"{label}: other programs had {100 * elsewhere:.0f} % of the cores; at rest it takes less")
        return rows

    def _started(self, label: str, builds: Sequence[Any], rows: Sequence[Row]) -> dict[str, Row]:
        """What a start of each contestant took, by name; its facts go into its row."""
        with contextlib.ExitStack() as stack:
            ready = []
            for build, row in zip(builds, rows, strict=True):
                with self.survived(label, row):  # one after the other, so that each is built undisturbed
                    contestant = stack.enter_context(contextlib.closing(Contestant(build.name, build)))
                    row |= contestant.facts()
                    ready.append(contestant)
            if ready:
                with self.survived(label, rows[0]):
                    return compare([self._matmul, *ready], self.rounds, self.seconds)
        return {}

    def _rate(self, matmul: Row) -> float:
        """GFLOP/s of a large product, the best of these rounds."""
        rate = self._matmul_flops / matmul["min_seconds"] / 1e9
        self.gflops = max(self.gflops, rate)
        return rate

    @contextlib.contextmanager
    def survived(self, label: str, row: Row) -> Iterator[None]:
        """Within, a contestant's failure goes into its row, and is kept for the end of the run."""
        try:
            yield
        except Failure as failure:
            self.failures.append(failure)
            row["error"] = failure.what
            self.note(f"{label}: {failure}")


def add_shares(rows: Sequence[Row], gflops: float) -> None:
    """Puts into each row that was timed its own operations a second, as share of the machine's best matmul.

    Of the branches of a program the most expensive counts, so the share of `ours`, which seldom takes it, is rather high.
    """
    for row in rows:
        if "flops" in row and "min_seconds" in row:
            row["share_of_machine"] = row["flops"] / row["min_seconds"] / 1e9 / gflops


def add_ratios(rows: Sequence[Row]) -> None:
    """Puts into each row what it measures as share of what the row of `plain` does, where there is one."""
    plain = next((row for row in rows if row["contestant"] == "plain"), {})
    for row in rows:
        row |= {ratio: row[key] / plain[key] for key, ratio in RATIOS.items() if key in row and key in plain}
