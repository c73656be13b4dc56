"""The battery's records of the readers of archives: three files, in every form of zip and tar.

Right, of bytes of which one was changed, are files of which one has another name or, in a tar, which has no checksum of
contents, another byte.
"""

import atexit
import io
import struct
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from perceiver_jax.data.preparation import items, tar
from perceiver_jax.data.preparation import zip as zips
from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile
from tests.readers.battery import Reader, rewrite

FILES = {"a.off": b"OFF\n" * 30, "folder/b.off": bytes(range(256)), "folder/c.txt": b"x"}

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)
ZIP, TAR = (Path(_folder.name, name) for name in ("a.zip", "a.tar"))


def read_zip(data):
    """The files of a zip archive, by name."""
    rewrite(ZIP, data)
    try:
        with items.Files() as files:
            return some_of({name: items.read(item, files) for name, item in zips.members(ZIP)})
    except BadFile as bad:  # of one member
        raise Failure(Code.DATA, str(bad)) from None


def read_tar(data):
    """The files of a tar archive, by name."""
    rewrite(TAR, data)
    with tar.Archive(TAR) as archive:
        return some_of({member.name: data[member.offset : member.offset + member.size] for member in archive.members()})


def some_of(files):
    """The files; an archive of nothing is a data set's to refuse, as it does."""
    if not files:
        raise Failure(Code.DATA, "has no files")
    return files


def one_other(files, data):
    """Whether one file has another name or another byte, and the others are as they were."""
    others = {name: content for name, content in files.items() if name not in FILES or content != FILES[name]}
    gone = [content for name, content in FILES.items() if name not in files or content != files[name]]
    if not others:
        return not gone
    (content,), (before,) = (list(others.values()), gone) if len(others) == len(gone) == 1 else ([b"?"], [b""])
    return len(content) == len(before) and sum(a != b for a, b in zip(content, before, strict=True)) <= 1


def none_other(files, data):
    """Contents have checksums, and names are there twice."""
    return False


def zipped(method=zipfile.ZIP_DEFLATED, folders=(), comment=b"", extra=b"", streamed=False, order=1):
    """A zip of the files."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError("a pipe")

    file = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.comment = comment
        for folder in folders:
            archive.writestr(f"{folder}/", b"")
        for name, content in list(FILES.items())[::order]:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.extra = method, extra
            archive.writestr(info, content)
    return file.getvalue()


def tarred(form=tarfile.GNU_FORMAT, folders=(), order=1, **attributes):
    """A tar of the files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for folder in folders:
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for name, content in list(FILES.items())[::order]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


ZIP_FORMS = {
    "plain": zipped(),
    "stored": zipped(zipfile.ZIP_STORED),
    "folders": zipped(folders=["folder"]),
    "remark": zipped(comment=b"made by hand"),
    "further attributes": zipped(extra=struct.pack("<HHI", 0x5455, 4, 1)),
    "streamed": zipped(streamed=True),
    "another order": zipped(order=-1),
}
TAR_FORMS = {
    "plain": tarred(),
    "ustar": tarred(tarfile.USTAR_FORMAT),
    "pax": tarred(tarfile.PAX_FORMAT, pax_headers={"comment": "made by hand"}),
    "folders": tarred(folders=["folder"]),
    "owners": tarred(uname="someone", gname="people", uid=1000, mtime=1e9),
    "another order": tarred(order=-1),
    "no padding": tarred()[: -(-tarred().rindex(b"x") // 512) * 512 + 1024],
}


def bomb(size):
    """A zip of one file that unpacks to zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.off", bytes(size))
    return file.getvalue()


def claiming(data, mark, at, form, *numbers):
    """The bytes with other numbers behind a mark."""
    place = data.index(mark) + at
    return data[:place] + struct.pack(form, *numbers) + data[place + struct.calcsize(form) :]


def headed(size):
    """A tar whose header of names claims some bytes."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, size
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(9000)


ZIP_HOSTILE = {
    "bomb": bomb(10_000_000),
    "claims a size": claiming(zipped(), b"PK\1\2", 24, "<I", 2**32 - 2),
    "claims members": claiming(zipped(), b"PK\5\6", 8, "<HH", 65535, 65535),
    "remarks": b"PK\3\4" + b"PK\5\6" * 12_000,
    "a member in all others": zipped(zipfile.ZIP_STORED)[:400] + zlib.compress(bytes(9_000)) * 9,
}
TAR_HOSTILE = {
    "claims a header": headed(8**11 - 1),
    "long header": headed(900_000),
    "headers": tarfile.TarInfo("a").tobuf() * 97,
    "names": b"".join(tarfile.TarInfo(f"{i:090}").tobuf() for i in range(90)) + bytes(1024),
}

READERS = [
    Reader("zip", ZIP_FORMS, read_zip, dict.__eq__, none_other, hostile=ZIP_HOSTILE, refusal=Failure),
    Reader("tar", TAR_FORMS, read_tar, dict.__eq__, one_other, hostile=TAR_HOSTILE, refusal=Failure),
]
