"""The process that reads what atheris makes of the seeds: inputs that reach other lines of code are kept and changed.

python -m scripts.fuzz.guided ROOM PARSER SEED SECONDS FOLDER CORPUS

It tells of each input as `child` does. An input is the number of the seed whose name it has, in a byte, and then its bytes.
"""

import importlib
import os
import sys
from pathlib import Path

from perceiver_jax.members import member
from scripts.fuzz.child import Reader
from scripts.fuzz.mutations import MAX_BYTES

_LEAST = 2  # bytes of an input that libFuzzer may begin with


def main() -> None:
    import atheris

    room, kind, seed, seconds, folder, corpus = sys.argv[1:]
    with atheris.instrument_imports(include=["perceiver_jax.readers", "perceiver_jax.data", "perceiver_jax.runs"]):
        parser = member(importlib.import_module(room), kind, "--parser")()
    names = list(parser.seeds)
    for number, data in enumerate(parser.seeds.values()):
        (Path(corpus) / f"seed-{number}").write_bytes(bytes([number]) + data)
    with Reader(parser, Path(folder), float(os.environ["SECONDS"])) as reader:
        counted = iter(range(sys.maxsize))

        def read(data: bytes) -> None:
            if len(data) >= _LEAST:
                reader.read(next(counted), names[data[0] % len(names)], data[1:])

        limits = [f"-max_total_time={seconds}", f"-max_len={MAX_BYTES}", "-timeout=0", "-rss_limit_mb=0"]
        signals = [f"-handle_{name}=0" for name in ("segv", "bus", "abrt", "ill", "fpe", "int", "term", "xfsz")]
        atheris.Setup([sys.argv[0], corpus, f"-seed={int(seed) + 1}", *limits, *signals, "-print_final_stats=0"], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
