"""Damage to a checkpoint on the disk: bits, ends, pages, files, directories, names and manifests."""

import contextlib
import io
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from perceiver_jax.errors import Code, Failure
from perceiver_jax.training import checkpoint, manifest
from scripts.faults.campaign import Campaign, Suite, Trial, contents
from scripts.faults.tiny import SAVE_EVERY, STEPS

BAD, GOOD = STEPS, STEPS - SAVE_EVERY
PAGES = (512, 4096, 1 << 20)  # bytes that are zeroed or filled with another file's
Damage = Callable[[Path, random.Random], str]  # does it to a step and says to what


def _files(step: Path) -> list[Path]:
    return sorted(path for path in step.rglob("*") if path.is_file())


def _chosen(step: Path, rng: random.Random) -> Path:
    """A file: any as likely as any other, or by its bytes."""
    files = _files(step)
    return rng.choices(files, [1 if rng.random() < 0.5 else path.stat().st_size for path in files])[0]


def _write(path: Path, content: bytes) -> str:
    path.unlink()  # it may be a link to a file of another copy
    path.write_bytes(content)
    return path.name


def flip(step: Path, rng: random.Random) -> str:
    """One bit."""
    path = _chosen(step, rng)
    content = bytearray(path.read_bytes())
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return _write(path, content)


def truncate(step: Path, rng: random.Random) -> str:
    """The end of a file is missing."""
    path = _chosen(step, rng)
    content = path.read_bytes()
    return _write(path, content[: rng.randrange(len(content) or 1)])


def append(step: Path, rng: random.Random) -> str:
    """A file has more bytes."""
    path = _chosen(step, rng)
    return _write(path, path.read_bytes() + rng.randbytes(rng.choice((1, 512))))


def zero(step: Path, rng: random.Random) -> str:
    """A page of zeros."""
    path = _chosen(step, rng)
    content = bytearray(path.read_bytes())
    start, size = rng.randrange(len(content) or 1), rng.choice(PAGES)
    content[start : start + size] = bytes(len(content[start : start + size]))
    return _write(path, content)


def fill(step: Path, rng: random.Random) -> str:
    """A page of another file."""
    path, other = _chosen(step, rng), _chosen(step, rng).read_bytes()
    content = bytearray(path.read_bytes())
    start, size = rng.randrange(len(content) or 1), rng.choice(PAGES)
    piece = other[:size][: len(content) - start]
    content[start : start + len(piece)] = piece
    return _write(path, content)


def delete(step: Path, rng: random.Random) -> str:
    """A file is missing."""
    path = _chosen(step, rng)
    path.unlink()
    return path.name


def delete_directory(step: Path, rng: random.Random) -> str:
    """A directory is missing, or all that is in the step."""
    path = rng.choice(sorted(path for path in step.rglob("*") if path.is_dir()) or [step])
    shutil.rmtree(path)
    step.mkdir(exist_ok=True)
    return path.name


def rename(step: Path, rng: random.Random) -> str:
    """A file has another name."""
    path = _chosen(step, rng)
    path.rename(path.with_name(f"{path.name}x"))
    return path.name


def swap(step: Path, rng: random.Random) -> str:
    """Two files have each other's names."""
    one, other = rng.sample(_files(step), 2)
    first = one.read_bytes()
    _write(one, other.read_bytes())
    return f"{_write(other, first)}, {one.name}"


def swap_steps(step: Path, rng: random.Random) -> str:
    """A file of the step before, or all of them, in place of the step's own."""
    before = step.with_name(str(GOOD))
    if rng.random() < 0.1:
        shutil.rmtree(step)
        shutil.copytree(before, step)
        return "all"
    path = rng.choice([path for path in _files(step) if (before / path.relative_to(step)).exists()] or _files(step))
    twin = before / path.relative_to(step)
    return _write(path, twin.read_bytes() if twin.exists() else b"")


def link(step: Path, rng: random.Random) -> str:
    """A file, or the whole step, is a symbolic link to where it was moved."""
    path = rng.choice([step, _chosen(step, rng)])
    outside = step.parents[1] / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    return path.name


