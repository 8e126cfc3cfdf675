#!/usr/bin/env python3
"""Compares logits written by ft-single with transformers + PEFT on the same base and adapter, in float32 on the CPU.

    ft-single eval --model BASE_DIR --adapter ADAPTER_DIR --data FILE --logits LOGITS.safetensors
    python check_peft.py BASE_DIR ADAPTER_DIR LOGITS.safetensors [--tolerance X] [--base-format bf16|fp8]
                         [--merged DIR [--merged-tolerance X]]

LOGITS.safetensors holds `input_ids` [n] int64, one document, and `logits` [n, vocab] float32. ADAPTER_DIR `none` compares the
base alone. --base-format fp8 quantizes the layers' linears as a base store does. --merged loads DIR as a model of its own and
compares it with the same logits; its weights are rounded to their file's dtype, so its tolerance is a separate one.
Exit status: 0 agrees, 1 does not, 2 the input is not what it should be. Packages: as for make_golden.py.
"""
import argparse
import os
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from oracle import quantize_layers


def refuse(message):
    print(f"check_peft: {message}", file=sys.stderr)
    sys.exit(2)


def read_logits(path):
    tensors = load_file(path)
    for key, dtype, dims in (("input_ids", torch.int64, 1), ("logits", torch.float32, 2)):
        t = tensors.get(key)
        if t is None or t.dtype != dtype or t.dim() != dims:
            refuse(f"{path}: needs {key}, {dims}-dimensional {dtype}; has {len(tensors)} tensors, {sorted(tensors)[:4]}")
    ids, logits = tensors["input_ids"], tensors["logits"]
    if len(ids) != len(logits):
        refuse(f"{path}: {len(ids)} input_ids and {len(logits)} rows of logits")
    return ids, logits


def load_model(path):
    """A model directory in float32. A tensor that is missing or left over is an error, never a random weight."""
    model, info = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager",
                                                       output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(kind):
            refuse(f"{path}: {kind} {sorted(map(str, info[kind]))[:4]}")
    return model.eval()


def adapted_model(arguments):
    model = load_model(arguments.base)
    if arguments.base_format == "fp8":
        quantize_layers(model)
    return model if arguments.adapter == "none" else PeftModel.from_pretrained(model, arguments.adapter).eval()


def agrees(title, model, ids, logits, tolerance):
    with torch.no_grad():
        expect = model(input_ids=ids[None], use_cache=False).logits[0].float()
    if expect.shape != logits.shape:
        refuse(f"{title}: the model's logits are {list(expect.shape)}, the file's {list(logits.shape)}")
    difference = (expect - logits).abs().nan_to_num(nan=float("inf"))
    token, entry = divmod(difference.argmax().item(), logits.shape[1])
    worst = difference[token, entry].item()
    same = (expect.argmax(-1) == logits.argmax(-1)).float().mean().item()
    ok = worst <= tolerance
    print(f"{title}: max abs difference {worst:.3e} at token {token}, entry {entry} ({expect[token, entry]:.6f} here, "
          f"{logits[token, entry]:.6f} in the file); same argmax {100 * same:.1f} %; tolerance {tolerance:g}: "
          f"{'ok' if ok else 'FAILED'}")
    return ok


def main():
    parser = argparse.ArgumentParser(description="Compare ft-single's logits with transformers + PEFT.")
    parser.add_argument("base", help="base model directory")
    parser.add_argument("adapter", help="PEFT adapter directory, or none")
    parser.add_argument("logits", help="safetensors file with input_ids and logits")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest absolute difference allowed (default 1e-4)")
    parser.add_argument("--base-format", choices=["bf16", "fp8"], default="bf16")
    parser.add_argument("--merged", metavar="DIR", help="merged model directory to check as well")
    parser.add_argument("--merged-tolerance", type=float, help="for --merged (default: as --tolerance)")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)  # PEFT still asks for names that transformers is renaming
    transformers.logging.disable_progress_bar()
    ids, logits = read_logits(arguments.logits)
    ok = agrees("base + adapter", adapted_model(arguments), ids, logits, arguments.tolerance)
    if arguments.merged:
        tolerance = arguments.tolerance if arguments.merged_tolerance is None else arguments.merged_tolerance
        ok = agrees("merged", load_model(arguments.merged), ids, logits, tolerance) and ok
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
