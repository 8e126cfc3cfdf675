#!/usr/bin/env bash
# Builds the GPU tests and, where a GPU is, runs them.
#
#   scripts/gpu-tests.sh                      build; run all if this machine has a GPU
#   scripts/gpu-tests.sh rope,swiglu device   only these
#   scripts/gpu-tests.sh --sanitize [NAME...] under compute-sanitizer: memcheck, racecheck, initcheck, synccheck (slow)
#
# The build machine needs the CUDA toolkit and no GPU. What is built, build/cuda/portable, is one program and the few libraries
# of which there are no archives; everything else it needs is a GPU's driver, glibc no older than the build machine's, cuBLASLt 12.9
# and cuDNN 9.15.1 or newer. To test on another machine copy that folder and the repository's scripts/ there:
#
#   rsync -a build/cuda/portable scripts tests configs gpu-machine:ft/
#   ssh gpu-machine 'cd ft && FT_MULTI=portable/ft-multi scripts/gpu-tests.sh'
#
# FT_MULTI names a program that is built already. By hand:
#
#   portable/ft-multi gpu-test all            a line for each test and a count; exit code 0, 1, or 77 without a GPU
#   portable/ft-multi gpu-test rope           one, in this process, with its own output
#   compute-sanitizer --tool racecheck --error-exitcode 1 portable/ft-multi gpu-test rope
#   portable/ft-multi ft-bench ...   portable/ft-multi ft-single ...
#
# A test of several is ended after FT_TEST_SECONDS (default 120), so that a kernel that hangs costs no more.
# Libraries that are found nowhere are named with the folders searched; FT_CUDA_LIBRARY_PATH adds folders.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitize=no
names=()
for argument in "$@"; do
    case "$argument" in
    --sanitize) sanitize=yes ;;
    -h | --help) sed -n '2,26s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "gpu-tests.sh: unknown argument $argument; see --help" >&2; exit 2 ;;
    *) names+=("$argument") ;;
    esac
done
[ ${#names[@]} -gt 0 ] || names=(all)

multi=${FT_MULTI:-}
if [ -z "$multi" ]; then
    cmake --preset cuda >/dev/null
    cmake --build build/cuda --target ft_multi_stripped -- -j "$(nproc)"
    multi=build/cuda/portable/ft-multi
    ls -l "$multi"
fi

if [ "$sanitize" = no ]; then
    status=0
    "$multi" gpu-test "${names[@]}" || status=$?
    [ "$status" = 77 ] && echo "No GPU here: copy $(dirname "$multi") to a machine that has one (see --help)."
    exit "$status"
fi

# Refused calls are part of what is tested, so only what kernels do counts as an error. Rates under a sanitizer mean nothing.
export FT_TEST_SPEED=0
sanitizer=$(command -v compute-sanitizer || echo "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer")
failed=0
for tool in memcheck racecheck initcheck synccheck; do
    status=0
    echo "== $tool"
    options=(--tool "$tool" --error-exitcode 1 --target-processes all)
    [ "$tool" != memcheck ] || options+=(--report-api-errors no)
    "$sanitizer" "${options[@]}" "$multi" gpu-test "${names[@]}" || status=$?
    [ "$status" != 77 ] || { echo "No GPU here."; exit 77; }
    [ "$status" = 0 ] || failed=1
done
exit $failed
