#!/usr/bin/env bash
# The pages that are installed please those who judge manuals: mandoc's lint and man's own warnings.
set -euo pipefail
pages=$1/manual
[ -d "$pages" ] || { echo "skipped: the target ft_product was not built"; exit 77; }
command -v mandoc >/dev/null || command -v man >/dev/null || { echo "skipped: neither mandoc nor man is installed"; exit 77; }
status=0
for page in "$pages"/man*/*; do
    said=$(! command -v mandoc >/dev/null || mandoc -T lint -W warning "$page" 2>&1 || true)
    said+=$(! command -v man >/dev/null || MANWIDTH=80 man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null || true)
    [ -z "$said" ] || { echo "$page: $said"; status=1; }
done
exit $status
