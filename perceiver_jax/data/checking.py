"""The files of users' own data that cannot be read, found before training instead of during it."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from perceiver_jax.data.batch import masked_streams
from perceiver_jax.data.examples import raw_inputs
from perceiver_jax.data.folder_source import Files, FolderSource
from perceiver_jax.errors import Code, Failure, MissingPackage
from perceiver_jax.modalities import Modality
from perceiver_jax.tasks import Task

SHOWN = 10  # files named on the screen


class Checked(NamedTuple):
    """What was found in the files of a data set."""

    left_out: tuple[str, ...]  # names of the files that cannot be read
    masked: frozenset[str]  # streams of which some example has fewer inputs than the grid


def check_files(
    source: FolderSource,
    modalities: Mapping[str, Modality],
    task: Task,
    observe: Callable[[int], None],
    note: Callable[[str], None],
) -> Checked:
    """Reads every file once; reports those that cannot be read. `observe` is called with how many are done; it may raise.

    Raises Failure(DATA) where they are more than the config's `max_bad`, where a package that they need is missing, and,
    before any is read, for labels that the task cannot learn.
    """
    splits = [source.load(split) for split in source.contents().num_examples]
    files = [(split, index) for split in splits for index in range(len(split))]
    for split, index in files:
        task.encode(split.labels(index), split.file(index))
    bad: list[tuple[str, Failure]] = []
    masked: set[str] = set()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count()))  # decoders release the GIL
        checked = pool.map(lambda one: _checked(*one, modalities), files)
        stack.callback(checked.close)  # where `observe` raises, the files that are left are not read
        for done, found in enumerate(checked):
            if isinstance(found, Failure):
                owner, index = files[done]
                bad.append((owner.file(index), found))
            else:
                masked |= found
            observe(done + 1)
    allowed = source.config.max_bad
    if len(bad) > allowed:
        if len(bad) == 1:
            raise bad[0][1]
        found = "; ".join(f"{name}: {failure.found}" for name, failure in bad[:SHOWN])
        found += f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        what = f"{len(bad)} of {len(files):,} files cannot be read"
        hint = f"repair or remove them, or leave them out: --config.data.max_bad={len(bad)}"
        raise Failure(Code.DATA, what, source.config.where, found, f"at most {allowed} (data.max_bad)", hint)
    for name, failure in sorted(bad, key=lambda pair: pair[0]):
        note(f"left out {name}: {failure.what}: {failure.found}")
    return Checked(tuple(sorted(name for name, _ in bad)), frozenset(masked))


def _checked(files: Files, index: int, modalities: Mapping[str, Modality]) -> set[str] | Failure:
    """The streams of which a file has fewer inputs than the grid, or what is wrong with it.

    Of a recording all may, since its streams need not begin and end together.
    """
    try:
        example = files[index]
        names = dict.fromkeys(modalities, example.name)
        raw = raw_inputs(modalities, example.inputs, names, 0.0)
        if any(modality.seconds for modality in modalities.values()):
            raw_inputs(modalities, example.inputs, names, 1.0)  # its end may be missing
        features = {name: modalities[name].evaluation(one, 0) for name, one in raw.items()}
    except MissingPackage:
        raise
    except Failure as failure:
        return failure if failure.where else dataclasses.replace(failure, where=files.file(index))
    grids = {name: modalities[name].stream.grid for name in masked_streams(modalities)}
    return {name for name, grid in grids.items() if modalities[name].seconds or len(features[name]) < math.prod(grid)}
