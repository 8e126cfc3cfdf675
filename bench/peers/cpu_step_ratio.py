"""The runs of cpu_step.sh as one result file: every figure the median over the runs, PyTorch's the better of its two micro-batches, each figure."""
import json
import os
import statistics
import sys


def load(directory, side, runs):
    return [json.load(open(os.path.join(directory, f"{side}-{run}.json"))) for run in range(runs)]


def ours(directory, runs):
    """The rows of ft-bench, each value the median over the runs."""
    all_runs = load(directory, "ours", runs)
    rows = all_runs[0]
    for i, row in enumerate(rows):
        row["command"] = f"bench/peers/cpu_step.sh FT_BENCH PYTHON {runs}"
        row["value"] = statistics.median(result[i]["value"] for result in all_runs)
        if row["bound"]:
            row["bound"] = statistics.median(result[i]["bound"] for result in all_runs)
            row["ratio_bound"] = row["value"] / row["bound"]
    return rows


def main():
    directory, runs = sys.argv[1], int(sys.argv[2])
    rows = ours(directory, runs)
    peers = [load(directory, side, runs) for side in ("whole", "split")]
    for result in sum(peers, []):
        assert rows[0]["machine"].endswith(f", {result['threads']} threads"), "the two sides used other numbers of threads"
    for row, key, best in (("LoRA step", "tokens_per_s", max), ("LoRA step, CPU time", "cpu_s_per_step", min)):
        value = best(statistics.median(result[key] for result in peer) for peer in peers)
        for candidate in rows:
            if candidate["name"] == row:
                candidate.update(peer_name=peers[0][0]["peer"] + ", float32", peer_value=value, ratio_peer=candidate["value"] / value)
    json.dump(rows, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
