#!/usr/bin/env bash
# An installed prefix holds what it should and nothing else, and works from where it is moved to.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$*" >&2; exit 1; }

BUILD=$1 packaging/container.sh install "$work/first" >/dev/null
mkdir "$work/other place"
mv "$work/first" "$work/other place/prefix"
prefix="$work/other place/prefix"

allowed='bin/ft-(single|bench)|lib[^/]*/(.*/)?ft-single/lib[a-z]+\.so\.[0-9]+'
allowed+='|share/ft-single/(plot-loss|configs/.+)|share/doc/ft-single/((LICENSE|(README|BENCHMARKS|CONTRIBUTING)\.md)|docs/[A-Za-z0-9-]+\.(md|svg|png))'
allowed+='|share/man/man(1/ft-(bench|single(-[a-z-]+)?)\.1|5/ft-single-config\.5)'
allowed+='|share/bash-completion/completions/ft-(single|bench)|share/zsh/site-functions/_ft-(single|bench)|share/fish/vendor_completions\.d/ft-(single|bench)\.fish'
others=$(cd "$prefix" && find . ! -type d -printf '%P\n' | grep -Evx "$allowed" || true)
[ -z "$others" ] || fail "installed too: $others"

STEPS=2 packaging/container.sh check "$prefix" 2>"$work/log" || fail "$(cat "$work/log")"
grep -qF "taking the bundled demo ($prefix/share/ft-single/configs/demo/demo.yaml)" "$work/log" || fail "another demo than the installed one was run: $(cat "$work/log")"

# Recipes and machines are found by the names that the manual uses, wherever one is.
(cd "$work" && HF_HUB_OFFLINE=1 "$prefix/bin/ft-single" plan configs/llama3.1-8b-lora.yaml --machine configs/machines/8xh100.yaml) >/dev/null 2>"$work/log" || fail "$(cat "$work/log")"

# Without its configs the program says where they should be.
rm -r "$prefix/share/ft-single"
if "$prefix/bin/ft-single" train --nvme "$work" 2>"$work/log"; then fail "trained a demo that is not there"; fi
grep -q 'share/ft-single/configs: no such directory.*FT_CONFIGS' "$work/log" || fail "$(cat "$work/log")"
