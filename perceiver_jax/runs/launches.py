"""What the workdir of a past run tells of its launches: when they began, where they resumed, what they survived."""

import datetime
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from perceiver_jax.report.log import Log
from perceiver_jax.report.page.facts import Table
from perceiver_jax.runs.workdir import Workdir
from perceiver_jax.system import disk
from perceiver_jax.training import manifest

EVENT_BYTES = 10_000  # of one of the first two events of a file: ours have less than a hundred


class Launch(NamedTuple):
    """A launch that came as far as training."""

    began: datetime.datetime
    host: str
    step: int  # it began at


def launches(workdir: Workdir) -> list[Launch]:
    """The launches of a run, by the TensorBoard file that each of them began; without a readable one it is not there."""
    found = [launch for path in workdir.path.glob("tensorboard/events*") if (launch := _launch(path)) is not None]
    return sorted(found)


def table(found: list[Launch]) -> Table:
    """Launches as people read them."""
    rows = [[f"{one.began:%Y-%m-%d %H:%M:%S} UTC", one.host, one.step] for one in found]
    return Table("launches", ["launch", "host", "at step"], rows)


def faults(workdir: Workdir, found: list[Launch], log: Log, unwritten: list[str]) -> Iterator[str]:
    """What a run has survived, in words, as far as its workdir tells."""
    for launch in found[1:]:
        what = f"resumed at step {launch.step:,}" if launch.step else "begun again at step 0"
        yield f"The run was {what} on {launch.began:%Y-%m-%d at %H:%M} UTC."
    for path in sorted(workdir.checkpoints.glob(f"*{manifest.REJECTED}*")):
        yield f"A checkpoint was damaged and set aside: {path.name}."
    for name in unwritten:
        yield f"The disk refused {name} at the run's end; the same command makes up for it."
    if log.damaged:
        yield f"Lines of metrics.jsonl that are damaged, and left out: {log.damaged:,}."
    if log.repeated:
        yield f"Lines of metrics.jsonl that newer ones repeat, and left out: {log.repeated:,}."
    unfinished = (path for parent in (workdir.path, workdir.checkpoints) for path in parent.glob(f"{disk.TEMPORARY}*"))
    for path in sorted(unfinished):
        yield f"A write did not come to its end: {path.relative_to(workdir.path)}. The next launch removes it."


def _launch(path: Path) -> Launch | None:
    """The launch that began a file of events; None for a file that does not begin as ours do."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    try:
        with open(path, "rb") as file:
            events = [Event.FromString(_record(file.read)) for _ in range(2)]
    except (OSError, ValueError, struct.error, _decode_error()):
        return None
    if events[1].session_log.status != SessionLog.START:
        return None
    began = datetime.datetime.fromtimestamp(events[1].wall_time, datetime.UTC)
    host = path.name.removeprefix("events.out.tfevents.").partition(".")[2].rpartition(".")[0]
    return Launch(began, host, events[1].step - 1)


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError

    return DecodeError


def _record(read) -> bytes:
    """The next record of a file in TensorFlow's format: its length, a checksum, its bytes, a checksum."""
    (length,) = struct.unpack("<Q", read(12)[:8])
    if length > EVENT_BYTES:
        raise ValueError("not an event of ours")
    content = read(length)
    read(4)
    return content
