"""What tests share: a cache of compiled programs for the session, and a cheap way to launch the real commands."""

import os
import shutil
import tempfile

import pytest

CACHE = "JAX_COMPILATION_CACHE_DIR"

# Before anything imports JAX, which reads it once; the workers of pytest-xdist and all subprocesses inherit it.
_made = CACHE not in os.environ
if _made:
    os.environ[CACHE] = tempfile.mkdtemp(prefix="perceiver_jax-xla-")

from tests.launch import Launcher  # noqa: E402


def pytest_unconfigure():
    if _made:
        shutil.rmtree(os.environ.pop(CACHE), ignore_errors=True)


@pytest.fixture(scope="session")
def launcher(tmp_path_factory):
    """Launches `experiments.train` and `experiments.evaluate`."""
    with Launcher(tmp_path_factory.mktemp("launches")) as launcher:
        yield launcher


@pytest.fixture
def fast_compilation():
    """Compiles as the launcher's runs do."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
