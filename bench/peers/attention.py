"""Attention of PyTorch on a GPU, forward and backward: the peer of `ft-bench attention`.

scaled_dot_product_attention through cuDNN and through FlashAttention-2, the latter also with deterministic sums; causal, bf16,
grouped query heads. FLOPs are those of the causal half: 2 products per pair of a query and a key it sees forward, 5 backward.
--packed takes ft-bench's documents of uneven lengths: FlexAttention with a block mask, and varlen_attn where torch has it (2.10).
Prints one JSON object a line.
"""
import argparse
import contextlib
import inspect
import itertools
import json
import statistics

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from geometries import GEOMETRIES

EIGHTHS = [3, 8, 1, 5, 2, 7, 4, 6]  # of the longest document, as bench/attention_probe.c


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--geometry", choices=GEOMETRIES, help="in place of the next three")
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--sequence-len", type=int, default=4096)
    parser.add_argument("--micro-batch-size", type=int, default=1)
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    if options.geometry:
        known = GEOMETRIES[options.geometry]
        options.heads, options.kv_heads, options.head_dim = known["num_attention_heads"], known["num_key_value_heads"], known["head_dim"]
    return options


def documents(options):
    rows = options.micro_batch_size * options.sequence_len
    if not options.packed:
        return [options.sequence_len] * options.micro_batch_size
    lengths = []
    while sum(lengths) < rows:
        length = max(1, options.sequence_len * EIGHTHS[len(lengths) % 8] // 8)
        lengths.append(min(length, rows - sum(lengths)))
    return lengths


def seconds_of(call, repeat):
    """Median of event-timed samples of a few calls each."""
    calls = 5
    for _ in range(3):
        call()
    samples = []
    for _ in range(repeat):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        samples.append(begin.elapsed_time(end) / 1e3 / calls)
    return statistics.median(samples)


def dense(q, k, v):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def flex(options):
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    lengths = torch.tensor(documents(options), device="cuda")
    owner = torch.repeat_interleave(torch.arange(len(lengths), device="cuda"), lengths)

    def visible(batch, head, query, key):
        return (owner[query] == owner[key]) & (query >= key)

    mask = create_block_mask(visible, None, None, len(owner), len(owner), device="cuda")
    compiled = torch.compile(flex_attention)
    return lambda q, k, v: compiled(q, k, v, block_mask=mask, enable_gqa=True)


def varlen(options):
    """What asks for causal attention and for grouped heads differs between versions of torch."""
    from torch.nn.attention.varlen import varlen_attn
    known = inspect.signature(varlen_attn).parameters
    words = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    if "enable_gqa" in known:
        words["enable_gqa"] = True
    lengths = documents(options)
    begins = torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32, device="cuda")
    return lambda q, k, v: varlen_attn(*(x[0].transpose(0, 1) for x in (q, k, v)), begins, begins, max(lengths), max(lengths), **words)


def tensors(options):
    batch, slots = (1, options.micro_batch_size * options.sequence_len) if options.packed else (options.micro_batch_size, options.sequence_len)
    shapes = [options.heads, options.kv_heads, options.kv_heads]
    return [torch.randn(batch, slots, heads, options.head_dim, device="cuda", dtype=torch.bfloat16).transpose(1, 2).requires_grad_()
            for heads in shapes]


def measure(options, attention):
    q, k, v = tensors(options)
    flops = sum(2 * n * (n + 1) / 2 * options.heads * options.head_dim for n in documents(options))
    output = attention(q, k, v)
    gradient = torch.randn_like(output)
    forward = seconds_of(lambda: attention(q, k, v), options.repeat)
    backward = seconds_of(lambda: torch.autograd.grad(output, (q, k, v), gradient, retain_graph=True), options.repeat)
    return {"forward_tflops": 2 * flops / forward / 1e12, "backward_tflops": 5 * flops / backward / 1e12}


@contextlib.contextmanager
def deterministic(wanted):
    torch.use_deterministic_algorithms(wanted)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def run(options, name, backend, exact, make):
    result = {"peer": f"torch {torch.__version__} {name}", "device": torch.cuda.get_device_name(), "deterministic": exact}
    result |= {key: getattr(options, key) for key in ("heads", "kv_heads", "head_dim", "sequence_len", "micro_batch_size", "packed")}
    try:
        with deterministic(exact), sdpa_kernel(backend) if backend else contextlib.nullcontext():
            result |= measure(options, make())
    except (RuntimeError, ImportError, ValueError, TypeError) as error:
        result["error"] = str(error).splitlines()[0][:200]
    print(json.dumps(result), flush=True)


def main():
    options = parse()
    torch.manual_seed(1)
    if options.packed:
        run(options, "varlen_attn", None, False, lambda: varlen(options))
        run(options, "FlexAttention", None, False, lambda: flex(options))
        return
    run(options, "SDPA cuDNN", SDPBackend.CUDNN_ATTENTION, False, lambda: dense)
    run(options, "SDPA FlashAttention-2", SDPBackend.FLASH_ATTENTION, False, lambda: dense)
    run(options, "SDPA FlashAttention-2", SDPBackend.FLASH_ATTENTION, True, lambda: dense)


if __name__ == "__main__":
    main()
