"""A profiler's trace of a compiled program: when each of its operations ran."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jax.profiler import ProfileData, ProfileEvent, ProfilePlane

K = TypeVar("K")


class Span(NamedTuple):
    """A time in which something went on. Times in nanoseconds."""

    start: float
    end: float
    name: str


class Trace(NamedTuple):
    """What a trace has of a program."""

    devices: list[list[list[Span]]]  # by device, by thread or stream: the operations
    marks: dict[str, list[Span]]  # by name: what this process was doing


def read_trace(directory: Path, names: Iterable[str], marks: Iterable[str]) -> Trace:
    """The newest trace in a directory: the operations with these names, and this process's annotations with those.

    An accelerator has a plane of its own for each device; what it runs besides is an operation without a name. On a CPU
    all devices are threads of this process.
    """
    names, newest = set(names) - {""}, max(directory.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    marked: dict[str, list[Span]] = {mark: [] for mark in marks}
    devices, host = [], []
    for plane in ProfileData.from_file(str(newest)).planes:
        is_device, threads = plane.name.startswith("/device:"), []
        for line in _lines_of_device(plane) if is_device else plane.lines:
            spans = []
            for event in line.events:
                name = _operation(event, names, is_device)
                if name or is_device:
                    spans.append(Span(event.start_ns, event.end_ns, name))
                elif event.name in marked:
                    marked[event.name].append(Span(event.start_ns, event.end_ns, event.name))
            threads.append(spans)
        if any(threads):
            (devices if is_device else host).append(threads)
    return Trace(devices or host, marked)


def _lines_of_device(plane: ProfilePlane) -> list[Any]:
    """Those with single operations: a TPU has one, beside others of larger units, a GPU one for each stream."""
    lines = list(plane.lines)
    return [line for line in lines if line.name == "XLA Ops"] or [line for line in lines if line.name.startswith("Stream")]


def _operation(event: ProfileEvent, names: set[str], is_device: bool) -> str:
    """The operation that an event is, by its name, a TPU's `%name = ...` or that beside a GPU's kernel; empty: none."""
    name = event.name.removeprefix("%").partition(" ")[0]
    if name in names:
        return name
    stats = event.stats if is_device else ()
    return next((value for key, value in stats if key == "hlo_op" and value in names), "")


def innermost(spans: list[Span]) -> list[Span]:
    """The spans of one thread, each without the time of those within it."""
    found, open_ = [], []

    def close(until: float) -> None:
        while open_ and open_[-1][1].end <= until:
            begun, span = open_.pop()
            if span.end > begun:
                found.append(span._replace(start=begun))
            if open_:
                open_[-1][0] = max(open_[-1][0], span.end)

    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        close(span.start)
        if open_ and span.start > open_[-1][0]:
            found.append(open_[-1][1]._replace(start=open_[-1][0], end=span.start))
        open_.append([span.start, span])
    close(float("inf"))
    return found


def divided(spans: Iterable[tuple[Span, int, K]], window: Span) -> dict[K, float]:
    """The time of a window by what went on: each moment goes in equal parts to the spans with the lowest rank.

    Takes spans with their rank and the name to count them under; moments without any are left out.
    """
    edges = []
    for span, rank, key in spans:
        start, end = max(span.start, window.start), min(span.end, window.end)
        if start < end:
            edges += [(start, 1, rank, key), (end, -1, rank, key)]
    edges.sort(key=lambda edge: edge[:2])
    active: dict[int, Counter[K]] = defaultdict(Counter)
    total: dict[K, float] = defaultdict(float)
    before = window.start
    for time, step, rank, key in edges:
        ranks = [one for one, keys in active.items() if keys]
        if time > before and ranks:
            keys = active[min(ranks)]
            for one, count in keys.items():
                total[one] += (time - before) * count / keys.total()
        before = time
        active[rank][key] += step
        if not active[rank][key]:
            del active[rank][key]
    return dict(total)
