"""What Orbax writes while training goes on is what it was given, and who waits in vain hears no word of a disk."""

import errno
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from perceiver_jax.training import arrays, checkpoint


@pytest.fixture
def given():
    return {f"{i}": jnp.full((256, 256), float(i)) for i in range(8)}


def test_arrays_may_be_donated_as_soon_as_their_writing_has_begun(given, tmp_path):
    update = jax.jit(lambda arrays: jax.tree.map(lambda array: array * 2 + 1, arrays), donate_argnums=0)
    expected = {name: np.array(array) for name, array in given.items()}
    (tmp_path / "1").mkdir()
    end = arrays.begin_writing(tmp_path / "1" / checkpoint.ARRAYS, given)
    for _ in range(5):
        given = update(given)
    end()
    for name, array in checkpoint.restore(tmp_path, 1, given).items():
        np.testing.assert_array_equal(array, expected[name])


REFUSED = OSError(errno.ENOSPC, "no space left on device")
MISSED = TimeoutError("timed out while waiting for a barrier")
MISSED.__cause__ = RuntimeError("DEADLINE_EXCEEDED: barrier")


@pytest.mark.parametrize(("fault", "kind", "words"), [(REFUSED, OSError, "(?i)space"), (MISSED, RuntimeError, "DEADLINE")])
@pytest.mark.parametrize("method", ["save", "wait_until_finished"])
def test_a_refusal_of_the_disk_and_a_process_that_does_not_come_are_told_apart(
    monkeypatch, given, tmp_path, method, fault, kind, words
):
    monkeypatch.setattr(ocp.AsyncCheckpointer, method, mock.Mock(side_effect=[fault, None, None]))
    with pytest.raises(kind, match=words):
        arrays.begin_writing(tmp_path / "a", given)()
