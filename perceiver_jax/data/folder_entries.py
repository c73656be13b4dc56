"""What is in a user's folder: files of one kind, folders, and what is left out; links are followed."""

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.data import folder_names
from perceiver_jax.data.folder_names import counted, placed, suffix_of
from perceiver_jax.errors import Code, Failure, nearest, printable, some
from perceiver_jax.readers import stand_ins

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_SHOWN = 3  # names of each kind


class Kind(NamedTuple):
    """What the files are: by which suffixes they are known, and their words in messages."""

    suffixes: tuple[str, ...]  # in lower case
    items: str  # what they are called: pictures
    files: str  # what a class folder has to hold: JPEG or PNG files
    pattern: str  # of their names, as in the layout: *.jpg

    @property
    def layout(self) -> str:
        """How a data set has to be laid out in its folder."""
        return f"train/CLASS/{self.pattern} with test/CLASS/{self.pattern}, or CLASS/{self.pattern}"


class LeftOut:
    """What is left out of a folder, counted by reason, with the first names of each."""

    def __init__(self, root: Path):
        self._root, self._counts = root, Counter[str]()
        self._names: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, reason: str, path: str = "") -> None:
        """Counts one thing; `reason` is a noun for `counted`, `path` names it where that helps, with any remark behind."""
        self._counts[reason] += 1
        if path and len(self._names[reason]) <= _SHOWN:
            self._names[reason].append(printable(path.removeprefix(f"{self._root}/")))

    def add_file(self, entry: os.DirEntry) -> None:
        """Counts a file of another kind by its suffix; where it has none, by its name."""
        suffix = suffix_of(entry.name)
        self.add(suffix, "" if suffix.startswith(".") else entry.path)

    def words(self) -> str:
        """A sentence on all of it, or "" where nothing was left out."""
        ordered = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))
        parts = [self._part(reason, count) for reason, count in ordered]
        return f"{self._root}: left out {', '.join(parts)}" if parts else ""

    def _part(self, reason: str, count: int) -> str:
        names = some(sorted(self._names[reason]), _SHOWN) if self._names[reason] else ""
        return counted(count, reason) + (f" ({names})" if names else "")


def root_of(data_dir: str) -> Path:
    """The absolute path of a config's folder."""
    return Path(data_dir).absolute()


def read_file(path: str, what: str) -> bytes:
    """The bytes of a listed file; raises Failure(DATA), with `what` it is, where it cannot be read.

    Never waits: what was a file when it was listed may have become a pipe, or a link to something without end.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Failure(Code.DATA, f"{what} unreadable", path, found="not a regular file")
            return file.read()
    except OSError as error:
        raise Failure(Code.DATA, f"{what} unreadable", path, found=f"{error.strerror}") from None


def check_root(root: Path, kind: Kind) -> None:
    """Raises Failure(DATA), with what is there, where a folder is none."""
    if root.is_dir():
        return
    what, found, hint = "data.data_dir is not a directory", "", ""
    if root.is_file():
        packed = root.name.lower().endswith(ARCHIVES)
        found = f"{'an archive' if packed else 'a file'} of {root.stat().st_size:,} bytes"
        hint = "unpack it, and give the folder that comes out" if packed else f"its folder, {root.parent}"
    elif root.parent.is_dir():
        near = nearest(root.name, [entry.name for entry in folders_in(root.parent)])
        hint = near and f"{root.parent / near}"
    raise Failure(Code.DATA, what, f"{root}", found=found, expected=kind.layout, hint=hint)


def folders_in(folder: Path) -> list[os.DirEntry]:
    """The folders in a folder and links to folders, but for those of the system."""
    return [entry for entry, is_folder in entries_in(folder, LeftOut(folder)) if is_folder]


def items_in(folder: Path, kind: Kind, left_out: LeftOut | None = None) -> list[str]:
    """The names of the files in a class folder that are examples."""
    names, found = [], left_out or LeftOut(folder)
    for entry, is_folder in entries_in(folder, found):
        if is_folder:
            found.add(placed("folders", "inside a class"), entry.path)
        elif entry.name.lower().endswith(kind.suffixes):
            names.append(entry.name)
        else:
            found.add_file(entry)
    return names


def check_stored_link(entry: os.DirEntry) -> None:
    """Raises Failure(DATA) for a link to a folder that was stored as text, as Git does where there are no links."""
    if "." in entry.name or entry.stat().st_size > stand_ins.MAX_BYTES:
        return
    path = stand_ins.stored_link(read_file(entry.path, "file"))
    if path and os.path.isdir(os.path.join(os.path.dirname(entry.path), path)):
        what = f"{entry.name} is a link to a folder that was stored as text"
        hint = f"make it a link again, or put the folder itself there: {path}"
        raise Failure(Code.DATA, what, entry.path, found=f"the path {path}", hint=hint)


def holding(folder: Path, kind: Kind) -> str:
    """What a folder holds, in words."""
    entries = list(entries_in(folder, LeftOut(folder)))
    names = [entry.name for entry, is_folder in entries if not is_folder]
    items = [name for name in names if name.lower().endswith(kind.suffixes)]
    others = [suffix_of(name) for name in names if not name.lower().endswith(kind.suffixes)]
    return _contents(len(entries) - len(names), len(items), kind.items, others)


def entries_in(folder: Path, left_out: LeftOut) -> Iterator[tuple[os.DirEntry, bool]]:
    """What a user has put into a folder, each with whether it is a folder; links are what they lead to."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.isascii() and not _is_text(entry.name):
                    noun = "folders" if entry.is_dir() else "files"
                    left_out.add(placed(noun, "with a name that is not UTF-8"), entry.path)
                    continue
                found = _what(entry)
                if isinstance(found, str):
                    left_out.add(found, entry.path)
                elif found and folder_names.is_systems_folder(entry.name):
                    left_out.add("folder of the system|folders of the system", entry.path)
                elif not found and folder_names.is_systems_file(entry.name):
                    left_out.add("hidden file|hidden files", entry.path)
                else:
                    yield entry, found
    except OSError as error:
        raise Failure(Code.DATA, "cannot list", f"{folder}", found=f"{error.strerror}") from None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _what(entry: os.DirEntry) -> bool | str:
    """Whether an entry leads to a folder, or to a file; otherwise what it is, as `counted` takes it."""
    if not entry.is_symlink():
        is_folder = entry.is_dir(follow_symlinks=False)
        return is_folder if is_folder or entry.is_file(follow_symlinks=False) else "pipe or device|pipes or devices"
    try:
        mode = entry.stat().st_mode
    except OSError:  # of links in a circle too
        return "link that leads nowhere|links that lead nowhere"
    if not stat.S_ISDIR(mode):
        return False if stat.S_ISREG(mode) else "pipe or device|pipes or devices"
    target, place = os.path.realpath(entry.path), os.path.realpath(os.path.dirname(entry.path))
    return (
        "link to a folder around it|links to folders around them" if os.path.commonpath([target, place]) == target else True
    )


def _contents(folders: int, items: int, noun: str, others: Sequence[str]) -> str:
    """What a folder holds, in words, of its folders, its `noun` and the suffixes of its other files."""
    parts = [counted(number, word) for number, word in ((items, noun), (folders, "folders")) if number]
    kinds = Counter(others).most_common()
    parts += [counted(count, suffix) for suffix, count in kinds[:_SHOWN]]
    more = sum(count for _, count in kinds[_SHOWN:])
    parts += [f"{more:,} other files"] if more else []
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts) or "nothing"
