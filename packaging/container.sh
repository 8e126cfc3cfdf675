#!/usr/bin/env bash
# The steps of packaging/Containerfile, each of which works without a container as well:
#
#   packaging/container.sh packages           what a build needs, through apt-get (as root)
#   packaging/container.sh build              the preset "package" in BUILD
#   packaging/container.sh install PREFIX     stripped, from BUILD into PREFIX
#   packaging/container.sh tarball DIR        from BUILD: DIR/ft-single-VERSION-linux-x86_64.tar.gz
#   packaging/container.sh runtime            what downloads need where ft-single runs, through apt-get (as root)
#   packaging/container.sh check PREFIX       the installed programs, configs, manual and completions do what they should
#
# BUILD: the build directory (default build/package), JOBS: compilers at once (default: one a CPU), COMMIT: what --version names
# (default: git's), CMAKE_ARGUMENTS: further -D... for `build`, STEPS: steps of the demo that `check` trains (default 3; 0 = all).
set -euo pipefail

say() { echo "container.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

source_directory() { cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd; }

commit() { [ -z "${COMMIT:-}" ] && git -C "$source" rev-parse --short=12 HEAD 2>/dev/null || echo "${COMMIT:-}"; }

step_packages() {
    cd "$source"
    . scripts/packages.sh
    packages_install yes
}

step_build() {
    # shellcheck disable=SC2086
    cmake -S "$source" --preset package -B "$build" -DFT_COMMIT="$(commit)" ${CMAKE_ARGUMENTS:-}
    cmake --build "$build" --target ft_product -- -j "${JOBS:-$(nproc)}"
}

step_install() {
    cmake --install "$build" --prefix "$1" --strip
}

step_tarball() {
    mkdir -p "$1"
    rm -rf "$build/tarball"  # an older version's would be copied as well
    cpack --config "$build/CPackConfig.cmake" -G TGZ -B "$build/tarball"
    cp "$build"/tarball/*.tar.gz "$1"
}

step_runtime() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends libcurl4 ca-certificates >/dev/null
    rm -rf /var/lib/apt/lists/*
}

# --- check -------------------------------------------------------------------------------------------------------------------

check_version() {
    "$ft" --version
    "$prefix/bin/ft-bench" --version >/dev/null
}

# No --model, no --data: the demo is found beside the program, wherever that was moved.
check_demo() {
    local steps=() work=$1
    [ "${STEPS:-3}" = 0 ] || steps=(--max-steps "${STEPS:-3}")
    (cd / && env -u FT_CONFIGS "$ft" train --nvme "$work/drive" --output "$work/run" "${steps[@]}")
    [ -s "$work/run/adapter/adapter_model.safetensors" ] || fail "the demo left no adapter"
}

check_manual() {
    local page
    for page in $("$ft" --help | awk '/^  [a-z]/ {print "man1/ft-single-" $1 ".1"}') man1/ft-single.1 man1/ft-bench.1 man5/ft-single-config.5; do
        [ -s "$prefix/share/man/$page" ] || fail "$prefix/share/man/$page: no such page"
    done
}

# A shell that is not installed is not asked.
check_completions() {
    local share=$prefix/share program
    for program in ft-single ft-bench; do
        bash -c 'source "$1" && complete -p "$2" >/dev/null' - "$share/bash-completion/completions/$program" $program || fail "bash: no completion of $program"
        ! command -v zsh >/dev/null || zsh -n "$share/zsh/site-functions/_$program" || fail "zsh: no completion of $program"
        ! command -v fish >/dev/null || fish -n "$share/fish/vendor_completions.d/$program.fish" || fail "fish: no completion of $program"
    done
}

step_check() {
    prefix=$(cd "$1" && pwd)
    ft=$prefix/bin/ft-single
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    check_version
    check_demo "$work"
    check_manual
    check_completions
    say "$prefix: complete"
}

source=$(source_directory)
build=${BUILD:-$source/build/package}
step=${1:-}
shift || true
case "$step" in
packages | build | runtime) [ $# = 0 ] || fail "$step takes no argument" ;;
install | tarball | check) [ $# = 1 ] || fail "$step: give one directory" ;;
-h | --help) sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
*) fail "no step '$step'; see --help" ;;
esac
"step_$step" "$@"
