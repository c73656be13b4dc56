"""In which form a cross-attend's core reads each segment of the inputs: in the one of the fewest operations, as counted.

`plain` projects the inputs to keys and values; `folded` projects the queries and what they read instead (`read`), once for
all segments; `separated` is folded, and takes a grid's positions from one table an axis.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from perceiver_jax.model.segment import Segment

Form = Literal["plain", "folded", "separated"]


class Counts(NamedTuple):
    """Operations for one example of a segment in each form, two per multiply-add; without what `folding` counts."""

    plain: int
    folded: int
    separated: int | None  # None: it has not several tables

    @property
    def without_keys(self) -> Form:
        """The cheaper one of the forms that fold."""
        return "separated" if self.separated is not None and self.separated <= self.folded else "folded"


def counts(num_queries: int, num_heads: int, segment: Segment) -> Counts:
    """The operations of each form. Folded, each head scores all C channels instead of its own share."""
    inputs, channels, queries = segment.num_inputs, segment.channels, num_heads * num_queries
    plain = 4 * inputs * channels * (channels + num_queries)
    folded = 4 * queries * inputs * channels
    if not segment.separable:
        return Counts(plain, folded, None)
    tables = sum(segment.grid) * sum(table.shape[1] for table in segment.tables)
    columns = segment.num_features + 1 + (segment.constants is not None)
    return Counts(plain, folded, 4 * queries * (inputs * (columns + len(segment.tables)) + tables))


def folding(num_queries: int, channels: int) -> int:
    """Operations of folding the projections into queries and results, for all segments together."""
    return 4 * num_queries * channels**2


def chosen(num_queries: int, num_heads: int, segments: Sequence[Segment]) -> list[Form]:
    """The form of each segment, so that all together cost least."""
    counted = [counts(num_queries, num_heads, segment) for segment in segments]
    best: list[tuple[int, Form]] = [(getattr(one, one.without_keys), one.without_keys) for one in counted]
    saved = sum(max(0, one.plain - folded) for one, (folded, _) in zip(counted, best, strict=True))
    if saved < folding(num_queries, segments[0].channels):
        return ["plain"] * len(segments)
    return [form if folded <= one.plain else "plain" for one, (folded, form) in zip(counted, best, strict=True)]
