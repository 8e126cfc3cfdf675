# What compare.sh and offload.sh share; sourced. Both set `out`, a directory, and `deadline`, in seconds of `date +%s`.

# whole_minutes VALUE: ends the script unless it is a whole number above 0.
whole_minutes() {
    case "$1" in
    *[!0-9]* | 0*) echo "${0##*/}: MINUTES $1: not a whole number above 0" >&2; exit 2 ;;
    esac
}

# part NAME COMMAND...: its output is OUTPUT/NAME.json, within the time left.
part() {
    name=$1
    shift
    left=$((deadline - $(date +%s)))
    if [ $left -le 5 ]; then
        echo "$name: no time left" | tee "$out/$name.log"
        return
    fi
    begin=$(date +%s)
    status=0
    timeout -k 5 $left "$@" >"$out/$name.json" 2>"$out/$name.log" || status=$?
    case $status in
    0) echo "$name: $(($(date +%s) - begin)) s" ;;
    124 | 137) echo "$name: ended after $left s" | tee -a "$out/$name.log" ;;
    *) echo "$name: failed: $(tail -n 1 "$out/$name.log")" ;;
    esac
}

# ours NAME VERB FLAG...: ft-bench, as FT or FT_BENCH say.
ours() {
    name=$1
    shift
    if [ -n "${FT:-}" ]; then part "$name" "$FT" ft-bench "$@" --json; else part "$name" "${FT_BENCH:-ft-bench}" "$@" --json; fi
}
