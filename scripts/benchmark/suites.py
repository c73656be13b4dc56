"""The suites: which contestants are compared at what, and the rows that come of it."""

import dataclasses
from collections.abc import Callable, Sequence

from perceiver_jax.model.config import InputSpec
from scripts.benchmark import guards, peers, recordings
from scripts.benchmark.contestants import Compiled, Model, Pipeline
from scripts.benchmark.pictures import Pictures
from scripts.benchmark.run import Row, Run, add_ratios
from scripts.benchmark.shapes import Shape, image_core, point_core, shapes

SIDES = (28, 56, 112, 224, 448, 1024)  # of pictures, and roots of numbers of points
PLAIN_INPUTS = 50_176  # up to which others' cross-attends are run: beyond, their temporaries alone take gigabytes
PLAIN_LAYERS = 24  # up to which a plain training step is compiled: memory and time grow with the square of the depth
LESS_BLOCKS = (2, 4)  # that it is measured with instead
REMATS = ("ours", "ours_remat_block", "ours_remat_layer")
SCALED = {  # of the shape `small` at batch 4, one at a time
    "inputs": ("num_inputs", [{"inputs": (InputSpec("inputs", (side, side), 3),)} for side in (16, 32, 64, 128)]),
    "latents": ("num_latents", [{"num_latents": n} for n in (64, 128, 256, 512)]),
    "blocks": ("num_blocks", [{"num_blocks": n, "num_cross_attends": n} for n in (2, 4, 8)]),
    "batch": ("batch", [{"batch": n} for n in (2, 4, 8, 16)]),
}


def cross_attend(run: Run) -> list[Row]:
    """The core alone, of pictures and of points, against the number of inputs."""
    rows = []
    for kind, core in (("images", image_core), ("points", lambda side: point_core(side * side))):
        for side in SIDES[:1] if run.tiny else SIDES:
            shape = run.size(core(side))
            for operation in ("core_value", "core_gradient"):
                names = ["ours", "plain"] if shape.num_inputs <= PLAIN_INPUTS else ["ours"]
                at = {"inputs": kind, "num_inputs": shape.num_inputs, "operation": operation}
                label = f"cross_attend {operation} {shape.num_inputs:,} {kind}"
                rows += run.compare(label, [Model(name, operation, shape) for name in names], at)
        for operation in ("core_value", "core_gradient"):
            at = {"inputs": kind, "operation": operation}
            rows += _slopes([row for row in rows if at.items() <= row.items()], "num_inputs", ["ours"], at)
    return rows


def forward(run: Run) -> list[Row]:
    """Logits of a batch, by shape."""
    return [row for shape in run.shapes for row in _models(run, "forward", shape, _contestants(run, shape, ["plain"]))]


def train_step(run: Run) -> list[Row]:
    """Value, gradient and SGD update of a batch, by shape."""
    rows = []
    for shape in run.shapes:
        if not _too_deep(shape):
            rows += _models(run, "train_step", shape, _contestants(run, shape, ["plain"]))
            continue
        own = _models(run, "train_step", shape, _contestants(run, shape, []))
        if shape.num_inputs > PLAIN_INPUTS:
            rows += own
            continue
        # One after the other: together they would not fit into the memory of a small machine.
        if run.plain_imagenet:
            own += _models(run, "train_step", shape, ["plain"])
        else:
            less = [row for n in LESS_BLOCKS for row in _models(run, "train_step", shape.with_blocks(n), ["plain"])]
            own += extrapolated(shape, less)
            rows += less
        add_ratios(own)
        rows += own
    return rows


def memory(run: Run) -> list[Row]:
    """Bytes of temporaries of the compiled programs, which are not run: the same whoever else is at work."""
    return _compiled(run, "memory", REMATS)


def compilation(run: Run) -> list[Row]:
    """Seconds to trace and to compile, nothing cached."""
    return _compiled(run, "compile", REMATS[:1])


