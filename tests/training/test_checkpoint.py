"""Nothing that was saved is lost, and nothing that is damaged is used."""

import dataclasses
import functools
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.settings.config import lasting
from perceiver_jax.training import arrays, checkpoint, manifest
from tests.launch import config_of, on_devices

PRINTS = {"config": "c0", "data": "d0", "code": "0.1.0", "numerics": "jax, 1 x cpu"}


@functools.partial(jax.tree_util.register_dataclass, data_fields=["step", "params", "opt_state", "ema"], meta_fields=[])
@dataclasses.dataclass
class State:
    """Of the form that training has; abstract where training's own needs arrays."""

    step: Any
    params: Any
    opt_state: Any
    ema: Any


def make_state(seed=0, width=4, keep_ema=False):
    keys = jax.random.split(jax.random.key(seed), 3)
    params = {
        "latents": jax.random.normal(keys[0], (8, width)),
        "norm": {"scale": jnp.full((width,), -0.0), "bias": jax.random.normal(keys[1], (width,), jnp.bfloat16)},
        "rng": jax.random.key_data(keys[2]),
        "count": jnp.int32(-7),
    }
    optimizer = optax.masked(optax.lamb(optax.constant_schedule(0.1)), {**dict.fromkeys(params, True), "rng": False})
    return State(jnp.int32(seed), params, optimizer.init(params), dict(params) if keep_ema else None)


def abstract(state):
    return jax.eval_shape(lambda: state)


def save(directory, step, state=None, keep=10):
    checkpoint.save(directory, step, make_state(step) if state is None else state, PRINTS, keep)


