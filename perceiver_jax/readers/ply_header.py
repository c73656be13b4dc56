"""The headers of PLY files: which elements follow, and how their numbers are written."""

import re
from typing import NamedTuple

from perceiver_jax.readers import BadFile
from perceiver_jax.readers.limits import check_numbers
from perceiver_jax.readers.text_lines import Words, is_number, is_wide, lines_of, shown

CORNERS = ("vertex_indices", "vertex_index")  # of a face: the names of their list

_KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
_TYPES = dict(zip("char uchar short ushort int uint float double".split(), _KINDS, strict=True))
_TYPES |= dict(zip("int8 uint8 int16 uint16 int32 uint32 float32 float64".split(), _KINDS, strict=True))
_ORDERS = {b"ascii": "=", b"binary_little_endian": "<", b"binary_big_endian": ">"}


class Property(NamedTuple):
    """A number, or a list of numbers, of each row of an element."""

    name: str
    kind: str  # as numpy writes it
    count_kind: str  # of a list's count; "" of a single number


class Element(NamedTuple):
    """Rows of the same properties."""

    name: str
    count: int
    properties: list[Property]

    def corners(self) -> int | None:
        """Which property is the list of vertices, if one is."""
        lists = [i for i, one in enumerate(self.properties) if one.count_kind]
        named = [i for i in lists if self.properties[i].name in CORNERS]
        only = lists if self.name in ("face", "tristrips") and len(lists) == 1 else []
        return next(iter(named or only), None)


def read_header(data: bytes) -> tuple[list[Element], bytes, Words | None]:
    """The elements, the bytes of the numbers behind the header, and their words in a text; raises BadFile."""
    data = lines_of(data) if is_wide(data) else data.removeprefix(b"\xef\xbb\xbf")
    begins = re.match(rb"ply[ \t]*(\r\n|\n|\r)", data)
    if not begins:
        raise BadFile("header", "does not begin with a line ply")
    newline = rb"\r?\n" if begins[1] == b"\n" else begins[1]
    end = re.compile(rb"[\r\n][ \t]*end_header[ \t]*(?:" + newline + rb"|$)").search(data)
    if not end:
        raise BadFile("truncated", "has no end_header")
    order, elements = "", []
    for number, line in enumerate(lines_of(data[: end.start()]).split(b"\n"), 1):
        words = line.split()
        if not words or words[0] in (b"ply", b"comment", b"obj_info"):
            continue
        if words[0] == b"format" and len(words) == 3 and words[1] in _ORDERS and words[2] == b"1.0" and not order:
            order = _ORDERS[words[1]]
        elif not (order and _added(elements, [word.decode("utf-8", "replace") for word in words], order)):
            raise BadFile("header", f"line {number}: {shown(line)}, expected a format, an element or a property of PLY 1.0")
    if order != "=":
        return elements, data[end.end() :], None
    words = Words.of(lines_of(data[end.end() :]), data.count(begins[1], 0, end.end()) + 1)
    return elements, _numbers(words), words


def _added(elements: list[Element], words: list[str], order: str) -> bool:
    """Whether a line of the header is an element or a property, and is added to them; raises BadFile for a large one."""
    match words:
        case ["element", name, count] if re.fullmatch("[0-9]{1,20}", count):
            check_numbers(int(count))
            elements.append(Element(name, int(count), []))
            return True
        case ["property", "list", count_type, number_type, name]:
            types = count_type, number_type
        case ["property", number_type, name]:
            types = (number_type,)
        case _:
            return False
    if not elements or not set(types) <= _TYPES.keys():
        return False
    kinds = ["=f8" if order == "=" else order + _TYPES[one] for one in types]
    elements[-1].properties.append(Property(name, kinds[-1], kinds[0] if len(kinds) > 1 else ""))
    return True


def _numbers(words: Words) -> bytes:
    """The numbers of a text as bytes of float64; raises BadFile naming the line of a word that is not one."""
    values = words.numbers()
    if values is None:
        for row, line in enumerate(line for line in words.text.split(b"\n") if line.strip()):
            if not all(map(is_number, line.split())):
                raise BadFile("number", f"line {words.number(row)}: {shown(line)}, expected numbers")
        raise BadFile("damaged", "is not text")
    return values.tobytes()