def input_pipeline(run: Run) -> list[Row]:
    """Examples a second that the training batches of a config are made at; on one core photographs as ImageNet's are, and
    recordings as AudioSet's: windows of their files, spectrograms, and whole examples."""
    rows = []
    compared = {config: [Pipeline(f"{n}_workers", config, n) for n in (0, 2)] for config in ("digits", "mnist5k")}
    compared["imagenet photographs"] = [Pictures(name) for name in ("ours", "pillow", "decode")]
    for kind in (*recordings.SOUNDS, "sound", "film"):
        label = f"1.28 s of {kind}" if kind in recordings.SOUNDS else f"1.28 s of mp4's {kind}"
        compared[label] = [recordings.Windows(name, kind) for name in ("ours", "library")]
    compared["spectrograms"] = [recordings.Spectrograms(name) for name in ("host", "device")]
    compared["audioset examples"] = [recordings.Examples(name) for name in recordings.CONFIGS]
    for config, builds in compared.items():
        for row in run.compare(f"input_pipeline {config}", builds, {"config": config}):
            rate = {"examples_per_second": row["examples"] / row["median_seconds"]} if "median_seconds" in row else {}
            rows.append(row | rate)
    return rows


def scaling(run: Run) -> list[Row]:
    """How the time of a training step grows with one size, the others held: the slope of log time by log size."""
    base = run.size(shapes()["small"].changed("scaling", batch=4))
    rows = []
    for axis, (field, steps) in SCALED.items():
        points = []
        for settings in steps[:2] if run.tiny else steps:
            shape = base.changed("scaling", **settings)
            size = getattr(shape if hasattr(shape, field) else shape.model, field)
            builds = [Model(name, "train_step", shape) for name in ("ours", "plain")]
            points += run.compare(f"scaling {axis} {size:,}", builds, {"size": size})
        rows += _slopes(points, "size", ["ours", "plain"], {"axis": axis})
    return rows


def safety(run: Run) -> list[Row]:
    """What checkpoints, guards and a restart take, beside a training step of the same model."""
    rows = []
    for shape in run.shapes:
        at = {"shape": shape.name, "size": shape.size}
        step = Model("ours", "train_step", shape)
        found = run.compare(f"guards {shape.name}", [*(guards.Guard(name, shape) for name in guards.KINDS), step], at)
        seconds = {row["contestant"]: row["min_seconds"] for row in found if "min_seconds" in row}
        for row in found:
            if "min_seconds" not in row:
                continue
            if "state_bytes" in row and row["contestant"] != "watch":
                row["seconds_per_gb"] = row["min_seconds"] / row["state_bytes"] * 1e9
            of_one = row["min_seconds"] / (guards.STEPS if row["contestant"] == "watch" else 1)
            if "ours" in seconds:
                row["ratio_step"] = of_one / seconds["ours"]
        rows += found
    return rows + run.compare("restart", [guards.Restart()], {"shape": "the tiny run of scripts.faults"})


def _slopes(points: Sequence[Row], size: str, names: Sequence[str], at: Row) -> list[Row]:
    """A row for each contestant of several sizes: the slope of log time by log size."""
    import numpy as np

    rows = []
    for name in names:
        own = [(point[size], point["min_seconds"]) for point in points
               if point["contestant"] == name and "min_seconds" in point]  # fmt: skip
        if len(own) > 1:
            sizes, seconds = zip(*own, strict=True)
            slope = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
            rows.append({**at, "contestant": name, "slope": slope, "sizes": sizes, "seconds": seconds})
    return rows


@dataclasses.dataclass(frozen=True)
class Suite:
    """What `--suite` names."""

    run: Callable[[Run], list[Row]]
    minutes: float  # with the default flags and no peers on two cores, about
    columns: tuple[str, ...]  # of the table that is printed; the JSON has all there is


