"""What the benchmark compares is the same function, and what it reports is complete. Its times are not tested."""

import functools
import json
import math
import multiprocessing
import signal
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import audioset
from perceiver_jax.errors import Code, Failure
from perceiver_jax.settings.config import parse
from perceiver_jax.system.processor import num_cores
from perceiver_jax.training import manifest
from scripts.benchmark import guards, peers, programs, recordings, shapes
from scripts.benchmark.contestants import Compiled
from scripts.benchmark.plot import draw
from scripts.benchmark.process import LEAST_ROUNDS, Built, Contestant, compare, merged
from scripts.benchmark.run import Run
from scripts.benchmark.suites import extrapolated, forward, memory, train_step

SMALL = shapes.tiny(shapes.shapes()["small"])
LEARNED = {"kind": "learned", "channels": 3, "init_scale": 1.0}
OTHER = SMALL.changed("other", positions=LEARNED, head="query", sharing="none", arrangement="at_start")

TWO = shapes.tiny(shapes.shapes()["audioset_mel_video"])


def a_run(note, *sizes):
    return Run(shapes=list(sizes), peers=[], rounds=1, starts=1, seconds=1, tiny=True, plain_imagenet=False, note=note)


def assert_close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [SMALL, OTHER, TWO], ids=lambda shape: shape.name)
def test_plain_is_the_same_function_with_the_same_gradient(shape):
    with jax.enable_x64(True):
        ours, plain = (programs.program("forward", name, shape) for name in ("ours", "plain"))
        params, features = ours.arguments()

        @functools.partial(jax.jit, static_argnums=0)
        def both(function, params):
            logits, pull = jax.vjp(lambda params: function(params, features), params)
            return logits, pull(jnp.cos(logits))

        assert_close(both(ours.function, params), both(plain.function, params))


@pytest.mark.parametrize("core", [shapes.image_core(6), shapes.point_core(6)], ids=["images", "points"])
def test_the_cores_are_the_same_function_with_the_same_gradient(core):
    with jax.enable_x64(True):
        ours, plain = (programs.program("core_gradient", name, shapes.tiny(core)) for name in ("ours", "plain"))
        arguments = ours.arguments()
        assert_close(jax.jit(ours.function)(*arguments), jax.jit(plain.function)(*arguments))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("imagenet", 44_912_254),
        ("audioset_raw", 107_419_677),
        ("audioset_mel_video", 109_048_537 + 228 + 4),
    ],  # its vectors apart
)
def test_shapes_are_the_papers_models(name, parameters):
    params, _ = programs.program("forward", "ours", shapes.shapes()[name]).abstract
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == parameters


def test_peers_of_one_stream_are_not_run_at_two():
    run = a_run(lambda text: None, TWO)
    run.peers, asked = ["transformers", "perceiver-pytorch"], []
    run.compare = lambda label, builds, at: asked.append([build.name for build in builds]) or []
    train_step(run)
    assert asked == [["ours", "plain", "transformers"]]


def test_remat_changes_the_program_it_is_asked_of():
    names = ("ours", "ours_remat_block", "ours_remat_layer")
    built = [programs.program("train_step", name, SMALL) for name in names]
    assert len({str(jax.make_jaxpr(program.function)(*program.abstract)) for program in built}) == 3


# The command


def test_a_run_reports_all_contestants_and_their_numbers(launcher, tmp_path):
    flags = ("--suite", "forward", "--shapes", "small", "--tiny", "--rounds", "2", "--json", tmp_path / "all.json")
    run = launcher.start("scripts.benchmark", *flags, "--plot", tmp_path / "all.png")
    assert run.wait() == 0, run.stderr
    reported = json.loads((tmp_path / "all.json").read_text())
    assert reported["machine"]["matmul_gflops"] > 0
    rows = reported["suites"]["forward"]
    here = [peer for peer in peers.PACKAGES if not peers.missing(peer)]
    assert [row["contestant"] for row in rows] == ["ours", "plain", *here]
    for row in rows:
        assert row.pop("busy_elsewhere") >= 0
        assert row["start_seconds"] == [row["min_seconds"]]
        numbers = [value for value in row.values() if isinstance(value, int | float)]
        assert len(numbers) >= 11
        assert all(math.isfinite(number) and number > 0 for number in numbers)
    np.testing.assert_allclose(rows[0]["value"], rows[1]["value"], rtol=1e-5)
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")
    for peer in set(peers.PACKAGES) - set(here):
        assert f"peer {peer} not installed: pip install " in run.stderr


def test_compilation_reports_bytes_and_seconds():
    cached = jax.config.jax_enable_compilation_cache
    try:
        facts = Compiled("ours_remat_layer", "forward", SMALL)().facts
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)
    assert {"temporary_bytes", "compile_seconds"} < set(facts)
    assert all(number > 0 for number in facts.values())


