#!/usr/bin/env python3
"""Writes the oracle files beside it: what transformers, PEFT and torch compute in float64 for small models, and codec tables.

    python3 -m venv VENV && VENV/bin/pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 \\
        safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
    VENV/bin/python make_golden.py [CASE ... | codec]        (no argument: everything; one core, about 40 seconds)

Run by hand when a case changes, never in CI. Seeds are fixed and torch runs on one thread: a second run on the same machine
with the same versions writes the same bytes. cases.py holds the cases, oracle.py the float64 run and its proofs, make_codec.py
the tables. README.md describes every file, tensor and field.
"""
import argparse
import json
import math
import os
import shutil
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from cases import CASES, HERE, MODELS, read_data
from make_codec import make_codec
from oracle import (STEPS, TILE, deviation, double_precision, fp8_quantize, fp8_roundtrip, layer_linears,
                    lora_parameters, run, trainable_tokens)


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


# --- inputs
def bf16_exact(x, dtype):
    """float32 [..] -> the nearest values that bf16 and, for an f16 file, f16 both hold exactly."""
    x = x.to(torch.bfloat16)
    if dtype == torch.float16:  # a bf16 value rounds in f16 only below 2^-17, to a value with fewer bits
        x = x.to(torch.float16).to(torch.bfloat16)
    assert torch.equal(x.to(dtype).float(), x.float())
    return x.float()


