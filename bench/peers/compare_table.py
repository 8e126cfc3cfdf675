"""What compare.sh left in a directory, as one table: our figures beside the best peer's and beside their limits."""
import json
import os
import sys


def rows_of(directory, name):
    """Results of ft-bench by their name; none where the part failed."""
    try:
        with open(os.path.join(directory, name + ".json")) as file:
            return {row["name"]: row for row in json.load(file)}
    except (OSError, ValueError):
        return {}


def lines_of(directory, name):
    """Results of a peer: one object a line, those that failed left out."""
    try:
        with open(os.path.join(directory, name + ".json")) as file:
            results = [json.loads(line) for line in file if line.startswith("{")]
    except (OSError, ValueError):
        return []
    return [result for result in results if "error" not in result]


def cell(value):
    return "" if value is None else f"{value:.4g}"


def ratio(value, other):
    return "" if not value or not other else f"{value / other:.3f}"


def print_row(what, unit, ours, peer_name, peer, limit):
    print(f"| {what} | {cell(ours)} {unit} | {peer_name} | {cell(peer)} | {ratio(ours, peer)} | {cell(limit)} | {ratio(ours, limit)} |")


def describe(case):
    words = ["Liger" if case["liger"] else "no Liger", f"{case['adapters']} adapters", f"{case['attention']} SDPA", f"micro-batch {case['micro_batch_size']}"]
    return case["peer"] + ": " + ", ".join(words + (["checkpointing"] if case["checkpointing"] else []))


def best_step(directory, compute):
    """Our fastest step of a mode and its micro-batch size."""
    prefix = f"step-{compute}-mb"
    names = [name[: -len(".json")] for name in os.listdir(directory) if name.startswith(prefix) and name.endswith(".json")]
    steps = [(rows_of(directory, name), name[len(prefix):]) for name in names]
    steps = [(rows, size) for rows, size in steps if "LoRA step" in rows]
    return max(steps, key=lambda step: step[0]["LoRA step"]["value"], default=({}, ""))


def print_steps(directory):
    peers = sorted(lines_of(directory, "peer-lora"), key=lambda case: -case["tokens_per_s"])
    best = peers[0] if peers else None
    for compute in ("bf16", "fp8"):
        rows, size = best_step(directory, compute)
        step, memory = rows.get("LoRA step", {}), rows.get("device memory", {})
        print_row(f"LoRA step, compute {compute}, micro-batch {size}", "tokens/s", step.get("value"), describe(best) if best else "",
                  best and best["tokens_per_s"], step.get("bound"))
        if memory or best:
            print_row(f"device memory, compute {compute}", "GB", memory.get("value"), "the same peer (allocated)" if best else "",
                      best and best["peak_gb"], memory.get("bound"))


def print_streamed(directory):
    ours, peers = rows_of(directory, "step-from-host").get("LoRA step"), lines_of(directory, "peer-streamed")
    resident = rows_of(directory, "step-from-hbm").get("LoRA step")
    if ours or peers:
        print_row("LoRA step, every layer from host memory", "tokens/s", ours and ours["value"], peers[0]["peer"] if peers else "",
                  peers[0]["tokens_per_s"] if peers else None, ours and ours["bound"])
    if ours and resident:
        print_row("the same", "tokens/s", ours["value"], "ours, every layer on the GPU", resident["value"], None)


def print_attention(directory, packed):
    ours = rows_of(directory, "attention" + packed)
    peers = lines_of(directory, "peer-attention" + packed)
    for direction in ("forward", "backward"):
        mine = [row for name, row in ours.items() if name.startswith(direction)]
        for row in mine:
            others = [(peer[direction + "_tflops"], peer["peer"] + (" deterministic" if peer["deterministic"] else "")) for peer in peers]
            rate, name = max(others, default=(None, ""))
            print_row("attention " + ("packed, " if packed else "") + row["name"], row["unit"], row["value"], name, rate, None)


def print_ops(directory):
    for name, row in rows_of(directory, "ops").items():
        if row["bound"]:
            print_row(name, "GB/s", row["value"], "", None, row["bound"])


def main():
    directory = sys.argv[1]
    print("| what | ours | peer | peer's value | ratio | limit | ratio |\n|---|---|---|---|---|---|---|")
    print_steps(directory)
    print_streamed(directory)
    for packed in ("", "-packed"):
        print_attention(directory, packed)
    print_ops(directory)


if __name__ == "__main__":
    main()
