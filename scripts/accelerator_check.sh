#!/bin/sh
# Whether the device at hand computes what it should, and how fast: tests, a short run in each precision, the benchmark.
#
#     sh scripts/accelerator_check.sh DIRECTORY [small]
#
# Takes some ten minutes on an accelerator. `small`, which is the form for a processor, takes two. DIRECTORY, which must be new, keeps
# all results and table.md. Ends with 1 where a test has failed or a run has not learned.
set -eu
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
OUT=$1
FORM=${2:-full}
PYTHON=${PYTHON:-.venv/bin/python}
mkdir -p "$(dirname "$OUT")"
mkdir "$OUT"

if [ "$FORM" = small ]; then
    TESTS="tests/model/test_parity.py tests/runs/test_programs.py"
    CONFIG="configs/digits.py" LENGTH="--config.train.duration=400 steps"
    BENCHMARK="--suite forward,guards --shapes small --tiny --rounds 2"
else
    TESTS="tests/model tests/baselines tests/training tests/runs/test_programs.py tests/runs/test_accounting.py"
    CONFIG="configs/mnist5k.py:quickstart" LENGTH="--config.seed=0"
    BENCHMARK="--suite cross_attend,forward,train_step,memory,guards --shapes small,imagenet2,modelnet40,imagenet --rounds 5"
fi

# With the optimisations that runs have; the tests leave them out for speed. A test that fails does not end the rest.
JAX_DISABLE_MOST_OPTIMIZATIONS=0 "$PYTHON" -m pytest -n0 --junitxml="$OUT/tests.xml" $TESTS || true
for precision in float32 tensorfloat32 bfloat16; do
    dtype=float32
    [ $precision != bfloat16 ] || dtype=bfloat16
    "$PYTHON" -m experiments.train --config "$CONFIG" --workdir "$OUT/$precision" "$LENGTH" \
        --config.model.compute_dtype=$dtype --config.model.matmul_precision=$precision
done
"$PYTHON" -m scripts.benchmark $BENCHMARK --json "$OUT/benchmark.json"
exec "$PYTHON" -m scripts.device_table --directory "$OUT"
