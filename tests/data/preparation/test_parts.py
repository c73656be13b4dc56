"""Parts of a preparation: their names, who has which shard, what processes that share a folder leave alone."""

import subprocess
import sys

import pytest

from perceiver_jax.data.preparation import claims, parts, shard, workers
from perceiver_jax.data.preparation.claims import claimed
from perceiver_jax.data.preparation.items import Item, Unit
from perceiver_jax.data.preparation.parts import Part
from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import disk
from tests.data.preparation import crashing

CLAIM = """
import sys
from pathlib import Path
from perceiver_jax.data.preparation.claims import claimed
from perceiver_jax.data.preparation.parts import Part
with claimed(Path(sys.argv[1]), Part.parse(sys.argv[2]) if len(sys.argv) > 2 else None):
    print("claimed", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that claims the folder, for a part or whole; ended after the test."""
    started = []

    def other(*part):
        command = [sys.executable, "-c", CLAIM, str(tmp_path / "out"), *part]
        started.append(subprocess.Popen(command, text=True, stdin=-1, stdout=-1))
        assert started[-1].stdout.readline() == "claimed\n"
        return started[-1].pid

    yield other
    for process in started:
        process.communicate("\n")


def units(*sizes):
    return [Unit(f"s{i}", "train", [Item(f"{i}-{j}", 0, "", 0, 1, 0) for j in range(n)]) for i, n in enumerate(sizes)]


@pytest.mark.parametrize(
    ("text", "expected"), [("1/1", (1, 1)), ("2/3", (2, 3)), ("07/16", (7, 16)), ("1000/1000", (1000, 1000))]
)
def test_a_part_is_read(text, expected):
    assert Part.parse(text) == expected
    assert Part.parse(str(Part(*expected))) == expected


NO_PARTS = "0/3 4/3 x 3 1/0 0/0 -1/3 1/-3 1/2/3 1.0/3 /3 1/ ٣/٤".split()


@pytest.mark.parametrize("text", [*NO_PARTS, "", "1 / 3", "1/3\n", "1/" + "9" * 5000])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ValueError, match="expected I/N, part I of N: 1/4"):
        Part.parse(text)


@pytest.mark.parametrize("of", [1, 2, 3, 7, 64])
def test_each_shard_is_one_parts_and_their_work_is_the_same_within_a_shard(of):
    whole = units(*([1251] * 40 + [782] * 7 + [3]))
    shares = [parts.share_of(Part(i, of), whole) for i in range(1, of + 1)]
    assert sorted(unit.shard for mine in shares for unit in mine) == sorted(unit.shard for unit in whole)
    assert all(mine == [unit for unit in whole if unit in mine] for mine in shares)
    loads = [sum(len(unit.items) for unit in mine) for mine in shares]
    assert max(loads) - min(loads) <= 1251
    assert of > 48 or min(loads) > 0


def test_the_heaviest_is_shared_out_first():
    assert [Part(i, 2).share([1, 1, 1, 3, 6], int) for i in (1, 2)] == [[6], [1, 1, 1, 3]]


def refused(folder, part=None):
    with pytest.raises(Failure) as failure, claimed(folder, part):
        pass
    assert failure.value.code == Code.WORKDIR
    return str(failure.value)


def test_parts_share_a_folder_that_the_whole_has_alone(tmp_path, other):
    folder, pid = tmp_path / "out", other("2/3")
    assert refused(folder).startswith(f"error[6] {folder} is in use by another process\n  found: part 2/3: pid {pid} on ")
    message = refused(folder, Part(2, 3))
    assert message.startswith(f"error[6] part 2/3 is being prepared by another process: {folder}\n  found: pid {pid} on ")
    for part in (Part(1, 3), Part(2, 4)):
        with claimed(folder, part):
            pass


def test_the_whole_keeps_parts_out_by_name(tmp_path, other):
    pid = other()
    assert refused(tmp_path / "out", Part(1, 3)).startswith(
        f"error[6] {tmp_path}/out is in use by another process\n  found: pid {pid} on "
    )