def pipe(step: Path, rng: random.Random) -> str:
    """A named pipe in place of a file: who opens it waits for ever."""
    path = _chosen(step, rng)
    path.unlink()
    os.mkfifo(path)
    return path.name


def manifest_text(step: Path, rng: random.Random) -> str:
    """A manifest that is not one."""
    texts = [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}', b" " * 2_000_000]
    path = step / manifest.MANIFEST
    text = path.read_text()
    texts += [text.replace('"step"', '"step": 0,\n "step"', 1).encode(), text.replace("\n", " ").encode()]
    return _write(path, rng.choice(texts))


def manifest_forged(step: Path, rng: random.Random) -> str:
    """A manifest with its own sum right, of files that are elsewhere, of another step, or of another form."""
    path = step / manifest.MANIFEST
    body = json.loads(path.read_bytes())
    del body["sha256"]
    (step.parents[1] / "outside").write_text("x")
    other = {"size": 1, "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}  # of x
    outside = rng.choice(["../../outside", str(step.parents[1] / "outside"), f"../{GOOD}/manifest.json"])
    first = min(body["files"])
    changes = [
        {"files": body["files"] | {outside: other}},
        {"files": {name: file for name, file in body["files"].items() if name != first}},
        {"files": body["files"] | {first: other}},
        {"step": GOOD},
        {"files": []},
        {"step": str(BAD)},
        {"more": 1},
        {"format": None},
    ]
    return _write(path, manifest._text(body | rng.choice(changes)))


KINDS: tuple[Damage, ...] = (
    flip, truncate, append, zero, fill, delete, delete_directory, rename, swap, swap_steps, link, pipe,
    manifest_text, manifest_forged,
)  # fmt: skip
OF_A_FILE = (flip, truncate, append, zero, fill, delete, pipe)  # which is to be named


def done(damage: Damage, step: Path, rng: random.Random) -> str:
    """Does damage to a step, and says to what; again where it changes nothing, as zeros over zeros do."""
    before = contents(step)
    target = damage(step, rng)
    while contents(step) == before:
        target = damage(step, rng)
    return target


class DamageInPlace(Suite):
    """The damaged step is named and never used; the step before is restored exactly."""

    rows = "a checkpoint damaged, in this process: found, and the one before restored exactly"
    quick, full = len(KINDS), 10_000

    def inject(self, campaign: Campaign, count: int) -> None:
        """Each kind in turn, on copies of two steps."""
        for number in range(count):
            place = campaign.new()
            for step in map(str, (GOOD, BAD)):
                given = campaign.quiet / "checkpoints" / step
                shutil.copytree(given, place / "checkpoints" / step, copy_function=os.link)
            damage = KINDS[number % len(KINDS)]
            target = done(damage, place / "checkpoints" / str(BAD), campaign.rng)
            with campaign.trial(f"{damage.__name__} of {target}") as trial:
                self._check(campaign, place / "checkpoints", target if damage in OF_A_FILE else "", trial)
            shutil.rmtree(place)

    def _check(self, campaign: Campaign, checkpoints: Path, name: str, trial: Trial) -> None:
        began = time.monotonic()
        told = _rejection(checkpoints)
        trial.seconds = time.monotonic() - began
        trial.trust(told, "damage was not found")
        trial.says(rf"^error\[4\] step {BAD} rejected: \S*{re.escape(name)}", told)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            newest = manifest.newest_valid(checkpoints, set_aside=True)
        trial.trust(newest and newest[0] == GOOD, f"restored from {newest and newest[0]}")
        trial.says(rf"^warning: step {BAD} rejected: .*; using {GOOD}$", said.getvalue())
        state = checkpoint.restore(checkpoints, GOOD, campaign.programs.abstract_state)
        trial.trust(checkpoint.state_sha256(state) == newest[1].state_sha256, "restored another state")


def _rejection(checkpoints: Path) -> str:
    """What is said of the damaged step; empty where it passes."""
    try:
        manifest.verify(checkpoints, BAD)
    except Failure as failure:
        return str(failure) if failure.code == Code.CHECKPOINT else ""
    return ""


MEMBER = DamageInPlace
