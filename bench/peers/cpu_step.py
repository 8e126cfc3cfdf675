"""One LoRA step of PyTorch + PEFT on the CPU, in float32: the peer of `ft-bench step`.

The geometry is SmolLM2-135M's with random weights; LoRA r 16, alpha 32 on every linear, no dropout; AdamW; sdpa attention;
cross-entropy on all tokens. Prints one JSON object: tokens per second of every timed step and their median.
"""
import argparse
import json
import statistics
import time

import peft
import torch
import transformers


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--sequence-len", type=int, default=512)
    parser.add_argument("--micro-batch-size", type=int, default=4)
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    return parser.parse_args()


def make_model(options):
    config = transformers.LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=options.layers, num_attention_heads=9, num_key_value_heads=3,
        vocab_size=49152, max_position_embeddings=8192, rope_theta=100000.0, rms_norm_eps=1e-5, tie_word_embeddings=True,
        attn_implementation="sdpa", use_cache=False)
    model = transformers.LlamaForCausalLM(config).to(getattr(torch, options.dtype))
    lora = peft.LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    return peft.get_peft_model(model, lora).train()


def run_step(model, optimizer, options):
    tokens = options.micro_batch_size * options.sequence_len
    for _ in range(options.accumulation):
        ids = torch.randint(0, 49152, (options.micro_batch_size, options.sequence_len))
        loss = model(input_ids=ids, labels=ids).loss / options.accumulation
        loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    return tokens * options.accumulation


def main():
    options = parse()
    torch.manual_seed(1)
    if options.threads:
        torch.set_num_threads(options.threads)
    model = make_model(options)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
    rates, cpu = [], []
    for step in range(options.warm_up + options.steps):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        tokens = run_step(model, optimizer, options)
        if step >= options.warm_up:
            rates.append(tokens / (time.perf_counter() - begin))
            cpu.append(time.process_time() - cpu_begin)
    print(json.dumps({"peer": f"PyTorch {torch.__version__} + PEFT {peft.__version__}", "threads": torch.get_num_threads(),
                      "dtype": options.dtype, "tokens_per_s": statistics.median(rates), "cpu_s_per_step": statistics.median(cpu),
                      "all": rates}))


if __name__ == "__main__":
    main()