def assert_same_bits(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Steps 5 and 10, not to be changed."""
    directory = tmp_path_factory.mktemp("checkpoints")
    save(directory, 5)
    save(directory, 10)
    return directory


@pytest.fixture
def copied(saved, tmp_path):
    """Steps 5 and 10, to be damaged."""
    shutil.copytree(saved, tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


def files(step):
    return sorted(path for path in step.rglob("*") if path.is_file())


def rejection(directory, step=10):
    with pytest.raises(Failure) as caught:
        manifest.verify(directory, step)
    assert caught.value.code == Code.CHECKPOINT
    return str(caught.value).splitlines()[0]


# What comes back


@pytest.mark.parametrize("keep_ema", [False, True])
def test_a_state_comes_back_bit_for_bit(tmp_path, keep_ema):
    state = make_state(keep_ema=keep_ema)
    save(tmp_path, 3, state)
    assert_same_bits(checkpoint.restore(tmp_path, 3, abstract(state)), state)


def test_a_state_comes_back_on_the_shardings_of_the_target(tmp_path):
    """Saved on one device, restored split over eight and saved from there, with the same hash."""
    state = make_state()
    save(tmp_path, 1, state)
    code = """
import sys, jax
from pathlib import Path
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from tests.training import test_checkpoint as here
mesh = Mesh(jax.devices(), "model")
spec = lambda x: NamedSharding(mesh, P("model") if x.ndim and x.shape[0] % 8 == 0 else P())
target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=spec(x)), here.make_state())
state = here.checkpoint.restore(Path(sys.argv[1]), 1, target)
assert len(state.params["latents"].addressable_shards) == 8
assert state.params["latents"].addressable_shards[0].data.shape == (1, 4)
here.save(Path(sys.argv[1]), 2, state)
print(here.checkpoint.state_sha256(state))
"""
    result = subprocess.run([sys.executable, "-c", code, tmp_path], env=on_devices(8), capture_output=True, text=True)
    assert result.stdout.split() == [checkpoint.state_sha256(state)], result.stderr
    assert manifest.verify(tmp_path, 2).state_sha256 == checkpoint.state_sha256(state)
    assert_same_bits(checkpoint.restore(tmp_path, 2, abstract(state)), state)


def test_another_state_is_refused_with_the_arrays_that_differ(saved):
    state = make_state(width=6)
    target = State(state.step.astype(jnp.uint32), state.params, state.opt_state, {"latents": jnp.zeros(2)})
    with pytest.raises(Failure) as caught:
        checkpoint.restore(saved, 10, target)
    lines = str(caught.value).splitlines()
    # Of params, mu and nu: latents, scale, bias. Of the rest: step, and an EMA that was not kept.
    assert lines[0] == "error[4] checkpoint 10 holds another model or optimiser: 11 of 17 arrays differ"
    assert lines[1:3] == ["  found: stored -> expected", "    ema/latents: absent -> float32[2]"]
    assert "    params/norm/bias: bfloat16[4] -> bfloat16[6]" in lines
    assert lines[12] == "    and 1 more"


def test_the_hash_of_a_state_detects_any_change(saved):
    state = make_state()
    changes = [
        {"norm": {"scale": jnp.zeros(4), "bias": state.params["norm"]["bias"]}},  # 0.0 for -0.0
        {"latents": state.params["latents"].reshape(4, 8)},
        {"count": jnp.uint32(-7 + 2**32)},
        {"renamed": state.params["rng"]},
    ]
    states = [State(state.step, state.params | change, state.opt_state, None) for change in changes]
    hashes = {checkpoint.state_sha256(s) for s in [state, *states, make_state(1)]}
    assert len(hashes) == 6
    assert checkpoint.state_sha256(make_state()) == checkpoint.state_sha256(state)
    assert manifest.verify(saved, 10).state_sha256 == checkpoint.state_sha256(make_state(10))


# What is on the disk


def test_the_manifest_names_step_format_files_and_fingerprints(saved):
    record = json.loads((saved / "10" / "manifest.json").read_text())
    assert (record["format"], record["step"], record["fingerprints"]) == (1, 10, PRINTS)
    assert set(record["files"]) == {str(p.relative_to(saved / "10")) for p in files(saved / "10")} - {"manifest.json"}


def test_only_the_newest_steps_are_kept(tmp_path):
    for step in (1, 2, 10, 11):
        save(tmp_path, step, keep=2)
    assert manifest.steps(tmp_path) == [10, 11]
    assert sorted(os.listdir(tmp_path)) == ["10", "11"]


def test_only_plain_numbers_are_steps(copied):
    for name in ("-1", "007", "1e3", "10.rejected", ".tmp-11", "١٢"):
        (copied / name).mkdir()
    (copied / "12").write_text("a file")
    (copied / "1000000000000000000").mkdir()
    assert manifest.steps(copied) == [5, 10, 10**18]
    assert manifest.steps(copied / "nowhere") == []


def test_a_step_that_exists_is_not_saved_again(copied):
    before = {path: path.read_bytes() for path in files(copied)}
    save(copied, 10, make_state(99))
    assert {path: path.read_bytes() for path in files(copied)} == before


def test_everything_is_on_the_disk_before_the_step_has_its_name(tmp_path, monkeypatch):
    calls = []
    real = {name: getattr(os, name) for name in ("fsync", "rename")}

    def fsync(descriptor):
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real["fsync"](descriptor)

    def rename(source, target):
        calls.append((str(source), str(target)))
        real["rename"](source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    save(tmp_path, 1)
    unfinished, final = tmp_path / ".tmp-1", tmp_path / "1"
    named = calls.index((str(unfinished), str(final)))
    inside = {unfinished / path.relative_to(final) for path in final.rglob("*")} | {unfinished}
    # The manifest is flushed under its temporary name.
    inside = {path.with_name(".tmp-manifest.json") if path.name == "manifest.json" else path for path in inside}
    assert {str(path) for path in inside} <= set(calls[:named])
    assert calls[named + 1 :] == [str(tmp_path)]


# Damage


def flip(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path, rng):
    os.truncate(path, rng.randrange(path.stat().st_size))


def extend(path, rng):
    path.write_bytes(path.read_bytes() + rng.randbytes(1))


def blank(path, rng):
    size = path.stat().st_size
    path.write_bytes(bytes(size) if path.read_bytes() != bytes(size) else b"x" * size)


def remove(path, rng):
    path.unlink()


def test_without_contents_only_names_and_sizes_are_compared(copied):
    flipped = max(
        (path for path in files(copied / "10") if path.name != "manifest.json"), key=lambda path: path.stat().st_size
    )
    flip(flipped, random.Random(0))
    assert manifest.verify(copied, 10, contents=False).step == 10
    flipped.write_bytes(b"")
    with pytest.raises(Failure, match="has 0 bytes"):
        manifest.verify(copied, 10, contents=False)


def test_extra_files_are_found(copied):
    (copied / "10" / "arrays" / "d" / "extra").touch()
    assert rejection(copied) == "error[4] step 10 rejected: arrays/d/extra: is not in the manifest"


def test_steps_changed_for_one_another_are_found(copied):
    os.rename(copied / "5", copied / "6")
    assert rejection(copied, 6) == "error[4] step 6 rejected: manifest.json: is of step 5"


def test_a_linked_step_is_not_followed(copied):
    (copied / "12").symlink_to(copied / "10")
    assert rejection(copied, 12) == "error[4] step 12 rejected: is a symbolic link"


def rewrite(root, **changes):
    """A manifest whose own hash is right."""
    body = json.loads((root / "manifest.json").read_text())
    del body["sha256"]
    (root / "manifest.json").write_bytes(manifest._text(body | changes))


@pytest.mark.parametrize("name", ["../../outside", "/etc/hostname"])
def test_a_manifest_cannot_name_files_outside_its_step(copied, name):
    (copied / "outside").write_text("x")
    body = json.loads((copied / "10" / "manifest.json").read_text())
    rewrite(copied / "10", files=body["files"] | {name: {"size": 1, "sha256": "0"}})
    assert rejection(copied) == f"error[4] step 10 rejected: {name}: is missing"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"3", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}', b" " * 2_000_000],
    ids=["empty", "object", "list", "number", "null", "binary", "deep", "nan", "large"],
)
def test_what_is_not_a_manifest_is_rejected(copied, content):
    (copied / "10" / "manifest.json").write_bytes(content)
    assert rejection(copied).startswith("error[4] step 10 rejected: manifest.json: is n")


@pytest.mark.parametrize("change", [{"step": "10"}, {"files": []}, {"files": {"a": 1}}, {"more": 1}, {"format": None}])
def test_a_manifest_of_another_form_is_rejected(copied, change):
    rewrite(copied / "10", **change)
    assert rejection(copied).startswith("error[4] step 10 rejected: manifest.json: ")


def test_a_repeated_key_is_rejected(copied):
    path = copied / "10" / "manifest.json"
    path.write_text(path.read_text().replace('"step": 10', '"step": 9,\n "step": 10'))
    assert rejection(copied) == "error[4] step 10 rejected: manifest.json: is not as it was written"


@pytest.mark.parametrize("moved", [lambda path, to: path.rename(to), lambda path, to: shutil.rmtree(path)])
def test_a_directory_that_goes_away_while_it_is_written_is_not_made_again(tmp_path, monkeypatch, moved):
    """Orbax would make it, and the run would live on there."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    real = arrays.write

    def write(path, given):
        moved(run, tmp_path / "moved")
        real(path, given)

    monkeypatch.setattr(arrays, "write", write)
    with pytest.raises(Failure, match="5 was not saved: no such file or directory") as failure:
        save(run / "checkpoints", 5)
    assert failure.value.code == Code.WORKDIR
    assert not run.exists()


