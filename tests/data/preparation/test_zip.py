"""Zip archives: listed from their directory, read in place, and refused where they could do harm or are not whole."""

import gzip
import io
import stat
import struct
import warnings
import zipfile

import numpy as np
import pytest

from perceiver_jax.data.preparation import tar
from perceiver_jax.data.preparation import zip as zips
from perceiver_jax.data.preparation.items import Files, read
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile
from tests.data.preparation.shapes import zipped

FILES = {"a/b.off": b"OFF\n" * 200, "a/c.off": b"", "d.txt": bytes(range(256))}


def members_of(path):
    return dict(zips.members(path))


def contents(path):
    with Files() as files:
        return {name: read(item, files) for name, item in members_of(path).items()}


def refusal(tmp_path, data, name="x.zip"):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Failure) as failure:
        members_of(tmp_path / name)
    assert failure.value.code == Code.DATA
    assert [path.name for path in tmp_path.iterdir()] == [name]  # nothing was written
    return str(failure.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read_where_they_are(tmp_path, method):
    (tmp_path / "x.zip").write_bytes(zipped({"a/": b"", **FILES}, method))
    assert contents(tmp_path / "x.zip") == FILES


def test_an_archive_with_something_before_it_is_read(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK" + b"\0" * 98 + zipped(FILES))
    assert contents(tmp_path / "x.zip") == FILES


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/abs"])
def test_a_member_that_leaves_the_target_is_refused(tmp_path, name):
    message = refusal(tmp_path, zipped({"good": b"1", name: b"2"}))
    assert message == f"error[3] archive member leaves the target: {name}: x.zip"


def with_mode(mode):
    info = zipfile.ZipInfo("evil")
    info.external_attr = mode << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, b"target")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        (stat.S_IFLNK | 0o777, "is a link"),
        (stat.S_IFIFO | 0o644, "is not a regular file"),
        (stat.S_IFCHR, "is not a regular file"),
    ],
)
def test_what_is_not_a_file_is_refused(tmp_path, mode, what):
    assert refusal(tmp_path, with_mode(mode)) == f"error[3] archive member {what}: evil: x.zip"


@pytest.mark.parametrize("second", ["a/b.off", "A/B.off", "a//b.off", "./a/b.off"])
def test_a_member_that_comes_twice_is_refused(tmp_path, second):
    with warnings.catch_warnings(action="ignore"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a/b.off", b"1")
            archive.writestr(second, b"2")
    assert refusal(tmp_path, buffer.getvalue()).startswith(f"error[3] duplicate member: {second}: x.zip\n")


def changed(field, value, form, data=None):
    """An archive of one member with another value in its directory."""
    data = bytearray(data or zipped({"m": b"x" * 50}))
    struct.pack_into(form, data, data.rindex(b"PK\1\2") + field, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(8, 1, "<H"), "archive member is encrypted: m: x.zip"),
        (changed(8, 0x41, "<H"), "archive member is encrypted: m: x.zip"),
        (zipped({"m": b"x" * 50}, zipfile.ZIP_LZMA), "unknown compression: m: x.zip\n  found: method 14\n"),
        (zipped({"m": b"x" * 50}, zipfile.ZIP_BZIP2), "unknown compression: m: x.zip\n  found: method 12\n"),
        (changed(10, 99, "<H"), "unknown compression: m: x.zip\n  found: method 99\n"),
        (zipped({"m": b"\0" * 1_000_000}), "archive member expands too much: m: x.zip\n  found: 1,000,000 bytes out of "),
        (changed(24, 2**31, "<I"), "archive member too large: m: x.zip\n  found: 2,147,483,648 bytes\n"),
        (changed(42, 10**6, "<I"), "x.zip: damaged: member m is not where it should be"),
        (changed(42, 7, "<I"), "x.zip: damaged: member m is not where it should be"),
        (changed(20, 10**6, "<I"), "x.zip: damaged: member m is not where it should be"),
        (zipped(FILES)[:-30], "x.zip: ends early at "),
        (zipped(FILES)[:100], "x.zip: ends early at 100 bytes\n  try: download it again"),
        (b"", "x.zip: is empty"),
        (b"garbage" * 99, "x.zip: is not a zip archive"),
        (gzip.compress(zipped(FILES)), "x.zip: is not a zip archive\n  found: compressed by gzip\n"),
        (b"\n<!DOCTYPE html><html>404", "x.zip: is not a zip archive\n  found: a web page\n"),
    ],
    ids=range(16),
)
def test_what_is_not_a_complete_or_safe_archive_is_refused(tmp_path, data, message):
    assert refusal(tmp_path, data).startswith(f"error[3] {message}")