@pytest.mark.parametrize(("part", "left"), [(Part(1, 3), ["11-of-3-a", "2-of-3-b", "plain"]), (None, [])])
def test_what_a_killed_run_left_is_removed_by_whom_it_belongs_to(tmp_path, part, left):
    for directory in (tmp_path / "out", tmp_path / "out" / shard.RECORDS):
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("1-of-3-a", "11-of-3-a", "2-of-3-b", "plain"):
            (directory / f"{disk.TEMPORARY}{name}").write_bytes(b"")
    with claimed(tmp_path / "out", part):
        pass
    for directory in (tmp_path / "out", tmp_path / "out" / shard.RECORDS):
        found = sorted(path.name.removeprefix(disk.TEMPORARY) for path in directory.glob(f"{disk.TEMPORARY}*"))
        assert found == left


def test_a_folder_that_came_into_being_beside_a_finished_one_is_removed_unless_it_holds_something(tmp_path):
    for name, content in (("empty", None), ("full", "shard")):
        with claimed(tmp_path / name, Part(1, 2)):
            if content:
                (tmp_path / name / content).write_bytes(b"")
            claims.abandon(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_two_processes_that_write_one_shard_do_not_meet(tmp_path):
    """As where a file system has no locks: each has a file of its own until it is whole."""
    (tmp_path / shard.RECORDS).mkdir()
    source = tmp_path / "source"
    source.write_bytes(b"good")
    item = Item("key", 0, str(source), 0, 4, source.stat().st_mtime_ns)
    unit, records = Unit("shard", "train", [item, item]), []

    def convert(item, data):
        if not records:  # the second begins and ends amid the first
            records.append(None)
            records.append(shard.write(unit, "r", crashing.convert, tmp_path, {}, lambda _: None, "1-of-2-"))
        return crashing.convert(item, data)

    first = shard.write(unit, "r", convert, tmp_path, {}, lambda _: None, "1-of-2-")
    assert records == [None, first]
    assert shard.finished(unit, "r", tmp_path) == first
    assert not list(tmp_path.rglob(f"{disk.TEMPORARY}*"))


@pytest.fixture
def two(tmp_path):
    """Two units in a folder where the first is prepared."""
    folder = tmp_path / "out"
    (folder / shard.RECORDS).mkdir(parents=True)
    whole = []
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"good")
        whole.append(Unit(name, "train", [Item(name, 0, str(tmp_path / name), 0, 4, (tmp_path / name).stat().st_mtime_ns)]))
    shard.write(whole[0], "recipe", crashing.convert, folder, {}, lambda _: None)
    return folder, whole


def test_parts_that_are_not_finished_are_named(two):
    folder, whole = two
    with pytest.raises(Failure) as failure:
        parts.check_finished(whole, "recipe", folder)
    assert str(failure.value) == (
        f"error[6] not all parts are finished: {folder}\n  found: 1 of 2 shards\n"
        "  try: first --part=I/N for each I from 1 to N; or without --seal, which prepares here what is missing"
    )
    for part in (Part(1, 2), Part(2, 2), Part(1, 5)):
        with claimed(folder, part):
            pass
    with pytest.raises(Failure, match="first --part=2/2; or") as failure:
        parts.check_finished(whole, "recipe", folder)
    assert failure.value.what == "1 of 2 parts are not finished"
    parts.check_finished(whole[:1], "recipe", folder)


def test_shards_of_another_source_or_other_settings_are_told(two):
    folder, whole = two
    lines = []
    parts.warn_of_others(whole, "recipe", folder, lines.append)
    assert lines == []
    parts.warn_of_others(whole, "other", folder, lines.append)
    (line,) = lines
    assert line.startswith(f"warning: 1 shards in {folder} are of another source or other settings, and have to be")
    with pytest.raises(Failure, match="found: 0 of 2 shards, and 1 of another source or other settings\n"):
        parts.check_finished(whole, "other", folder)


def test_a_pool_marks_what_is_unfinished(two, monkeypatch):
    folder, whole = two
    seen = []

    def observe(done):
        seen.extend(path.name for path in folder.glob(f"{disk.TEMPORARY}*"))
        if seen:
            raise KeyboardInterrupt

    (folder.parent / "b").write_bytes(b"hang")
    item = whole[1].items[0]._replace(stamp=(folder.parent / "b").stat().st_mtime_ns)
    with pytest.raises(KeyboardInterrupt):
        workers.Pool(folder, "recipe", crashing.convert, (), 1, "2-of-2-").run([whole[1]._replace(items=[item])], observe)
    assert all(name.startswith(f"{disk.TEMPORARY}2-of-2-") for name in seen)
