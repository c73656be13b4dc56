"""Preparing in parts: the bytes of a plain run, whatever the parts, their order and their ends."""

import contextlib
import hashlib
import os
import signal

import pytest

from perceiver_jax.data.preparation import claims, dataset, imagenet2012, modelnet40
from tests import preparing
from tests.data.preparation.archives import train_pictures, write_archives
from tests.data.preparation.shapes import write_zip
from tests.preparing import hashes, wait_for_shards

# Of these sources: five pictures a shard, and one for validation; six shapes a shard.
PICTURES = {"train": imagenet2012.PUBLISHED["train"] // 5, "validation": 1}
SHAPES = {"train": 1640, "test": 1}
PRELOAD = tuple({*imagenet2012.PRELOAD, *modelnet40.PRELOAD})
FINAL = {"imagenet": "imagenet2012/5.1.0", "modelnet40": "modelnet40/1.0.0"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A source of each command, one with a picture that is bad, and what a plain run makes of it."""
    folder = tmp_path_factory.mktemp("sources")
    bad = train_pictures() | {"n01440764_0.JPEG": b"", "n01443537_1.JPEG": b""}
    return {"imagenet": write_archives(folder / "imagenet", train=bad), "modelnet40": write_zip(folder / "modelnet40")}


@pytest.fixture
def launch(monkeypatch, capsys, sources, tmp_path):
    """Runs a command on its source in this process, in many shards: its exit code, stdout and stderr."""
    monkeypatch.setattr(imagenet2012, "SHARDS", PICTURES)
    monkeypatch.setattr(modelnet40, "SHARDS", SHAPES)
    for data_set in (imagenet2012, modelnet40):  # one server forks the workers of both
        monkeypatch.setattr(data_set, "PRELOAD", PRELOAD)

    def launch(command, data_dir, *arguments):
        words = ["--source", sources[command], "--data_dir", tmp_path / data_dir, "--allow_partial", "--num_workers=1"]
        words += ["--num_points=32"] if command == "modelnet40" else []
        return preparing.launch(command, [*words, *arguments], monkeypatch, capsys)

    return launch


def ready(data_dir, command):
    return f"{data_dir}/{FINAL[command]} is ready: --config.data.data_dir={data_dir}\n"


@pytest.mark.parametrize("command", FINAL)
def test_parts_in_any_order_and_twice_end_with_the_bytes_of_a_plain_run(tmp_path, launch, command):
    for part in ("2/2", "3/3", "1/3", "1/3", "2/3"):
        code, out, err = launch(command, "parts", f"--part={part}")
        assert code == 0, err
        assert out.startswith(
            f"part {part} is ready; --seal in place of --part={part} puts all parts together, once they are"
        )
        assert not (tmp_path / "parts" / FINAL[command]).exists()
    for data_dir, arguments in (("parts", ["--seal"]), ("plain", [])):
        code, out, err = launch(command, data_dir, "--max_bad=2", *arguments)
        assert code == 0, err
        assert out == ready(tmp_path / data_dir, command)
    assert hashes(tmp_path / "parts") == hashes(tmp_path / "plain")
    assert len(hashes(tmp_path / "plain")) == {"imagenet": 3 + 1, "modelnet40": 2 + 1}[command] + 6
    code, out, _ = launch(command, "parts", "--part=1/3")
    assert (code, out) == (0, ready(tmp_path / "parts", command))
    assert hashes(tmp_path / "parts") == hashes(tmp_path / "plain")


def test_parts_at_the_same_time_of_which_one_is_killed_end_with_the_bytes_of_a_plain_run(
    tmp_path, launch, sources, monkeypatch
):
    incomplete = tmp_path / "parts" / f"{FINAL['modelnet40']}.incomplete"
    shards = {"train": 3281, "test": 822}  # three shapes each
    monkeypatch.setattr(modelnet40, "SHARDS", shards)
    words = ["--source", sources["modelnet40"], "--data_dir", tmp_path / "parts", "--allow_partial", "--num_points=32"]

    def start(part):
        return preparing.start("modelnet40", "modelnet40", shards, [*words, "--num_workers=1", f"--part={part}"], tmp_path)

    with contextlib.ExitStack() as stack:
        first = start("1/2")
        stack.callback(first.communicate)
        stack.callback(first.kill)
        wait_for_shards(incomplete, 1)
        os.killpg(first.pid, signal.SIGSTOP)
        for arguments in (["--seal"], []):
            code, _, err = launch("modelnet40", "parts", *arguments)
            assert code == 6
            assert f"error[6] {incomplete} is in use by another process\n  found: part 1/2: pid {first.pid} on " in err
        code, _, err = launch("modelnet40", "parts", "--part=1/2")
        assert code == 6
        assert f"error[6] part 1/2 is being prepared by another process: {incomplete}\n  found: pid {first.pid} on " in err
        code, _, err = launch("modelnet40", "parts", "--part=2/2")
        assert code == 0, err
        os.killpg(first.pid, signal.SIGKILL)
    code, _, err = launch("modelnet40", "parts", "--seal")
    assert code == 6
    assert f"error[6] 1 of 2 parts are not finished: {incomplete}\n  found: " in err
    assert err.endswith("  try: first --part=1/2; or without --seal, which prepares here what is missing\n")
    second = start("1/2")
    while not second.stderr.readline().startswith("part 1/2: "):
        assert second.poll() is None
    os.killpg(second.pid, signal.SIGTERM)
    _, err = second.communicate()
    assert (second.returncode, err.endswith("; the same command resumes behind the last whole shard\n")) == (143, True), err
    for data_dir, arguments in (("parts", ["--part=1/2"]), ("parts", ["--seal"]), ("plain", [])):
        code, _, err = launch("modelnet40", data_dir, *arguments)
        assert code == 0, err
    assert hashes(tmp_path / "parts") == hashes(tmp_path / "plain")


def test_a_plain_run_prepares_what_parts_have_not(tmp_path, launch):
    launch("modelnet40", "parts", "--part=1/3")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("modelnet*array_record-*-of-0000?")}
    assert len(written) == 1
    for data_dir in ("parts", "plain"):
        assert launch("modelnet40", data_dir)[0] == 0
    assert hashes(tmp_path / "parts") == hashes(tmp_path / "plain")
    final = tmp_path / "parts" / FINAL["modelnet40"]
    assert {path.name: stamp for path, stamp in written.items()}.items() <= {
        path.name: path.stat().st_mtime_ns for path in final.iterdir()
    }.items()


def test_bad_items_of_a_part_are_said_and_judged_for_all_together(tmp_path, launch):
    said = []
    for part in ("1/2", "2/2"):
        code, out, err = launch("imagenet", "parts", f"--part={part}")
        assert code == 0, err
        said += [line for line in err.splitlines() if line.startswith("bad item ")]
        count = sum(line.startswith("bad item ") for line in err.splitlines())
        assert out.endswith(f", without {count} bad items: --max_bad counts them then\n" if count else "once they are\n")
    assert sorted(said) == [f"bad item n0144{name}.JPEG: empty-file: has no bytes" for name in ("0764_0", "3537_1")]
    code, _, err = launch("imagenet", "parts", "--seal", "--max_bad=1")
    assert code == 3
    assert "error[3] 2 bad items: all in " in err
    assert launch("imagenet", "parts", "--seal", "--max_bad=2")[0] == 0


def test_a_part_of_other_settings_is_said_and_sealed_by_nobody(tmp_path, launch):
    launch("modelnet40", "parts", "--part=1/2")
    code, _, err = launch("modelnet40", "parts", "--num_points=16", "--part=2/2")
    incomplete = tmp_path / "parts" / f"{FINAL['modelnet40']}.incomplete"
    assert (code, f"warning: 2 shards in {incomplete} are of another source or other settings" in err) == (0, True)
    code, _, err = launch("modelnet40", "parts", "--seal")
    assert code == 6
    assert "  found: 2 of 3 shards, and 1 of another source or other settings\n  try: first --part=2/2; or" in err
    for data_dir, arguments in (("parts", ["--part=2/2"]), ("parts", ["--seal"]), ("plain", [])):
        assert launch("modelnet40", data_dir, *arguments)[0] == 0
    assert hashes(tmp_path / "parts") == hashes(tmp_path / "plain")


def test_a_part_without_shards_has_nothing_to_do(launch):
    code, out, err = launch("modelnet40", "parts", "--part=7/7")
    assert (code, out.startswith("part 7/7 is ready; ")) == (0, True)
    assert "part 7/7: 0 of 3 shards, 0 items\nwarning: nothing to do: more parts than the 3 shards\n" in err


def test_each_file_is_compared_with_its_checksum_by_one_part(tmp_path, launch, sources):
    names = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")
    lines = [f"{hashlib.md5((sources['imagenet'] / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (tmp_path / "MD5SUMS").write_text(lines[0] + lines[1].replace(lines[1][:32], "0" * 32))
    arguments = "imagenet", "parts", f"--checksums={tmp_path}/MD5SUMS"
    codes = []
    for part in ("1/3", "2/3", "3/3"):
        code, _, err = launch(*arguments, f"--part={part}")
        codes.append((code, "comparing 1 files" in err, "error[3] md5 differs: ILSVRC2012_img_val.tar" in err))
    assert codes == [(0, True, False), (3, True, True), (0, False, False)]


def test_a_part_that_was_damaged_is_named_by_verifying(tmp_path, launch, monkeypatch):
    code, _, err = launch("modelnet40", "parts", "--part=1/2", "--verify")
    incomplete = tmp_path / "parts" / f"{FINAL['modelnet40']}.incomplete"
    assert (code, f"reading {incomplete}\n" in err) == (0, True)
    prepare_part = dataset.prepare_part

    def damaging(*arguments):
        records = prepare_part(*arguments)
        (incomplete / next(iter(records))).write_bytes(b"")
        return records

    monkeypatch.setattr(dataset, "prepare_part", damaging)
    code, _, err = launch("modelnet40", "parts", "--part=1/2", "--verify")
    assert code == 3
    assert f"error[3] 1 of 2 shards are not what was written: {incomplete}\n  found: modelnet40-" in err
    assert err.endswith("  try: the same command writes them again\n")


def test_a_part_asks_for_the_space_of_its_own_shards(launch, monkeypatch):
    import shutil

    class Usage:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage)
    needed = {}
    for part in ("1/1", "1/2", "2/2", "7/7"):
        code, _, err = launch("modelnet40", "parts", f"--part={part}")
        assert code == (0 if part == "7/7" else 6)
        needed[part] = int(err.rpartition("expected: ")[2].split("\n")[0].replace(",", "")) if code else 0
    assert needed == {
        part: round(1.1 * shapes * (12 * 32 + 100)) for part, shapes in zip(needed, (18, 12, 6, 0), strict=True)
    }


@pytest.mark.parametrize("part", [None, "1/2"])
def test_who_finds_the_whole_finished_while_waiting_leaves_nothing_beside_it(tmp_path, launch, monkeypatch, part):
    assert launch("modelnet40", "parts")[0] == 0
    final = tmp_path / "parts" / FINAL["modelnet40"]
    away, before = final.with_name("away"), hashes(final)
    final.rename(away)
    claimed = claims.claimed

    @contextlib.contextmanager
    def late(folder, *part):
        with claimed(folder, *part):
            away.rename(final)
            yield

    monkeypatch.setattr(claims, "claimed", late)
    code, out, err = launch("modelnet40", "parts", *([f"--part={part}"] if part else []))
    assert (code, out) == (0, ready(tmp_path / "parts", "modelnet40")), err
    assert [path.name for path in final.parent.iterdir()] == [final.name]
    assert hashes(final) == before


@pytest.mark.parametrize("part", ["0/3", "4/3", "x"])
def test_what_is_no_part_is_refused(launch, part):
    code, _, err = launch("modelnet40", "parts", f"--part={part}")
    assert (code, err) == (2, f"error[2] flag --part={part}: expected I/N, part I of N: 1/4, 2/4, 3/4 or 4/4 of four\n")


def test_a_part_does_not_seal(launch):
    code, _, err = launch("modelnet40", "parts", "--part=1/3", "--seal")
    assert (code, err) == (2, "error[2] --part and --seal\n  expected: one of them: --seal once all parts are finished\n")


def test_nothing_prepared_is_not_sealed(tmp_path, launch):
    code, _, err = launch("modelnet40", "parts", "--seal")
    assert code == 6
    assert "error[6] not all parts are finished: " in err
    assert not (tmp_path / "parts").exists()