@pytest.mark.parametrize(
    ("place", "new", "said"),
    [
        (b"d.txt", b"e.txt", "damaged: member e.txt is not where it should be"),
        (b"d.txt", b"d.tx/", "damaged: member d.tx/ is not where it should be"),
        (b"d.txt", b"\0.txt", "damaged: a member is called \\x00.txt"),
    ],
)
def test_a_member_is_called_the_same_in_both_places(tmp_path, place, new, said):
    data = zipped(FILES)
    at = data.rindex(place)
    assert refusal(tmp_path, data[:at] + new + data[at + 5 :]).startswith(f"error[3] x.zip: {said}")


def test_an_archive_has_as_many_members_as_it_says(tmp_path):
    data = zipped(FILES)
    short = data.rindex(b"PK\5\6") + 12
    said = refusal(tmp_path, data[:short] + struct.pack("<I", 0) + data[short + 4 :])
    assert said.startswith("error[3] x.zip: damaged: its directory has 0 members of 3")


def test_rights_of_a_member_are_nothing_to_us(tmp_path):
    (tmp_path / "x.zip").write_bytes(with_mode(stat.S_IFREG | 0o6777))
    assert contents(tmp_path / "x.zip") == {"evil": b"target"}


def test_more_members_than_any_archive_of_data_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tar, "MAX_MEMBERS", 29)
    message = refusal(tmp_path, zipped({f"{i}": b"" for i in range(30)}))
    assert message == "error[3] x.zip: more than 29 members"


def test_a_zip_that_grows_is_still_being_written(tmp_path):
    data, path = zipped(FILES), tmp_path / "x.zip"
    path.write_bytes(data)
    found = zips.members(path)
    next(found)
    with open(path, "ab") as file:
        file.write(bytes(9))
    with pytest.raises(Failure) as failure:
        list(found)
    assert str(failure.value).startswith(
        f"error[3] x.zip: is still being written\n  found: {len(data):,} bytes, now {len(data) + 9:,}\n"
    )


def test_a_zip_under_another_name_is_refused(tmp_path):
    assert refusal(tmp_path, zipped(FILES), "x.tar").startswith("error[3] x.tar: is a zip archive under another name\n")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_whose_bytes_have_changed_is_a_bad_item(tmp_path, method):
    data = bytearray(zipped({"m": bytes(range(256))}, method))
    data[60] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(BadFile) as bad, Files() as files:
        read(members_of(tmp_path / "x.zip")["m"], files)
    assert bad.value.code == "damaged"


def test_a_member_that_grows_beyond_its_claim_is_a_bad_item(tmp_path):
    (tmp_path / "x.zip").write_bytes(changed(24, 1000, "<I", zipped({"m": b"x" * 100_000 + bytes(range(256)) * 9})))
    with pytest.raises(BadFile) as bad, Files() as files:
        read(members_of(tmp_path / "x.zip")["m"], files)
    assert bad.value.code == "damaged"


def test_damage_anywhere_is_refused_or_harmless(tmp_path):
    whole, rng = zipped(FILES), np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(len(data), size=2):
            data[place] = rng.integers(256)
        (tmp_path / "x.zip").write_bytes(data)
        try:
            found = contents(tmp_path / "x.zip")
        except (Failure, BadFile):
            continue
        assert set(found.values()) <= set(FILES.values())
