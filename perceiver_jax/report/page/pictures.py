"""Pictures inside a page, within a budget of bytes: larger ones are made smaller, those that still do not fit are named."""

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ALL_BYTES = 2_000_000  # of a page's pictures together, before base64 adds a third
LARGE_BYTES = 400_000  # of one picture: beyond, it is made smaller
WIDTH, QUALITY = 1600, 85  # pixels and WebP quality of what is made smaller
FIRST = ("attention_maps", "maps", "confusion", "per_class", "inputs")  # how the names of what is shown first begin


class Picture(NamedTuple):
    """A picture as a page has it."""

    caption: str
    url: str  # of its bytes themselves
    width: int  # pixels
    height: int


def embedded(paths: Sequence[Path], budget: int, note: Callable[[str], None]) -> list[Picture]:
    """The pictures, those that tell most first, as far as they fit; the others are named to `note`."""
    found = []
    for path in sorted(paths, key=_rank):
        try:
            content, kind, size = _read(path)
        except (OSError, ValueError, SyntaxError, Warning) as error:  # SyntaxError: how Pillow reports broken PNG files
            note(f"{path.name} is not shown: {type(error).__name__}: {error}")
            continue
        if len(content) > budget:
            note(f"{path.name} is not shown: it has {len(content):,} bytes, and the page's other pictures fill its room")
            continue
        budget -= len(content)
        url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        found.append(Picture(path.stem.replace("_", " "), url, *size))
    return found


def _rank(path: Path) -> tuple[int, str]:
    places = [place for place, name in enumerate(FIRST) if path.name.startswith(name)]
    return (places[0] if places else len(FIRST)), path.name


def _read(path: Path) -> tuple[bytes, str, tuple[int, int]]:
    """The bytes of a PNG file, smaller where they are many, their format, and the picture's width and height."""
    from PIL import Image

    content = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if len(content) <= LARGE_BYTES:
                return content, "png", picture.size
            smaller = picture.convert("RGB")
    smaller.thumbnail((WIDTH, WIDTH * smaller.height), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    smaller.save(written, "WEBP", quality=QUALITY)
    return (written.getvalue(), "webp", smaller.size) if written.tell() < len(content) else (content, "png", picture.size)
