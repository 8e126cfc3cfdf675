#!/usr/bin/env python3
"""Writes tiny FP8 Llamas in every dialect that is read as it is, and what transformers + PEFT compute for them in float64.

    VENV/bin/python make_fp8.py [CASE ...]          (VENV: as for ../make_golden.py, with compressed-tensors besides; 30 seconds)

A case is a folder like those of ../README.md, with `model/` in the dialect. Codes and scales are made here in numpy from random
weights; what they stand for is computed in float64 (ml_dtypes' E4M3FN times the scale), rounded to float32 once, and that is the
base of the float64 run. Independent readers agree bit for bit with those weights before anything is written: transformers' own
FineGrainedFP8 dequantization and compressed-tensors' own, each for the cases it can read.

case.json has two members more than other cases: `dequantized`, CRC-32 of the float32 bytes of each quantized weight, and
`readers`, the libraries that agreed.
"""
import json
import math
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import make_golden as golden  # noqa: E402, sets HF_HUB_OFFLINE

import ml_dtypes
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from cases import ATTENTION, CASES, MLP, MODELS
from oracle import deviation, double_precision, run

TILE = 128
E4M3 = ml_dtypes.float8_e4m3fn

# Tiles need sides above 128 to be more than one; 130 and 132 leave partial ones. kv_heads = q_heads in "stacked", so that q|k|v and
# gate|up have 128 rows each and are stacked in a store; "whole" has whole tiles alone, as FP8 products want them. 54 and 70 rows leave room at the end of an array of row scales.
GEOMETRY = {
    "tiles": dict(hidden_size=132, intermediate_size=130, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
                  head_dim=16, vocab_size=48, tie_word_embeddings=True),
    "stacked": dict(hidden_size=136, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                    head_dim=64, vocab_size=48, tie_word_embeddings=True),
    "small": dict(hidden_size=54, intermediate_size=70, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
                  head_dim=16, vocab_size=48, tie_word_embeddings=False),
    "whole": dict(hidden_size=256, intermediate_size=128, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                  head_dim=64, vocab_size=48, tie_word_embeddings=True),
}


def compressed(strategy, ignore, dynamic, **weights):
    return dict(quant_method="compressed-tensors", format="float-quantized", quantization_status="compressed", ignore=ignore,
                kv_cache_scheme=None, global_compression_ratio=None, config_groups=dict(group_0=dict(
                    targets=["Linear"], output_activations=None,
                    input_activations=dict(num_bits=8, type="float", symmetric=True, dynamic=dynamic,
                                           strategy="token" if dynamic else "tensor"),
                    weights=dict(num_bits=8, type="float", symmetric=True, dynamic=False, strategy=strategy, **weights))))


META_LEFT = ([f"model.layers.{i}.self_attn.{m}" for i in range(3) for m in ATTENTION] +
             [f"model.layers.{i}.mlp.{m}" for i in (0, 2) for m in MLP])

