"""What the kernel of every tutorial begins with when the site is made: a copy of the project, and a shell."""

import os
import shutil
import subprocess

from IPython import get_ipython

for name in ("configs", "experiments", "perceiver_jax", "scripts"):
    shutil.copytree(f"{os.environ['PROJECT']}/{name}", name, ignore=shutil.ignore_patterns("__pycache__"))


def sh(line, cell):
    """Runs commands and prints what they say, results and progress in their order; IPython's own tears lines apart."""
    done = subprocess.run(cell, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout.replace(f"{os.getcwd()}/", ""), end="")  # the copy is in a directory of no meaning
    done.check_returncode()


get_ipython().register_magic_function(sh, "cell")
