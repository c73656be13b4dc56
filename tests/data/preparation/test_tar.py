"""Archives read by their headers: what is where, and what is refused, hostile or broken."""

import gzip
import io
import os
import tarfile
import zipfile

import pytest

from perceiver_jax.data.preparation import tar as tars
from perceiver_jax.data.preparation.tar import Archive
from perceiver_jax.errors import Code, Failure
from tests.data.preparation.archives import tar

FILES = {"a.JPEG": b"first", "b.JPEG": b"second" * 300, "c.JPEG": b""}


def listed(path, published=None):
    with Archive(path, published) as archive:
        return list(archive.members())


def refusal(path, published=None):
    with pytest.raises(Failure) as failure:
        listed(path, published)
    assert failure.value.code == Code.DATA
    return str(failure.value).partition("\n")[0]


# Of a file of no bytes in the form of attributes, in which GNU tar has written files with holes since 2004.
SPARSE = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,0", "GNU.sparse.size": "0"}


def special(name, kind, **fields):
    """A tar of one good file, one special member and another good file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info in (tarfile.TarInfo("a.JPEG"), tarfile.TarInfo(name), tarfile.TarInfo("z.JPEG")):
            if info.name == name:
                info.type = kind
                for field, value in fields.items():
                    setattr(info, field, value)
            archive.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_found_where_their_bytes_are(tmp_path, form):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in (FILES | {"n" * 150: b"long name"} if form != tarfile.USTAR_FORMAT else FILES).items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1.5  # a fraction gives each member a header of attributes
            archive.addfile(info, io.BytesIO(data))
    whole, members = path.read_bytes(), listed(path)
    found = {member.name: whole[member.offset : member.offset + member.size] for member in members}
    assert found == FILES | ({"n" * 150: b"long name"} if form != tarfile.USTAR_FORMAT else {})


def test_a_tar_within_a_tar_is_listed_by_places_in_the_outer_file(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(tar({"inner.tar": tar(FILES), "other": b"o"}))
    with Archive(path) as archive:
        inner = next(archive.members())
        members = list(archive.members(inner))
    whole = path.read_bytes()
    assert {m.name: whole[m.offset : m.offset + m.size] for m in members} == FILES


def test_folders_are_passed_over(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(special("folder", tarfile.DIRTYPE))
    assert [member.name for member in listed(path)] == ["a.JPEG", "z.JPEG"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (special("../x", tarfile.REGTYPE), "archive member leaves the target: ../x: x.tar"),
        (special("/abs", tarfile.REGTYPE), "archive member leaves the target: /abs: x.tar"),
        (special("a/../../x", tarfile.REGTYPE), "archive member leaves the target: a/../../x: x.tar"),
        (special("..", tarfile.DIRTYPE), "archive member leaves the target: ..: x.tar"),
        (special("x", tarfile.SYMTYPE, linkname="/etc"), "archive member is a link: x: x.tar"),
        (special("x", tarfile.LNKTYPE, linkname="a.JPEG"), "archive member is a link: x: x.tar"),
        (special("x", tarfile.CHRTYPE), "archive member is not a regular file: x: x.tar"),
        (special("x", tarfile.FIFOTYPE), "archive member is not a regular file: x: x.tar"),
        (special("x", tarfile.BLKTYPE), "archive member is not a regular file: x: x.tar"),
        (special("x", tarfile.GNUTYPE_SPARSE), "archive member is not a regular file: x: x.tar"),
        (special("x", tarfile.REGTYPE, pax_headers=SPARSE), "archive member is not a regular file: x: x.tar"),
        (special("a.JPEG", tarfile.REGTYPE), "duplicate member: a.JPEG: x.tar"),
        (special("A.jpeg", tarfile.REGTYPE), "duplicate member: A.jpeg: x.tar"),
        (special("bad\x1b[31m\n", tarfile.SYMTYPE), r"archive member is a link: bad\x1b[31m\n: x.tar"),
    ],
    ids=lambda value: value.split(": x.tar")[0] if isinstance(value, str) else "",
)
def test_members_without_a_place_among_data_are_refused(tmp_path, data, message):
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    assert refusal(path) == f"error[3] {message}"
    assert os.listdir(tmp_path) == ["x.tar"]


def test_rights_of_a_member_are_nothing_to_us(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(special("x", tarfile.REGTYPE, mode=0o6777, uid=0))
    assert [member.name for member in listed(path)] == ["a.JPEG", "x", "z.JPEG"]


def test_more_members_than_any_archive_of_data_has_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.tar"
    path.write_bytes(tar({f"{i}.JPEG": b"" for i in range(30)}))
    monkeypatch.setattr(tars, "MAX_MEMBERS", 30)
    assert len(listed(path)) == 30
    monkeypatch.setattr(tars, "MAX_MEMBERS", 29)
    assert refusal(path) == "error[3] x.tar: more than 29 members"


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"a" * 1000)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message", "found"),
    [
        (b"", "x.tar: is empty", ""),
        (b"garbage" * 1000, "x.tar: is not a tar archive", ""),
        (zipped().ljust(600, b"\0"), "x.tar: is not a tar archive", "found: a zip archive"),
        (gzip.compress(os.urandom(2000)), "x.tar: is not a tar archive", "found: compressed by gzip"),
    ],
)
def test_what_is_not_a_tar_is_reported_as_what_it_is(tmp_path, data, message, found):
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    with pytest.raises(Failure) as failure:
        listed(path)
    assert str(failure.value).startswith(f"error[3] {message}\n")
    assert found in str(failure.value)


def test_a_tar_cut_off_anywhere_is_reported_with_how_much_is_there(tmp_path):
    whole, path = tar(FILES), tmp_path / "x.tar"
    end = listed_end(whole, path)
    for length in (100, 512, 700, 1024, 1200, 1536, 2500, 3584, end, end + 100):
        path.write_bytes(whole[:length])
        assert refusal(path, len(whole)) == f"error[3] x.tar: ends early at {length:,} of {len(whole):,} bytes"


def listed_end(whole, path):
    """Where the zeros begin that mark the end."""
    path.write_bytes(whole)
    return listed(path)[-1].offset


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    whole, path = tar(FILES), tmp_path / "x.tar"
    second = whole.index(b"b.JPEG")
    path.write_bytes(whole[:second] + b"?" + whole[second + 1 :])
    assert refusal(path) == f"error[3] x.tar: damaged at byte {second:,}"


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header("a", 10**15) + bytes(2048), "x.tar: ends early at 2,560 bytes"),
        (header("a", -1024) + bytes(2048), "x.tar: damaged: member a has -1024 bytes"),
        (header("a", 4 * 2**30, tarfile.GNUTYPE_LONGNAME) + bytes(2048), "x.tar: damaged: a header of 4,294,967,296 bytes"),
        (header("a", -512, tarfile.GNUTYPE_LONGNAME) + bytes(2048), "x.tar: damaged: a header of -512 bytes"),
        (header("a", 4 * 2**30, tarfile.XHDTYPE) + bytes(2048), "x.tar: damaged: a header of 4,294,967,296 bytes"),
    ],
    ids=["more than there is", "less than nothing", "a long name", "a name of less than nothing", "long attributes"],
)
def test_sizes_in_headers_are_not_believed(tmp_path, data, message):
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    assert refusal(path) == f"error[3] {message}"


def test_a_tar_that_grows_is_still_being_written(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(tar(FILES))
    with Archive(path) as archive:
        list(archive.members())
        with open(path, "ab") as file:
            file.write(bytes(512))
        with pytest.raises(Failure, match=r"error\[3\] x.tar: is still being written"):
            archive.check_unchanged()


def test_a_tar_that_cannot_be_read_is_reported(tmp_path):
    assert refusal(tmp_path) == f"error[3] {tmp_path.name}: cannot be read"