# kind, suffix and dtype of the scales; left: modules in bf16; extra: other tensors beside each weight; targets: LoRA's.
DIALECTS = {
    "tile_inv": dict(
        about="weight_scale_inv of Qwen3 and DeepSeek: a float32 scale per 128x128 tile, partial tiles, nothing stacked",
        geometry="tiles", kind="tile", suffix="weight_scale_inv", scale=torch.float32, seed=301,
        config=dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic", weight_block_size=[128, 128])),
    "tile_e8m0": dict(
        about="the same with E8M0 scales, a different power of two for each tile, and 128 rows per part, so that parts are stacked",
        geometry="stacked", kind="tile", suffix="weight_scale_inv", scale=torch.float8_e8m0fnu, seed=302,
        config=dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic", weight_block_size=[128, 128],
                    scale_fmt="ue8m0")),
    "fbgemm_row": dict(
        about="Meta's 405B layout: float32 scales per row; attention, first and last layer left in bf16",
        geometry="small", kind="row", suffix="weight_scale", scale=torch.float32, seed=303, left=META_LEFT,
        targets=ATTENTION + ["down_proj"],
        config=dict(quant_method="fbgemm_fp8", activation_scale_ub=1200.0, modules_to_not_convert=META_LEFT + ["lm_head"])),
    "ct_tensor": dict(
        about="compressed-tensors, static: one bf16 scale per tensor, [1]; a regular expression leaves v_proj in bf16",
        geometry="small", kind="tensor", suffix="weight_scale", scale=torch.bfloat16, seed=304, extra=["input_scale"],
        left=[f"model.layers.{i}.self_attn.v_proj" for i in range(3)],
        config=compressed("tensor", ["lm_head", "re:.*self_attn\\.v_proj$"], False)),
    "ct_channel": dict(
        about="compressed-tensors, FP8_DYNAMIC: bf16 scales per row, [out, 1]",
        geometry="small", kind="row", suffix="weight_scale", scale=torch.bfloat16, seed=305,
        config=compressed("channel", ["lm_head"], True)),
    "ct_block": dict(
        about="compressed-tensors, FP8_BLOCK: bf16 scales per 128x128 tile",
        geometry="tiles", kind="tile", suffix="weight_scale", scale=torch.bfloat16, seed=306, targets=MLP,
        config=compressed("block", ["lm_head"], True, block_structure=[128, 128])),
    "autofp8": dict(
        about="AutoFP8, static: one float32 scale per tensor, []; input scales and scales of the key-value cache beside",
        geometry="small", kind="tensor", suffix="weight_scale", scale=torch.float32, seed=307, scalar=True,
        extra=["input_scale"], cache=True,
        config=dict(quant_method="fp8", activation_scheme="static", ignored_layers=["lm_head"])),
    "row_whole": dict(
        about="bf16 scales per row over whole 128-tiles",
        geometry="whole", kind="row", suffix="weight_scale", scale=torch.bfloat16, seed=308,
        config=compressed("channel", ["lm_head"], True)),
    "tensor_whole": dict(
        about="one float32 scale per tensor over whole 128-tiles",
        geometry="whole", kind="tensor", suffix="weight_scale", scale=torch.float32, seed=309, scalar=True, extra=["input_scale"],
        config=dict(quant_method="fp8", activation_scheme="static", ignored_layers=["lm_head"])),
}


