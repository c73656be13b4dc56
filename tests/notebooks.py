"""The tutorials, notebooks as text, without Jupyter: their cells and commands, and how they are executed in tiny form."""

import ast
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from tests.door import fresh_flags

ROOT = Path(__file__).parents[1]
HEAD = "---\nfile_format: mystnb\n"
SMALL = "small.txt"  # the file of flags in which a tutorial says how its run is smaller
TINY = """--tiny
--config.train.duration=2 steps
--config.data.batch_size=4
--config.model.num_blocks=0
--config.model.num_cross_attends=1
--config.model.num_self_attends_per_block=1
--config.views.num_evaluation=1
"""  # what is in that file for the tests
COUNT, FEW = "PER_CLASS", 3  # how many files a tutorial makes of each class, and how many for the tests
WRITE, SHELL = "%%writefile ", "%%sh\n"


def pages() -> list[Path]:
    """Every page of the docs that is a notebook."""
    return [path for path in sorted(ROOT.glob("docs/**/*.md")) if path.read_text().startswith(HEAD)]


def cells(page: Path) -> list[str]:
    """The code of a notebook, cell by cell."""
    return re.findall(r"^```\{code-cell\} python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def lines(cell: str) -> list[str]:
    """The commands of a cell for the shell, one a line."""
    return cell.removeprefix(SHELL).replace("\\\n", " ").splitlines() if cell.startswith(SHELL) else []


def commands(page: Path) -> list[str]:
    """The commands of a notebook, with the flags that their file holds."""
    given = [cell.partition("\n")[2].splitlines() for cell in cells(page) if cell.startswith(WRITE + SMALL)]
    flags = shlex.join(flag for each in given for flag in each)
    return [line.replace(f"--flagfile={SMALL}", flags) for cell in cells(page) for line in lines(cell)]


def execute(page: Path, launch: Callable[[str], None]) -> None:
    """Executes a notebook in the working directory; `launch` runs a command. What a cell raises is raised."""
    names = {"__name__": "__main__"}
    for cell in cells(page):
        if cell.startswith(WRITE):
            head, _, text = cell.partition("\n")
            path = Path(head.removeprefix(WRITE))
            path.write_text(TINY if path.name == SMALL else text)
        elif cell.startswith(SHELL):
            for line in lines(cell):
                launch(line)
        else:
            tree = _smaller(ast.parse(cell))
            last = [ast.Expression(tree.body.pop().value)] if isinstance(tree.body[-1], ast.Expr) else []
            exec(compile(tree, page.name, "exec"), names)
            for shown in (eval(compile(one, page.name, "eval"), names) for one in last):
                getattr(shown, "_repr_png_", str)()  # as a notebook shows it: a picture's file is read, and closed


def _smaller(tree: ast.Module) -> ast.Module:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == COUNT:
            node.value = ast.copy_location(ast.Constant(FEW), node.value)
    return tree


def _launch(line: str) -> None:
    """Runs `python -m MODULE ...` in this process, which has imported and traced before what is run."""
    python, flag, module, *words = shlex.split(line)
    assert (python, flag) == ("python", "-m")
    with fresh_flags(), mock.patch.object(sys, "argv", [module, *words]):
        with pytest.raises(SystemExit) as end:
            runpy.run_module(module, run_name="__main__")
        assert end.value.code == 0, line


if __name__ == "__main__":
    execute(Path(sys.argv[1]), _launch)