def test_memory_is_compared_in_every_form_there_is(monkeypatch):
    monkeypatch.setattr(Run, "build", lambda run, label, build, at: at | {"contestant": build.name, "temporary_bytes": 8})
    sizes = shapes.shapes()
    rows = memory(a_run(lambda text: None, sizes["small"], sizes["imagenet"]))
    kept = ["ours", "ours_remat_block", "ours_remat_layer"]
    reported = [(row["shape"], row["operation"], row["contestant"]) for row in rows]
    assert reported == [
        *(("small", "forward", name) for name in ("ours", "plain")),
        *(("small", "train_step", name) for name in (*kept, "plain")),
        *(("imagenet", "forward", name) for name in ("ours", "plain")),
        *((f"imagenet_{n}_blocks", "train_step", "plain") for n in (2, 4)),
        *(("imagenet", "train_step", name) for name in (*kept, "plain")),
    ]
    assert [row["contestant"] for row in rows if "estimate" in row] == ["plain"]
    assert {row["ratio_temporary"] for row in rows if "ratio_temporary" in row} == {1}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--suite", "forwrd"), "error[2] --suite: unknown 'forwrd'"),
        (("--shapes", "imagnet"), "error[2] --shapes: unknown 'imagnet'"),
        (("--suite", "all,forward"), "error[2] --suite: all cannot be combined with names"),
        (("--json", "nowhere/x.json"), "error[6] --json nowhere/x.json: nowhere is not a directory"),
    ],
    ids=["suite", "shape", "all", "file"],
)
def test_a_wrong_flag_ends_the_run_at_the_door(launcher, flags, message):
    run = launcher.start("scripts.benchmark", *flags)
    assert run.wait() == int(message[6])
    assert run.stderr.startswith(message)
    assert run.stdout == ""


@pytest.mark.parametrize(("name", "near"), [("forwrd", "forward"), ("tran_step", "train_step")])
def test_an_unknown_name_brings_the_nearest(name, near):
    with pytest.raises(Failure) as failure:
        shapes.chosen("suite", [name], ["memory", "forward", "train_step"])
    assert failure.value.hint == near


def test_peers_that_are_not_installed_are_named_as_pip_calls_them(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "perceiver_pytorch" else name)
    assert (peers.missing("transformers"), peers.missing("perceiver-pytorch")) == ([], ["perceiver-pytorch"])


# The input pipeline of recordings


@pytest.mark.parametrize("name", ["ours", "library"])
@pytest.mark.parametrize("kind", [*recordings.SOUNDS, "sound", "film"])
def test_windows_of_a_recording_are_read(kind, name, monkeypatch):
    lengths = []
    monkeypatch.setattr(recordings, "_over_windows", lambda read: lengths.append(_length(read(3.1))))
    recordings.Windows(name, kind)()
    (length,) = lengths
    expected = recordings.NUM_FRAMES if kind == "film" else round(recordings.WINDOW * recordings.SOUND_RATE)
    assert abs(length - expected) <= (0 if name == "ours" else 0.08 * expected)  # a library gives whole frames


def _length(read):
    """How many samples, or frames of a film."""
    if isinstance(read, tuple):  # soundfile's
        read = read[0]
    if isinstance(read, list):
        return len(read) if read[0].ndim == 3 else sum(part.shape[-1] for part in read)
    return len(read)


@pytest.mark.parametrize("name", recordings.CONFIGS)
def test_an_example_of_audioset_is_made(name, monkeypatch):
    monkeypatch.setattr(recordings, "SECONDS", 2)
    monkeypatch.setattr(recordings, "STARTS", [0.1])
    built = recordings.Examples(name)()
    built.step()
    assert built.facts == {"examples": 1}


def test_the_spectrogram_on_the_device_is_the_hosts():
    stream = parse(audioset.get_config("mel_audio")).modalities["audio"]
    sound = recordings.sound()[: 60 * 1024]
    on_device = recordings.on_device(stream.stream, jnp.asarray(sound))
    np.testing.assert_allclose(on_device, stream.spectrogram(sound), atol=1e-4)


# Contestants: processes that need no JAX


def sleeper(seconds):
    return functools.partial(Built, functools.partial(time.sleep, seconds), {"flops": 1})


@pytest.fixture
def contestant():
    started = []

    def contestant(name, build):
        started.append(Contestant(name, build))
        return started[-1]

    yield contestant
    for one in started:
        one.close()


def test_contestants_are_timed_each_in_its_own_process(contestant):
    both = [contestant("short", sleeper(0.001)), contestant("long", sleeper(0.02))]
    assert [one.facts() for one in both] == [{"flops": 1}] * 2
    times = compare(both, rounds=4, seconds=60)
    assert times["short"]["min_seconds"] >= 0.001
    assert times["long"]["min_seconds"] >= 0.02
    assert times["long"]["cpu_seconds"] < 0.02  # asleep
    assert times["long"]["rounds"] == 4


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system does not tell what others do")
def test_what_others_do_meanwhile_is_told(contestant):
    one = contestant("one", sleeper(0.1))
    one.facts()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(time.sleep, (0,))  # it has come
        busy = pool.apply_async(spin, (1.5,))
        found = compare([one], rounds=3, seconds=60)["one"]["busy_elsewhere"]
        busy.get()
    assert 0.2 / num_cores() < found <= 1.1


