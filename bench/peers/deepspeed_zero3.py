"""LoRA steps of transformers + PEFT + Liger under DeepSpeed ZeRO-3 with offload_param: the peer of a streamed `ft-bench step`.

Frozen parameters live in pinned host memory, or with --nvme in files of a directory; AdamW of the adapters is PyTorch's, on the
GPU. One process. Prints one JSON object, with the error where DeepSpeed does not run.
"""
import importlib
import os
import socket

import torch

import peft_lora
from geometries import GEOMETRIES, random_weights

# Transfers as large and as many in flight as ours.
AIO = {"block_size": 1 << 20, "queue_depth": 32, "intra_op_parallelism": 4, "single_submit": False, "overlap_events": True}


def parse():
    parser = peft_lora.step_parser(__doc__.splitlines()[0])
    parser.add_argument("--nvme", metavar="DIR", help="parameters on a drive instead of in host memory")
    parser.add_argument("--no-liger", action="store_true")
    return parser.parse_args()


def describe_alone():
    """The environment that a launcher would set for a process of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    alone = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", LOCAL_SIZE="1",
                 GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="lo")
    for key, value in alone.items():
        os.environ.setdefault(key, value)


def config_of(options):
    geometry = GEOMETRIES[options.geometry]
    home = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    if options.nvme:
        home = {"device": "nvme", "nvme_path": options.nvme, "pin_memory": True, "max_in_cpu": 0, "buffer_count": 6,
                "buffer_size": geometry["vocab_size"] * geometry["hidden_size"]}
    layer = geometry["hidden_size"] * (2 * geometry["hidden_size"] + 3 * geometry["intermediate_size"]) * 2
    zero = {"stage": 3, "offload_param": home, "overlap_comm": True, "contiguous_gradients": True, "stage3_prefetch_bucket_size": layer,
            "stage3_max_live_parameters": 3 * layer, "stage3_max_reuse_distance": layer}
    return {"train_micro_batch_size_per_gpu": options.micro_batch_size, "gradient_accumulation_steps": 1, "gradient_clipping": 1.0,
            "bf16": {"enabled": True}, "zero_optimization": zero, "zero_force_ds_cpu_optimizer": False,
            "zero_allow_untested_optimizer": True, "aio": AIO, "steps_per_print": 1 << 30, "wall_clock_breakdown": False}


def time_engine(options, case, device):
    deepspeed = importlib.import_module("deepspeed")
    deepspeed.init_distributed("nccl" if device.type == "cuda" else "gloo")
    model = peft_lora.adapted(options, case, random_weights(options.geometry, options.layers, device), device)
    trainable = peft_lora.trainable_of(model)
    optimizer = torch.optim.AdamW(trainable, lr=2e-4, fused=True)
    engine = deepspeed.initialize(model=model, optimizer=optimizer, model_parameters=trainable, config=config_of(options))[0]
    peft_lora.free_memory(device)
    ids = peft_lora.random_ids(options, case, device)

    def work():
        loss = engine(input_ids=ids, labels=ids).loss
        engine.backward(loss)
        engine.step()
        return loss

    result = peft_lora.time_work(options, device, ids.numel(), work)
    return result | {"deepspeed": deepspeed.__version__}


def main():
    options = parse()
    device = peft_lora.pick_device()
    torch.manual_seed(1)
    describe_alone()
    case = peft_lora.configuration(options.micro_batch_size, liger=device.type == "cuda" and not options.no_liger, checkpointing=True)

    def work():
        with peft_lora.liger_kernels(options.geometry, case["liger"]):
            return time_engine(options, case, device)

    peer = "DeepSpeed ZeRO-3, offload_param " + ("nvme" if options.nvme else "cpu")
    peft_lora.print_result(options, device, peer, case, peft_lora.attempt(work))


if __name__ == "__main__":
    main()
