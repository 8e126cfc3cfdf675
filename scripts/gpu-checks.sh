#!/usr/bin/env bash
# Checks whole runs on a GPU: that they agree with the CPU, repeat to the same bits, keep their quality in FP8 and their speed.
# A line of PASS or FAIL with numbers for each check; the exit code is 1 if one failed.
#
#   scripts/gpu-checks.sh OUT [SECTION...]
#
#   demo       train, eval and generate on the bundled model, cuda against cpu
#   smollm2    20 steps of training and eval on SmolLM2-135M, cuda against cpu; its layers stream from the drive
#   repeat     deterministic: true: twice the same bits, and once more over a SIGTERM and a resume
#   fp8        compute: fp8 against bf16 on SmolLM2 with sizes padded to 128 (tests/gpu/test_fp8_real.c)
#   speed      a random Llama-3-8B store: `train` beside `ft-bench step`, in BASE (default "fp8 bf16"); 16 GB and the store on the drive
#
# Without sections: all but speed. OUT gets logs and metrics. Environment:
#   FT      ft-multi (default build/cuda/portable/ft-multi)
#   WORK    scratch directory, kept between calls (default /tmp/ft-gpu-checks)
#   GGUF    SmolLM2-135M-Instruct.Q4_1.gguf, or its pieces in order; needed by smollm2 and fp8 until WORK has the model
#   DEVICE  what is checked (default cuda); cpu checks the script
#   COMPUTE bf16 or fp8, of speed (default bf16)
#   STEPS, SPEED_GEOMETRY, SPEED_SEQUENCE: smaller runs for that
set -uo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] && [ "${1#-}" = "$1" ] || { sed -n '2,22s/^# \{0,1\}//p' "$0"; exit 2; }

