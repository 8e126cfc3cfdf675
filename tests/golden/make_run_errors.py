"""How far HF's bfloat16 training is from its float32 training on the two models that examples train: run_errors.json.

    python make_run_errors.py SMOLLM2_DIRECTORY        # transformers and peft; minutes on a CPU

The yardstick of scripts/gpu-checks.sh, which may find 1.5 times as much between the GPU and the CPU. Data, ranks and learning rates
are those of configs/demo and configs/smollm2-135m; rows are cut from the data's text without a template; the layers' linears are
those of an FP8 store, which float32 has exactly and bfloat16 rounded. Of STEPS steps at a constant
rate without clipping: `loss`, ||d|| / ||x|| of the vector of their losses; `change`, the same of the adapter's change; for each
variant and the better of the two.
"""
import copy
import json
import math
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

STEPS, ROWS, LENGTH = 20, 4, 256
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def strings(value):
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for child in children for text in strings(child)]


def batches(model, file):
    records = [json.loads(line) for line in file.read_text().splitlines()] if file.suffix == ".jsonl" else json.loads(file.read_text())
    ids = PreTrainedTokenizerFast(tokenizer_file=str(model / "tokenizer.json"))("\n".join(strings(records)))["input_ids"]
    needed = ROWS * LENGTH
    return [torch.tensor(ids[(i * needed) % (len(ids) - needed):][:needed]).view(ROWS, LENGTH) for i in range(STEPS)]


def fp8(weight):
    """E4M3FN codes times the scale, amax / 448, of each 128x128 tile."""
    result = torch.empty_like(weight)
    for i in range(0, weight.shape[0], 128):
        for j in range(0, weight.shape[1], 128):
            tile = weight[i:i + 128, j:j + 128]
            scale = tile.abs().max().clamp(min=1e-30) / 448
            result[i:i + 128, j:j + 128] = (tile / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale
    return result


def run(base, start, data, rate, variant):
    model = copy.deepcopy(base).to(torch.bfloat16 if variant == "adapter_float32" else torch.float32)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS))
    adapter = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for name, p in adapter.items():
        p.data = start[name].clone() if name in start else p.data.float()
        start.setdefault(name, p.data.clone())
    optimizer = torch.optim.AdamW(adapter.values(), lr=rate, weight_decay=0)
    losses = []
    for ids in data:
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == "autocast"):
            logits = model(ids).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
        print(f"  {variant} {len(losses)}: {losses[-1]:.6f}", file=sys.stderr, flush=True)
    return losses, torch.cat([(p.detach() - start[name]).double().flatten() for name, p in adapter.items()])


def errors(model, file, rate):
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model, torch_dtype=torch.float32)
    for name, parameter in base.named_parameters():
        if name.split(".")[-2] in TARGETS:
            parameter.data = fp8(parameter.data)
    data, start, result = batches(model, file), {}, {}
    want, moved = run(base, start, data, rate, "float32")
    for variant in ("adapter_float32", "autocast"):
        losses, change = run(base, start, data, rate, variant)
        result[variant] = {"loss": math.dist(losses, want) / math.hypot(*want),
                           "change": float((change - moved).norm() / moved.norm())}
    result["best"] = {metric: min(v[metric] for v in result.values()) for metric in ("loss", "change")}
    return result


def main():
    models = {"demo": (CONFIGS / "demo", CONFIGS / "demo/instructions.json", 1e-3),
              "smollm2": (Path(sys.argv[1]), CONFIGS / "smollm2-135m/instructions.jsonl", 8e-4)}
    result = {"steps": STEPS, "rows": ROWS, "length": LENGTH, "models": {}}
    for name, arguments in models.items():
        result["models"][name] = errors(*arguments)
        print(name, result["models"][name], file=sys.stderr, flush=True)
        (Path(__file__).parent / "run_errors.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
