"""What finished runs say to a claim: a difference of two means, its confidence interval, and in words what that tells."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from experiments.reproduction.filling import Filled
from experiments.tables import Claim, Score

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A claim with the scores that tell whether it shows, in percent, one for each seed."""

    claim: Claim
    higher: tuple[float, ...]
    lower: tuple[float, ...]

    @property
    def difference(self) -> float | None:
        """By how many points the first mean is above the second; None while one of them has no run."""
        return statistics.fmean(self.higher) - statistics.fmean(self.lower) if self.higher and self.lower else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the difference, by Welch's t test; None while a row has less than two runs."""
        if min(len(self.higher), len(self.lower)) < 2:
            return None
        sizes = [(statistics.variance(scores) / len(scores), len(scores) - 1) for scores in (self.higher, self.lower)]
        error = sum(variance for variance, _ in sizes)
        if error == 0:
            return self.difference, self.difference
        from scipy import stats

        freedom = error**2 / sum(variance**2 / free for variance, free in sizes)
        around = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(error)
        return self.difference - around, self.difference + around

    @property
    def words(self) -> str:
        """Whether it shows."""
        if self.difference is None:
            return "no runs yet"
        if self.interval is None:
            return "cannot be told: one seed"
        low, high = self.interval
        if low <= 0 <= high:
            most = max(abs(low), abs(high))
            return f"no difference above {most:.1f} points" if self.claim.alike else "cannot be told"
        return "shows" if low > 0 and not self.claim.alike else "does not show"

    @property
    def numbers(self) -> str:
        """The difference in points and its interval."""
        if self.difference is None:
            return "-"
        around = "" if self.interval is None else " [{:+.1f}, {:+.1f}]".format(*self.interval)
        return f"{self.difference:+.1f}{around}"


def judge(claim: Claim, rows: Sequence[Filled]) -> Verdict:
    """A claim with the scores of its two rows. Raises KeyError where the study has no such row."""
    return Verdict(claim, _scores(claim.higher, rows), _scores(claim.lower, rows))


def _scores(of: Score, rows: Sequence[Filled]) -> tuple[float, ...]:
    by_name = {(filled.row.name, filled.row.column): filled for filled in rows}
    filled = by_name[of.row, of.column]
    if of.above is None:
        return filled.scores
    other = by_name[of.row, of.above]
    below = dict(zip((run.path for run in other.runs), other.scores, strict=True))
    both = zip((run.path for run in filled.runs), filled.scores, strict=True)
    return tuple(score - below[path] for path, score in both if path in below)
