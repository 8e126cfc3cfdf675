#!/usr/bin/env bash
# Trains the same with bytes in different places and compares the adapters: placement must not change a bit of them.
# A line of PASS or FAIL for each placement, with where its layers were; the exit code is 1 if one differs.
#
#   scripts/gpu-placement.sh OUT [MODEL...]
#
#   demo       the bundled model and its data
#   1b         random weights of Llama 3.2 1B's layers (2048, 8192, 16 layers, 32/8 heads) with the demo's vocabulary, on the text
#              of this repository; the checkpoint and its store take 3 GB of WORK
#
# Every run is STEPS steps of two micro-batches under deterministic: true, with dropout. OUT gets logs. Environment:
#   FT        ft-multi (default build/cuda/portable/ft-multi)
#   WORK      scratch directory on the drive that is streamed from, kept between calls (default /tmp/ft-gpu-placement)
#   DEVICE    default cuda; cpu checks the script
#   STEPS     default 20
#   FLAGS     more flags of every run, for instance "--compute fp8"
#   SHAPE     of the 1b model as flags of `ft-bench model`, for a smaller one
#   SEQUENCE  tokens of its micro-batches (default 1024)
set -uo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] && [ "${1#-}" = "$1" ] || { sed -n '2,20s/^# \{0,1\}//p' "$0"; exit 2; }

out=$1; shift
[ $# -gt 0 ] || set -- demo 1b
FT=${FT:-build/cuda/portable/ft-multi} WORK=${WORK:-/tmp/ft-gpu-placement} DEVICE=${DEVICE:-cuda} STEPS=${STEPS:-20}
SHAPE=${SHAPE:---hidden 2048 --ffn 8192 --heads 32 --kv-heads 8 --layers 16}
failed=0
export FT_CONFIGS=${FT_CONFIGS:-$PWD/configs} FT_LOG=${FT_LOG:-info}
mkdir -p "$out" "$WORK/nvme"

# A name and flags a line; the first is what the others are compared with. L, M and S are a third, two thirds and a sixth of the layers.
placements() {
    local layers=$1
    sed "s/ L\b/ $((layers / 3))/g; s/ M\b/ $((layers * 2 / 3))/g; s/ S\b/ $(((layers + 5) / 6))/g" <<'END'
resident               --base-placement hbm --boundary-placement hbm
resident-recompute     --base-placement hbm --boundary-placement hbm --activation-policy recompute --sweep-micro-batches 1
resident-spill         --base-placement hbm --boundary-placement host --activation-policy recompute
host                   --base-placement host --boundary-placement hbm
host-depth-3-sweep-1   --base-placement host --prefetch-depth 3 --sweep-micro-batches 1
host-spill             --base-placement host --boundary-placement host --activation-policy recompute --sweep-micro-batches 2
nvme                   --base-placement nvme --boundary-placement hbm
nvme-depth-4-recompute --base-placement nvme --prefetch-depth 4 --activation-policy recompute --sweep-micro-batches 2
nvme-spill             --base-placement nvme --boundary-placement nvme --activation-policy recompute --sweep-micro-batches 2
mixed                  --base-placement nvme --pinned-layers-hbm L --pinned-layers-host L
mixed-sweep-1-depth-2  --base-placement nvme --pinned-layers-hbm S --pinned-layers-host M --prefetch-depth 2 --sweep-micro-batches 1
mixed-spill            --base-placement nvme --pinned-layers-hbm M --pinned-layers-host S --boundary-placement host --sweep-micro-batches 2
END
}

# run MODEL PLACEMENT FLAG...: the adapter is WORK/MODEL-PLACEMENT/adapter.
run() {
    local name=$1-$2
    shift 2
    # shellcheck disable=SC2086  # flags are words
    timeout 120 "$FT" ft-single train "$@" --device "$DEVICE" --nvme "$WORK/nvme" --output "$WORK/$name" --overwrite --max-steps "$STEPS" \
        --gradient-accumulation-steps 2 --deterministic --lora-dropout 0.05 --save-steps 0 --save-minutes 0 ${FLAGS:-} >"$out/$name.log" 2>&1 ||
        { echo "FAIL $name: exit $?: $(grep -v '^ *$' "$out/$name.log" | tail -1 | cut -c 1-300)"; failed=1; return 1; }
}

compare() {  # compare MODEL LAYERS FLAG...
    local model=$1 layers=$2 reference='' name flags
    shift 2
    while read -r name flags; do
        # shellcheck disable=SC2086
        run "$model" "$name" "$@" $flags || continue
        reference=${reference:-$WORK/$model-$name}
        python3 scripts/gpu_checks.py placement "$model-$name" "$WORK/$model-$name" "$reference" "$STEPS" || failed=1
    done < <(placements "$layers")
}

layers_of() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["num_hidden_layers"])' "$1/config.json"
}

model_demo() {
    compare demo "$(layers_of configs/demo)" --model configs/demo --data configs/demo/instructions.json --sequence-len 256 --micro-batch-size 4
}

model_1b() {
    local model=$WORK/1b
    # shellcheck disable=SC2086
    [ -f "$model/config.json" ] || "$FT" ft-bench model $SHAPE --vocab 2048 --output "$model" >"$out/model.log" 2>&1 ||
        { echo "FAIL ft-bench model: $(tail -1 "$out/model.log")"; failed=1; return; }
    python3 scripts/gpu_checks.py text "$WORK/text.jsonl"
    compare 1b "$(layers_of "$model")" --model "$model" --tokenizer configs/demo --data "$WORK/text.jsonl" --excess-length-strategy split \
        --sequence-len "${SEQUENCE:-1024}" --micro-batch-size 1
}

for model in "$@"; do
    declare -F "model_$model" >/dev/null || { echo "gpu-placement.sh: no model $model" >&2; exit 2; }
done
for model in "$@"; do
    begin=$SECONDS
    "model_$model"
    echo "-- $model: $((SECONDS - begin)) s"
done
exit $failed
