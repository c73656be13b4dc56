"""Where there are no POSIX locks, as on Windows, the package can be imported, and every command says what is supported."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WITHOUT = """
import sys
sys.modules["fcntl"] = None
"""
COMMANDS = """
import contextlib, io, json, runpy
from tests.door import fresh_flags
ends = {}
for module in sys.argv[1:]:
    sys.argv = [module]
    with fresh_flags(), contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            ends[module] = [end.code, said.getvalue()]
print(json.dumps(ends))
"""
LIBRARY = """
import perceiver_jax
print([getattr(perceiver_jax, name).__name__ for name in ("Perceiver", "load", "architecture")])
"""


def printed(code, *arguments):
    done = subprocess.run([sys.executable, "-c", WITHOUT + code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands():
    """Every module that is launched as a command."""
    paths = [path for folder in ("experiments", "scripts") for path in (ROOT / folder).rglob("*.py")]
    names = [path.relative_to(ROOT).with_suffix("") for path in paths if "command.run(main" in path.read_text()]
    return sorted(".".join(name.parts).removesuffix(".__main__") for name in names)


def test_every_command_ends_with_a_message():
    assert len(commands()) > 9
    message = (
        f"error[2] platform {sys.platform}\n"
        "  found: no POSIX locks: Linux and macOS are supported\n"
        "  try: on Windows use WSL, the Windows Subsystem for Linux\n"
    )
    assert json.loads(printed(COMMANDS, *commands())) == {module: [2, message] for module in commands()}


def test_the_library_can_be_imported():
    assert printed(LIBRARY) == "['Perceiver', 'load', 'architecture']\n"
