"""An equivalent checkpoint of a Llama model with larger sizes, all multiples of 128: what `compute: fp8` needs.

    python pad_model.py MODEL OUTPUT            # OUTPUT/config.json, model.safetensors and the tokenizer's files
    python pad_model.py MODEL OUTPUT --check    # and compares both with transformers (float32, before rounding: 1e-5)

More of everything, and zeros in what is more. The hidden state's extra dimensions are 0 and stay 0: nothing writes to them (rows of
o_proj and down_proj, columns of the embedding) and nothing reads them (norm weights, columns of the other linears). RMSNorm
divides by the root of the mean over n dimensions; over N of which N - n are zero that root is sqrt(n / N) times as large, so norm
weights are scaled by sqrt(n / N) and eps by n / N. Extra heads come in whole groups of one key/value head: their queries, keys and
values are 0, and so are the columns of o_proj that read them. Under LoRA training the extra dimensions get no gradient.

Matrices keep their values exactly. Norm weights are rounded to the checkpoint's dtype after scaling, which makes the written model
differ from the original by that rounding (2^-9 relative in bfloat16); --check measures both.
"""
import argparse
import json
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "chat_template.jinja")


def round_up(n, unit):
    return (n + unit - 1) // unit * unit


def padded_config(config):
    """Heads in whole groups until both q and kv widths are multiples of 128; then the hidden size, which transformers wants to be a
    multiple of the number of heads, too."""
    new = dict(config)
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    kv = config["num_key_value_heads"]
    while kv * head % 128 or kv * group * head % 128:
        kv += 1
    new.update(hidden_size=round_up(config["hidden_size"], math.lcm(128, kv * group)), intermediate_size=round_up(config["intermediate_size"], 128),
               head_dim=head, num_key_value_heads=kv, num_attention_heads=kv * group)
    new["rms_norm_eps"] = config["rms_norm_eps"] * config["hidden_size"] / new["hidden_size"]
    return new


def padded_shape(name, config):
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    q, kv = (config[key] * config["head_dim"] for key in ("num_attention_heads", "num_key_value_heads"))
    shapes = {"q_proj": (q, hidden), "k_proj": (kv, hidden), "v_proj": (kv, hidden), "o_proj": (hidden, q), "gate_proj": (ffn, hidden),
              "up_proj": (ffn, hidden), "down_proj": (hidden, ffn), "embed_tokens": (config["vocab_size"], hidden),
              "lm_head": (config["vocab_size"], hidden), "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,), "norm": (hidden,)}
    part = name.split(".")[-2]
    if part not in shapes or not name.endswith(".weight"):
        raise SystemExit(f"{name}: not a tensor of a Llama model")
    return shapes[part]


def pad(tensors, old, new):
    """Float32 tensors of the larger model. Extra heads come last, so a head keeps its group."""
    scale = math.sqrt(old["hidden_size"] / new["hidden_size"])
    result = {}
    for name, tensor in tensors.items():
        larger = torch.zeros(padded_shape(name, new))
        larger[tuple(slice(0, n) for n in tensor.shape)] = tensor.float() * (scale if tensor.dim() == 1 else 1)
        result[name] = larger
    return result


def read(model):
    config = json.loads((model / "config.json").read_text())
    tensors = {}
    for file in sorted(model.glob("*.safetensors")):
        tensors.update(load_file(file))
    return config, tensors


def write(output, model, config, tensors, dtype):
    output.mkdir(parents=True, exist_ok=True)
    (output / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file({name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}, output / "model.safetensors", {"format": "pt"})
    for name in TOKENIZER:
        if (model / name).exists():
            shutil.copy(model / name, output / name)


def logits(config, tensors, ids):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    network = LlamaForCausalLM(LlamaConfig(**config)).float().eval()
    missing, unknown = network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
    if unknown or set(missing) - {"lm_head.weight"}:
        raise SystemExit(f"missing {missing}, unknown {unknown}")
    with torch.no_grad():
        return network(ids).logits


def check(old, tensors, new, larger, dtype):
    ids = torch.randint(0, old["vocab_size"], (2, 64), generator=torch.Generator().manual_seed(1))
    want = logits(old, tensors, ids)
    for what, got in (("exact", larger), ("rounded", {name: tensor.to(dtype) for name, tensor in larger.items()})):
        error = float((logits(new, got, ids) - want).norm() / want.norm())
        print(f"{what}: relative difference of the logits {error:.2e}")
        if what == "exact" and not error < 1e-5:
            raise SystemExit("the padded model is not equivalent")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    old, tensors = read(arguments.model)
    new = padded_config(old)
    larger = pad(tensors, old, new)
    dtype = tensors["model.embed_tokens.weight"].dtype
    if arguments.check:
        check(old, tensors, new, larger, dtype)
    write(arguments.output, arguments.model, new, larger, dtype)
    print(f"{arguments.output}: hidden {old['hidden_size']} -> {new['hidden_size']}, heads {old['num_attention_heads']}/{old['num_key_value_heads']} -> "
          f"{new['num_attention_heads']}/{new['num_key_value_heads']}, ffn {old['intermediate_size']} -> {new['intermediate_size']}")


if __name__ == "__main__":
    main()
