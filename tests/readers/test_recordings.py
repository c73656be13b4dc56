"""Readers of recordings in programs: nothing stays open, nothing is inherited, one thread, no words of the libraries."""

import contextlib
import io
import os
import pickle
import subprocess
import sys
import threading
import time

import av
import numpy as np
import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.readers import BadFile, optional
from perceiver_jax.readers.recordings import FILMS, SOUNDS, FileRecording
from tests.readers.recording_files import film, numbers, saved, tone, wave

BOTH = film(sound="aac", options={"g": "10"})
ONE_KEY_FRAME = film(frames=60)
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts in /proc")


def read(recording):
    """Both streams, in part."""
    return recording.frames(1.5, 4, 25, None), recording.sound(0.5, 0.2, 16_000)


# In a process of its own, without the checks of types: theirs hold on to what is checked, and the collector is off.
OFTEN = """
import contextlib, gc, os, sys
from pathlib import Path
from perceiver_jax.readers import BadFile
from perceiver_jax.readers.recordings import FileRecording
gc.disable()
def often(times):
    for name in times * sys.argv[1:]:
        with contextlib.suppress(BadFile):
            recording = FileRecording(Path(name))
            recording.frames(1.5, 4, 25, None), recording.sound(0.5, 0.2, 16_000)
    pages = int(open("/proc/self/statm").read().split()[1])
    print(len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000)
often(10)
often(60)
"""


@needs_proc
def test_nothing_stays_open_and_memory_does_not_grow(tmp_path):
    path, broken = tmp_path / "a.mp4", tmp_path / "b.mp4"
    path.write_bytes(BOTH)
    broken.write_bytes(BOTH[:5000] + bytes(400) + BOTH[5400:])
    done = subprocess.run([sys.executable, "-c", OFTEN, path, broken], capture_output=True, text=True, check=True)
    (files, begin), (still, end) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert still == files
    assert end - begin < 10


# In a process of its own: JAX, which tests have imported, is not to be forked.
FORKED = """
import multiprocessing, sys
from pathlib import Path
from perceiver_jax.readers.recordings import FileRecording
recording = FileRecording(Path(sys.argv[1]))
recording.frames(0, 1, 25, None)
context = multiprocessing.get_context("fork")
def answer(queue):
    queue.put(recording.frames(1, 8, 25, None).mean())
for _ in range(3):
    queue = context.Queue()
    children = [context.Process(target=answer, args=(queue,)) for _ in range(2)]
    for child in children:
        child.start()
    print(*(queue.get(timeout=30) for _ in children))
    for child in children:
        child.join(30)
        assert child.exitcode == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_forked_process_reads_on(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(ONE_KEY_FRAME)
    done = subprocess.run([sys.executable, "-c", FORKED, path], capture_output=True, text=True, check=True, timeout=100)
    expected = FileRecording(path).frames(1, 8, 25, None)
    assert numbers(expected) == list(range(25, 33))
    assert set(done.stdout.split()) == {str(expected.mean())}
    assert len(done.stdout.split()) == 6


def test_a_copy_reads_the_same():
    recording = FileRecording(BOTH)
    fresh = pickle.loads(pickle.dumps(recording))
    (frames, sound), (others, other) = read(recording), read(pickle.loads(pickle.dumps(recording)))
    assert (frames == others).all()
    assert (sound == other).all()
    assert fresh.seconds == recording.seconds


@needs_proc
def test_one_thread_decodes():
    counts, over = [], threading.Event()

    def watch():
        while not over.is_set():
            counts.append(len(os.listdir("/proc/self/task")))
            time.sleep(0.001)

    before = len(os.listdir("/proc/self/task"))
    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        read(FileRecording(BOTH))
    over.set()
    watcher.join()
    assert max(counts) <= before + 1


def test_libraries_say_nothing(capfd):
    for data in (BOTH, BOTH[:9000], BOTH[:5000] + bytes(400) + BOTH[5400:], saved(tone(1), 44_100, format="MP3")[:4000]):
        with contextlib.suppress(BadFile):
            read(FileRecording(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_parts_of_an_mp3_are_read_without_a_word_and_equal_the_whole(rate, capfd):
    noise = np.random.default_rng(0).normal(scale=0.1, size=rate)
    recording = FileRecording(saved(noise, rate, format="MP3"))
    whole = recording.sound(0, 1, rate)
    assert len(whole) == rate
    for first in range(0, rate, rate // 40):
        part = recording.sound(first / rate, 0.1, rate)
        np.testing.assert_allclose(part, whole[first : first + len(part)], atol=1e-6)
    assert capfd.readouterr() == ("", "")


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    optional.package.cache_clear()
    with pytest.raises(Failure, match="sounds and films need the package soundfile") as failure:
        FileRecording(wave(bytes(100))).sound(0, 1, 8000)
    assert (failure.value.code, failure.value.hint) == (Code.DATA, "pip install -e .[audio]")


def test_suffixes_are_lower_case_and_of_one_kind():
    assert not set(SOUNDS) & set(FILMS)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in SOUNDS + FILMS)


def test_a_request_beyond_the_end_takes_no_memory():
    recording = FileRecording(wave(bytes(3200)))
    assert len(recording.sound(0, 1e9, 48_000)) == 9600
    assert len(recording.sound(1e6, 1e9, 48_000)) == 0


def test_a_title_in_any_coding_is_no_reason_to_refuse_a_recording():
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        container.metadata["title"] = "Quartett"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    data = file.getvalue().replace(b"Quartett", b"Qu\xe4rtett")  # Latin-1
    assert data != file.getvalue()
    assert len(FileRecording(data).sound(0, 1, 8000)) == 8000
