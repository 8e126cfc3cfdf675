#!/bin/sh
# ft-bench step beside PyTorch + PEFT, alternating: the same geometry, tokens and threads, float32 on both sides.
#
#   cpu_step.sh FT_BENCH PYTHON [RUNS [RESULTS]]      writes bench/results/cpu-step.json or RESULTS, prints it as a table
#
# PYTHON has torch, transformers and peft. Each run is a process of its own: a warm-up step, then the median of five; the figure
# of a side is the median of its runs, PyTorch's the better of one micro-batch of 4 sequences and 4 of one. What the environment
# says about OpenBLAS is left out, so that a setting made for another program does not count for or against either.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: cpu_step.sh FT_BENCH PYTHON [RUNS [RESULTS]]" >&2
    exit 2
fi
bench=$1 python=$2 runs=${3:-5}
here=$(dirname "$0")
results=${4:-$here/../results/cpu-step.json}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OMP_NUM_THREADS MKL_NUM_THREADS FT_THREADS

run=0
while [ $run -lt "$runs" ]; do
    "$bench" step --device cpu --geometry smollm2-135m --json >"$scratch/ours-$run.json"
    "$python" "$here/cpu_step.py" --micro-batch-size 4 >"$scratch/whole-$run.json"
    "$python" "$here/cpu_step.py" --micro-batch-size 1 --accumulation 4 >"$scratch/split-$run.json"
    run=$((run + 1))
done
"$python" "$here/cpu_step_ratio.py" "$scratch" "$runs" >"$results"
"$bench" table "$results"
