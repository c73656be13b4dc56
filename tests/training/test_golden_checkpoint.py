"""A checkpoint of the format's first days, kept with the code: it is read to the bit for ever.

`checkpoint.save(GOLDEN, 10, made(), PRINTS, keep=1)` wrote it on 29 November 2026 with orbax-checkpoint 0.12.8, jax 0.10.2.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from perceiver_jax.training import checkpoint, manifest

GOLDEN = Path(__file__).parents[1] / "golden" / "checkpoints"
PRINTS = {"config": "c0", "data": "d0", "code": "0.1.0", "numerics": "jax 0.10.2, jaxlib 0.10.2, 1 x cpu"}
SHA256 = "3500e9262546893654210e998f05b0ffd5e27130fd0efcac849d136502ecb9fb"


def made():
    """Arrays of every type and rank that a run has; made without any generator of random numbers."""
    ramp = np.arange(48, dtype=np.float32)
    return {
        "params": {"latents": np.sin(ramp).reshape(8, 6), "norm": {"scale": np.float32([1.0, -0.0, 1e-40])}},
        "ema": {"half": jnp.cos(ramp[:7]).astype(jnp.bfloat16)},
        "opt_state": [np.int32(10), ramp.reshape(2, 3, 8) ** 3],
        "rng": np.uint32([0, 2**32 - 1]),
    }


def test_the_golden_checkpoint_is_whole_and_its_arrays_have_their_bits():
    state = made()
    assert manifest.verify(GOLDEN, 10).state_sha256 == SHA256
    restored = checkpoint.restore(GOLDEN, 10, jax.eval_shape(lambda: state))
    assert checkpoint.state_sha256(restored) == SHA256 == checkpoint.state_sha256(state)
    checkpoint.compare(manifest.read(GOLDEN, 10), PRINTS)  # and its fingerprints are compared as ever
