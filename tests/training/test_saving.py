"""Training goes on while a thread writes what it was."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from perceiver_jax.errors import Code, Failure
from perceiver_jax.system import disk
from perceiver_jax.training import arrays, checkpoint, manifest
from perceiver_jax.training.saving import Saving

PRINTS = dict.fromkeys(("config", "data", "code", "numerics"), "")


@pytest.fixture
def slow(monkeypatch):
    """Saves that wait until `go` is set, and end with `fault` if there is one."""
    real = arrays.write

    class Slow:
        go, begun, fault = threading.Event(), [], None

        def write(self, path, written):
            self.begun.append(int(path.parent.name.removeprefix(disk.TEMPORARY)))
            assert self.go.wait(30)
            if self.fault is not None:
                raise self.fault
            real(path, written)

    slow = Slow()
    slow.begun = []
    monkeypatch.setattr(arrays, "write", slow.write)
    yield slow
    slow.go.set()


def state_of(value):
    return {"a": jnp.full((100, 100), float(value)), "b": jnp.arange(5) + value}


def test_what_is_saved_is_the_state_as_it_was(slow, tmp_path):
    saving, state = Saving(tmp_path, PRINTS, 2, compares=True), state_of(1)
    expected = checkpoint.state_sha256(state)
    saving.begin(5, state)
    update = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf * 2 + 1, state), donate_argnums=0)
    for _ in range(10):
        state = update(state)
    state["a"].block_until_ready()
    assert (saving.begun, saving.ended, manifest.steps(tmp_path)) == (True, False, [])
    slow.go.set()
    saving.wait()
    assert (saving.begun, saving.ended, saving.step) == (False, False, 5)
    assert manifest.verify(tmp_path, 5).state_sha256 == expected
    restored = checkpoint.restore(tmp_path, 5, state)
    np.testing.assert_array_equal(restored["a"], 1.0)


def test_one_save_waits_for_the_one_before(slow, tmp_path):
    saving = Saving(tmp_path, PRINTS, 2, compares=True)
    saving.begin(5, state_of(1))
    second = threading.Thread(target=saving.begin, args=(6, state_of(2)))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    assert slow.begun == [5]
    slow.go.set()
    second.join()
    saving.wait()
    assert (slow.begun, manifest.steps(tmp_path)) == ([5, 6], [5, 6])


@pytest.mark.parametrize("fault", [Failure(Code.WORKDIR, "full"), MemoryError("no room")])
def test_what_a_save_came_to_is_raised_once_to_the_one_who_waits(slow, tmp_path, fault):
    slow.fault = fault
    saving = Saving(tmp_path, PRINTS, 2, compares=True)
    saving.begin(5, state_of(1))
    slow.go.set()
    with pytest.raises(type(fault)) as caught:
        saving.wait()
    assert caught.value is fault
    saving.wait()
    assert manifest.steps(tmp_path) == []


def test_a_state_that_is_not_finite_is_not_saved(slow, tmp_path):
    saving = Saving(tmp_path, PRINTS, 2, compares=True)
    with pytest.raises(Failure, match="a is not finite: step 5") as caught:
        saving.begin(5, state_of(float("nan")))
    assert caught.value.code == Code.NUMERICS
    assert (saving.begun, slow.begun) == (False, [])
