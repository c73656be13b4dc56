"""The files of people's own data that give no example, found before training rather than in the midst of it."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from perceiver_jax.data.folder_source import Files, FolderSource
from perceiver_jax.errors import Code, Failure
from perceiver_jax.modalities import Modality

SHOWN = 10  # files named on the screen


def unreadable(
    source: FolderSource, modalities: Mapping[str, Modality], observe: Callable[[int], None], note: Callable[[str], None]
) -> tuple[str, ...]:
    """The names of the files that cannot be read, each of them reported; `observe` is called with how many are done.

    Raises Failure(DATA) where they are more than the config's `max_bad`.
    """
    splits = [source.load(split) for split in source.contents().num_examples]
    files = [(split, index) for split in splits for index in range(len(split))]
    bad: list[tuple[str, Failure]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders let go of Python's lock
        for done, failure in enumerate(pool.map(lambda one: _fault(*one, modalities), files)):
            if failure is not None:
                owner, index = files[done]
                bad.append((owner.file(index), failure))
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
    for name, failure in bad:
        note(f"left out {name}: {failure.what}: {failure.found}")
    return tuple(sorted(name for name, _ in bad))


def _fault(files: Files, index: int, modalities: Mapping[str, Modality]) -> Failure | None:
    """What is wrong with a file, if anything."""
    try:
        example = files[index]
        for stream, modality in modalities.items():
            modality.read(example.inputs[stream], example.name)
    except Failure as failure:
        return failure
    return None
