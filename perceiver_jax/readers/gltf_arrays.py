"""The arrays of a glTF document: accessors, the views that they are in, and the buffers of those.

A document is what JSON gave: nothing in it has a type or a value that was promised, so all is asked for here.
"""

import base64
import binascii
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from perceiver_jax.errors import printable
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.limits import check_numbers

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_COMPRESSED = {"EXT_meshopt_compression": "meshopt", "KHR_meshopt_compression": "meshopt"}  # extensions of a view


class Part(NamedTuple):
    """An object of the document and where it is; what it lacks or has as null is absent."""

    where: str
    values: dict[str, Any]

    def value(self, name: str, kind: type, otherwise: Any) -> Any:
        """A value of a kind, or `otherwise` where it is absent; raises BadFile for one of another kind."""
        value = self.values.get(name)
        if value is None:
            return otherwise
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) < 1e300 else math.inf
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fault(f"its {name} is {printable(repr(value), 40)}")
        return value

    def count(self, name: str, otherwise: int | None = None) -> int:
        """A whole number from 0 on; raises BadFile where there is none, or no other one."""
        value = self.value(name, int, otherwise)
        if value is None or value < 0:
            raise self.fault(f"its {name} is {value}" if value is not None else f"has no {name}")
        return value

    def numbers(self, name: str, length: int, otherwise: Sequence[float | int]) -> Float64[np.ndarray, " length"]:
        """A list of numbers; raises BadFile."""
        values = self.value(name, list, list(otherwise))
        if len(values) != length or not all(isinstance(one, int | float) and abs(one) < 1e300 for one in values):
            raise self.fault(f"its {name} is not {length} numbers")
        return np.array(values, np.float64)

    def part(self, name: str) -> "Part":
        """An object inside, empty where it is absent."""
        return Part(f"{self.where}, {name}", self.value(name, dict, {}))

    def fault(self, what: str) -> BadFile:
        """What is wrong with it."""
        return BadFile("damaged", f"{self.where}: {what}")


class Document(NamedTuple):
    """A glTF document and its own bytes."""

    root: Part
    binary: bytes
    size: int  # of the file, in bytes

    def item(self, kind: str, index: int) -> Part:
        """One of a list of the document by its number, as others refer to it; raises BadFile where there is none."""
        items = self.root.value(kind, list, [])
        if not 0 <= index < len(items) or not isinstance(items[index], dict):
            raise BadFile("damaged", f"refers to number {index} of its {len(items)} {kind}")
        return Part(f"{kind} {index}", items[index])

    def positions(self, index: int) -> Float64[np.ndarray, "V 3"]:
        """An accessor's points; raises BadFile."""
        accessor = self.item("accessors", index)
        values = self._values(accessor, "VEC3")
        if values.dtype.kind == "f" or not accessor.value("normalized", bool, False):
            return values.astype(np.float64)
        return np.maximum(values / np.iinfo(values.dtype).max, -1)

    def indices(self, index: int) -> Int64[np.ndarray, " n"]:
        """An accessor's whole numbers; raises BadFile."""
        accessor = self.item("accessors", index)
        values = self._values(accessor, "SCALAR")
        if values.dtype.kind != "u":
            raise accessor.fault(f"its componentType is {accessor.count('componentType')}; indices are unsigned")
        return values[:, 0].astype(np.int64)

    def length(self, index: int) -> int:
        """How many elements an accessor has."""
        return self.item("accessors", index).count("count")

    def _values(self, accessor: Part, kind: str) -> np.ndarray:
        """An accessor's elements as they are stored, a row each; raises BadFile."""
        if accessor.value("type", str, "") != kind:
            raise accessor.fault(f"its type is {printable(str(accessor.value('type', str, None)), 40)}, expected {kind}")
        count, width = accessor.count("count"), _WIDTHS[kind]
        check_numbers(count * width)
        sparse = accessor.part("sparse")
        if accessor.value("bufferView", int, None) is not None:
            values = self._view(accessor, self._component(accessor), count, width)
        elif count > self.size:  # zeros, of which a file can claim any number
            raise accessor.fault(f"has no bufferView, and {count:,} elements")
        else:
            values = np.zeros((count, width), self._component(accessor))
        if not sparse.values:
            return values
        changed = sparse.count("count")
        if changed > count:
            raise sparse.fault(f"has {changed:,} of {count:,} elements")
        rows = self._view(sparse.part("indices"), self._component(sparse.part("indices")), changed, 1)[:, 0]
        if rows.dtype.kind != "u" or (rows >= count).any() or (rows[1:] <= rows[:-1]).any():
            raise sparse.fault(f"its indices do not grow, from 0 to {count - 1}")
        values = values.copy()
        values[rows] = self._view(sparse.part("values"), self._component(accessor), changed, width)
        return values

    def _component(self, part: Part) -> np.dtype:
        number = part.count("componentType")
        if number not in _COMPONENTS:
            raise part.fault(f"its componentType is {number}")
        return np.dtype(_COMPONENTS[number])

    def _view(self, part: Part, kind: np.dtype, count: int, width: int) -> np.ndarray:
        """So many rows in a part's view, nothing copied; raises BadFile where the view or its buffer is shorter."""
        view = self.item("bufferViews", part.count("bufferView"))
        for extension in view.part("extensions").values:
            if extension in _COMPRESSED:
                raise BadFile("compressed", f"is compressed with {_COMPRESSED[extension]} ({extension})")
        data = self._buffer(self.item("buffers", view.count("buffer")))
        start, length = view.count("byteOffset", 0), view.count("byteLength")
        if start + length > len(data):
            raise BadFile("truncated", f"{view.where}: ends at byte {start + length:,} of a buffer of {len(data):,}")
        row = kind.itemsize * width
        first, stride = part.count("byteOffset", 0), view.count("byteStride", 0) or row
        if count and first + stride * (count - 1) + row > length:
            raise BadFile("truncated", f"{part.where}: its {count:,} elements are longer than {view.where}")
        return np.ndarray((count, width), kind, data, start + first if count else 0, (stride, kind.itemsize))

    def _buffer(self, buffer: Part) -> bytes:
        """The bytes of a buffer: the file's own, or those that its address holds; no other file is read."""
        address = buffer.value("uri", str, None)
        if address is None:
            return self.binary
        head, comma, text = address.partition(",")
        if not head.startswith("data:") or not comma or not head.endswith(";base64"):
            raise BadFile("other-file", f"has its numbers in another file, {printable(address, 60)}, which is not read")
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise buffer.fault("its data cannot be decoded") from None
