"""What tests share: cheap compilation, a cache of what it made, and a cheap way to launch the real commands."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

CACHE = "JAX_COMPILATION_CACHE_DIR"

# Before anything imports JAX, which reads it once; the workers of pytest-xdist and all subprocesses inherit it.
_made = CACHE not in os.environ
if _made:
    os.environ[CACHE] = tempfile.mkdtemp(prefix="perceiver_jax-xla-")

os.environ.setdefault("GLIBC_TUNABLES", "")  # set: no command restarts itself, in place of pytest
# Programs are compiled for far longer than tests run them: the other emitters and no optimisations take half the time,
# and a program in one piece, not cut in 32 for as many cores, three quarters of that.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
QUICK = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def _are_known(flags):
    """Whether this version of XLA has these flags: it ends a process that is given another."""
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    asked = [sys.executable, "-c", "import jax; jax.devices()"]
    return subprocess.run(asked, env=environment, capture_output=True).returncode == 0


if QUICK not in os.environ.setdefault("XLA_FLAGS", "") and _are_known(QUICK):
    os.environ["XLA_FLAGS"] += f" {QUICK}"

from tests.launch import Launcher, rest_collector  # noqa: E402


def pytest_collection_finish():
    rest_collector()


def pytest_unconfigure():
    if _made:
        shutil.rmtree(os.environ.pop(CACHE), ignore_errors=True)


@pytest.fixture(scope="session")
def launcher(tmp_path_factory):
    """Launches `experiments.train` and `experiments.evaluate`."""
    with Launcher(tmp_path_factory.mktemp("launches")) as launcher:
        yield launcher


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a directory once for all workers of pytest-xdist: `once(name, make)` is its path, filled by `make(path)`."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def once(name, make):
        with open(root / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (root / f"{name}.made").exists():
                make(root / name)
                (root / f"{name}.made").touch()
        return root / name

    return once


@pytest.fixture(scope="session")
def undisturbed(launcher, once):
    """The workdir of the campaign's tiny run, with all its checkpoints; not to be changed."""
    from scripts.faults.campaign import make_quiet

    return once("undisturbed", lambda path: make_quiet(launcher, path))


@pytest.fixture
def optimised():
    """Programs compiled with XLA's optimisations, for tests of what those may do."""
    import jax

    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
