#!/usr/bin/env python3
"""Reads what a run leaves for TensorBoard with TensorBoard's own readers, and compares it with metrics.jsonl.

    python3 tests/golden/tensorboard_check.py build/bin/ft-single /tmp/scratch      (pip install tensorboard)

Three short runs of the bundled demo: one to its end, one stopped by SIGTERM and resumed, one killed with SIGKILL and resumed while a
reader stays open. Every number of metrics.jsonl must be there under its tag, as float32, once, with its step and time, and nothing else.
"""
import json, math, os, signal, struct, subprocess, sys, time
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.util import tensor_util

TAGS = {
    "step": {"loss": "train/loss", "lr": "train/learning_rate", "grad_norm": "train/grad_norm", "epoch": "train/epoch", "tokens": "train/tokens",
             "trainable_tokens": "train/trainable_tokens", "tokens_per_s": "speed/tokens_per_s", "step_s": "speed/step_s", "stall_s": "stall/all_s",
             "stall_h2d_s": "stall/h2d_s", "stall_nvme_s": "stall/nvme_s", "stall_spill_s": "stall/spill_s", "compute_busy": "busy/compute",
             "h2d_busy": "busy/h2d", "d2h_busy": "busy/d2h", "nvme_busy": "busy/nvme", "hbm_bytes": "bytes/hbm", "pinned_bytes": "bytes/pinned",
             "nvme_bytes": "bytes/nvme", "h2d_bytes": "bytes/h2d", "d2h_bytes": "bytes/d2h"},
    "eval": {"eval_loss": "eval/loss", "perplexity": "eval/perplexity", "trainable_tokens": "eval/trainable_tokens", "eval_s": "eval/seconds"},
}
NOT_SHOWN = {"kind", "time", "step", "stall_drive"}
TAGS["eval"]["epoch"] = None  # where it stands is said by train/epoch
ALL = {"scalars": 0, "tensors": 0}  # no sampling


def float32(value):
    return math.nan if value is None else struct.unpack("f", struct.pack("f", value))[0]


def same(a, b):
    return a == b or all(math.isnan(x) if isinstance(x, float) else x == y for x, y in zip(a, b))


def lines_of(output):
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def expected(output):
    """tag -> [(time, step, value)] of metrics.jsonl; a number without a tag is an error."""
    series = {}
    for line in lines_of(output):
        tags = TAGS[line["kind"]]
        for key in line.keys() - NOT_SHOWN:
            if tags[key]:
                series.setdefault(tags[key], []).append((line["time"], line["step"], float32(line[key])))
    return series


def compare(name, want, got):
    assert want.keys() == got.keys(), f"{name}: tags {want.keys() ^ got.keys()}"
    for tag in want:
        assert len(want[tag]) == len(got[tag]), f"{name}: {tag}: {len(got[tag])} points, {len(want[tag])} in metrics.jsonl"
        for a, b in zip(want[tag], got[tag]):
            assert same(a, b), f"{name}: {tag}: {b}, {a} in metrics.jsonl"
    return sum(map(len, want.values()))


def scalars(reader):
    return {tag: [(e.wall_time, e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def tensors(reader):
    """What the server itself reads: scalars as tensors of rank 0."""
    found = {tag: reader.Tensors(tag) for tag in reader.Tags()["tensors"] if tag != "config"}
    return {tag: [(e.wall_time, e.step, float(tensor_util.make_ndarray(e.tensor_proto).item())) for e in events] for tag, events in found.items()}


def check(output, open_reader=None):
    want = expected(output)
    steps = [line["step"] for line in lines_of(output) if line["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1)), "metrics.jsonl has a step twice or lacks one"
    fresh = EventAccumulator(str(output), size_guidance=ALL)
    server = PluginAccumulator(str(output), size_guidance=ALL)
    points = compare("EventAccumulator", want, scalars(fresh.Reload()))
    compare("PluginEventAccumulator", want, tensors(server.Reload()))
    if open_reader:
        compare("a reader open since before the kill", want, scalars(open_reader.Reload()))
    text = tensor_util.make_ndarray(server.Tensors("config")[-1].tensor_proto).item().decode()
    assert text == f"```yaml\n{(output / 'config.resolved.yaml').read_text()}```\n", "config is not config.resolved.yaml"
    files = [file for file in output.glob("*tfevents*") if file.stat().st_size]
    assert len(files) == 1, files
    return f"{len(steps)} steps, {len(want)} tags, {points} points equal to float32 of metrics.jsonl; config as text; one file of {files[0].stat().st_size} bytes"


def start(program, scratch, output, *more):
    with open(scratch / "log.txt", "a") as log:
        return subprocess.Popen([program, "train", *more, "--output", str(output)], stdout=log, stderr=log)


def run(program, scratch, output, *more):
    code = start(program, scratch, output, *more).wait()
    assert code == 0, f"exit code {code}: see {scratch}/log.txt"


def interrupt(program, scratch, output, at_step, number, *more):
    """Ends a run by a signal once it has written `at_step` steps."""
    process = start(program, scratch, output, *more)
    metrics = output / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count('"kind":"step"') < at_step:
        assert process.poll() is None, f"the run ended by itself: see {scratch}/log.txt"
        time.sleep(0.02)
    process.send_signal(number)
    return process.wait()


def main():
    program, scratch = os.path.abspath(sys.argv[1]), Path(sys.argv[2]).resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    runs = scratch / "ft-out"
    options = ["--nvme", str(scratch / "drive"), "--max-steps", "40", "--eval-steps", "10", "--save-steps", "8", "--overwrite"]

    run(program, scratch, runs / "whole", *options)
    print("whole:  ", check(runs / "whole"))

    code = interrupt(program, scratch, runs / "stopped", 15, signal.SIGTERM, *options)
    assert code == 3, code
    print("stopped:", check(runs / "stopped"), "(by SIGTERM)")
    run(program, scratch, runs / "stopped", "--resume")
    print("stopped:", check(runs / "stopped"), "(resumed)")

    assert interrupt(program, scratch, runs / "killed", 21, signal.SIGKILL, *options) == -signal.SIGKILL
    reader = EventAccumulator(str(runs / "killed"), size_guidance=ALL).Reload()
    seen = max(e.step for e in reader.Scalars("train/loss"))
    run(program, scratch, runs / "killed", "--resume")
    print("killed: ", check(runs / "killed", reader), f"(by SIGKILL after step {seen}, resumed from step {seen // 8 * 8})")

    names = EventMultiplexer().AddRunsFromDirectory(str(runs)).Runs().keys()
    assert set(names) == {"whole", "stopped", "killed"}, names
    print("--logdir", runs.name, "shows the runs", ", ".join(sorted(names)))
    names = EventMultiplexer().AddRunsFromDirectory(str(runs / "whole")).Runs().keys()
    assert len(names) == 1, names
    print("--logdir", f"{runs.name}/whole", "shows one run")


if __name__ == "__main__":
    main()
