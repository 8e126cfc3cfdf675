#!/usr/bin/env python3
"""Writes bf16_errors.json: how far transformers + PEFT in bfloat16 land from the float64 goldens beside it.

    python make_bf16_errors.py [CASE ...]   (no argument: every case, fp8_dialects' too; packages as for make_golden.py)

A yardstick for devices that compute in bfloat16: tests/gpu allows them 1.5 times the error given here. README.md describes the
fields. The base is bfloat16 with transformers' default attention (sdpa); the adapter is used in three ways, see VARIANTS. For
bases whose FP8 matrices are whole 128-tiles, the same is done with products of FP8 codes (Fp8Product). Each error is taken on
the case's own data and on that of EXTRA_SEEDS, because one draw of a small model can be lucky; the ten steps are run on the case's
own data alone.
"""
import contextlib
import json
import re
import sys
import tempfile
import warnings

from make_golden import labels_of  # first: it keeps transformers from asking the hub

import numpy as np
import peft
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from cases import ATTENTION, CASES, HERE, MLP, MODELS, read_data
from oracle import (E4M3_MAX, STEPS, TILE, document_logits, double_precision, layer_linears, load, lora_parameters,
                    make_optimizer, quantize_layers, trainable_tokens)

sys.path.insert(0, str(HERE / "fp8_dialects"))
import make_fp8  # noqa: E402

FP8_PRODUCTS = {"fp8_untied_r16": "tile", "qwen2_fp8_untied": "tile", "qwen2_fp8_wide": "tile", "qwen3_fp8_tied": "tile",
                "fp8_dialects/row_whole": "row", "fp8_dialects/tensor_whole": "tensor"}  # kind of the weights' scales
EXTRA_SEEDS = [1, 2, 3, 4, 5]
VARIANTS = {
    "adapter_float32": "PEFT's default: the adapter stays float32 and its products are float32",
    "autocast": "the same under torch.autocast(bfloat16), as Trainer(bf16=True) runs it: its products are bfloat16",
    "adapter_bfloat16": "adapter, gradients and moments are bfloat16",
}


def fp8_values(x, width):
    """float32 [.., n], each `width` values rounded to E4M3 with a scale of their own."""
    blocks = x.reshape(*x.shape[:-1], -1, width)
    scale = blocks.abs().amax(-1, keepdim=True) / E4M3_MAX
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return ((blocks / scale).clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn).float() * scale).reshape(x.shape)


class Fp8Product(torch.autograd.Function):
    """y = x W^T and dx = dy W with x and dy in E4M3, 1x128 scales, sums in float32. Under row scales of W a scale of x belongs to
    a token, and dy is multiplied by the row scales before it is rounded."""

    @staticmethod
    def forward(ctx, x, weight, rows):
        ctx.save_for_backward(weight, rows)
        return (fp8_values(x.float(), TILE if rows is None else x.shape[-1]) @ weight.T).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        weight, rows = ctx.saved_tensors
        if rows is None:
            return (fp8_values(dy.float(), TILE) @ weight).to(dy.dtype), None, None
        return (fp8_values(dy.float() * rows, TILE) @ (weight / rows[:, None])).to(dy.dtype), None, None


def multiply_in_fp8(model, weights, kind):
    """Replaces the products with the layers' frozen linears; `weights` as the FP8 base has them, float32."""
    for name, module in model.named_modules():
        key = name.removeprefix("base_model.model.").replace(".base_layer", "") + ".weight"
        if isinstance(module, torch.nn.Linear) and key in weights:
            w = weights[key]
            rows = w.abs().amax(1) / E4M3_MAX if kind == "row" else None

            def forward(x, w=w, rows=rows, bias=module.bias):
                y = Fp8Product.apply(x, w, rows)
                return y if bias is None else y + bias

            module.forward = forward


def load_bfloat16(name, variant):
    case = CASES[name]
    base = AutoModelForCausalLM.from_pretrained(HERE / case["model"] / "model", dtype=torch.float32)
    if case["base_format"] == "fp8":
        quantize_layers(base)
    weights = base.state_dict()
    model = AutoModelForCausalLM.from_pretrained(HERE / case["model"] / "model", dtype=torch.bfloat16)
    model.load_state_dict(weights)
    model = PeftModel.from_pretrained(model, HERE / name / "adapter_init", is_trainable=True)
    dtype = torch.bfloat16 if variant == "adapter_bfloat16" else torch.float32
    for _, p in lora_parameters(model):
        p.data = p.data.to(dtype)
    if variant == "fp8_products":
        multiply_in_fp8(model, {k: p.detach() for k, p in layer_linears(base)}, FP8_PRODUCTS[name])
    return model.eval()


def precision(variant):
    return torch.autocast("cpu", torch.bfloat16) if variant == "autocast" else contextlib.nullcontext()


def random_data(name, seed):
    """Documents of the case's lengths and masks with other tokens."""
    case = CASES[name]
    rng = np.random.Generator(np.random.PCG64([case["seed"], seed]))
    vocab = MODELS[case["model"]]["config"]["vocab_size"]
    docs = []
    for n, mask in case["docs"]:
        ids = [int(i) for i in rng.integers(0, vocab, n)]
        docs.append({"input_ids": ids, "labels": labels_of(ids, mask)})
    return docs


def token_nll(model, docs):
    """NLL of every trainable token, documents and tokens in order."""
    out = []
    for doc in docs:
        labels = torch.tensor(doc["labels"][1:], dtype=torch.long)
        logits = document_logits(model, doc)[:-1][labels != -100]
        out.append(torch.nn.functional.cross_entropy(logits, labels[labels != -100], reduction="none"))
    return torch.cat(out)


