"""Pictures inside a page."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from perceiver_jax.report.page import pictures
from perceiver_jax.report.page.pictures import embedded


def write(path, width=8, height=6, noise=False):
    """A picture; of noise it is large."""
    pixels = (
        np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8) if noise else np.zeros((height, width, 3))
    )
    Image.fromarray(pixels.astype(np.uint8)).save(path, "PNG")
    return path


def test_a_picture_is_there_byte_for_byte_with_its_size(tmp_path):
    path = write(tmp_path / "attention_maps_audio.png")
    (found,) = embedded([path], 10_000, pytest.fail)
    assert (found.caption, found.width, found.height) == ("attention maps audio", 8, 6)
    kind, _, content = found.url.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == path.read_bytes()


def test_what_tells_most_comes_first(tmp_path):
    names = ["zebra", "inputs", "per_class_test", "confusion_test", "attention_maps"]
    found = embedded([write(tmp_path / f"{name}.png") for name in names], 10_000, pytest.fail)
    assert [one.caption for one in found] == ["attention maps", "confusion test", "per class test", "inputs", "zebra"]


def test_a_large_picture_is_made_smaller(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LARGE_BYTES", 1000)
    monkeypatch.setattr(pictures, "WIDTH", 40)
    path = write(tmp_path / "a.png", 80, 60, noise=True)
    (found,) = embedded([path], 10_000, pytest.fail)
    assert (found.width, found.height) == (40, 30)
    content = base64.b64decode(found.url.partition(",")[2])
    assert len(content) < path.stat().st_size
    assert Image.open(io.BytesIO(content)).size == (40, 30)


def test_what_does_not_fit_is_named_and_the_rest_is_there(tmp_path):
    notes = []
    large, small = write(tmp_path / "attention_maps.png", 80, 60, noise=True), write(tmp_path / "b.png")
    (found,) = embedded([large, small], 2000, notes.append)
    assert found.caption == "b"
    (note,) = notes
    assert note.startswith("attention_maps.png is not shown: it has ")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, None])
def test_what_is_no_picture_is_named(tmp_path, content):
    path, notes = tmp_path / "a.png", []
    path.mkdir() if content is None else path.write_bytes(content)
    assert embedded([path], 10_000, notes.append) == []
    (note,) = notes
    assert note.startswith("a.png is not shown: ")
