#!/bin/sh
# Our LoRA steps and attention beside the peers', on one GPU in one run: bf16 and fp8, and the ratios as one table at the end.
#
#   compare.sh OUTPUT [MINUTES]      all results are files of OUTPUT; default 20 minutes, of which the peers get what is left
#
# In the environment:
#   FT          one program that is all of ours (FT ft-bench ...); else FT_BENCH, default ft-bench
#   PYTHON      has torch, transformers and peft; default python3
#   LIGER       a wheel of liger-kernel where PYTHON has none
#   GEOMETRY    default llama3-8b; SEQUENCE_LEN default 4096; LAYERS default all
#   MICRO_BATCH_SIZE  of ours, default 2; several ("2 3") are all run and the table takes the best, as it does of the peers'
#   FLAGS       more flags of our steps, for instance --base-format fp8
#   STREAMED    1: steps whose layers all come from host memory, too, beside a one-layer prefetch hook in PyTorch and beside the
#               same steps with the layers on the GPU
#   DEVICE      default cuda; cpu is for trying the script out
# OUTPUT/table.md is the table, OUTPUT/steps.md what each of our steps consists of.
# A part that fails or runs out of time leaves its message in OUTPUT/*.log and an empty place in the table.
set -eu
if [ $# -lt 1 ]; then
    echo "usage: compare.sh OUTPUT [MINUTES]" >&2
    exit 2
fi
minutes=${2:-20}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bench/parts.sh
. "$here/parts.sh"
whole_minutes "$minutes"
mkdir -p "$1"
out=$(cd "$1" && pwd)
deadline=$(($(date +%s) + minutes * 60))
python=${PYTHON:-python3} geometry=${GEOMETRY:-llama3-8b} length=${SEQUENCE_LEN:-4096} several=${MICRO_BATCH_SIZE:-2}
rows=${several%% *}
layers=${LAYERS:+--layers $LAYERS}
FT_GEMM_TABLE=$out/gemm.txt PYTHONDONTWRITEBYTECODE=1
export FT_GEMM_TABLE PYTHONDONTWRITEBYTECODE

if [ -n "${LIGER:-}" ]; then
    "$python" -m zipfile -e "$LIGER" "$out/liger"
    PYTHONPATH=$out/liger${PYTHONPATH:+:$PYTHONPATH}
    export PYTHONPATH
fi
device=${DEVICE:-cuda}
work="--device $device --geometry $geometry $layers --sequence-len $length ${FLAGS:-}"
for compute in bf16 fp8; do
    for n in $several; do
        # shellcheck disable=SC2086  # flags are words
        ours "calibrate-$compute-mb$n" calibrate --geometry "$geometry" --sequence-len "$length" --micro-batch-size "$n" --compute $compute ${FLAGS:-}
        # shellcheck disable=SC2086
        ours "step-$compute-mb$n" step $work --micro-batch-size "$n" --compute $compute
    done
done
ours ops ops --device "$device" --geometry "$geometry"
ours attention attention --device "$device" --geometry "$geometry" --sequence-len "$length" --micro-batch-size "$rows"
ours attention-packed attention --device "$device" --geometry "$geometry" --sequence-len "$length" --micro-batch-size "$rows" --packed
part peer-attention "$python" "$here/peers/attention.py" --geometry "$geometry" --sequence-len "$length" --micro-batch-size "$rows"
part peer-attention-packed "$python" "$here/peers/attention.py" --geometry "$geometry" --sequence-len "$length" --micro-batch-size "$rows" --packed
if [ -n "${STREAMED:-}" ]; then
    for home in hbm host; do
        # shellcheck disable=SC2086
        ours step-from-$home step $work --micro-batch-size "$rows" --base-format fp8 --base-placement $home
    done
    # shellcheck disable=SC2086
    part peer-streamed "$python" "$here/peers/host_prefetch.py" --geometry "$geometry" $layers --sequence-len "$length" --micro-batch-size "$rows"
fi
left=$((deadline - $(date +%s) - 60))
# shellcheck disable=SC2086
[ $left -le 30 ] || part peer-lora "$python" "$here/peers/peft_lora.py" --geometry "$geometry" $layers --sequence-len "$length" --sweep --seconds $left
if [ -n "${FT:-}" ]; then set -- "$FT" ft-bench; else set -- "${FT_BENCH:-ft-bench}"; fi
for result in "$out"/step-*.json; do
    "$@" table "$result" || true
done >"$out/steps.md" 2>/dev/null
"$python" "$here/peers/compare_table.py" "$out" | tee "$out/table.md"
