#!/usr/bin/env bash
# Installs what is missing, builds everything, runs all tests.
#
#   ./test.sh            everything (about twenty minutes on two cores)
#   ./test.sh --quick    build and the fast tests (about two minutes)
#   ./test.sh --ci       as CI runs it: the demo too, the slow tests not under the sanitizer
#   -y                   install packages without asking
set -euo pipefail
cd "$(dirname "$0")"
. scripts/packages.sh

mode=full yes=no
for argument in "$@"; do
    case "$argument" in
    --quick) mode=quick ;;
    --ci) mode=ci yes=yes ;;
    -y) yes=yes ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test.sh: unknown argument $argument; see --help" >&2; exit 2 ;;
    esac
done
packages_install "$yes"

jobs=$(nproc)
build() { cmake --preset "$1" >/dev/null && cmake --build --preset "$1" -- -j "$jobs"; }
run_tests() {  # run_tests PRESET [ctest arguments]
    local preset=$1
    shift
    ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" "$@"
}

build default
if [ "$mode" = quick ]; then
    run_tests default -LE slow
    exit 0
fi
run_tests default
build asan
# Whole runs under the sanitizer take as long as everything else together: on a developer's machine, not in CI's minutes.
if [ "$mode" = ci ]; then run_tests asan -LE slow; else run_tests asan; fi
build tsan
run_tests tsan -L 'io|offload|comm'
if [ "$mode" = ci ]; then
    ./demo.sh -y
    ./demo.sh -y   # a second time on what the first left
fi
