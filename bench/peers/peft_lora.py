"""LoRA steps of Hugging Face transformers + PEFT, with or without Liger's kernels, on random weights: the peer of `ft-bench step`.

LoRA r 16 on every linear, no dropout, AdamW, gradient norm clipped to 1, cross-entropy on all tokens, one GPU. Prints one JSON
object a line for each configuration: tokens per second (median of the timed steps), peak memory, loss, or the error.

--sweep tries the configurations that have done best, best first, in one process, each with memory freed before it, until
--seconds have passed.
"""
import argparse
import contextlib
import gc
import importlib
import json
import statistics
import time

import peft
import torch
import transformers

from geometries import GEOMETRIES, family_of, make_model, modeling_of, random_weights

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def step_parser(description):
    """The options of every program that times LoRA steps."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--geometry", default="llama3-8b", choices=GEOMETRIES)
    parser.add_argument("--layers", type=int, default=0, help="0: the geometry's")
    parser.add_argument("--sequence-len", type=int, default=4096)
    parser.add_argument("--micro-batch-size", type=int, default=2)
    parser.add_argument("--lora-r", type=int, default=16)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="timed ones; the median is printed")
    return parser


def parse():
    parser = step_parser(__doc__.splitlines()[0])
    parser.add_argument("--liger", action="store_true")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--adapters", default="bf16", choices=["bf16", "f32"], help="f32 computes under autocast")
    parser.add_argument("--attention", default="default", choices=["default", "cudnn", "flash"])
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--seconds", type=float, default=300, help="of a sweep")
    return parser.parse_args()


def configuration(micro_batch_size, liger=True, checkpointing=False, adapters="bf16", attention="default"):
    return dict(micro_batch_size=micro_batch_size, liger=liger, checkpointing=checkpointing, adapters=adapters, attention=attention)


def sweep_of(geometry):
    """Best first by earlier runs on one H100 of 80 GB."""
    small = [configuration(2), configuration(2, attention="cudnn"), configuration(1), configuration(3, attention="cudnn"),
             configuration(4, checkpointing=True), configuration(2, adapters="f32"), configuration(3, checkpointing=True, attention="cudnn"),
             configuration(1, liger=False), configuration(2, liger=False, checkpointing=True)]
    large = [configuration(2, checkpointing=True), configuration(1, checkpointing=True), configuration(2, checkpointing=True, attention="cudnn"),
             configuration(1, checkpointing=True, attention="cudnn"), configuration(3, checkpointing=True), configuration(1)]
    return large if GEOMETRIES[geometry]["hidden_size"] > 4096 else small


@contextlib.contextmanager
def liger_kernels(geometry, wanted):
    """Liger replaces classes and functions of the modeling module; afterwards they are as before."""
    if not wanted:
        yield
        return
    liger = importlib.import_module("liger_kernel.transformers")
    module, prefix = modeling_of(geometry)
    causal = getattr(module, prefix + "ForCausalLM")
    names, forward = dict(vars(module)), causal.forward
    getattr(liger, "apply_liger_kernel_to_" + family_of(geometry))()
    try:
        yield
    finally:
        vars(module).update(names)
        causal.forward = forward


def attention_kernel(name):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    if name == "default":
        return contextlib.nullcontext()
    return sdpa_kernel({"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}[name])


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def adapters_of(options, model, **more):
    lora = peft.LoraConfig(r=options.lora_r, lora_alpha=2 * options.lora_r, lora_dropout=0.0, target_modules=TARGETS, task_type="CAUSAL_LM")
    return peft.get_peft_model(model, lora, **more)


def recompute_layers(model):
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()


def adapted(options, case, weights, device):
    model = make_model(options.geometry, options.layers, weights, device)
    model = adapters_of(options, model, autocast_adapter_dtype=case["adapters"] == "f32").to(device)
    if case["checkpointing"]:
        recompute_layers(model)
    return model.train()


def trainable_of(model):
    return [p for p in model.parameters() if p.requires_grad]


def random_ids(options, case, device):
    return torch.randint(0, GEOMETRIES[options.geometry]["vocab_size"], (case["micro_batch_size"], options.sequence_len), device=device)


def time_work(options, device, tokens, work):
    """`work` does a step of that many tokens and returns its loss."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for step in range(options.warm_up + options.steps):
        synchronize(device)
        begin = time.perf_counter()
        loss = work()
        synchronize(device)
        if step >= options.warm_up:
            seconds.append(time.perf_counter() - begin)
    step_s = statistics.median(seconds)
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None
    return {"tokens_per_s": tokens / step_s, "step_s": step_s, "peak_gb": peak, "loss": loss.item()}


def time_steps(options, case, model, device, optimizer=None):
    trainable = trainable_of(model)
    optimizer = optimizer or torch.optim.AdamW(trainable, lr=2e-4, fused=True)
    ids = random_ids(options, case, device)

    def work():
        with attention_kernel(case["attention"]):
            with torch.autocast(device.type, torch.bfloat16, enabled=case["adapters"] == "f32"):
                loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return time_work(options, device, ids.numel(), work)


def attempt(work):
    """The result, or the error's first line; out of memory is a result like any other, and so is what a library cannot do."""
    try:
        return work()
    except ImportError as error:
        return {"error": f"not installed: {error}"}
    except Exception as error:
        kind = "out of memory" if isinstance(error, torch.OutOfMemoryError) else type(error).__name__
        return {"error": f"{kind}: {(str(error).splitlines() or [''])[0][:300]}"}


def measure(options, case, weights, device):
    def work():
        with liger_kernels(options.geometry, case["liger"]):
            return time_steps(options, case, adapted(options, case, weights, device), device)
    return attempt(work)


def pick_device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def print_result(options, device, peer, case, result):
    about = {"peer": f"{peer}, torch {torch.__version__}", "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
             "geometry": options.geometry, "layers": options.layers or GEOMETRIES[options.geometry]["num_hidden_layers"],
             "sequence_len": options.sequence_len}
    print(json.dumps(about | case | result), flush=True)


def free_memory(device):
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def main():
    options = parse()
    device = pick_device()
    torch.manual_seed(1)
    start = time.monotonic()
    weights = random_weights(options.geometry, options.layers, device)
    one = configuration(options.micro_batch_size, options.liger, options.checkpointing, options.adapters, options.attention)
    for case in sweep_of(options.geometry) if options.sweep else [one]:
        if options.sweep and time.monotonic() - start > options.seconds:
            break
        peer = f"transformers {transformers.__version__} + PEFT {peft.__version__}"
        print_result(options, device, peer, case, measure(options, case, weights, device))
        free_memory(device)


if __name__ == "__main__":
    main()
