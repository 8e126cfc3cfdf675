#!/usr/bin/env bash
# The tarball is one directory of the version's name and runs from where it is unpacked.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$*" >&2; exit 1; }

BUILD=$1 packaging/container.sh tarball "$work" >/dev/null
archive=$(echo "$work"/ft-single-*.tar.gz)
name=$(basename "$archive" .tar.gz)
[[ $name =~ ^ft-single-[0-9.]+-linux-[a-z0-9_]+$ ]] || fail "$name: not a name of a tarball"
[ "$(tar -tzf "$archive" | cut -d / -f 1 | sort -u)" = "$name" ] || fail "$archive holds more than one directory"
tar -xzf "$archive" -C "$work"
version=$("$work/$name/bin/ft-single" --version | head -1)
number=${name#ft-single-}
[[ $version == "ft-single ${number%%-*} "* ]] || fail "$name says it is $version"
[ -s "$work/$name/share/ft-single/configs/demo/model.safetensors" ] || fail "the demo's model is not in $archive"
