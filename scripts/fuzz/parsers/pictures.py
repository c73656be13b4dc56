"""Pictures: JPEG, PNG, WebP, GIF and BMP, as training reads them and as ImageNet's preparation does."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perceiver_jax.readers import BadFile
from perceiver_jax.readers import pictures as readers
from scripts.fuzz.parser import Parser

_SIZE = 40, 33  # pixels


class Pictures(Parser):
    """Ordinary ones and those of rare kinds."""

    what = "pictures"
    packages = ("pillow", "opencv-python-headless")

    def make(self) -> dict[str, bytes]:
        """Pictures of a few kB."""
        plain = _picture("RGB")
        exif = Image.Exif()
        exif[0x0112] = 6  # turned
        exif[0x010E] = "a picture"
        return {
            "plain.jpg": _saved(plain, "JPEG"),
            "grey.jpg": _saved(_picture("L"), "JPEG"),
            "progressive.jpg": _saved(plain, "JPEG", progressive=True, exif=exif),
            "restarts.jpg": _saved(plain, "JPEG", restart_marker_blocks=2, exif=exif),
            "inks.jpg": _saved(_picture("CMYK"), "JPEG"),
            "several.mpo": _saved(plain, "MPO", save_all=True, append_images=[plain]),
            "plain.png": _saved(plain, "PNG", exif=exif),
            "palette.png": _saved(plain.quantize(16), "PNG"),
            "alpha.png": _saved(_picture("RGBA"), "PNG"),
            "deep.png": _saved(_picture("L").convert("I;16"), "PNG"),
            "moving.png": _saved(plain, "PNG", save_all=True, append_images=[plain.rotate(90)]),
            "lossy.webp": _saved(plain, "WebP", exif=exif),
            "lossless.webp": _saved(_picture("RGBA"), "WebP", lossless=True),
            "moving.gif": _saved(plain, "GIF", save_all=True, append_images=[plain.rotate(90)], transparency=0),
            "plain.bmp": _saved(plain, "BMP"),
            "palette.bmp": _saved(plain.quantize(16), "BMP"),
        }

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """Decoded, and converted as for ImageNet, which takes fewer formats."""
        with contextlib.suppress(BadFile):
            readers.as_jpeg(data)
        readers.decode(data, upright=True)


def _picture(mode: str) -> Image.Image:
    """Waves in colours."""
    rows, columns = np.indices(_SIZE)
    waves = [128 + 100 * np.sin(rows / (3 + channel) + columns / 7) for channel in range(len(mode))]
    return Image.fromarray(np.stack(waves, -1).astype(np.uint8).squeeze(), mode=None if mode != "CMYK" else mode)


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


MEMBER = Pictures
