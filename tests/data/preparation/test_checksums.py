"""Lists of checksums: which are read, which files differ, and what is reported of files that are not lists."""

import hashlib

import pytest

from perceiver_jax.data.preparation import checksums
from perceiver_jax.errors import Code, Failure

FILES = {"a.tar": b"first", "b/c d.JPEG": b"second" * 300, "empty": b""}
KINDS = {"md5": 32, "sha256": 64}


@pytest.fixture
def source(tmp_path):
    for name, data in FILES.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(data)
    return tmp_path / "source"


@pytest.fixture
def read(tmp_path, source):
    def read(text):
        (tmp_path / "SUMS").write_bytes(text if isinstance(text, bytes) else text.encode())
        return checksums.read(tmp_path / "SUMS", source)

    return read


def lines(kind="md5", between="  "):
    return "".join(f"{hashlib.new(kind, data).hexdigest()}{between}{name}\n" for name, data in FILES.items())


def check(found):
    steps = []
    checksums.check(found, steps.append)
    return steps


def refusal(action, *arguments):
    with pytest.raises(Failure) as failure:
        action(*arguments)
    assert failure.value.code == Code.DATA
    return str(failure.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("  ", " *"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text.replace("\n", "\n\n"),
        lambda text: "".join(line[:8].upper() + line[8:] for line in text.splitlines(keepends=True)),
    ],
    ids=["as it is", "binary", "CR LF", "blank lines", "capitals"],
)
def test_files_that_have_their_checksums_pass(read, kind, change):
    found = read(change(lines(kind)))
    assert [(checksum.kind, checksum.name) for checksum in found] == [(kind, name) for name in FILES]
    assert check(found)[-1] == sum(map(len, FILES.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_altered_is_reported_with_both_sums(read, source, kind):
    (source / "a.tar").write_bytes(b"First")
    old, new = (hashlib.new(kind, data).hexdigest() for data in (b"first", b"First"))
    assert refusal(check, read(lines(kind))) == (
        f"error[3] {kind} differs: a.tar: the file is complete but altered\n"
        f"  found: {new}\n  expected: {old}\n  try: download it again"
    )


def test_all_that_differ_are_named_and_nobody_vouches_for_the_end_of_a_picture(read, source):
    (source / "b/c d.JPEG").write_bytes(b"second" * 299)
    (source / "empty").write_bytes(b"no more")
    first = refusal(check, read(lines("sha256"))).partition("\n")[0]
    assert first == "error[3] sha256 differs: b/c d.JPEG: the file is altered or cut off; 1 more differ: empty"


def test_a_listed_file_that_is_absent_is_reported_with_its_line(read, source):
    (source / "b/c d.JPEG").unlink()
    assert refusal(read, lines()).startswith(f"error[3] {source.parent}/SUMS line 2: b/c d.JPEG is not a file in {source}\n")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("a.tar", "a.tar"),
        ("0" * 32, "0" * 32),
        (f"{'0' * 31}  a.tar", f"{'0' * 31}  a.tar"),
        (f"{'0' * 40}  a.tar", f"{'0' * 40}  a.tar"),
        (f"{'0' * 31}g  a.tar", f"{'0' * 31}g  a.tar"),
        (f"{'0' * 32} a.tar", f"{'0' * 32} a.tar"),
        (f"MD5 (a.tar) = {'0' * 32}", f"MD5 (a.tar) = {'0' * 32}"),
        ("\x1b[31m" * 3, r"\x1b[31m\x1b[31m\x1b[31m"),
        (b"\xff\0", r"\udcff\x00"),
    ],
    ids=["no sum", "no name", "31 digits", "SHA-1", "no hex", "one blank", "BSD", "escapes", "binary"],
)
def test_a_line_that_is_none_is_reported_with_its_number(tmp_path, read, line, shown):
    text = lines().encode() + b"\n" + (line if isinstance(line, bytes) else line.encode())
    assert refusal(read, text).startswith(f"error[3] {tmp_path}/SUMS line 5: {shown}\n  expected: 32 digits of MD5 or 64")


def test_what_is_not_a_list_is_reported(tmp_path, source, read, monkeypatch):
    assert refusal(read, "\n \n") == f"error[3] checksums {tmp_path}/SUMS: is not a list of checksums\n  found: 3 bytes"
    for path, reason in ((tmp_path / "nowhere", "no such file or directory"), (source, "is a directory")):
        message = f"error[3] checksums {path}: cannot be read\n  found: {reason}"
        assert refusal(checksums.read, path, source) == message
    monkeypatch.setattr(checksums, "MAX_LIST_BYTES", 10)
    assert refusal(read, lines()).startswith(f"error[3] checksums {tmp_path}/SUMS: is not a list of checksums\n")


def test_whoever_observes_can_end_it(read):
    class End(Exception):
        pass

    def end(done):
        raise End

    with pytest.raises(End):
        checksums.check(read(lines()), end)
