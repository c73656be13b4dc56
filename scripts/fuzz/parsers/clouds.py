"""Clouds of points: text, .npy and .npz, and ModelNet40's rows, as folders of shapes and predictions read them."""

import contextlib
import io
from pathlib import Path

import numpy as np

from perceiver_jax.data.preparation import modelnet40
from perceiver_jax.data.preparation.items import Item
from perceiver_jax.readers import BadFile, shapes
from scripts.fuzz.parser import Parser


class Clouds(Parser):
    """Twelve points in each form."""

    what = "point clouds"
    packages = ("numpy",)

    def make(self) -> dict[str, bytes]:
        """Files of some hundred bytes."""
        points = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32).round(3)
        rows = [" ".join(map(str, row)) for row in points.tolist()]
        text = "\n".join(rows) + "\n"
        return {
            "plain.xyz": text.encode(),
            "commented.txt": f"# points\n{text}".encode(),
            "headed.csv": ("x,y,z,label\n" + text.replace(" ", ",").replace("\n", ",1\n")).encode(),
            "wide.csv": text.replace(" ", ";").encode("utf-16"),
            "counted.pts": f"{len(rows)}\n{text}".encode(),
            "plain.npy": _array(points),
            "turned.npy": _array(np.asfortranarray(np.tile(points, (2, 1)).astype(">f8").T)),
            "whole.npy": _array((100 * points).astype(np.int16)),
            "several.npz": _arrays(points=points, labels=np.arange(12)),
            "small.npz": _arrays(a=points),
            "modelnet40/chair_0001.txt": (text.replace(" ", ",").replace("\n", ",0,0,1\n")).encode(),
        }

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """As a shape of 8 points, of its prefix in good order; ModelNet40's text as its preparation converts it."""
        if name.startswith("modelnet40"):
            modelnet40.converter("resampled", 8, 0)(Item("chair_0001", 8, name, 0, len(data), 0), data)
        else:
            with contextlib.suppress(BadFile):
                shapes.read_points(data, "", 8, "z")  # from a pipe: some formats have no mark to be known by
            shapes.read_well_spread(data, Path(name).suffix, 8, "z")


def _array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _arrays(**values: np.ndarray) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if len(values) > 1 else np.savez)(file, **values)
    return file.getvalue()


MEMBER = Clouds
