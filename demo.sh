#!/usr/bin/env bash
# The demo: installs what is missing (asks first; -y or CI=true does not), builds, fine-tunes the bundled model with weights
# streaming from ./scratch, shows the loss, merges, and lets the model speak before and after.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/packages.sh

yes=no
for argument in "$@"; do
    case "$argument" in
    -y) yes=yes ;;
    -h | --help) sed -n '2,3s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown argument $argument; see --help" >&2; exit 2 ;;
    esac
done
packages_install "$yes"

cmake --preset release >/dev/null
cmake --build --preset release -- -j "$(nproc)" ft-single
ft=build/release/bin/ft-single
model=configs/demo
output=ft-out/demo
mkdir -p scratch

echo
echo "== Fine-tuning the bundled model; its layers stay on the drive and stream from ./scratch"
$ft train --nvme ./scratch --output "$output" --overwrite
echo
echo "== Loss"
scripts/plot-loss "$output/metrics.jsonl"
echo
echo "== Merging the adapter into the model"
$ft merge --model "$model" --adapter "$output/adapter" --output "$output/merged" --overwrite --data "$model/eval.json" --sequence-len 256 --nvme ./scratch
echo
echo "== The same questions, before and after (greedy)"
while IFS= read -r question; do
    [ -n "$question" ] || continue
    echo
    echo "  Q:      $question"
    echo "  before: $($ft generate --model "$model" --nvme ./scratch --instruction "$question" --max-tokens 32 2>/dev/null | head -c 160 | tr '\n' ' ')"
    echo "  after:  $($ft generate --model "$model" --nvme ./scratch --adapter "$output/adapter" --instruction "$question" --max-tokens 32 2>/dev/null | head -c 160 | tr '\n' ' ')"
done <configs/demo/questions.txt
echo
echo "Adapter: $output/adapter (PEFT format)   merged model: $output/merged   metrics: $output/metrics.jsonl"
