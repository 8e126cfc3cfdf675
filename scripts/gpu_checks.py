"""What scripts/gpu-checks.sh computes with: makes data, reads metrics and adapters, prints a line of PASS or FAIL for each check.

    gpu_checks.py text FILE.jsonl                     completion samples of text that every checkout has
    gpu_checks.py ids FILE.jsonl VOCAB LENGTH ROWS    random ready ids
    gpu_checks.py agree NAME RUN REFERENCE YARDSTICK  losses and adapter of two runs' directories
    gpu_checks.py course NAME RUN REFERENCE           eval losses of two long runs' directories
    gpu_checks.py eval NAME LOG REFERENCE-LOG         "eval loss X" of two logs
    gpu_checks.py answers NAME FILE REFERENCE         generated texts
    gpu_checks.py same NAME FILE FILE...              equal bytes
    gpu_checks.py placement NAME RUN REFERENCE STEPS  equal adapters of two runs' directories, and where the first had its bytes
    gpu_checks.py wait METRICS STEP                   until that step stands there
    gpu_checks.py rate NAME RUN FIRST LAST RESULT     median tokens/s of steps FIRST..LAST, beside ft-bench step's
"""
import hashlib
import json
import math
import random
import re
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 1.5  # times HF's own bfloat16 error


def say(name, good, text):
    print(f"{'PASS' if good else 'FAIL'} {name}: {text}", flush=True)
    return 0 if good else 1


