"""What is read of a profiler's trace, and how the time of a window is divided."""

import pytest
from jax.profiler import ProfileData

from perceiver_jax.system.trace import Span, Trace, divided, innermost, read_trace

WINDOW = Span(0.0, 100.0, "window")


def spans(*times):
    return [Span(float(start), float(end), name) for start, end, name in times]


# One thread's spans


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        ([(0, 2, "a"), (3, 4, "b")], [(0, 2, "a"), (3, 4, "b")]),
        (
            [(0, 9, "loop"), (2, 4, "a"), (5, 6, "a")],
            [(0, 2, "loop"), (2, 4, "a"), (4, 5, "loop"), (5, 6, "a"), (6, 9, "loop")],
        ),
        ([(0, 9, "loop"), (0, 9, "a")], [(0, 9, "a")]),
        ([(0, 9, "loop"), (1, 9, "call"), (2, 3, "a")], [(0, 1, "loop"), (1, 2, "call"), (2, 3, "a"), (3, 9, "call")]),
        ([(2, 4, "b"), (0, 2, "a")], [(0, 2, "a"), (2, 4, "b")]),
    ],
)
def test_a_span_has_no_time_of_those_within_it(given, expected):
    assert sorted(innermost(spans(*given))) == spans(*expected)


# Windows


@pytest.mark.parametrize(
    ("given", "expected"),
    {
        "nothing": ([], {}),
        "one after the other": ([(10, 30, 1, "a"), (30, 60, 1, "b")], {"a": 20, "b": 30}),
        "at the same time": ([(0, 40, 1, "a"), (20, 60, 1, "b")], {"a": 30, "b": 30}),
        "the same part twice": ([(0, 30, 1, "a"), (0, 30, 1, "a"), (0, 30, 1, "b")], {"a": 20, "b": 10}),
        "what matters less": ([(0, 100, 2, "idle"), (20, 50, 1, "a")], {"idle": 70, "a": 30}),
        "beyond the window": ([(-10, 10, 1, "a"), (90, 200, 1, "b"), (100, 110, 1, "c")], {"a": 10, "b": 10}),
    }.values(),
)
def test_each_moment_goes_to_what_ran_then_in_equal_parts(given, expected):
    ranked = [(Span(float(start), float(end), ""), rank, key) for start, end, rank, key in given]
    assert divided(ranked, WINDOW) == expected


# Traces of other machines, as text


def line(name, *events):
    """A line of a plane, its events (metadata, start, end, statistics)."""
    parts = [f"events {{ metadata_id: {kind} offset_ps: {1000 * start} duration_ps: {1000 * (end - start)} {stats} }}"
             for kind, start, end, stats in events]  # fmt: skip
    return f'lines {{ name: "{name}" {" ".join(parts)} }}'


def plane(name, names, *lines):
    """A plane, with the names of its events; statistic 1 is a GPU's operation."""
    metadata = [f'event_metadata {{ key: {i} value {{ id: {i} name: "{one}" }} }}' for i, one in enumerate(names)]
    return f'planes {{ name: "{name}" {" ".join(lines)} {" ".join(metadata)} stat_metadata {{ key: 1 value {{ id: 1 name: "hlo_op" }} }} }}'  # fmt: skip  # noqa: E501


@pytest.fixture
def read(tmp_path):
    """What is read of a trace of some planes."""

    def read(*planes):
        (tmp_path / "host.xplane.pb").write_bytes(ProfileData.text_proto_to_serialized_xspace(" ".join(planes)))
        return read_trace(tmp_path, ["", "fusion.7", "dot.2"], ["waiting"])

    return read


HOST = plane(
    "/host:CPU", ["waiting", "dot.2", "other"], line("python", (0, 1, 3, "")), line("pool", (1, 4, 6, ""), (2, 6, 7, ""))
)
WAITED = {"waiting": [Span(1, 3, "waiting")]}


def test_a_processors_operations_are_those_of_its_threads(read):
    assert read(HOST) == Trace([[[], [Span(4, 6, "dot.2")]]], WAITED)


def test_a_tpus_are_in_one_line_of_its_plane(read):
    names = ["%fusion.7 = f32[4]{0} fusion(%x.1)", "jit_step", "%unknown.1 = f32[] add()"]
    own = plane("/device:TPU:0", names, line("XLA Modules", (1, 0, 9, "")), line("XLA Ops", (0, 2, 5, ""), (2, 5, 6, "")))
    assert read(HOST, own) == Trace([[[Span(2, 5, "fusion.7"), Span(5, 6, "")]]], WAITED)


def test_a_gpus_are_in_its_streams_named_beside_the_kernel(read):
    stream = line("Stream #13(Compute)", (0, 2, 5, 'stats { metadata_id: 1 str_value: "fusion.7" }'), (1, 5, 6, ""))
    planes = [plane(f"/device:GPU:{i}", ["loop_kernel", "MemcpyH2D"], stream) for i in range(2)]
    one = [[Span(2, 5, "fusion.7"), Span(5, 6, "")]]
    assert read(HOST, *planes) == Trace([one, one], WAITED)
