"""The lines of a list of labels, from its bytes as editors and spreadsheets write them.

Text is UTF-8 or, as Excel writes it, UTF-16; commas, semicolons or tabs separate columns; lines end as on any system. A
first line of headings says which columns are the file and its labels; otherwise they are the first and the second.
"""

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from perceiver_jax.data.folder_names import composed
from perceiver_jax.errors import Code, Failure, printable, some

SEPARATOR = ";"  # between the labels of one file
EXPECTED = f"`file,label{SEPARATOR}label`"

# What columns are called, without spaces and underscores.
_FILES = {"file", "files", "filename", "filepath", "path", "name", "image", "imagename", "imagepath", "imagefile", "img"}
_FILES |= {"imgname", "imgpath", "picture", "photo", "shape", "shapename", "shapefile", "mesh", "model", "fname"}
_LABELS = {"label", "labels", "class", "classes", "classname", "category", "categories", "tag", "tags", "target", "what"}
_DELIMITERS = ",\t;"
_LINE = re.compile(r".+\n?|\n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # of the order of bytes, at the beginning


class Row(NamedTuple):
    """A file and its labels."""

    line: int  # in the list, from 1
    name: str  # as it is written, without spaces around
    labels: tuple[str, ...]  # in their order, none twice


def read(data: bytes, where: str, suffixes: tuple[str, ...]) -> tuple[list[Row], list[str]]:
    """The rows of a list, and the headings of columns that are not read.

    A line that begins with a file of one of the `suffixes` is not a heading. Raises Failure(DATA), with the line.
    """
    text = decoded(data, where, "the list of labels")
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first) == 5:  # Excel's own remark on what separates columns
        delimiter, text = first[4], "\n" + rest
    else:
        delimiter = _delimiter(text, suffixes)
    rows: list[Row] = []
    file, label, unread, num_columns = 0, 1, [], 0
    for line, fields in lines(text, delimiter, where, EXPECTED):
        names = ["".join(field.lower().split()).replace("_", "") for field in fields]
        if not num_columns:
            num_columns = 2
            if not fields[0].lower().endswith(suffixes) and _FILES & set(names):
                file, label = _columns(names, f"{where} line {line}")
                num_columns = max(2, len(names))
                unread = [field for i, field in enumerate(fields) if i not in (file, label)]
                continue
        if delimiter == SEPARATOR and num_columns == 2 and file == 0:
            fields = [fields[0], SEPARATOR.join(fields[1:])] if len(fields) > 1 else fields
        while len(fields) > max(2, num_columns) and not fields[-1]:  # what spreadsheets write of columns that were in use
            fields.pop()
        if len(fields) != num_columns:
            if not rows and not fields[0].lower().endswith(suffixes):
                found, expected = (
                    printable(f"headings {some(fields, 10)}"),
                    "file, path or image, and label or class, among them",
                )
                raise Failure(Code.DATA, f"{where} line {line}", found=found, expected=expected)
            columns = f"{len(fields)} column{'s' if len(fields) != 1 else ''}"
            expected = EXPECTED if num_columns == 2 else f"{num_columns} columns, as the headings have"
            raise Failure(Code.DATA, f"{where} line {line}", found=columns, expected=expected)
        labels = tuple(dict.fromkeys(filter(None, (composed(each.strip()) for each in fields[label].split(SEPARATOR)))))
        for each in labels:
            if each.strip("'\"").lower().endswith(suffixes):
                found = f"the label {printable(each)}, which is a file"
                raise Failure(
                    Code.DATA, f"{where} line {line}", found=found, expected=f"{EXPECTED}, each file on its own line"
                )
        rows.append(Row(line, fields[file], labels))
    return rows, unread


def _columns(names: list[str], where: str) -> tuple[int, int]:
    """Which columns are the file and its labels, by their headings without spaces; raises Failure(DATA) where none tells."""
    file = next(i for i, name in enumerate(names) if name in _FILES)
    labels = [i for i, name in enumerate(names) if name in _LABELS and i != file]
    if labels:
        return file, labels[0]
    if len(names) > 2:
        found, expected = f"headings {some(names, 10)}", "one of label, class, category, tag or target for the labels"
        raise Failure(Code.DATA, where, found=printable(found), expected=expected)
    return file, 1 - file


def decoded(data: bytes, where: str, what: str) -> str:
    """The list `what` as text, every line ended alike, without a byte order mark; raises Failure(DATA) with the line."""
    hint = "save the list as text in UTF-8: in Excel, CSV UTF-8"
    if data.startswith((b"PK\3\4", b"\xd0\xcf\x11\xe0")):
        raise Failure(Code.DATA, f"{what} is a spreadsheet or an archive, not text", where, hint=hint)
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in data[:2]:
        encoding = "utf-16-be" if data.startswith(b"\0") else "utf-16-le"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        line = printable((before.rpartition(b"\n")[2] + data[error.start :].splitlines()[0]).decode("latin-1"), 80)
        number = before.count(b"\n") + 1
        found = f"byte 0x{data[error.start]:02x}, perhaps of {line}"
        if encoding != "utf-8-sig":
            number, found = data[: error.start].decode(encoding, "replace").count("\n") + 1, error.reason
        expected = "text in UTF-8" if encoding == "utf-8-sig" else f"text in {encoding.upper()}, as its first bytes say"
        raise Failure(Code.DATA, f"cannot read {what}: {where} line {number}", "", found, expected, hint) from None
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _delimiter(text: str, suffixes: Sequence[str]) -> str:
    """What separates columns: what makes a file, or its heading, the first thing of a line that has more."""
    filled = (line for line in text.split("\n") if line.strip(f" {_DELIMITERS}"))
    for line, delimiter in itertools.product(itertools.islice(filled, 2), _DELIMITERS):
        fields = next(csv.reader([line], delimiter=delimiter), [""])
        names = {"".join(field.lower().split()).replace("_", "") for field in fields}
        if len(fields) > 1 and (fields[0].strip().lower().endswith(tuple(suffixes)) or names & _FILES):
            return delimiter
    return _DELIMITERS[0]


def lines(text: str, delimiter: str, where: str, expected: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that has any, and its number; raises Failure(DATA), with what a line is `expected` to be."""
    each = map(re.Match.group, _LINE.finditer(text))  # not StringIO: that has four bytes a character
    reader, before = csv.reader(each, delimiter=delimiter, skipinitialspace=True), 0
    try:
        for fields in reader:
            if any("\n" in field for field in fields):
                what = f"{where} line {before + 1}"
                raise Failure(Code.DATA, what, found="a quote that is not closed on its line", expected=expected)
            before = reader.line_num
            fields = [field.strip() for field in fields]
            bad = next((field for field in fields if _CONTROL.search(field)), None)
            if bad is not None:
                found = f"a character that no text has in {printable(bad)}"
                raise Failure(Code.DATA, f"{where} line {before}", found=found, expected=expected)
            if any(fields):
                yield before, fields
    except csv.Error as error:
        raise Failure(Code.DATA, f"{where} line {before + 1}", found=str(error), expected=expected) from None