def test_a_newer_format_ends_the_run_and_is_not_set_aside(copied):
    rewrite(copied / "10", format=2, novel="field")
    with pytest.raises(Failure) as caught:
        manifest.newest_valid(copied, set_aside=True)
    assert str(caught.value).startswith(f"error[4] checkpoint {copied}/10: written by format 2\n")
    assert manifest.steps(copied) == [5, 10]


# Falling back


def damage_step(directory, step):
    flip(next(path for path in files(directory / str(step)) if path.name != "manifest.json"), random.Random(0))


def test_nothing_saved_is_not_a_fault(tmp_path):
    assert manifest.newest_valid(tmp_path, set_aside=True) is None
    assert manifest.newest_valid(tmp_path / "nowhere", set_aside=True) is None


def test_the_newest_valid_step_is_used_and_the_damaged_one_named_and_set_aside(copied, capsys):
    damage_step(copied, 10)
    step, found = manifest.newest_valid(copied, set_aside=True)
    assert (step, found) == (5, manifest.verify(copied, 5))
    assert re.fullmatch(r"warning: step 10 rejected: arrays/\S+: sha256 differs; using 5\n", capsys.readouterr().err)
    assert sorted(os.listdir(copied)) == ["10.rejected", "5"]
    assert_same_bits(checkpoint.restore(copied, 5, abstract(make_state())), make_state(5))


def test_a_step_set_aside_twice_is_kept_twice(copied):
    (copied / "10.rejected").mkdir()
    damage_step(copied, 10)
    manifest.newest_valid(copied, set_aside=True)
    assert sorted(os.listdir(copied)) == ["10.rejected", "10.rejected-1", "5"]


def test_a_reader_sets_nothing_aside(copied):
    damage_step(copied, 10)
    assert manifest.newest_valid(copied, set_aside=False)[0] == 5
    assert manifest.steps(copied) == [5, 10]


def test_without_a_valid_step_the_run_never_starts_from_zero(copied):
    damage_step(copied, 5)
    damage_step(copied, 10)
    for _ in range(2):  # the second launch must not find an empty directory
        with pytest.raises(Failure) as caught:
            manifest.newest_valid(copied, set_aside=True)
        assert str(caught.value).startswith(f"error[4] no valid checkpoint: in {copied}\n  found: step 10: arrays/")
        assert "; step 5: arrays/" in caught.value.found
        assert "a new --workdir" in caught.value.hint


