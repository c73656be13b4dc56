"""The order in which a Perceiver's modules are used. Nothing here needs JAX."""

import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple


class Use(NamedTuple):
    """One step of the forward pass: the kind of module, and which of that kind's weights it uses."""

    kind: Literal["cross_attend", "self_attends"]
    weights: int


Block = tuple[Use, ...]  # a cross-attend with the latent Transformer that follows it, or either alone
Run = tuple[Block, ...]  # blocks in a row of the same kinds of module


def schedule(num_blocks: int, num_cross_attends: int, arrangement: str, sharing: str) -> tuple[Use, ...]:
    """Every module in the order of the forward pass, with the weights it uses (section 3.1, tables 5 to 7).

    Interleaved, the first `num_cross_attends` blocks open with a cross-attend; at start, all of them come first.
    """

    def weights(index: int, first_apart: bool) -> int:
        if sharing == "none":
            return index
        return min(index, 1) if sharing == "paper" and first_apart else 0

    cross = [Use("cross_attend", weights(i, first_apart=True)) for i in range(num_cross_attends)]
    blocks = [Use("self_attends", weights(i, first_apart=False)) for i in range(num_blocks)]
    if arrangement == "at_start" or not blocks:
        return (*cross, *blocks)
    return tuple(use for i, block in enumerate(blocks) for use in (*cross[i : i + 1], block))


def num_weights(uses: Sequence[Use], kind: str) -> int:
    """How many sets of weights of one kind a schedule uses."""
    return len({use.weights for use in uses if use.kind == kind})


def titles(uses: Sequence[Use]) -> tuple[str, ...]:
    """What each use is called, numbered by kind from 1: `cross_attend 1`, `self_attends 1`, `cross_attend 2`, ..."""
    numbers = {kind: itertools.count(1) for kind in ("cross_attend", "self_attends")}
    return tuple(f"{use.kind} {next(numbers[use.kind])}" for use in uses)


def runs(uses: Sequence[Use]) -> tuple[Run, ...]:
    """A schedule as blocks, consecutive ones together that use the same weights, or otherwise the same kinds of module."""
    blocks: list[Block] = []
    for use in uses:
        follows = use.kind == "self_attends" and blocks and blocks[-1][-1].kind == "cross_attend"
        blocks = [*blocks[:-1], (*blocks[-1], use)] if follows else [*blocks, (use,)]
    same_weights = [tuple(run) for _, run in itertools.groupby(blocks)]

    def alike(run: Run) -> tuple[bool, list[str]]:
        return len(run) > 1, [use.kind for use in run[0]]

    parts = itertools.groupby(same_weights, alike)
    return tuple(run for (repeats, _), own in parts for run in (own if repeats else [sum(own, ())]))
