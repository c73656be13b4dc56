"""Meshes from OBJ files: the vertices and faces of all groups and objects, or the vertices alone as points.

Lines are sorted by their first word and the numbers of each kind read at once. Everything else that OBJ has (textures,
normals, materials, lines) gives no surface and is skipped, except what would give one: that is refused by its name.
"""

import re
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from perceiver_jax.readers import BadFile, polygons
from perceiver_jax.readers.limits import check_mesh
from perceiver_jax.readers.surface import Mesh, check_finite
from perceiver_jax.readers.text_lines import Words, is_number, lines_of, numbers

_VERTEX_WIDTHS = (3, 4, 6, 7)  # x y z, perhaps a weight, or a colour with or without alpha
_IN_ROWS = np.isin(np.arange(256), list(b"0123456789-/ \t\n\v\f"))  # behind a corner's first slash
_OTHER_SURFACES = {b"surf": "free-form surfaces", b"call": "shapes of another file"}
_KEYWORD = re.compile(rb"^[ \t]*(surf|call)[ \t]", re.MULTILINE)


def read_obj(data: bytes) -> Mesh | Float64[np.ndarray, "P 3"]:
    """The mesh of an OBJ file, faces of more corners as triangles, or its points if it has no faces; raises BadFile.

    Vertices that no face has may be anything that reads as a number; faces of one or two corners have no surface.
    """
    text = lines_of(data)
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)
    if b"\\\n" in text:
        text = text.replace(b"\\\n", b" \v")  # a blank that marks where the line was
    other = _KEYWORD.search(text) if any(word in text for word in _OTHER_SURFACES) else None
    if other:
        raise BadFile("not-supported", f"has {_OTHER_SURFACES[other[1]]} ({other[1].decode()}); faces (f) are read")
    words = Words.of(text)
    first = words.starts[words.firsts()]
    characters = np.frombuffer(text + b"\n", np.uint8)
    single = np.isin(characters[first + 1], list(b" \t\n\v\f"))
    is_vertex, is_face = (single & (characters[first] == ord(letter)) for letter in "vf")
    vertices = _vertices(words, is_vertex)
    if not is_face.any():
        check_finite(vertices, lambda row: f"line {_line(words, is_vertex, row)}")
        return vertices
    sizes, corners = _corners(words, is_face, np.cumsum(is_vertex)[is_face], len(vertices))
    check_mesh(len(vertices), int(np.maximum(sizes - 2, 0).sum()))
    mesh = Mesh(vertices, polygons.mixed(vertices, sizes, corners)[0])
    check_finite(vertices, lambda row: f"line {_line(words, is_vertex, row)}", mesh.faces)
    return mesh


def _vertices(words: Words, chosen: Bool[np.ndarray, " lines"]) -> Float64[np.ndarray, "V 3"]:
    """The coordinates on some lines; raises BadFile naming one with others."""
    widths = words.widths[chosen] - 1
    check_mesh(len(widths), 0)
    fit = np.isin(widths, _VERTEX_WIDTHS)
    if not fit.all():
        raise _faulty("vertex", words, chosen, int(np.argmin(fit)), "3, 4, 6 or 7 numbers")
    text = np.frombuffer(words.text, np.uint8)[words.picked(_behind_keywords(words, chosen))].tobytes()
    values = numbers(text, int(widths.sum()))
    if values is None:
        raise _faulty("vertex", words, chosen, _first_without(words, chosen, is_number), "numbers")
    return values[(np.cumsum(widths) - widths)[:, None] + np.arange(3)]


def _corners(
    words: Words, chosen: Bool[np.ndarray, " lines"], before: Int64[np.ndarray, " faces"], num_vertices: int
) -> tuple[Int64[np.ndarray, " faces"], Int64[np.ndarray, " corners"]]:
    """How many corners the faces on some lines have, and all those corners, counted from 0; raises BadFile.

    `before` is the number of vertices above each face, from which negative corners count back.
    """
    sizes = words.widths[chosen] - 1
    wanted = _behind_keywords(words, chosen)
    picked = words.picked(wanted)
    text = np.frombuffer(words.text, np.uint8)[picked]
    slashes, is_row = np.flatnonzero(text == ord("/")), True
    if len(slashes):  # from a word's first slash to its end: the rows of textures and normals
        ends = np.diff(words.starts, append=len(words.text))[wanted].cumsum()  # of words, with their blanks
        owners = np.searchsorted(ends, slashes, side="right")
        first = np.diff(owners, prepend=-1) > 0
        change = np.zeros(len(text) + 1, np.int8)
        change[slashes[first]] = 1
        change[ends[owners[first]]] -= 1
        others = np.cumsum(change[:-1], dtype=np.int8) > 0
        is_row = _IN_ROWS[text[others]].all() and (slashes[2:][owners[2:] == owners[:-2]].size == 0)
        text = np.where(others, np.uint8(ord(" ")), text)
    values = numbers(text.tobytes(), int(sizes.sum()))
    if values is None or not is_row:
        raise _faulty("face", words, chosen, _first_without(words, chosen, _is_corner), "numbers of vertices")
    rows = np.repeat(np.arange(len(sizes)), sizes)
    corners = np.where(values < 0, before[rows] + values, values - 1)
    wrong = ~((corners >= 0) & (corners < num_vertices) & (corners == np.floor(corners)) & (values != 0))
    if wrong.any():
        expected = f"vertices from 1 to {num_vertices:,}, or from -1 back to the first above"
        raise _faulty("face", words, chosen, int(rows[np.argmax(wrong)]), expected)
    return sizes, corners.astype(np.int64)


def _behind_keywords(words: Words, chosen: Bool[np.ndarray, " lines"]) -> Bool[np.ndarray, " words"]:
    """The words of some lines but for the first of each."""
    wanted = chosen.repeat(words.widths)
    wanted[words.firsts()] = False
    return wanted


def _is_corner(word: bytes) -> bool:
    """Whether a word is a vertex's number, perhaps with those of a texture and a normal."""
    number, *others = word.split(b"/")
    return is_number(number) and len(others) <= 2 and all(re.fullmatch(rb"-?[0-9]*", other) for other in others)


def _first_without(words: Words, chosen: Bool[np.ndarray, " lines"], fit: Callable[[bytes], bool]) -> int:
    """Which of some lines is the first with a word that is not fit."""
    lines = words.text.split(b"\n")
    rows = np.flatnonzero(chosen)
    return next((i for i, row in enumerate(rows) if not all(map(fit, lines[words.lines[row]].split()[1:]))), 0)


def _line(words: Words, chosen: Bool[np.ndarray, " lines"], index: int) -> int:
    """The number in its file of one of some lines."""
    row = int(np.flatnonzero(chosen)[index])
    return words.number(row) + words.text.count(b"\v", 0, int(words.starts[words.firsts()[row]]))


def _faulty(kind: str, words: Words, chosen: Bool[np.ndarray, " lines"], index: int, expected: str) -> BadFile:
    row = int(np.flatnonzero(chosen)[index])
    return BadFile(kind, f"line {_line(words, chosen, index)}: {words.line(row)}, expected {expected}")