def ceil_tiles(n):
    return -(-n // TILE)


def grid_shape(dialect, rows, cols):
    return {"tile": (ceil_tiles(rows), ceil_tiles(cols)), "row": (rows, 1), "tensor": (1, 1)}[dialect["kind"]]


def expand(grid, rows, cols, kind):
    """[rows, cols] of the scale that belongs to each element."""
    if kind == "tile":
        return grid.repeat(TILE, 0).repeat(TILE, 1)[:rows, :cols]
    return np.broadcast_to(grid, (rows, cols))


def make_scales(dialect, weight, rng):
    """float64 grid of scales, exact in the dialect's dtype and large enough that no code saturates by much."""
    rows, cols = weight.shape
    grid = grid_shape(dialect, rows, cols)
    if dialect["scale"] == torch.float8_e8m0fnu:
        powers = rng.permutation(np.arange(-12, -12 + grid[0] * grid[1])).reshape(grid)
        return np.exp2(powers.astype(np.float64))
    amax = np.zeros(grid)
    index = np.indices((rows, cols))
    at = {"tile": (index[0] // TILE, index[1] // TILE), "row": (index[0], index[1] * 0), "tensor": (index[0] * 0, index[1] * 0)}
    np.maximum.at(amax, at[dialect["kind"]], np.abs(weight))
    return torch.tensor(amax / 448.0).to(dialect["scale"]).double().numpy()


def quantize(dialect, weight, rng):
    """(codes as uint8, grid of scales in float64, float32 weight they stand for)."""
    rows, cols = weight.shape
    grid = make_scales(dialect, weight, rng)
    scale = expand(grid, rows, cols, dialect["kind"])
    codes = np.clip(weight / scale, -448, 448).astype(E4M3)
    exact = codes.astype(np.float64) * scale
    return codes.view(np.uint8), grid, exact.astype(np.float32)


def scale_tensor(dialect, grid):
    tensor = torch.tensor(grid).to(dialect["scale"])
    assert torch.equal(tensor.double(), torch.tensor(grid))
    if dialect.get("scalar"):
        return tensor.reshape(())
    return tensor.reshape(1) if dialect["kind"] == "tensor" else tensor


def make_model(name, plain, most=270_000):
    """Writes NAME/model, and into `plain` the same model dequantized to float32. Returns the dequantized quantized weights."""
    dialect = DIALECTS[name]
    config = LlamaConfig(**MODELS[str(plain.parent)]["config"])
    rng = np.random.Generator(np.random.PCG64(dialect["seed"]))
    model = LlamaForCausalLM(config)
    tensors, floats, quantized = {}, {}, {}
    for key, p in model.named_parameters():
        weight = golden.random_weight(rng, key, tuple(p.shape), config.tie_word_embeddings)
        module = key.removesuffix(".weight")
        if ".layers." in key and p.dim() == 2 and module not in dialect.get("left", []):
            codes, grid, stands_for = quantize(dialect, weight, rng)
            tensors[key] = torch.tensor(codes).view(torch.float8_e4m3fn)
            tensors[f"{module}.{dialect['suffix']}"] = scale_tensor(dialect, grid)
            for extra in dialect.get("extra", []):
                tensors[f"{module}.{extra}"] = torch.tensor(0.03125, dtype=dialect["scale"]).reshape(tensors[f"{module}.{dialect['suffix']}"].shape)
            quantized[key] = floats[key] = torch.tensor(stands_for)
        else:
            tensors[key] = torch.tensor(weight).to(torch.bfloat16)
            floats[key] = tensors[key].float()
    if dialect.get("cache"):
        for i in range(config.num_hidden_layers):
            for which in "kv":
                tensors[f"model.layers.{i}.self_attn.{which}_scale"] = torch.tensor(0.5)
    out = golden.fresh(HERE / name / "model")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    model.load_state_dict(floats, strict=not config.tie_word_embeddings)
    model.save_pretrained(golden.fresh(plain))
    body = json.loads((plain / "config.json").read_text()) | {"dtype": "bfloat16", "quantization_config": dialect["config"]}
    (out / "config.json").write_text(json.dumps(body, indent=2, sort_keys=True) + "\n")
    size = sum(f.stat().st_size for f in out.iterdir())
    assert size < most, (name, size)
    return quantized


# --- independent readers
def transformers_agrees(temporary):
    """On a model of whole tiles, written for this: for partial ones its dequantization takes tiles of another size."""
    global HERE
    committed, HERE = HERE, Path(temporary)
    DIALECTS["whole"] = DIALECTS["tile_inv"] | dict(seed=300)
    MODELS[str(HERE / "whole_plain")] = dict(config=dict(
        hidden_size=256, intermediate_size=384, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=128,
        vocab_size=32, tie_word_embeddings=True))
    quantized = make_model("whole", HERE / "whole_plain" / "model", most=1 << 20)
    config = transformers.FineGrainedFP8Config(dequantize=True)
    model = LlamaForCausalLM.from_pretrained(HERE / "whole" / "model", dtype=torch.float32, quantization_config=config)
    HERE = committed
    state = model.state_dict()
    return all(state[k].dtype == torch.float32 and torch.equal(state[k], w) for k, w in quantized.items())


def compressed_tensors_agrees(name, quantized):
    from compressed_tensors.quantization import QuantizationScheme
    from compressed_tensors.quantization.lifecycle.forward import dequantize
    weights = QuantizationScheme(**DIALECTS[name]["config"]["config_groups"]["group_0"]).weights
    tensors = load_file(HERE / name / "model" / "model.safetensors")
    return all(torch.equal(dequantize(tensors[key], tensors[key + "_scale"].float(), args=weights), w)
               for key, w in quantized.items())


def readers_that_agree(name, quantized, temporary):
    readers = []
    if name == "tile_inv":
        assert transformers_agrees(temporary)
        readers.append(f"transformers {transformers.__version__}")
    if name.startswith("ct_") or name == "row_whole":
        import compressed_tensors
        assert compressed_tensors_agrees(name, quantized)
        readers.append(f"compressed-tensors {compressed_tensors.__version__}")
    return readers


# --- goldens
def describe_case(name, temporary):
    """Enters the case into CASES and MODELS: (its name there, where its dequantized model belongs)."""
    path, plain = f"{HERE.name}/{name}", Path(temporary) / name / "model"
    dialect = DIALECTS[name]
    MODELS[str(plain.parent)] = dict(dtype=torch.float32, config=GEOMETRY[dialect["geometry"]] | dict(
        rms_norm_eps=1e-5, max_position_embeddings=256, bos_token_id=1, eos_token_id=2,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0)))
    CASES[path] = dict(about=dialect["about"], model=str(plain.parent), seed=dialect["seed"] + 100, base_format="fp8",
                       sequence_len=24, docs=[(11, "p"), (5, "f"), (24, "t"), (17, "p"), (1, "f")],
                       lora=dict(r=2, alpha=4, target_modules=dialect.get("targets", ATTENTION + MLP)),
                       optimizer=dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, max_grad_norm=1.0))
    return path, plain


def enter_dequantized(name, temporary):
    """For other scripts: the case's name in CASES, its base dequantized in `temporary`; writes nothing else."""
    global HERE
    path, plain = describe_case(name, temporary)
    committed, HERE = HERE, Path(temporary) / "source"
    make_model(name, plain)
    HERE = committed
    CASES[path]["base_format"] = "bf16"
    return path


def make_case(name, temporary):
    path, plain = describe_case(name, temporary)
    (HERE / name).mkdir(exist_ok=True)
    quantized = make_model(name, plain)
    readers = readers_that_agree(name, quantized, temporary)
    golden.make_data(path)
    golden.make_adapter(path)
    # The base is dequantized on the disk already; "fp8" in case.json is what ft-single keeps it in.
    CASES[path]["base_format"] = "bf16"
    with double_precision():
        ref = run(path, torch.float64)
    dev = {"float32": deviation(run(path, torch.float32), ref), "bfloat16": deviation(run(path, torch.bfloat16), ref)}
    assert dev["float32"]["loss"] < 1e-6 * ref["losses"][0] and dev["float32"]["grad_relative_l2_max"] < 1e-5, dev
    CASES[path]["base_format"] = "fp8"
    tensors = {f"logits.{i}": l for i, l in enumerate(ref["logits"])}
    tensors |= {"grad." + k: g for k, g in ref["grad"].items()} | {"after." + k: p for k, p in ref["after"].items()}
    save_file({k: t.float().contiguous() for k, t in tensors.items()}, HERE / name / "golden.safetensors")
    golden.write_case(path, ref, dev, 0.0)
    finish(name, quantized, readers)
    print(f"{name:12s} loss {ref['losses'][0]:.6f} -> {ref['losses'][-1]:.6f}  {len(quantized)} weights in FP8, read alike by "
          f"{', '.join(readers) or 'no other library'}")


def finish(name, quantized, readers):
    """What is not in other cases, and no path of this machine."""
    body = json.loads((HERE / name / "case.json").read_text())
    body["name"] = name
    body["readers"] = readers
    body["dequantized"] = {k: zlib.crc32(w.numpy().astype("<f4").tobytes()) for k, w in sorted(quantized.items())}
    (HERE / name / "case.json").write_text(json.dumps(body, indent=2) + "\n")
    adapter = HERE / name / "adapter_init" / "adapter_config.json"
    adapter.write_text(json.dumps(json.loads(adapter.read_text()) | {"base_model_name_or_path": name}, indent=2, sort_keys=True) + "\n")
    assert not math.isnan(body["expected"]["loss"])


def main():
    names = sys.argv[1:] or list(DIALECTS)
    unknown = [n for n in names if n not in DIALECTS]
    if unknown:
        sys.exit(f"make_fp8: no such case: {unknown[0]} (known: {', '.join(DIALECTS)})")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        for name in names:
            make_case(name, temporary)


if __name__ == "__main__":
    main()
