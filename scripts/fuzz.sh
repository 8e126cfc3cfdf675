#!/usr/bin/env bash
# Fuzzes every target of tests/fuzz (or those named) under the address and undefined-behaviour sanitizers.
#
#   scripts/fuzz.sh [--seconds N] [--jobs N] [--build DIR] [TARGET ...]
#
# Starts from tests/fuzz/corpus, works on a copy under DIR/corpus, leaves findings in DIR/findings and a log per target in
# DIR/logs. Needs clang. A finding is kept by copying it into tests/fuzz/corpus/TARGET, which every test run replays.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=600 jobs=1 build=build/fuzz targets=()
while [ $# -gt 0 ]; do
    case "$1" in
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift ;;
    --build) build=${2:?--build needs a directory}; shift ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "fuzz.sh: unknown argument $1; see --help" >&2; exit 2 ;;
    *) targets+=("$1") ;;
    esac
    shift
done
[ ${#targets[@]} -gt 0 ] || for file in tests/fuzz/fuzz_*.c; do name=${file##*/fuzz_}; targets+=("${name%.c}"); done

command -v clang >/dev/null || { echo "fuzz.sh: clang not found: install clang" >&2; exit 2; }
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang -DFT_FUZZ=ON -DFT_CUDA=OFF -DFT_MPI=OFF \
    -DFT_SANITIZE=address,undefined >/dev/null
cmake --build "$build" -- "${targets[@]/#/fuzz_}"
mkdir -p "$build/findings" "$build/logs"

fuzz_one() {  # fuzz_one TARGET
    local corpus=$build/corpus/$1 log=$build/logs/$1.log options=() extra
    mkdir -p "$corpus"
    for extra in $(sed -n "s/^ft_fuzz($1 .*CORPORA \(.*\))/\1/p" tests/fuzz/CMakeLists.txt); do options+=("$extra"); done
    "$build/tests/fuzz/fuzz_$1" "$corpus" "tests/fuzz/corpus/$1" "${options[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -max_len=262144 -artifact_prefix="$build/findings/$1-" -print_final_stats=1 >"$log" 2>&1 && local result=clean || local result=FINDING
    printf '%-12s %-8s %s executions, %s covered edges and features, log %s\n' "$1" "$result" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -1)" "$log"
    [ "$result" = clean ]
}
export -f fuzz_one
export build seconds
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I{} bash -c 'fuzz_one {}'
