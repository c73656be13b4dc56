"""The tutorials run: their cells are executed in tiny form, by a process that is forked from one with JAX."""

import pytest

from tests import notebooks

PAGES = [page for page in notebooks.pages() if page.name != "adding.md"]  # that one is in tests/test_docs.py, as a whole


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_tutorial_runs(page, launcher, tmp_path):
    (tmp_path / "configs").symlink_to(notebooks.ROOT / "configs")
    run = launcher.start("tests.notebooks", page, cwd=tmp_path)
    assert run.wait() == 0, run.stderr
    assert any(tmp_path.glob("runs/*/result.json"))
