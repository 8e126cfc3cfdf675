#!/bin/sh
# LoRA steps of models that the GPU does not hold, beside their plans, their limits and what users have, on one GPU.
#
#   offload.sh OUTPUT [MINUTES] [PART...]   all results are files of OUTPUT; MINUTES (default 9) are each part's; default all parts
#
#   tax        what streaming costs against tokens a sweep: 40 layers of 70B from host memory beside the same on the GPU
#   seventy    70B, all layers, where the plan puts them; `nf4` is its peer: QLoRA with PEFT and bitsandbytes
#   giant      405B, all layers, of which 8 real ones stand for those in host memory
#   disk405    12 layers of 405B from the drives: 38 GB of them
#   links      drives beside fio, and 70B layers with so few tokens that the link decides, with and without spilled layer inputs
#   users      8B, every layer from host memory, 4,096 and 8,192 tokens a step; `peers` are a one-layer prefetch hook and FSDP2
#   disk8      the same from the drives
#   deepspeed  ZeRO-3 with parameters in host memory and on the drive, the peer of both
#   long       one sequence of 131,072 tokens: 8B, and a layer of 405B
#   table      OUTPUT/table.md, of all that OUTPUT has; made after any other part, too
#
# In the environment:
#   FT          one program that is all of ours (FT ft-bench ...); else FT_BENCH, default ft-bench
#   NVME        drive directories, for disk405, disk8, links and deepspeed, which use and remove DIR/ft-offload-bench;
#               default a directory of TMPDIR
#   PYTHON      has torch, transformers and peft; default python3
#   PACKAGES    wheels or zip files with what PYTHON lacks: liger-kernel, bitsandbytes, deepspeed
#   FT_GEMM_TABLE  default OUTPUT/gemm.txt; products are timed once for each table
#   FLAGS       more flags of all our steps; default "--head-chunk 2048"
#   STEPS, WARM_UP  of our steps where they are short; default 3 and 1. GIANT_STEPS of giant's, default 2
#   POINTS      tokens a sweep of tax, default 4096,8192,12288,16384,20480
#   MICRO_BATCH_SIZE  of seventy, giant and disk405 (16,384 tokens a step), default 1
#   DEVICE      default cuda; cpu is for trying the script out, with
#   TINY        flags that replace the geometries, for instance "--geometry smollm2-135m --layers 4"
#   SEQUENCE_LEN  default 4096; LONG default 131072
# What fails or runs out of time leaves its message in OUTPUT/*.log and an empty place in the table.
set -eu
if [ $# -lt 1 ]; then
    sed -n '2,34s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
minutes=${2:-9}
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bench/parts.sh
. "$here/parts.sh"
whole_minutes "$minutes"
mkdir -p "$1"
out=$(cd "$1" && pwd)
[ $# -lt 2 ] && shift 1 || shift 2
[ $# -gt 0 ] || set -- tax seventy nf4 giant disk405 links users peers disk8 deepspeed long
python=${PYTHON:-python3} device=${DEVICE:-cuda} length=${SEQUENCE_LEN:-4096} long=${LONG:-131072}
flags="--device $device ${FLAGS:---head-chunk 2048}"
short="--steps ${STEPS:-3} --warm-up ${WARM_UP:-1}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
drives=$(echo "${NVME:-$scratch}" | sed 's|,|/ft-offload-bench,|g; s|$|/ft-offload-bench|')
FT_GEMM_TABLE=${FT_GEMM_TABLE:-$out/gemm.txt} PYTHONDONTWRITEBYTECODE=1
export FT_GEMM_TABLE PYTHONDONTWRITEBYTECODE

for package in ${PACKAGES:-}; do
    "$python" -m zipfile -e "$package" "$scratch/packages"
done
[ ! -d "$scratch/packages" ] || export PYTHONPATH="$scratch/packages${PYTHONPATH:+:$PYTHONPATH}"

# model GEOMETRY [LAYERS]: flags of a model.
model() {
    if [ -n "${TINY:-}" ]; then echo "$TINY"; else echo "--geometry $1${2:+ --layers $2}"; fi
}

# calibrate GEOMETRY COMPUTE MICRO-BATCH-SIZE [--nvme DRIVES]: the products of such steps, unless the table has them, and the rates of
# plans.
calibrate() {
    name=calibrate-$1-$2-mb$3${4:+-drives}
    [ "$device" = cuda ] && [ ! -e "$FT_GEMM_TABLE.$name" ] || return 0
    what="--geometry $1 --compute $2 --micro-batch-size $3"
    shift 3
    # shellcheck disable=SC2086  # flags are words, here and below
    ours "$name" calibrate $what --base-format fp8 --sequence-len "$length" $flags "$@"
    [ ! -s "$out/$name.json" ] || : >"$FT_GEMM_TABLE.$name"
}

# steps NAME SEQUENCE-LEN FLAG...: a step of ours without the profile of its ops.
steps() {
    name=$1 tokens=$2
    shift 2
    # shellcheck disable=SC2086
    ours "$name" step $flags --sequence-len "$tokens" --no-profile "$@"
}

# peer NAME PROGRAM FLAG...
peer() {
    name=$1 program=$2
    shift 2
    part "$name" "$python" "$here/peers/$program.py" --sequence-len "$length" "$@"
}

# shellcheck disable=SC2046,SC2086
part_tax() {
    points=${POINTS:-$length,$((2 * length)),$((3 * length)),$((4 * length)),$((5 * length))}
    for compute in bf16 fp8; do
        calibrate llama3-70b $compute 1
        ours tax-$compute step $flags --sequence-len "$length" $(model llama3-70b 40) --micro-batch-size 1 --compute $compute --base-format fp8 \
            --activation-policy recompute --boundary-placement hbm --curve $points $short
    done
}

# shellcheck disable=SC2046,SC2086
part_seventy() {
    rows=${MICRO_BATCH_SIZE:-1}
    for compute in bf16 fp8; do
        calibrate llama3-70b $compute "$rows"
        steps seventy-$compute "$length" $(model llama3-70b) --micro-batch-size "$rows" \
            --gradient-accumulation-steps $((4 / rows)) --compute $compute --tier plan $short
    done
}

# shellcheck disable=SC2046
part_nf4() {
    export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
    peer peer-nf4 nf4_qlora $(model llama3-70b) --sweep 1,2,4
    unset PYTORCH_CUDA_ALLOC_CONF
}

# A step takes a minute.
# shellcheck disable=SC2046
part_giant() {
    rows=${MICRO_BATCH_SIZE:-1}
    for compute in fp8 bf16; do
        calibrate llama3-405b $compute "$rows"
        steps giant-$compute "$length" $(model llama3-405b) --alias 8 --tier host --micro-batch-size "$rows" --gradient-accumulation-steps $((4 / rows)) \
            --sweep-micro-batches $((4 / rows)) --compute $compute --steps "${GIANT_STEPS:-2}" --warm-up 1
    done
}

# shellcheck disable=SC2046
part_disk405() {
    rows=${MICRO_BATCH_SIZE:-1}
    calibrate llama3-405b fp8 "$rows" --nvme "$drives"
    steps disk405 "$length" $(model llama3-405b 12) --tier nvme --nvme "$drives" --micro-batch-size "$rows" --gradient-accumulation-steps $((4 / rows)) \
        --sweep-micro-batches $((4 / rows)) --compute fp8 --steps 3 --warm-up 1
}

# Half a sequence: the link decides in backward, too. All layers: it rests at the two ends of a sweep, whose share is to be small.
# shellcheck disable=SC2046,SC2086
part_links() {
    ours links-drives offload --nvme "$drives"
    for boundary in hbm host; do
        ours links-$boundary step $flags --sequence-len $((length / 2)) $(model llama3-70b) --tier host --micro-batch-size 1 --compute fp8 \
            --activation-policy recompute --boundary-placement $boundary --links $short
    done
}

# shellcheck disable=SC2046,SC2086
part_users() {
    for compute in bf16 fp8; do
        for rows in 1 2; do
            calibrate llama3-8b $compute $rows
            steps users-$compute-mb$rows "$length" $(model llama3-8b) --tier host --hbm-budget 20G --micro-batch-size $rows \
                --compute $compute $short
        done
    done
}

# shellcheck disable=SC2046
part_peers() {
    for rows in 1 2; do
        peer peer-hook-mb$rows host_prefetch $(model llama3-8b) --micro-batch-size $rows
        peer peer-fsdp2-mb$rows fsdp2_offload $(model llama3-8b) --micro-batch-size $rows
    done
}

# shellcheck disable=SC2046,SC2086
part_disk8() {
    for compute in bf16 fp8; do
        for rows in 1 2; do
            calibrate llama3-8b $compute $rows --nvme "$drives"
            steps disk8-$compute-mb$rows "$length" $(model llama3-8b) --tier nvme --nvme "$drives" --keep-store --hbm-budget 20G \
                --micro-batch-size $rows --compute $compute $short
        done
    done
    echo "$drives" | tr , '\n' | sed 's|$|/ft-store|' | xargs -d '\n' rm -rf
}

# Its ops are compiled when they are first used; libaio may come with the packages.
# shellcheck disable=SC2046
part_deepspeed() {
    aio=$scratch/packages/libaio store=${drives%%,*}/deepspeed stubs=${CUDA_HOME:-/usr/local/cuda}/lib64/stubs
    export TORCH_EXTENSIONS_DIR="$scratch/extensions"
    peer peer-deepspeed-mb1 deepspeed_zero3 $(model llama3-8b) --micro-batch-size 1
    peer peer-deepspeed-mb2 deepspeed_zero3 $(model llama3-8b) --micro-batch-size 2
    mkdir -p "$store"
    part peer-deepspeed-nvme env CFLAGS=-I"$aio" LDFLAGS=-L"$aio" CPATH="$aio" LIBRARY_PATH="$aio:$stubs" \
        "$python" "$here/peers/deepspeed_zero3.py" $(model llama3-8b) --sequence-len "$length" --micro-batch-size 2 --nvme "$store" --warm-up 1 --steps 2
    rm -rf "$store"
}

# shellcheck disable=SC2046
part_long() {
    whole="--tier plan --micro-batch-size 1 --activation-policy recompute --steps 1 --warm-up 0"
    for compute in bf16 fp8; do
        # shellcheck disable=SC2086
        steps long-8b-$compute "$long" $(model llama3-8b) $whole --compute $compute
        # shellcheck disable=SC2086
        steps long-405b-$compute "$long" $(model llama3-405b 1) $whole --compute $compute
    done
}

part_table() { :; }

for wanted in "$@"; do
    case "$wanted" in
    tax | seventy | nf4 | giant | disk405 | links | users | peers | disk8 | deepspeed | long | table) ;;
    *) echo "offload.sh: no part $wanted" >&2; exit 2 ;;
    esac
done
echo "$drives" | tr , '\n' | xargs -d '\n' mkdir -p
for wanted in "$@"; do
    deadline=$(($(date +%s) + minutes * 60))
    "part_$wanted"
done
echo "$drives" | tr , '\n' | xargs -d '\n' rmdir 2>"$scratch/rmdir" || true
"$python" "$here/peers/offload_table.py" "$out" | tee "$out/table.md"