def random_linear(rng, rows, cols):
    """[rows, cols] with deviation 1/sqrt(cols), times a factor per 64x64 block: a wrong tile scale then shows."""
    w = rng.standard_normal((rows, cols)) / math.sqrt(cols)
    block = np.exp(0.5 * rng.standard_normal(((rows + 63) // 64, (cols + 63) // 64)))
    return w * np.kron(block, np.ones((64, 64)))[:rows, :cols]


def random_weight(rng, name, shape, tied):
    if name.endswith("norm.weight"):
        return 1.0 + 0.15 * rng.standard_normal(shape)
    if name.endswith(".bias"):
        return 0.3 * rng.standard_normal(shape)
    if name == "model.embed_tokens.weight":
        return (0.1 if tied else 0.5) * rng.standard_normal(shape)
    return random_linear(rng, *shape)


def plant_corners(state, dtype):
    """Values that a reader or a quantizer can get wrong: signed zero, an all-zero tile, f16 subnormals."""
    q = state["model.layers.0.self_attn.q_proj.weight"]
    q[3, 5] = -0.0
    if dtype == torch.float16:
        state["model.layers.1.mlp.down_proj.weight"][TILE:, 2 * TILE:] = 0.0
        q[7, 0:4] = torch.tensor([2.0 ** -24, -(2.0 ** -24), 3 * 2.0 ** -20, 2.0 ** -14])


def make_model(name):
    spec = MODELS[name]
    config = AutoConfig.for_model(spec.get("model_type", "llama"), **spec["config"])
    model = AutoModelForCausalLM.from_config(config)
    rng = np.random.Generator(np.random.PCG64(spec["seed"]))
    state = {}
    for key, p in model.named_parameters():  # a tied head is listed once, as the embedding
        w = random_weight(rng, key, tuple(p.shape), config.tie_word_embeddings)
        state[key] = torch.tensor(w, dtype=torch.float32)
    plant_corners(state, spec["dtype"])
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(bf16_exact(state[key], spec["dtype"]))
    out = fresh(HERE / name / "model")
    model.to(spec["dtype"]).save_pretrained(out, max_shard_size=spec["shard"])
    (out / "generation_config.json").unlink()
    write_config(out / "config.json", spec["dialect"])
    if spec["shard"] != "10MB":
        check_straddle(out)


def link_model(name, owner):
    link = HERE / name / "model"
    link.unlink(missing_ok=True)
    link.symlink_to(f"../{owner}/model")


def write_config(path, dialect):
    """Turns the transformers 5 config.json at `path` into the dialect asked for."""
    c = json.loads(path.read_text())
    if dialect != 5:
        rope = c.pop("rope_parameters")
        c["rope_theta"] = rope.pop("rope_theta")
        c["rope_scaling"] = None if rope["rope_type"] == "default" else rope
        c["torch_dtype"] = c.pop("dtype")
        c["transformers_version"] = "4.46.3"
        c.pop("pad_token_id")
        if c.pop("layer_types", None) is not None:  # Qwen: as its own files give a window that is not in use
            c["sliding_window"] = 131072
    if dialect == "4-llama2":
        c["transformers_version"] = "4.31.0"
        for key in ("head_dim", "mlp_bias", "attention_bias", "attention_dropout"):
            c.pop(key)
    path.write_text(json.dumps(c, indent=2, sort_keys=True) + "\n")


def check_straddle(out):
    index = json.loads((out / "model.safetensors.index.json").read_text())["weight_map"]
    shards = {}
    for key, file in index.items():
        shards.setdefault(key.split(".")[2], set()).add(file)
    assert 2 <= len(set(index.values())) <= 3, set(index.values())
    assert len(shards["0"]) > 1 or len(shards["1"]) > 1, "no layer straddles two shards"


def labels_of(ids, mask):
    """p: a prompt (first third) masked; f: nothing masked, position 0 included; t: turns, every second run of 5; m: all."""
    n = len(ids)
    masked = {"p": [t < max(1, n // 3) for t in range(n)], "f": [False] * n, "t": [t // 5 % 2 == 0 for t in range(n)],
              "m": [True] * n}[mask]
    return [-100 if m else i for i, m in zip(ids, masked)]


def make_data(name):
    case = CASES[name]
    rng = np.random.Generator(np.random.PCG64(case["seed"]))
    vocab = MODELS[case["model"]]["config"]["vocab_size"]
    with open(HERE / name / "data.jsonl", "w") as f:
        for n, mask in case["docs"]:
            assert n <= case["sequence_len"]
            ids = [int(i) for i in rng.integers(0, vocab, n)]
            f.write(json.dumps({"input_ids": ids, "labels": labels_of(ids, mask)}, separators=(",", ":")) + "\n")


def make_adapter(name):
    """A PEFT adapter with random A (Kaiming's deviation) and random B, so that both factors have gradients at step 0."""
    case, lora = CASES[name], CASES[name]["lora"]
    rng = np.random.Generator(np.random.PCG64(case["seed"] + 1000))
    base = AutoModelForCausalLM.from_pretrained(HERE / case["model"] / "model", dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=lora["r"], lora_alpha=lora["alpha"], target_modules=lora["target_modules"],
                                            use_rslora=lora.get("rslora", False), lora_dropout=0.0, bias="none",
                                            task_type="CAUSAL_LM"))
    with torch.no_grad():
        for key, p in lora_parameters(model):
            deviation = 1.0 / math.sqrt(3 * p.shape[1]) if ".lora_A." in key else 0.06
            p.copy_(torch.tensor(deviation * rng.standard_normal(tuple(p.shape)), dtype=torch.float32))
    out = fresh(HERE / name / "adapter_init")
    model.save_pretrained(out, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)
    config = json.loads((out / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = case["model"]
    config["target_modules"] = sorted(config["target_modules"])  # PEFT keeps a set
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


# --- outputs
def quantization_goldens(name):
    """(scale tensors and one matrix's codes, relative RMS error over all quantized weights)."""
    model = AutoModelForCausalLM.from_pretrained(HERE / CASES[name]["model"] / "model", dtype=torch.float32)
    tensors, error, total = {}, 0.0, 0.0
    for key, p in layer_linears(model):
        w = p.detach()
        codes, scales = fp8_quantize(w)
        tensors["scale." + key] = scales
        if key == "model.layers.1.self_attn.k_proj.weight":
            tensors["codes." + key] = codes.view(torch.uint8).clone()
        error += (w.double() - fp8_roundtrip(w).double()).square().sum().item()
        total += w.double().square().sum().item()
    if CASES[name]["model"] == "mha_odd":
        assert tensors["scale.model.layers.1.mlp.down_proj.weight"][1, 2] == 1.0  # the all-zero tile
    return tensors, math.sqrt(error / total)


def first_fit_decreasing_rows(lengths, capacity):
    rows = []
    for n in sorted(lengths, reverse=True):
        for i, used in enumerate(rows):
            if used + n <= capacity:
                rows[i] += n
                break
        else:
            rows.append(n)
    return len(rows)


def make_case(name):
    case = CASES[name]
    (HERE / name).mkdir(exist_ok=True)
    if case["model"] == name:
        make_model(name)
    else:
        link_model(name, case["model"])
    make_data(name)
    make_adapter(name)
    with double_precision():
        ref = run(name, torch.float64)
    f32, bf16 = run(name, torch.float32), run(name, torch.bfloat16)
    dev = {"float32": deviation(f32, ref), "bfloat16": deviation(bf16, ref)}
    assert abs(f32["hf_loss"] - ref["losses"][0]) < 1e-6 * ref["losses"][0]
    assert dev["float32"]["loss"] < 1e-6 * ref["losses"][0] and dev["float32"]["logits_max"] < 2e-5, dev
    assert dev["float32"]["grad_relative_l2_max"] < 1e-5, dev
    tensors = {f"logits.{i}": l for i, l in enumerate(ref["logits"])}
    tensors |= {"grad." + k: g for k, g in ref["grad"].items()} | {"after." + k: p for k, p in ref["after"].items()}
    tensors = {k: t.float().contiguous() for k, t in tensors.items()}
    quantization = None
    if case["base_format"] == "fp8":
        extra, quantization = quantization_goldens(name)
        tensors |= extra
    save_file(tensors, HERE / name / "golden.safetensors")
    write_case(name, ref, dev, quantization)
    check_files(name, ref)
    print(f"{name:22s} loss {ref['losses'][0]:.6f} -> {ref['losses'][-1]:.6f}  grad_norm {ref['norms'][0]:.4f} .. "
          f"{ref['norms'][-1]:.4f}  quantization {quantization}")
    for kind, d in dev.items():
        print(f"    {kind:9s}", "  ".join(f"{k} {v:.1e}" for k, v in d.items()))


def write_case(name, ref, dev, quantization):
    case, docs, lora = CASES[name], read_data(name), CASES[name]["lora"]
    lengths = [len(d["input_ids"]) for d in docs]
    rslora = lora.get("rslora", False)
    body = {
        "name": name,
        "about": case["about"],
        "base_format": case["base_format"],
        "sequence_len": case["sequence_len"],
        "lora": {
            "r": lora["r"],
            "alpha": lora["alpha"],
            "target_modules": lora["target_modules"],
            "rslora": rslora,
            "loraplus_lr_ratio": lora.get("loraplus_lr_ratio"),
            "scaling": lora["alpha"] / (math.sqrt(lora["r"]) if rslora else lora["r"]),
        },
        "optimizer": case["optimizer"],
        "steps": STEPS,
        "expected": {
            "documents": len(docs),
            "tokens": sum(lengths),
            "rows_first_fit_decreasing": first_fit_decreasing_rows(lengths, case["sequence_len"]),
            "trainable_tokens": trainable_tokens(docs),
            "loss": ref["losses"][0],
            "grad_norm": ref["norms"][0],
            "loss_after_step": ref["losses"][1:],
            "grad_norm_at_step": ref["norms"],
            "quantization_relative_rms": quantization,
        },
        "deviation": dev,
        "made_with": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
                      "peft": peft.__version__},
    }
    (HERE / name / "case.json").write_text(json.dumps(body, indent=2) + "\n")


def check_files(name, ref):
    """Reads back what was written: the same keys as the adapter, and weights that bf16 holds exactly."""
    case = CASES[name]
    adapter = load_file(HERE / name / "adapter_init" / "adapter_model.safetensors")
    golden = load_file(HERE / name / "golden.safetensors")
    for key, t in adapter.items():
        assert t.dtype == torch.float32 and t.abs().min() > 0
        for kind in ("grad.", "after."):
            assert golden[kind + key].shape == t.shape and golden[kind + key].isfinite().all()
    assert set(adapter) == set(ref["grad"])
    for file in (HERE / case["model"] / "model").glob("*.safetensors"):
        for key, t in load_file(file).items():
            assert t.dtype == MODELS[case["model"]]["dtype"] and torch.equal(t.float(), t.to(torch.bfloat16).float()), key


def main():
    parser = argparse.ArgumentParser(description="Write the oracle files beside this script.")
    parser.add_argument("what", nargs="*", help="cases, or codec; default everything")
    what = parser.parse_args().what or [*CASES, "codec"]
    unknown = [w for w in what if w not in CASES and w != "codec"]
    if unknown:
        sys.exit(f"make_golden: no such case: {unknown[0]} (known: {', '.join(CASES)}, codec)")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)  # PEFT still asks for names that transformers is renaming
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for w in what:
        make_codec(fresh(HERE / "codec")) if w == "codec" else make_case(w)


if __name__ == "__main__":
    main()
