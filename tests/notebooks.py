"""The tutorials, notebooks as text, without Jupyter: their cells and commands, and how they are executed in tiny form."""

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = "---\nfile_format: mystnb\n"
SMALL = "small.txt"  # the file of flags in which every tutorial says how its run is smaller; for the tests it is --tiny
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
            path.write_text("--tiny\n" if path.name == SMALL else text)
        elif cell.startswith(SHELL):
            for line in lines(cell):
                launch(line)
        else:
            exec(compile(ast.parse(cell), page.name, "exec"), names)
