"""What the processes of a run agree on. How they end is in tests/runs/test_hosts.py."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import processes
from perceiver_jax.system.processes import AgreedStop, Joined, Processes
from perceiver_jax.system.signals import StopFlag
from perceiver_jax.system.store import Store


class Client:
    """JAX's client of a coordination service, as far as a store needs it, within one process."""

    def __init__(self):
        self._texts, self._changed = {}, threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        with self._changed:
            if key in self._texts and not allow_overwrite:
                raise RuntimeError(f"ALREADY_EXISTS: {key}")
            self._texts[key] = value
            self._changed.notify_all()

    def blocking_key_value_get(self, key, timeout_in_ms):
        with self._changed:
            if not self._changed.wait_for(lambda: key in self._texts, timeout_in_ms / 1000):
                raise RuntimeError(f"DEADLINE_EXCEEDED: {key}")
            return self._texts[key]

    def key_value_dir_get(self, key):
        with self._changed:
            return [pair for pair in self._texts.items() if pair[0].startswith(key)]


@pytest.fixture
def three():
    """Three processes, in one; each with the flag that its signals would raise."""
    client, flags = Client(), [StopFlag() for _ in range(3)]
    joined = [Joined(client, index, 3, flag, lost_seconds=60.0) for index, flag in enumerate(flags)]
    yield joined, flags
    together(lambda one: one.leave(Code.DONE, ""), joined)


def together(do, each):
    """What each comes to, all at the same time."""
    with ThreadPoolExecutor(len(each)) as pool:
        return list(pool.map(do, each))


def test_a_store_keeps_the_first_text_and_gives_none_in_time():
    store = Store(Client())
    assert store.set("a/1", "first")
    assert not store.set("a/1", "second")
    store.renew("a/2", "old")
    store.renew("a/2", "new")
    assert store.listing("a") == {"1": "first", "2": "new"}
    assert store.read("a/2") == "new"
    assert store.wait("b", 0.01) is None
    assert store.silence < 10


def test_processes_exchange_and_share_texts(three):
    joined, _ = three
    assert together(lambda one: one.exchange("name", f"of {one.index}"), joined) == [["of 0", "of 1", "of 2"]] * 3
    assert together(lambda one: one.shared("made", lambda: f"by {one.index}"), joined) == ["by 0"] * 3


def test_a_process_launched_otherwise_is_refused_and_says_what_differs(three):
    joined, _ = three
    together(lambda one: one.check_alike({"seed": "1", "code": "a"}), joined)

    other = Joined(Client(), 1, 2, StopFlag(), lost_seconds=60.0)
    other._store.set("facts", '{"seed": "1", "width": "8", "code": "a"}')
    with pytest.raises(Failure) as caught:
        other.check_alike({"seed": "2", "code": "a", "depth": "3"})
    other._watch._over.set()
    failure = caught.value
    assert failure.code == Code.CONFIG
    assert failure.what == "process 1 was not launched as process 0"
    assert failure.found == "seed 2, width (none), depth 3"
    assert failure.expected == "seed 1, width 8, depth (none)"


def test_a_signal_to_one_process_is_heard_by_all(three):
    joined, flags = three
    assert [one.stop.should_stop for one in joined] == [None] * 3
    flags[1]._code = Code.USER_1
    deadline = time.monotonic() + 30
    while None in (found := together(lambda one: one.stop.should_stop, joined)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert found == [Code.USER_1] * 3


@pytest.mark.parametrize("seed", range(8))
def test_all_stop_at_the_same_reading(seed):
    """However far one is ahead of another, as far as computing together lets it, and whoever is asked first."""
    rng = random.Random(seed)
    count, asked_at, ahead = rng.choice([2, 3, 5]), rng.randrange(1, 40), rng.choice([1, 2, 3])
    client, readings, moved = Client(), [0] * count, threading.Condition()

    class Exchange:
        def __init__(self, index):
            self._store, self._index = Store(client), index

        def __call__(self, name, text):
            self._store.set(f"{name}/{self._index}", text)
            return [self._store.read(f"{name}/{index}") for index in range(count)]

    stops = [AgreedStop(Exchange(index)) for index in range(count)]
    delays = [[rng.random() / 1000 for _ in range(60)] for _ in range(count)]
    heard = [rng.random() / 100 for _ in range(count)]

    def run(index):
        for step in range(60):
            if stops[index].should_stop is not None:
                assert stops[index].reached
                return step
            assert not stops[index].reached
            with moved:  # a step that all compute together, read some steps later
                readings[index] = step
                moved.notify_all()
                assert moved.wait_for(lambda step=step: min(readings) >= step - ahead, 30)
            if index == 0 and step == asked_at:
                for other in range(count):
                    threading.Timer(heard[other], stops[other].ask, [Code.TERMINATED]).start()
            time.sleep(delays[index][step])
        return None

    places = together(run, range(count))
    assert len(set(places)) == 1, places
    assert places[0] is None or places[0] > asked_at - ahead


def test_the_first_signal_is_the_one_that_counts():
    stop = AgreedStop(lambda name, text: [text])
    stop.ask(Code.USER_1)
    stop.ask(Code.TERMINATED)
    assert stop.should_stop is Code.USER_1


def test_one_process_alone_is_answered_at_once():
    alone = Processes(0, 1, StopFlag())
    assert processes.current().count == 1
    assert alone.first
    assert alone.exchange("a", "mine") == ["mine"]
    assert alone.shared("b", lambda: "made") == "made"
    alone.check_alike({"seed": "1"})
    alone.meet("c")
    alone.leave(Code.DATA, "no matter")
    assert processes.enter(processes.current()) is processes.current()