def steps(directory):
    rows = [json.loads(line) for line in (Path(directory) / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == "step"]


def adapter(directory):
    """All tensors of an F32 adapter as one float64 vector, by name."""
    import numpy

    data = (Path(directory) / "adapter_model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = {name: t for name, t in json.loads(data[8:8 + size]).items() if name != "__metadata__"}
    parts = [numpy.frombuffer(data[8 + size:][t["data_offsets"][0]:t["data_offsets"][1]], "<f4") for _, t in sorted(header.items())]
    return numpy.concatenate(parts).astype("f8")


def text(file):
    sources = sorted(ROOT.glob("docs/*.md")) + [ROOT / "README.md", ROOT / "LICENSE", ROOT / "tests/golden/README.md"]
    stories = json.loads((ROOT / "configs/demo/instructions.json").read_text())
    texts = [source.read_text() for source in sources if source.exists()]
    texts += [" ".join(str(value) for value in story.values()) for story in stories]
    texts += [source.read_text() for source in sorted(ROOT.glob("core/*/*.h"))]
    random.Random(1).shuffle(texts)
    Path(file).write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    print(f"{file}: {len(texts)} samples, {sum(map(len, texts))} characters")


def ids(file, vocab, length, rows):
    generator = random.Random(1)
    with open(file, "w") as out:
        for _ in range(int(rows)):
            out.write(json.dumps({"input_ids": [generator.randrange(int(vocab)) for _ in range(int(length))]}) + "\n")


def agree(name, run, reference, yardstick):
    import numpy

    limits = json.loads((ROOT / "tests/golden/run_errors.json").read_text())
    limit = limits["models"][yardstick]["best"]
    ours, want = steps(run), steps(reference)
    assert len(ours) == len(want) > 0 and [r["tokens"] for r in ours] == [r["tokens"] for r in want], "different steps"
    error = math.dist([r["loss"] for r in ours], [r["loss"] for r in want]) / math.hypot(*[r["loss"] for r in want])
    x, y, start = (adapter(Path(d) / part) for d, part in ((run, "adapter"), (reference, "adapter"), (reference, "checkpoint-0")))
    cosine = float(x @ y / numpy.linalg.norm(x) / numpy.linalg.norm(y))
    change = float(numpy.linalg.norm(x - y) / numpy.linalg.norm(y - start))
    failed = say(f"{name} losses", error <= LIMIT * limit["loss"],
                 f"{len(ours)} steps, {ours[0]['loss']:.4f} -> {ours[-1]['loss']:.4f}, reference {want[0]['loss']:.4f} -> {want[-1]['loss']:.4f}; "
                 f"difference {error:.2e} (HF's bfloat16 {limit['loss']:.2e}, {error / limit['loss']:.2f} times)")
    return failed | say(f"{name} adapter", change <= LIMIT * limit["change"],
                        f"cosine {cosine:.6f}, difference / change {change:.4f} (HF's bfloat16 {limit['change']:.4f}, {change / limit['change']:.2f} times)")


def course(name, run, reference):
    """A long run, whose errors add up: what it is for, the loss on its evaluation data, must come out the same."""
    def losses(directory):
        rows = [json.loads(line) for line in (Path(directory) / "metrics.jsonl").read_text().splitlines()]
        return [row["eval_loss"] for row in rows if row["kind"] == "eval"]

    ours, want = losses(run), losses(reference)
    good = len(ours) == len(want) > 1 and abs(ours[-1] / want[-1] - 1) <= 0.01
    return say(name, good, f"{len(steps(run))} steps, eval loss {' '.join(f'{x:.4f}' for x in ours)}, reference {' '.join(f'{x:.4f}' for x in want)} "
               "(limit of the last 1 %)")


def eval_loss(log):
    found = re.findall(r"eval loss ([0-9.]+), perplexity", Path(log).read_text())
    return float(found[-1]) if found else math.nan


def evaluation(name, log, reference):
    ours, want = eval_loss(log), eval_loss(reference)
    limits = json.loads((ROOT / "tests/golden/run_errors.json").read_text())["models"]
    limit = LIMIT * min(model["best"]["loss"] for model in limits.values())  # nothing is trained, so no errors add up
    return say(name, abs(ours / want - 1) <= limit, f"{ours:.6f}, reference {want:.6f}, relative {ours / want - 1:+.2e} (limit {limit:.2e})")


def answers(name, file, reference):
    """Greedy texts; one near tie changes the rest of a text, so the first words decide."""
    ours, want = (Path(f).read_text().split("\n===\n") for f in (file, reference))
    equal = sum(a == b for a, b in zip(ours, want))
    begin = sum(a.split()[:3] == b.split()[:3] for a, b in zip(ours, want))
    good = len(ours) == len(want) > 1 and all(a.strip() for a in ours[:-1]) and 2 * begin >= len(want)
    return say(name, good, f"of {len(want) - 1} texts {equal - 1} equal, {begin - 1} with the same first three words; the first: {ours[0].strip()[:60]!r}")


def same(name, *files):
    sums = [hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] for file in files]
    return say(name, len(set(sums)) == 1, " ".join(sums))


def placement(name, run, reference, count):
    """Losses and adapter; which places were used is read from the run's plan, so that a wish that was not followed shows."""
    sums = [hashlib.sha256((Path(d) / "adapter/adapter_model.safetensors").read_bytes()).hexdigest()[:16] for d in (run, reference)]
    ours, want = ([row["loss"] for row in steps(directory)] for directory in (run, reference))
    plan = json.loads((Path(run) / "plan.json").read_text())
    def places(key):
        found = [layer[key] for layer in plan["layers"]]
        return " ".join(f"{found.count(place)} {place}" for place in ("HBM", "host", "NVMe") if place in found)
    good = sums[0] == sums[1] and ours == want and len(ours) == int(count)
    return say(name, good, f"{sums[0]}, {len(ours)} steps, {ours[0]:.4f} -> {ours[-1]:.4f}; layers {places('home')}; boundaries {places('boundary')}; "
               f"{sum(layer['keep'] for layer in plan['layers'])} kept; {plan['slots']['device']} slots; {plan['run']['sweeps']} sweeps")


def wait(metrics, step):
    end = time.time() + 60
    while time.time() < end:
        if Path(metrics).exists() and Path(metrics).read_text().count('"kind":"step"') >= int(step):
            return 0
        time.sleep(0.002)
    return 1


def rate(name, run, first, last, result):
    speeds = [row["tokens_per_s"] for row in steps(run) if int(first) <= row["step"] <= int(last)]
    stalls = [row["stall_s"] for row in steps(run) if int(first) <= row["step"] <= int(last)]
    bench = bench_rate(Path(result).read_text())
    ours = statistics.median(speeds)
    return say(name, ours >= 0.97 * bench, f"train {ours:.0f} tokens/s (steps {first}..{last}: {min(speeds):.0f}..{max(speeds):.0f}, stalls "
               f"{sum(stalls):.3f} s), ft-bench step {bench:.0f}: {100 * (ours / bench - 1):+.1f} %")


def bench_rate(output):
    """tokens/s of `ft-bench step --json`."""
    for row in json.loads(output[output.index("["):]):
        if row["unit"] == "tokens/s" and row["name"].startswith("LoRA step"):
            return row["value"]
    return math.nan


def main(verb, *arguments):
    verbs = {"text": text, "ids": ids, "agree": agree, "course": course, "eval": evaluation, "answers": answers, "same": same, "placement": placement,
             "wait": wait, "rate": rate}
    try:
        return verbs[verb](*arguments)
    except (OSError, ValueError, KeyError, AssertionError, ImportError) as error:  # a run that left no or other results
        return say(arguments[0], False, f"{verb}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
