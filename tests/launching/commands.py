"""Small commands to be launched: one that saves when it is asked to, one that ends as it is told."""

import sys
from pathlib import Path

from perceiver_jax.launch.jobs import Job

_SAVES = """
import os, signal, sys, time
place = sys.argv[1]
def save(*_):
    open(place + ".saved", "w").close()
    sys.exit(138)
signal.signal(signal.SIGUSR1, save)
if os.path.exists(place + ".saved"):
    print("resumed")
    sys.exit(0)
open(place + ".begun", "w").close()
time.sleep(60)
"""
_ENDS = "import os, sys; print(sys.argv[2], flush=True); print('CORES', *sorted(os.sched_getaffinity(0)), flush=True); "
_ENDS += "os.environ.get('WAIT') and __import__('time').sleep(float(os.environ['WAIT'])); sys.exit(int(sys.argv[1]))"


def saves(folder: Path, name: str) -> Job:
    """Runs until it is asked to stop, then marks that it has saved, and ends; the next time it ends at once."""
    return Job(name, (sys.executable, "-c", _SAVES, str(folder / name)), folder / f"{name}.txt")


def ends(folder: Path, name: str, code: int = 0, says: str = "") -> Job:
    """Prints something and its cores, and ends."""
    return Job(name, (sys.executable, "-c", _ENDS, str(code), says), folder / f"{name}.txt")