def backward(model, docs, variant):
    """NLL of every token; the gradients of their mean are in the parameters."""
    with precision(variant):
        nll = token_nll(model, docs)
    (nll.sum() / trainable_tokens(docs)).backward()
    return nll.detach().double()


def first_gradients(model, docs, variant):
    model.zero_grad()
    nll = backward(model, docs, variant)
    return {"nll": nll, "grad": {k: p.grad.detach().double() for k, p in lora_parameters(model)}}


def train(model, name, variant):
    """(losses after each step, adapter after STEPS steps)"""
    case, docs = CASES[name], read_data(name)
    parameters, optimizer, losses = lora_parameters(model), make_optimizer(model, CASES[name]), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses.append(backward(model, docs, variant).mean().item())
        torch.nn.utils.clip_grad_norm_([p for _, p in parameters], case["optimizer"]["max_grad_norm"])
        optimizer.step()
    with torch.no_grad(), precision(variant):
        losses.append(token_nll(model, docs).double().mean().item())
    return losses[1:], {k: p.detach().double() for k, p in parameters}


def relative(got, want, origin=None):
    """||got - want|| / ||want - origin|| over all tensors of two dictionaries."""
    wrong = sum((got[k] - want[k]).square().sum().item() for k in want)
    return (wrong / sum((want[k] - origin[k] if origin else want[k]).square().sum().item() for k in want)) ** 0.5


def module_of(key):
    return key.split(".lora_")[0].split(".")[-1]


def first_errors(got, want):
    errors = {"loss": abs(got["nll"].mean() / want["nll"].mean() - 1).item(),
              "token_nll": relative({0: got["nll"]}, {0: want["nll"]}), "gradient": relative(got["grad"], want["grad"])}
    for module in ATTENTION + MLP:
        keys = [k for k in want["grad"] if module_of(k) == module]
        if keys:
            errors["gradient." + module] = relative({k: got["grad"][k] for k in keys}, {k: want["grad"][k] for k in keys})
    return errors


def step_errors(name, losses, after):
    golden = load_file(HERE / name / "golden.safetensors")
    init = load_file(HERE / name / "adapter_init" / "adapter_model.safetensors")
    expected = json.loads((HERE / name / "case.json").read_text())["expected"]["loss_after_step"]
    want = {k: golden["after." + k].double() for k in after}
    return {"loss_after_steps": float(np.sqrt(np.mean((np.array(losses) / np.array(expected) - 1) ** 2))),
            "change": relative(after, want, {k: t.double() for k, t in init.items()})}


def references(name):
    """Float64, for the case's own data and each extra seed."""
    with double_precision():
        model = load(name, torch.float64).eval()
        out = [first_gradients(model, docs, None) for docs in all_data(name)]
    golden = load_file(HERE / name / "golden.safetensors")
    assert relative(out[0]["grad"], {k: golden["grad." + k].double() for k in out[0]["grad"]}) < 1e-6
    return out


def all_data(name):
    return [read_data(name)] + [random_data(name, seed) for seed in EXTRA_SEEDS]


def rounded(x, digits=4):
    return float(f"{x:.{digits}g}")


def measure(name, variant, reference):
    """{metric: [error on the case's data, root mean square over all data]}"""
    model = load_bfloat16(name, variant)
    runs = [first_errors(first_gradients(model, docs, variant), want) for docs, want in zip(all_data(name), reference)]
    errors = {k: [runs[0][k], float(np.sqrt(np.mean([r[k] ** 2 for r in runs])))] for k in runs[0]}
    errors |= {k: [v, v] for k, v in step_errors(name, *train(load_bfloat16(name, variant), name, variant)).items()}
    return {k: [rounded(v) for v in pair] for k, pair in errors.items()}


def make_case(name):
    reference = references(name)
    variants = {variant: measure(name, variant, reference) for variant in VARIANTS}
    best = {}
    for metric in variants["adapter_float32"]:
        variant = min(variants, key=lambda v: variants[v][metric][1])
        best[metric] = variants[variant][metric] + [variant]
    print(f"{name:22s}", "  ".join(f"{k} {v[0]:.1e}/{v[1]:.1e} ({v[2]})" for k, v in best.items()), flush=True)
    body = {"token_nll": [rounded(x, 8) for x in reference[0]["nll"].tolist()], "best": best, "variants": variants}
    if name in FP8_PRODUCTS:
        body["fp8"] = {k: pair + ["fp8_products"] for k, pair in measure(name, "fp8_products", reference).items()}
        print(f"{name:22s}", "  ".join(f"{k} {v[0]:.1e}/{v[1]:.1e}" for k, v in body["fp8"].items()), flush=True)
    return body


def write(path, body):
    """JSON with every list on one line."""
    text = re.sub(r"\[[^\[\]{}]*\]", lambda m: " ".join(m.group().split()), json.dumps(body, indent=1))
    path.write_text(text + "\n")


def main():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    path = HERE / "bf16_errors.json"
    body = json.loads(path.read_text()) if sys.argv[1:] and path.exists() else {"cases": {}}
    body |= {"made_with": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
                           "peft": peft.__version__, "attention": "sdpa", "device": "cpu"},
             "extra_seeds": EXTRA_SEEDS, "variants": VARIANTS}
    with tempfile.TemporaryDirectory() as temporary:
        dialects = {f"fp8_dialects/{name}": name for name in make_fp8.DIALECTS}
        for name in sys.argv[1:] or [*CASES, *dialects]:
            if name in dialects:
                make_fp8.enter_dequantized(dialects[name], temporary)
            body["cases"][name] = make_case(name)
    write(path, body)


if __name__ == "__main__":
    main()
