"""From the bytes of users' files to arrays: pictures, meshes, point clouds, sounds, films. Each reader raises BadFile."""

import contextlib
from collections.abc import Iterator

from perceiver_jax.errors import Code, Failure

_COPY, _CORRECT = "replace it with an intact copy, or remove it", "correct it, or remove it"
_TABLE = "save its points as float32 (n, 3)"
_RECORDED = "save it as WAV or FLAC, a film as MP4 with H.264"
# What helps against each code; the others are those of damage, against which an intact copy helps.
_HINTS = {
    "too-small": "remove it",
    "too-large": "a smaller version of it, or remove it",
    "no-faces": "save it with faces or, as .xyz, its points alone",
    "which-array": "save the points alone, or name their array as expected",
    "not-an-image": "an intact copy of it as JPEG or PNG, or remove it",
    "off-variant": "save it as OFF in text and in three dimensions, or download it again",
    "web-page": "download it again: what came is a page",
    "stored-link": "make it a link again, or put the file itself there",
    "pointer": "fetch the file that it stands for: git lfs pull",
    "compressed": "save it without compression",
    "other-file": "save it with all its data in one file, for example as .glb with its buffers inside",
    "not-supported": "save it as triangles, for example as .stl, or remove it",
    "transposed": "save the array transposed, a point a row: numpy.save(file, array.T)",
    **dict.fromkeys(("array-shape", "not-an-array", "python-objects"), _TABLE),
    **dict.fromkeys(("counts", "vertex", "face", "columns", "number", "non-finite", "line-too-long"), _CORRECT),
    "not-a-recording": f"{_RECORDED}, or remove it",
    "encoding": _RECORDED,
    "rate": f"{_RECORDED}, at its true rate",
    "channels": f"{_RECORDED}, with fewer channels",
    "scale": "save it with samples from -1 to 1: these are whole numbers that were taken for floats",
    "no-samples": "fetch it again, or remove it: nothing was recorded",
    "no-frames": "fetch it again, or remove it: nothing was recorded",
    **dict.fromkeys(("degenerate", "no-points"), "remove it: there is no shape in it"),
}
_FORMATS = {"picture": "save it as JPEG or PNG", "shape": "save it in one of those formats", "recording": _RECORDED}


class BadFile(Exception):
    """A file that is not a readable picture, shape or recording: `code` for programs, `sentence` for users."""

    def __init__(self, code: str, sentence: str):
        super().__init__(code, sentence)
        self.code, self.sentence = code, sentence

    def __str__(self) -> str:
        return self.sentence


@contextlib.contextmanager
def named(kind: str, name: str) -> Iterator[None]:
    """Turns BadFile into Failure(DATA) with the file's name and what helps; `kind` is picture, shape or recording."""
    try:
        yield
    except BadFile as bad:
        hint = _FORMATS[kind] if bad.code == "format-not-allowed" else _HINTS.get(bad.code, _COPY)
        raise Failure(Code.DATA, f"{kind} {bad.code}", name, found=bad.sentence, hint=hint) from None
