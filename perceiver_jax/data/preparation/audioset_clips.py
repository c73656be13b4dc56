"""Which of the user's files hold each listed clip, by their names; no file is opened.

Names are an id, with or without YouTube's `Y` in front, alone or with the start and the end in the video, in seconds or
milliseconds, in any folder; or what a template makes of a clip. Sound and film may be in files of their own.
"""

import dataclasses
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.data.preparation.audioset_names import START, by_names, by_template
from perceiver_jax.data.preparation.audioset_segments import Segment
from perceiver_jax.errors import Code, Failure, some
from perceiver_jax.readers.recordings import FILMS, SOUNDS
from perceiver_jax.system import disk

SHOWN = 5
_RANKS = {suffix: rank for rank, suffix in enumerate(SOUNDS + FILMS)}


class File(NamedTuple):
    """A file that may hold a clip."""

    folder: str
    name: str
    size: int
    stamp: int  # modification time in ns
    part: str


@dataclasses.dataclass
class Found:
    """The files of each clip, and what was remarkable about the folder."""

    files: dict[Segment, tuple[File, ...]]  # in the order in which they are asked for sound
    ignored: list[str]  # neither sound nor film by their names
    notes: list[str]


def find(folder: Path, segments: Mapping[str, list[Segment]], template: str | None) -> Found:
    """Looks through a folder once, its links too, for the files of the segments of each split.

    Raises Failure: DATA where the folder cannot be read, CONFIG for a template that is none.
    """
    match = by_names(segments) if template is None else by_template(segments, template)
    found: dict[Segment, tuple[File, ...]] = {}
    folders: dict[str, str] = {}  # each path once: of two million files that is a fifth of the memory
    ignored, unlisted, elsewhere, irregular = [], _Few(), _Few(), _Few()
    for entry, below in _walk(folder):
        name = below + entry.name
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in _RANKS or entry.name.startswith("."):
            ignored.append(name)
            continue
        clips, is_listed = match(stem)
        if not clips:
            (elsewhere if is_listed else unlisted).add(name)
            continue
        state = _state(entry)
        if state is None:
            irregular.add(name)
            continue
        for clip, part in clips:
            file = File(
                folders.setdefault(below, os.path.dirname(entry.path)), entry.name, state.st_size, state.st_mtime_ns, part
            )
            found[clip] = tuple(sorted((*found[clip], file), key=_rank)) if clip in found else (file,)
    texts = {
        "files are of no clip that is to be prepared" if template is None else "files fit no clip by --template": unlisted,
        "files are of listed videos, but other parts of them": elsewhere,
        "are no files, or links that lead nowhere": irregular,
    }
    notes = [f"{few.count:,} {text}: {some(few.names, SHOWN)}" for text, few in texts.items() if few.count]
    return Found(found, ignored, notes)


def is_sound(file: File) -> bool:
    """Whether a file is of sound alone, by its name."""
    return _suffix(file) in SOUNDS


def _suffix(file: File) -> str:
    return os.path.splitext(file.name)[1].lower()


def _rank(file: File) -> tuple[bool, int, str, str]:
    """Files that begin where the clip does come first, then those of sound, then by name."""
    return file.part != START, _RANKS[_suffix(file)], file.name, file.folder


class _Few:
    """How many names there were, and the first of them."""

    def __init__(self) -> None:
        self.count, self.names = 0, []

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.names) <= SHOWN:
            self.names.append(name)


def _state(entry: os.DirEntry) -> os.stat_result | None:
    """What a file is; None where it is not a regular file."""
    try:
        state = entry.stat()
    except OSError:
        return None
    return state if stat.S_ISREG(state.st_mode) else None


def _walk(folder: Path) -> Iterator[tuple[os.DirEntry, str]]:
    """Everything below a folder that is no folder, and the folder that it is in as `a/b/`, without its own name."""
    waiting, seen = [(str(folder), "")], set()
    while waiting:
        path, below = waiting.pop()
        try:
            state = os.stat(path)
            if (state.st_dev, state.st_ino) in seen:  # a link has led back
                continue
            seen.add((state.st_dev, state.st_ino))
            with os.scandir(path) as entries:
                for entry in entries:
                    if _is_folder(entry):
                        waiting.append((entry.path, f"{below}{entry.name}/"))
                    else:
                        yield entry, below
        except OSError as error:
            raise Failure(Code.DATA, f"cannot read {path}", found=disk.reason(error)) from None


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
