"""Workdirs of runs: checkpoints with their manifests, and all that reports read beside them."""

import contextlib
import hashlib
import json
import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perceiver_jax.errors import Code, Failure
from perceiver_jax.report.by_class import write_table
from perceiver_jax.report.json_numbers import json_text
from perceiver_jax.report.log import MetricsLog
from perceiver_jax.report.page import pictures
from perceiver_jax.report.step_parts import FORMAT, PARTS, PROFILE
from perceiver_jax.runs import config_json, facts, workdir
from perceiver_jax.runs.past import read_run, runs_below
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.settings.config import dump
from perceiver_jax.training import manifest
from scripts.faults.tiny import SMALL, problem_of
from scripts.fuzz.parser import Tree

_RUN, _STEP = "run", 5
_SIGNED = "manifest.json", "problem.json"  # end with a sum of what is before it


class Checkpoints(Tree):
    """A tiny run of digits, with its profile, its table of classes and a picture."""

    what = "workdirs of runs"
    packages = ("pydantic", "ml-collections")

    def make(self) -> dict[str, bytes]:
        """The files of the workdir; the arrays stand for Orbax's, which nothing reads before their sums are right."""
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder))
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    def read(self, name: str, data: bytes, folder: Path) -> None:
        """Read as it is and, where it ends with a sum of its own, with one that is right."""
        signed = _signed(data) if name.endswith(_SIGNED) else None
        if signed is not None and signed != data:
            (folder / "signed").mkdir()
            with contextlib.suppress(Failure):
                super().read(name, signed, folder / "signed")
        (folder / "given").mkdir()
        super().read(name, data, folder / "given")

    def use(self, folder: Path) -> None:
        """What resumes, predictions and reports read; raises the first Failure when all is read."""
        run, failures = folder / _RUN, []
        for act in (_resume, _report, _list):
            try:
                act(run)
            except Failure as failure:
                failures.append(failure)
        if failures:
            raise failures[0]


def _resume(run: Path) -> None:
    place = Workdir(run)
    workdir.earlier_configs(place, workdir.read_config(str(run)))
    workdir.read_problem(place, workdir.read_config(str(run)))
    manifest.newest_fingerprints(place.checkpoints)
    manifest.chosen_step(place.checkpoints, None)
    with MetricsLog(run, _STEP):
        pass


def _report(run: Path) -> None:
    past = read_run(run)
    past.records()
    pictures.embedded(facts.facts_of(past, "a run").pictures, pictures.ALL_BYTES, lambda _: None)


def _list(run: Path) -> None:
    said: list[str] = []
    if not list(runs_below(run.parent, said.append)):
        raise Failure(Code.CHECKPOINT, "no run", found=said[0])


def _signed(data: bytes) -> bytes | None:
    """A record with the sum that is right for it, as its writer makes it; None where it is none."""
    try:
        record = json.loads(data)
        body = {name: value for name, value in record.items() if name != "sha256"}
        of = {name: json.dumps(body, indent=indent, sort_keys=True) for name, indent in (("manifest", 1), ("problem", None))}
        kind = "manifest" if "files" in body else "problem"
        whole = body | {"sha256": hashlib.sha256(of[kind].encode()).hexdigest()}
        return (json.dumps(whole, indent=1 if kind == "manifest" else 2, sort_keys=kind == "manifest") + "\n").encode()
    except (ValueError, AttributeError, RecursionError):
        return None


def _write(folder: Path) -> None:
    """A workdir in the folder."""
    run, problem = Workdir(folder / _RUN), problem_of(*SMALL)
    run.plots.mkdir(parents=True)
    words = ["experiments/train.py", "--config", "configs/digits.py", "--config.seed=3", "--workdir", "a"]
    origin = {"run": "another", "step": 3, "state_sha256": "0" * 64}
    config = {
        "config": dump(problem.config),
        "command": words,
        config_json.EARLIER: ["3 epochs"],
        config_json.ORIGIN: origin,
    }
    run.config.write_text(json.dumps(config, indent=2) + "\n")
    workdir.write_problem(run, problem)
    _write_logs(run)
    numbers = {"loss": 1.5, "accuracy": 0.5}
    result = {"step": _STEP, "metrics": {"test": numbers}, "best_by_test": {"step": _STEP, "test": numbers}}
    result |= {
        "seconds": 12.5,
        "parameters": 10_000,
        "flops_per_example": 10**6,
        "state_sha256": "0" * 64,
        "unwritten": ["a"],
    }
    result |= {"time": {"compile": 3.5}, "peak_memory_bytes": {"host": 10**8, "device": None}}
    run.result.write_text(json_text(result))
    (run.path / PROFILE).mkdir()
    (run.path / PROFILE / PARTS).write_text(json.dumps(_profile(), indent=1))
    columns = {"accuracy": np.array([0.5, math.nan]), "examples": np.array([2, 0])}
    write_table(columns, ("0", "1"), run.path / "per_class_test.csv")
    Image.new("RGB", (20, 10)).save(run.plots / "maps.png")
    unfinished = run.checkpoints / "unfinished"
    (unfinished / "arrays").mkdir(parents=True)
    (unfinished / "arrays" / "manifest.ocdbt").write_bytes(bytes(range(100)))
    prints = {"config": "0" * 64, "data": problem.fingerprint, "code": "0.2.0", "numerics": "jax"}
    manifest.commit(unfinished, run.checkpoints / str(_STEP), prints, "0" * 64)


def _write_logs(run: Workdir) -> None:
    """As `MetricsLog` does, but for the time, of which it makes the file's name."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    keys, numbers = (
        ((1, "train"), (_STEP, "train"), (_STEP, "test")),
        {"accuracy": 0.5, "seconds": 2.0, "steps_per_second": 3.0},
    )
    records = [{"step": step, "split": split, "loss": "NaN" if step == 1 else 1.5, **numbers} for step, split in keys]
    run.metrics.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    start = Event(wall_time=1e9, step=1, session_log=SessionLog(status=SessionLog.START))
    events = [Event(wall_time=1e9, file_version="brain.Event:2").SerializeToString(), start.SerializeToString()]
    (run.path / "tensorboard").mkdir()
    path = run.path / "tensorboard" / "events.out.tfevents.1000000000.host.1.1"
    path.write_bytes(b"".join(struct.pack("<QI", len(one), 0) + one + bytes(4) for one in events))


def _profile() -> dict[str, Any]:
    part = {"part": "cross-attend 1", "forward_seconds": 0.1, "backward_seconds": 0.2, "share": 0.5, "flops": 100}
    rates = {"matmul_dtype": "float32", "matmul_flops_per_second": 1e9, "matmul_share": 0.5, "flops_per_step": 10**6}
    facts = {"format": FORMAT, "first_step": 3, "steps": 2, "device": "cpu", "devices": 1, "step_seconds": 0.5}
    facts |= {"compile_seconds": 1.0, "tracing_seconds": 1.0, **rates}
    return facts | {"parts": [part | {"matmul_share": 0.1}, part | {"flops": 0, "matmul_share": None}]}


MEMBER = Checkpoints
