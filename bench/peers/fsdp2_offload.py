"""LoRA steps of transformers + PEFT + Liger under PyTorch's FSDP2 with CPUOffloadPolicy: the peer of a streamed `ft-bench step`.

Every parameter, frozen or not, lives in pinned host memory and AdamW runs on the CPU; each layer is gathered to the GPU before it
runs, forward and in backward's recomputation. One process. Prints one JSON object.
"""
import os
import tempfile

import torch
import torch.distributed
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, fully_shard

import peft_lora
from geometries import random_weights


def join_alone(device, directory):
    """A process group of one, which needs no network; norms of parameters in host memory are summed by gloo."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, init_method=f"file://{directory}/store", rank=0, world_size=1)


def sharded(options, case, device):
    model = peft_lora.adapted(options, case, random_weights(options.geometry, options.layers, device), device)
    mesh = torch.distributed.init_device_mesh(device.type, (1,))
    policies = dict(mesh=mesh, offload_policy=CPUOffloadPolicy(pin_memory=device.type == "cuda"),
                    mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))
    for layer in model.base_model.model.model.layers:
        fully_shard(layer, **policies)
    fully_shard(model, **policies)
    peft_lora.free_memory(device)
    return model


def main():
    options = peft_lora.step_parser(__doc__.splitlines()[0]).parse_args()
    device = peft_lora.pick_device()
    torch.manual_seed(1)
    case = peft_lora.configuration(options.micro_batch_size, liger=device.type == "cuda", checkpointing=True)

    def work():
        with peft_lora.liger_kernels(options.geometry, case["liger"]):
            return peft_lora.time_steps(options, case, sharded(options, case, device), device)

    with tempfile.TemporaryDirectory() as directory:
        join_alone(device, directory)
        peft_lora.print_result(options, device, "FSDP2 CPUOffloadPolicy", case, peft_lora.attempt(work))
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
