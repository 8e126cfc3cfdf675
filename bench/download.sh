#!/bin/sh
# Downloads from a hub on the loopback: by one and by several connections, beside huggingface_hub, each into an empty cache.
#
#   download.sh OUTPUT     OUTPUT/download.json: an object for each figure, as in bench/results
#
# In the environment:
#   FT_SINGLE   default ft-single
#   HUB_SERVER  default hub_server (tests/support/hub_server.c; a build has it in tests/support)
#   PYTHON      has huggingface_hub; unset: no peer
#   FILES, MIB  of the repository, default 4 files of 64 MiB
#   SLOW        bytes/s of a connection where connections are limited, default 16777216
#   CACHE       where caches are made and removed, default OUTPUT
# With connections limited as far hosts limit them, the number of connections decides; without a limit, this machine does.
set -eu
[ $# -eq 1 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cache=$(mktemp -d "${CACHE:-$out}/download.XXXXXX")
ft=${FT_SINGLE:-ft-single} server=${HUB_SERVER:-hub_server} files=${FILES:-4} mib=${MIB:-64} slow=${SLOW:-16777216}
total=$((files * mib * 1048576)) pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$cache"' EXIT
unset HF_TOKEN HF_HUB_OFFLINE HF_HUB_CACHE
export HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_PROGRESS_BARS=1

repository=$cache/hub/models/bench/shards
mkdir -p "$repository"
echo '{}' >"$repository/config.json"
i=1
while [ $i -le "$files" ]; do
    head -c "$((mib * 1048576))" /dev/urandom >"$repository/model-$i.safetensors"
    i=$((i + 1))
done

start() {  # start [SERVER FLAG...]
    [ -z "$pid" ] || { kill "$pid"; wait "$pid" 2>/dev/null || true; }
    rm -f "$cache/endpoint"
    "$server" "$cache/hub" "$@" >"$cache/endpoint" &
    pid=$!
    while ! grep -qs http:// "$cache/endpoint"; do sleep 0.05; done
    HF_ENDPOINT=$(grep -o 'http://[^ ]*' "$cache/endpoint" | head -n 1)
    export HF_ENDPOINT
}

timed() {  # timed COMMAND...: its GB/s in `rate`
    rm -rf "${cache:?}/home"
    begin=$(date +%s.%N)
    HF_HOME=$cache/home "$@" >/dev/null 2>"$cache/log" || { tail -n 1 "$cache/log" >&2; exit 1; }
    rate=$(echo "$total $begin $(date +%s.%N)" | awk '{printf "%.4f", $1 / ($3 - $2) / 1e9}')
}

machine="$(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo), $(nproc) threads" separator='['
result() {  # result NAME VALUE PEER_VALUE
    [ -n "$3" ] && peer='"huggingface_hub"' ratio=$(echo "$2 $3" | awk '{printf "%.3f", $1 / $2}') || peer=null ratio=null
    printf '%s\n {"name": "%s", "date": "%s", "machine": "%s", "command": "bench/download.sh", "value": %s, "unit": "GB/s", "peer_name": %s, "peer_value": %s, "bound_name": null, "bound": null, "ratio_peer": %s, "ratio_bound": null}' \
        "$separator" "$1" "$(date +%F)" "$machine" "$2" "$peer" "${3:-null}" "$ratio" >>"$out/download.json"
    separator=,
    echo "$1: $2 GB/s${3:+, huggingface_hub $3, ratio $ratio}"
}

peer() {
    theirs=
    [ -n "${PYTHON:-}" ] || return 0
    timed "$PYTHON" -c 'import huggingface_hub; huggingface_hub.snapshot_download("bench/shards")'
    theirs=$rate
}

: >"$out/download.json"
start --slow "$slow"
peer
for connections in 1 2 4 8 16; do
    timed "$ft" download bench/shards --connections $connections
    result "$files files of $mib MiB, $((slow / 1048576)) MiB/s a connection, $connections connections" "$rate" "$theirs"
done
start
peer
timed "$ft" download bench/shards
result "$files files of $mib MiB, connections not limited" "$rate" "$theirs"
printf '\n]\n' >>"$out/download.json"
