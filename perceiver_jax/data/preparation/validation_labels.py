"""Labels of ImageNet's validation pictures from a user's file, checked line by line."""

import re
from collections.abc import Sequence
from pathlib import Path

from perceiver_jax.errors import Code, Failure, printable

_NUMBER = re.compile(r"[0-9]{1,9}")


def read(path: Path, usual: Sequence[str], classes: Sequence[str]) -> list[str]:
    """The class of each validation picture by its number less 1: a line of the file each, a synset or an id of the devkit.

    The devkit's ids, from 1, are in a different order: which class each one is follows from the `usual` labels, and
    must be the same class on all its lines. Raises Failure(DATA) naming the first line that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Code.DATA, f"validation labels {path}", "cannot be read", found=str(error)) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise _wrong(number, "blank", len(usual))
    if len(lines) != len(usual):
        raise Failure(Code.DATA, f"validation labels: {len(lines):,} lines", str(path), expected=f"{len(usual):,}")
    words = [line.strip() for line in lines]
    if words[0].startswith("n"):
        known = set(classes)
        for number, word in enumerate(words, 1):
            if word not in known:
                raise _wrong(number, f"{word} is not a class of ILSVRC2012", len(usual))
        return words
    meanings: dict[str, str] = {}
    for number, (word, label) in enumerate(zip(words, usual, strict=True), 1):
        if not (_NUMBER.fullmatch(word) and 1 <= int(word) <= len(classes)):
            raise _wrong(number, f"{printable(word, 40)} not in 1..{len(classes)}", len(usual))
        if meanings.setdefault(word, label) != label:
            raise _wrong(number, f"{word} is {label}, on an earlier line {meanings[word]}", len(usual))
    return list(usual)


def _wrong(number: int, what: str, count: int) -> Failure:
    expected = f"{count:,} lines: the devkit's ground truth, or a synset a line"
    return Failure(Code.DATA, f"validation labels line {number}: {what}", expected=expected)