out=$1; shift
[ $# -gt 0 ] || set -- demo smollm2 repeat fp8
FT=${FT:-build/cuda/portable/ft-multi} WORK=${WORK:-/tmp/ft-gpu-checks} DEVICE=${DEVICE:-cuda}
nvme=$WORK/nvme
failed=0
export FT_CONFIGS=${FT_CONFIGS:-$PWD/configs}
mkdir -p "$out" "$nvme"
check() { python3 scripts/gpu_checks.py "$@" || failed=1; }
single() { FT_LOG=${FT_LOG:-info} "$FT" ft-single "$@"; }

# train NAME DEVICE ARGUMENT...: run WORK/NAME, its log and metrics in OUT; a failure is a FAIL of its own.
train() {
    local name=$1 device=$2
    shift 2
    if timeout 200 "$FT" ft-single train "$@" --device "$device" --nvme "$nvme" --output "$WORK/$name" --overwrite >"$out/$name.log" 2>&1; then
        cp "$WORK/$name/metrics.jsonl" "$out/$name.metrics.jsonl"
    else
        echo "FAIL train $name: exit $?: $(grep -v '^ *$' "$out/$name.log" | tail -1 | cut -c 1-300)"
        failed=1
        return 1
    fi
}

# Trains the same on both devices, side by side on one store.
both() {  # both NAME MODEL ARGUMENT...
    local name=$1
    single prepare "$2" --nvme "$nvme" >"$out/prepare.log" 2>&1 || { echo "FAIL prepare $2: $(tail -1 "$out/prepare.log")"; failed=1; return 1; }
    shift 2
    train "$name-cpu" cpu "$@" & local cpu=$!
    train "$name" "$DEVICE" "$@"; local status=$?
    wait $cpu && [ $status = 0 ] || { failed=1; return 1; }
}

# 20 steps with every token trained, as those of the yardstick (tests/golden/make_run_errors.py).
agree() {  # agree NAME MODEL ARGUMENT...
    local name=$1
    both "$@" --max-steps "${STEPS:-20}" --lr-scheduler constant --warmup-steps 0 --train-on-inputs true &&
        check agree "$name" "$WORK/$name" "$WORK/$name-cpu" "$name"
}

evaluate() {  # evaluate NAME RUN ARGUMENT...: with the adapter of the CPU's run on both
    local name=$1 run=$2
    shift 2
    single eval "$@" --adapter "$WORK/$run-cpu/adapter" --nvme "$nvme" --device cpu >"$out/$name-cpu.log" 2>&1
    single eval "$@" --adapter "$WORK/$run-cpu/adapter" --nvme "$nvme" --device "$DEVICE" >"$out/$name.log" 2>&1 || tail -1 "$out/$name.log"
    check eval "$name" "$out/$name.log" "$out/$name-cpu.log"
}

generate() {  # generate DEVICE FILE
    local question
    while IFS= read -r question; do
        [ -n "$question" ] || continue
        FT_LOG=error single generate --model configs/demo --nvme "$nvme" --adapter "$WORK/demo-long-cpu/adapter" --device "$1" \
            --instruction "$question" --max-tokens 32 2>>"$out/generate.log"
        printf '\n===\n'
    done <configs/demo/questions.txt >"$2"
}

section_demo() {
    # The demo's own budget is a CPU's.
    agree demo configs/demo configs/demo/demo.yaml --hbm-budget 2G
    both demo-long configs/demo configs/demo/demo.yaml ${STEPS:+--max-steps "$STEPS"} --hbm-budget 2G &&
        check course demo-long "$WORK/demo-long" "$WORK/demo-long-cpu"
    train demo-own-budget "$DEVICE" configs/demo/demo.yaml --max-steps 2 && echo "PASS demo-own-budget: trains as configured"
    evaluate demo-eval demo-long configs/demo/demo.yaml --hbm-budget 2G
    generate cpu "$out/answers-cpu.txt"
    generate "$DEVICE" "$out/answers.txt"
    check answers demo-generate "$out/answers.txt" "$out/answers-cpu.txt"
}

have_smollm2() {
    [ -f "$WORK/smollm2/config.json" ] && return 0
    [ -n "${GGUF:-}" ] || { echo "FAIL smollm2: no model in $WORK/smollm2 and no GGUF"; failed=1; return 1; }
    cat $GGUF >"$WORK/smollm2.gguf"
    single import "$WORK/smollm2.gguf" --output "$WORK/smollm2" || { echo "FAIL import"; failed=1; return 1; }
    rm -f "$WORK/smollm2.gguf"
}

section_smollm2() {
    have_smollm2 || return
    agree smollm2 "$WORK/smollm2" configs/smollm2-135m.yaml --base-model "$WORK/smollm2" --hbm-budget 1G || return
    evaluate smollm2-eval smollm2 configs/smollm2-135m.yaml --base-model "$WORK/smollm2" --hbm-budget 1G
}

section_repeat() {
    local model=configs/demo steps=${STEPS:-60} arguments
    [ ! -f "$WORK/smollm2/config.json" ] || model=$WORK/smollm2
    arguments=(--model "$model" --data configs/demo/instructions.json --sequence-len 256 --micro-batch-size 4 --max-steps "$steps" --deterministic
        --lora-dropout 0.05 --save-steps 0 --save-minutes 0)
    train repeat-1 "$DEVICE" "${arguments[@]}" && train repeat-2 "$DEVICE" "${arguments[@]}" || return
    check same repeat-twice "$WORK"/repeat-[12]/adapter/adapter_model.safetensors
    rm -rf "$WORK/repeat-3"
    "$FT" ft-single train "${arguments[@]}" --device "$DEVICE" --nvme "$nvme" --output "$WORK/repeat-3" >"$out/repeat-3.log" 2>&1 & local run=$!
    python3 scripts/gpu_checks.py wait "$WORK/repeat-3/metrics.jsonl" $((steps / 3))
    kill -TERM $run
    wait $run
    echo "stopped: $(tail -1 "$out/repeat-3.log" | cut -c 1-200)"
    "$FT" ft-single train --output "$WORK/repeat-3" --resume >"$out/repeat-3b.log" 2>&1 || tail -1 "$out/repeat-3b.log"
    check same repeat-resumed "$WORK"/repeat-[13]/adapter/adapter_model.safetensors
    check same repeat-moments "$WORK"/repeat-[13]/checkpoint-"$steps"/optimizer.safetensors
}

section_fp8() {
    have_smollm2 || return
    [ -f "$WORK/padded/config.json" ] || python3 tests/golden/pad_model.py "$WORK/smollm2" "$WORK/padded" || { failed=1; return; }
    python3 scripts/gpu_checks.py text "$WORK/text.jsonl"
    FT_REAL_MODEL=$WORK/padded FT_REAL_DATA=$WORK/text.jsonl FT_REAL_STEPS=${STEPS:-200} FT_REAL_DEVICE=$DEVICE FT_LOG=warning \
        timeout 200 "$FT" gpu-test fp8_real >"$out/fp8.log" 2>&1
    local status=$?
    grep -E 'compared|fall of|losses|same adapter|skipped' "$out/fp8.log"
    [ $status = 0 ] && echo "PASS fp8" || { echo "FAIL fp8: exit $status"; tail -5 "$out/fp8.log"; failed=1; }
}

section_speed() {
    local geometry=${SPEED_GEOMETRY:---geometry llama3-8b} length=${SPEED_SEQUENCE:-4096} steps=12 format base
    [ -f "$WORK/8b/config.json" ] || (time "$FT" ft-bench model $geometry --output "$WORK/8b") 2>&1 | tail -4 ||
        { echo "FAIL ft-bench model"; failed=1; return; }
    python3 scripts/gpu_checks.py ids "$WORK/ids.jsonl" 2000 "$length" $((2 * steps))
    printf 'adapter: lora\nbase_model: 8b\ndatasets:\n  - path: ids.jsonl\n    type: tokens\nsample_packing: false\nmicro_batch_size: 2\nsave_minutes: 0\n' \
        >"$WORK/speed.yaml"
    for base in ${BASE:-fp8 bf16}; do
        timeout 150 "$FT" ft-bench step --json $geometry --device "$DEVICE" --sequence-len "$length" --micro-batch-size 2 --base-format "$base" \
            ${COMPUTE:+--compute "$COMPUTE"} >"$out/step-$base.json" 2>"$out/step-$base.log" || { echo "FAIL ft-bench step: $(tail -1 "$out/step-$base.log")"; failed=1; continue; }
        train "speed-$base" "$DEVICE" "$WORK/speed.yaml" --base-format "$base" --sequence-len "$length" --max-steps $steps \
            ${COMPUTE:+--compute "$COMPUTE"} || continue
        check rate "speed-$base" "$WORK/speed-$base" 4 $steps "$out/step-$base.json"
        rm -rf "$nvme/ft-store"  # the next one needs the room
    done
}

for section in "$@"; do
    declare -F "section_$section" >/dev/null || { echo "gpu-checks.sh: no section $section" >&2; exit 2; }
done
for section in "$@"; do
    begin=$SECONDS
    "section_$section"
    echo "-- $section: $((SECONDS - begin)) s"
done
exit $failed
