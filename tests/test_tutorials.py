"""The tutorials run: their cells are executed in tiny form, in a process that has JAX already."""

import runpy
import shlex
import sys

import matplotlib.pyplot as plt
import pytest

from tests import notebooks
from tests.door import fresh_flags

TINY = [page for page in notebooks.pages() if page.name != "adding.md"]  # that one is in tests/test_docs.py, as a whole


def launch(line):
    """Runs `python -m MODULE ...` in this process."""
    python, flag, module, *words = shlex.split(line)
    assert (python, flag) == ("python", "-m")
    with fresh_flags(), pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", [module, *words])
        runpy.run_module(module, run_name="__main__")
    assert end.value.code == 0


@pytest.mark.parametrize("page", TINY, ids=[page.stem for page in TINY])
def test_a_tutorial_runs(page, tmp_path, monkeypatch):
    (tmp_path / "configs").symlink_to(notebooks.ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    notebooks.execute(page, launch)
    plt.close("all")
    assert any(tmp_path.glob("runs/*/result.json"))