def test_steps_set_aside_alone_are_not_an_empty_directory(copied):
    shutil.rmtree(copied / "5")
    os.rename(copied / "10", copied / "10.rejected")
    with pytest.raises(Failure) as caught:
        manifest.newest_valid(copied, set_aside=True)
    assert caught.value.found == f"{copied}/10.rejected"


def test_a_missing_step_is_reported_with_those_there_are(saved, tmp_path):
    with pytest.raises(Failure) as caught:
        manifest.verify(saved, 7)
    assert str(caught.value) == f"error[4] no checkpoint at {saved}/7\n  found: steps 5, 10 in {saved}"
    with pytest.raises(Failure, match="no step in"):
        manifest.verify(tmp_path, 7)


# A disk that refuses, a process that dies


def refused_save(directory, step):
    """The failure that a save ends with."""
    with pytest.raises(Failure) as caught:
        save(directory, step)
    assert caught.value.code == Code.WORKDIR
    assert sorted(os.listdir(directory)) == ["10", "5"]
    assert manifest.verify(directory, 10)
    return caught.value


def test_a_disk_that_fills_up_under_orbax_costs_only_the_new_step(copied, capfd):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        failure = refused_save(copied, 15)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (failure.what, failure.where) == (f"checkpoint {copied}/15 was not saved", "file too large")
    assert re.fullmatch(r"[\d,]+ bytes free", failure.found)
    assert re.fullmatch(r"about [\d,]+ bytes", failure.expected)
    assert capfd.readouterr() == ("", "")
    save(copied, 15)  # space has returned
    assert manifest.newest_valid(copied, set_aside=True)[0] == 15


def test_a_vanished_directory_is_named_and_not_made_again(tmp_path):
    with pytest.raises(Failure) as caught:
        save(tmp_path / "gone" / "checkpoints", 1)
    assert caught.value.where == "no such file or directory"
    assert not (tmp_path / "gone").exists()


# Fingerprints


def manifest_of(**changes):
    return manifest.Manifest(format=1, step=5, files={}, fingerprints=PRINTS | changes, state_sha256="")


def test_the_same_run_compares_in_silence(capsys):
    checkpoint.compare(manifest_of(), PRINTS)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config", "error[2] checkpoint 5 was trained with other settings: the fingerprint of config differs"),
        ("data", "error[3] checkpoint 5 was trained on other data: the fingerprint of data differs"),
    ],
)
def test_other_settings_or_data_are_refused_with_both_fingerprints(name, message):
    with pytest.raises(Failure) as caught:
        checkpoint.compare(manifest_of(**{name: "old"}), PRINTS)
    assert str(caught.value) == f"{message}\n  found: old\n  expected: {PRINTS[name]}\n  try: a new --workdir"


def test_other_code_or_numerics_are_noted_in_one_line(capsys):
    checkpoint.compare(manifest_of(code="0.0.9", numerics="jax, 8 x cpu"), PRINTS)
    note = "code: 0.0.9 -> 0.1.0; numerics: jax, 8 x cpu -> jax, 1 x cpu\n"
    assert capsys.readouterr().err == f"note: changed since checkpoint 5, so results may differ in bits: {note}"


def test_fingerprints_follow_settings_and_data_but_not_harmless_settings():
    base, logged, seeded = (
        checkpoint.fingerprints(
            lasting(config_of(f"--config.seed={seed}", f"--config.train.log_every={every} steps")), "d", "8 x cpu"
        )
        for seed, every in ((0, 1), (0, 9), (1, 1))
    )
    assert set(base) == set(PRINTS)
    assert base["data"] == "d"
    assert base["numerics"].startswith(f"jax {jax.__version__}, ")
    assert base["numerics"].endswith(", 8 x cpu")
    assert base == logged
    assert base["config"] != seeded["config"]


def test_how_devices_share_may_change_between_launches_but_not_the_order_of_sums():
    plain, shared, strict = (
        lasting(config_of(f"--config.mesh.{field}")) for field in ("model=1", "model=2", "virtual_shards=8")
    )
    assert plain == shared
    assert {name for name in strict if strict[name] != plain[name]} == {"mesh.virtual_shards"}


def test_verifying_needs_no_jax():
    code = "import sys; from perceiver_jax.training import checkpoint; sys.exit('jax' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
