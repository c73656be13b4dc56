"""What the site is made of fits together: every page is in it, every link leads somewhere, every picture is there."""

import ast
import re
from pathlib import Path

import pytest

from tests import notebooks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.glob("**/*.md")) if not path.is_relative_to(DOCS / "_build")]
OUTSIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def prose(page):
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def listed(page):
    """The pages that a page lists as those below it."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    names = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    return [page.parent / f"{name}.md" for name in names if not name.startswith("generated/")]


def anchors(page):
    """What links may name in a page: its headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_listed_once():
    found = [DOCS / "index.md"]
    for page in found:
        found += listed(page)
    assert sorted(found) == PAGES


@pytest.mark.parametrize("page", [*OUTSIDE, *PAGES], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", prose(page))):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.is_file() or (anchor and anchor not in anchors(path)):
            wrong.append(target)
    assert wrong == []


def test_every_picture_of_the_docs_is_on_a_page():
    texts = [path.read_text() for path in (*OUTSIDE, *PAGES)]
    unused = [path.name for path in DOCS.glob("*.png") if not any(f"{path.name})" in text for text in texts)]
    assert unused == []


def test_tutorials_are_notebooks_that_the_site_executes():
    """A page without the head would be shown, and never run."""
    for page in PAGES:
        assert ("{code-cell}" in page.read_text()) == (page in notebooks.pages())
        assert page.read_text().count("{code-cell}") == len(notebooks.cells(page))


def test_the_sites_packages_are_those_of_the_tests():
    """Both locks have the same version of what is in both."""
    pinned = [
        dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-docs.lock")
    ]
    both = pinned[0].keys() & pinned[1].keys()
    assert len(both) > 50
    assert {name: pinned[0][name] for name in both} == {name: pinned[1][name] for name in both}


def test_code_in_docstrings_ends_before_the_next_letter():
    """Or Sphinx takes it for text without an end."""
    for path in (Path(__file__).parents[1] / "perceiver_jax").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        for node in nodes:
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                code = re.sub(r"`[^`]+`(?!\w)", "", ast.get_docstring(node) or "")
                assert "`" not in code, f"{path}: {code}"