def spin(seconds):
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        pass


@pytest.mark.parametrize("name", guards.KINDS)
def test_a_guard_is_measured_on_a_state_of_the_model_and_leaves_nothing(name, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    params, _ = programs.program("forward", "ours", SMALL).abstract
    built = guards.Guard(name, SMALL)()
    assert built.facts == {"state_bytes": 3 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(params))}
    for _ in range(2):
        built.step()
    saved = [step for folder in tmp_path.iterdir() for step in manifest.steps(folder)]
    assert saved == {"save": [2], "restore": [1], "verified_restore": [1]}.get(name, [])
    built.close()
    assert list(tmp_path.iterdir()) == []


def test_memory_of_a_device_is_told_where_there_is_one(contestant):
    with_one = functools.partial(Built, functools.partial(time.sleep, 0), {}, None, device_bytes=Held())
    both = [contestant("with", with_one), contestant("without", sleeper(0))]
    for one in both:
        one.facts()
    times = compare(both, rounds=3, seconds=60)
    assert times["with"]["device_bytes"] == 9
    assert merged([times["with"], times["with"] | {"device_bytes": 11}])["device_bytes"] == 11
    assert "device_bytes" not in times["without"] | merged([times["without"]])


class Held:
    """5, 9 and then 7 bytes."""

    def __init__(self):
        self.bytes = [7, 9, 5]

    def __call__(self):
        return self.bytes.pop()


def test_starts_are_merged():
    one = {
        "rounds": 3,
        "min_seconds": 1.0,
        "median_seconds": 2.0,
        "cpu_seconds": 1.5,
        "peak_bytes": 7,
        "busy_elsewhere": 0.1,
    }
    other = one | {"min_seconds": 1.5, "median_seconds": 3.0, "peak_bytes": 8, "busy_elsewhere": 0.3}
    assert merged([one, other]) == {
        **{"rounds": 6, "min_seconds": 1.0, "median_seconds": 2.5, "cpu_seconds": 1.5, "peak_bytes": 8},
        **{"busy_elsewhere": 0.3, "start_seconds": [1.0, 1.5], "spread": 1.5},
    }


def test_rounds_end_when_their_time_is_over(contestant):
    one = contestant("one", sleeper(0.001))
    one.facts()
    assert compare([one], rounds=100, seconds=0)["one"]["rounds"] == LEAST_ROUNDS


@pytest.mark.parametrize(
    ("build", "code", "word"),
    [
        (functools.partial(int, "nothing"), Code.FAULT, "ValueError"),
        (functools.partial(signal.raise_signal, signal.SIGKILL), Code.MEMORY, "process has ended"),
    ],
    ids=["raises", "is killed"],
)
def test_a_contestant_that_fails_says_so(contestant, build, code, word):
    with pytest.raises(Failure) as failure:
        contestant("one", build).facts()
    assert failure.value.code == code
    assert word in failure.value.what


def test_a_contestant_that_fails_does_not_end_the_run():
    reported = []
    run = a_run(reported.append)
    row = run.build("here", Named("one"), {"shape": "small"})
    assert row == {"shape": "small", "contestant": "one", "error": run.failures[0].what}
    assert reported[0].startswith("here: error[1]")


class Named(functools.partial):
    """A build with a name, that fails."""

    def __new__(cls, name):
        return super().__new__(cls, int, name)

    @property
    def name(self):
        return self.args[0]


# What is made of the numbers


def test_the_line_through_fewer_blocks_extends_to_all():
    shape = shapes.shapes()["imagenet"]
    (row,) = extrapolated(shape, [{"min_seconds": 2.0}, {"min_seconds": 5.0}])
    assert row["min_seconds"] == 11.0
    assert row["estimate"].startswith("lower bound")
    assert extrapolated(shape, [{"min_seconds": 2.0}, {"error": "out of memory"}]) == []


def test_the_picture_has_a_panel_for_each_suite_that_has_numbers(tmp_path):
    def core(name, m):
        return {"contestant": name, "inputs": "images", "num_inputs": m, "operation": "core_value", "min_seconds": m / 1e6}

    step = {"contestant": "ours", "shape": "small", "operation": "train_step", "ratio_min": 0.3}
    results = {"cross_attend": [core("ours", 100), core("plain", 100)], "train_step": [step], "scaling": []}
    assert draw(results, tmp_path / "a.png") == ["cross_attend", "train_step"]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert draw({"scaling": []}, tmp_path / "none.png") == []
    assert not (tmp_path / "none.png").exists()


def test_a_million_inputs_are_run_by_ours_alone():
    large, asked = shapes.shapes()["imagenet1024"], []
    run = a_run(lambda text: None, large)
    run.peers = ["transformers"]
    run.compare = lambda label, builds, at: asked.append([build.name for build in builds]) or []
    assert large.num_inputs == 2**20
    forward(run), train_step(run)
    assert asked == [["ours"], ["ours"]]