_TIMED = ("contestant", "min_seconds", "median_seconds", "cpu_seconds", "ratio_min", "ratio_median", "ratio_cpu",
          "spread", "busy_elsewhere", "share_of_machine", "peak_bytes", "device_bytes")  # fmt: skip
SUITES = {
    "cross_attend": Suite(cross_attend, 8, ("inputs", "num_inputs", "operation", *_TIMED, "slope")),
    "forward": Suite(forward, 3, ("shape", *_TIMED)),
    "train_step": Suite(train_step, 6, ("shape", *_TIMED)),
    "memory": Suite(memory, 5, ("shape", "operation", "contestant", "temporary_bytes", "ratio_temporary")),
    "compile": Suite(
        compilation, 3, ("shape", "operation", "contestant", "trace_seconds", "compile_seconds", "ratio_compile")
    ),
    "input_pipeline": Suite(input_pipeline, 3, ("config", "contestant", "examples_per_second", "cpu_seconds")),
    "guards": Suite(safety, 4, ("shape", "contestant", "min_seconds", "seconds_per_gb", "ratio_step", "busy_elsewhere")),
    "scaling": Suite(scaling, 12, ("axis", "contestant", "slope")),
}
DEFAULT_SUITES = ("forward", "train_step", "memory", "input_pipeline")


def extrapolated(shape: Shape, less: Sequence[Row]) -> list[Row]:
    """A row for the plain form of a shape, on the line through what it took with two smaller numbers of blocks.

    Its cost bends upwards with depth, so this is less than the truth, and ratios to it are more.
    """
    keys = [key for key in ("min_seconds", "median_seconds", "cpu_seconds", "temporary_bytes", "compile_seconds")
            if all(key in row for row in less)]  # fmt: skip
    if len(less) != 2 or not keys:
        return []
    (a, b), (low, high) = LESS_BLOCKS, less
    turns = (shape.model.num_blocks - b) / (b - a)
    row = {"shape": shape.name, "operation": "train_step", "contestant": "plain", "size": shape.size}
    row |= {key: high[key] + turns * (high[key] - low[key]) for key in keys}
    return [row | {"estimate": f"lower bound: the line through {a} and {b} blocks"}]


def _too_deep(shape: Shape) -> bool:
    return shape.model.num_blocks * shape.model.num_self_attends_per_block > PLAIN_LAYERS


def _contestants(run: Run, shape: Shape, plain: list[str]) -> list[str]:
    """Who is run at a shape: ours, and where its inputs are not too many, plain and the peers that can be set to it."""
    others = plain + [peer for peer in run.peers if peers.fits(peer, shape)]
    return ["ours", *(others if shape.num_inputs <= PLAIN_INPUTS else [])]


def _models(run: Run, operation: str, shape: Shape, names: Sequence[str]) -> list[Row]:
    at = {"shape": shape.name, "operation": operation, "size": shape.size}
    return run.compare(f"{operation} {shape.name}", [Model(name, operation, shape) for name in names], at)


def _compiled(run: Run, suite: str, names: Sequence[str]) -> list[Row]:
    """Rows of programs that are compiled one after the other, and not run."""
    rows = []
    for shape in run.shapes:
        for operation in ("forward", "train_step"):

            def compiled(shape: Shape, name: str, operation: str = operation) -> Row:
                at = {"shape": shape.name, "operation": operation, "size": shape.size}
                return run.build(f"{suite} {operation} {shape.name} {name}", Compiled(name, operation, shape), at)

            # Without a backward pass nothing is kept, so there is nothing to compute again.
            own = [compiled(shape, name) for name in (names if operation == "train_step" else names[:1])]
            if operation == "forward" or not _too_deep(shape) or run.plain_imagenet:
                own.append(compiled(shape, "plain"))
            else:
                less = [compiled(shape.with_blocks(n), "plain") for n in LESS_BLOCKS]
                own += extrapolated(shape, less)
                rows += less
            add_ratios(own)
            run.note(f"{suite} {operation} {shape.name}: done")
            rows += own
    return rows
