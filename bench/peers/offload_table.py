"""What offload.sh left in a directory, as one table: our figures beside what was wanted, what users have, and what the plan said."""
import json
import os
import sys

from compare_table import cell, lines_of, ratio, rows_of


def value_of(rows, name, key="value"):
    row = rows.get(name)
    return row[key] if row else None


def best_of(directory, *names):
    """The fastest of several peers' results."""
    results = [result for name in names for result in lines_of(directory, name)]
    return max(results, key=lambda result: result["tokens_per_s"], default=None)


def errors_of(directory, name):
    """Why a peer gave no result, in a line."""
    try:
        with open(os.path.join(directory, name + ".json")) as file:
            errors = [json.loads(line)["error"] for line in file if line.startswith("{") and '"error"' in line]
    except (OSError, ValueError):
        return ""
    return errors[0] if errors else ""


def describe(result):
    memory = f", {result['peak_gb']:.1f} GB" if result["peak_gb"] else ""
    return f"{result['peer']}, micro-batch {result['micro_batch_size']}{memory}"


def print_row(what, unit, ours, wanted=None, peer_name="", peer=None, plan=None):
    print(f"| {what} | {cell(ours)} {unit} | {cell(wanted)} | {ratio(ours, wanted)} | {peer_name} | {cell(peer)} | {ratio(ours, peer)} | "
          f"{cell(plan)} | {ratio(ours, plan)} |")


def print_step(directory, what, name, wanted=None, peer=None):
    """A step's rate beside its plan's, and the device memory it took beside the plan's."""
    rows = rows_of(directory, name)
    ours = value_of(rows, "LoRA step")
    if ours is None and peer is None:
        return
    print_row(what, "tokens/s", ours, wanted, describe(peer) if peer else "", peer and peer["tokens_per_s"],
              value_of(rows, "throughput beside the plan's", "bound"))
    if "device memory" in rows:
        print_row(what + ", device memory", "GB", value_of(rows, "device memory"), plan=value_of(rows, "device memory", "bound"))


LINKS = ("over the step", "moved a step", "waited for data", "products ", "h2d copies", "copies both ways", "step: h2d", "step: both ways")


def print_links(directory, what, name):
    """What each link moved and how fast, of a step that a link decides; what it moves while it copies was wanted near the link's best."""
    for row, result in rows_of(directory, name).items():
        if row.startswith(LINKS):
            limit = result["bound"]
            wanted = limit and 0.95 * limit if row.startswith("step: ") else None
            print_row(f"{what}, {row}", result["unit"], result["value"], wanted, result["bound_name"] or "", limit)


def print_tax(directory):
    for compute, tokens in (("bf16", 12288), ("fp8", 20480)):
        rows = rows_of(directory, "tax-" + compute)
        for name, row in rows.items():
            what, _, at = name.rpartition(", ")
            where = f"70B, 40 layers, {compute}, {at} a sweep"
            if what == "streaming tax":
                wanted = 1 if at == f"{tokens} tokens" else None
                print_row(where + ": streaming costs", "%", row["value"], wanted, plan=value_of(rows, f"streaming tax of the plan, {at}"))
            elif what == "curve: host":
                print_row(where, "tokens/s", row["value"], peer_name="ours, layers on the device", peer=row["bound"])


def print_large(directory):
    nf4 = best_of(directory, "peer-nf4")
    for compute, seventy, giant in (("bf16", 1650, 295), ("fp8", 2200, 410)):
        print_step(directory, f"70B, {compute}", "seventy-" + compute, seventy, nf4)
        print_step(directory, f"405B, 8 real layers stand for those in host memory, {compute}", "giant-" + compute, giant)
    print_step(directory, "405B, 12 layers from the drive, fp8", "disk405")
    print_links(directory, "405B, 12 layers from the drive", "disk405")


def print_drives(directory):
    for name, row in rows_of(directory, "links-drives").items():
        peer = row["peer_value"] if row["peer_name"] else row["bound"]
        print_row(name, row["unit"], row["value"], peer and 0.95 * peer, row["peer_name"] or row["bound_name"] or "", peer)
    for boundary, words in (("hbm", "layer inputs on the device"), ("host", "layer inputs spilled")):
        print_step(directory, f"70B, 80 layers, 2,048 tokens, {words}", "links-" + boundary)
        print_links(directory, f"the same, {words}", "links-" + boundary)


def print_users(directory):
    """8B beside each peer; the hook's rate times what was wanted over it."""
    for size, times in ((1, 1.8), (2, 1.5)):
        hook = best_of(directory, f"peer-hook-mb{size}")
        wanted = hook and times * hook["tokens_per_s"]
        others = [best_of(directory, f"peer-{name}-mb{size}") for name in ("fsdp2", "deepspeed")]
        for compute in ("bf16", "fp8"):
            what = f"8B, every layer from host memory, {compute}, micro-batch {size}"
            print_step(directory, what, f"users-{compute}-mb{size}", wanted, hook)
            for peer in filter(None, others):
                print_step(directory, what, f"users-{compute}-mb{size}", None, peer)
    nvme = best_of(directory, "peer-deepspeed-nvme")
    for size in (1, 2):
        for compute in ("bf16", "fp8"):
            print_step(directory, f"8B, every layer from the drive, {compute}, micro-batch {size}", f"disk8-{compute}-mb{size}", None,
                       nvme if size == 2 else None)


def print_long(directory):
    for compute in ("bf16", "fp8"):
        print_step(directory, f"8B, one sequence of 131,072, {compute}", "long-8b-" + compute)
        print_step(directory, f"a layer of 405B, one sequence of 131,072, {compute}", "long-405b-" + compute)


def print_errors(directory):
    for name in sorted(os.listdir(directory)):
        stem, extension = os.path.splitext(name)
        error = errors_of(directory, stem) if extension == ".json" and stem.startswith("peer-") else ""
        if error:
            print(f"\n{stem}: {error}")


def main():
    directory = sys.argv[1]
    print("| what | ours | wanted | ratio | peer or limit | its value | ratio | plan | ratio |\n|---|---|---|---|---|---|---|---|---|")
    for part in (print_tax, print_large, print_drives, print_users, print_long, print_errors):
        part(directory)


if __name__ == "__main__":
    main()
