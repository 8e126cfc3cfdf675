"""QLoRA steps of transformers + PEFT + bitsandbytes + Liger on random NF4 weights: how users train 70B on one card.

NF4 with double quantization on every linear of the layers, as QLoRA has it; head, embedding, norms and adapters in bf16; gradient
checkpointing. Each matrix is made on the GPU and quantized there before the next, so that 70B takes seconds and never more
memory than it has. Prints one JSON object a line for each micro-batch size.
"""
import importlib
import time

import bitsandbytes
import torch

import peft_lora
from geometries import empty_model, random_tensor, set_parameter


def parse():
    parser = peft_lora.step_parser(__doc__.splitlines()[0])
    parser.set_defaults(geometry="llama3-70b", warm_up=2, steps=3)
    parser.add_argument("--sweep", default="", metavar="N,N", help="micro-batch sizes to try in turn, instead of one")
    parser.add_argument("--seconds", type=float, default=170, help="none is begun after that time")
    parser.add_argument("--attention", default="default", choices=["default", "cudnn", "flash"])
    parser.add_argument("--no-double-quant", action="store_true")
    parser.add_argument("--paged", action="store_true", help="bitsandbytes' paged AdamW instead of PyTorch's")
    return parser.parse_args()


def quantize_linear(options, model, name, linear, device):
    quantized = bitsandbytes.nn.Linear4bit(linear.in_features, linear.out_features, linear.bias is not None, compute_dtype=torch.bfloat16,
                                           compress_statistics=not options.no_double_quant, quant_type="nf4", device="meta")
    weight = random_tensor("weight", linear.weight.shape, device)
    quantized.weight = bitsandbytes.nn.Params4bit(weight, requires_grad=False, compress_statistics=not options.no_double_quant,
                                                  quant_type="nf4", module=quantized).to(device)
    set_parameter(model, name, quantized)


def quantized_model(options, device):
    """The model with its adapters; what is not quantized is random bf16."""
    model = empty_model(options.geometry, options.layers, device)
    for name, module in list(model.model.layers.named_modules()):
        if isinstance(module, torch.nn.Linear):
            quantize_linear(options, model, "model.layers." + name, module, device)
    for key, parameter in list(model.named_parameters()):
        if parameter.is_meta:
            set_parameter(model, key, torch.nn.Parameter(random_tensor(key, parameter.shape, device), requires_grad=False))
    model.is_loaded_in_4bit = True  # what PEFT asks
    model = peft_lora.adapters_of(options, model, autocast_adapter_dtype=False)
    for parameter in peft_lora.trainable_of(model):
        parameter.data = parameter.data.to(device, torch.bfloat16)
    peft_lora.recompute_layers(model)
    return model.train()


def main():
    options = parse()
    device = peft_lora.pick_device()
    torch.manual_seed(1)
    begin = time.monotonic()
    sizes = [int(size) for size in options.sweep.split(",")] if options.sweep else [options.micro_batch_size]
    peer = f"NF4 QLoRA, bitsandbytes {bitsandbytes.__version__}, PEFT {importlib.import_module('peft').__version__}"
    with peft_lora.liger_kernels(options.geometry, device.type == "cuda"):
        model = quantized_model(options, device)
        made_s = time.monotonic() - begin
        for size in sizes:
            if time.monotonic() - begin > options.seconds:
                break
            case = peft_lora.configuration(size, liger=device.type == "cuda", checkpointing=True, attention=options.attention)

            def work():
                optimizer = bitsandbytes.optim.PagedAdamW32bit(peft_lora.trainable_of(model), lr=2e-4) if options.paged else None
                return peft_lora.time_steps(options, case, model, device, optimizer)

            more = {"double_quant": not options.no_double_quant, "paged": options.paged, "made_s": made_s}
            peft_lora.print_result(options, device, peer, case | more, peft_lora.attempt(work))
            model.zero_grad(set_to_none=True)
            peft_lora.free_memory(device)


if __name__ == "__main__":
    main()
