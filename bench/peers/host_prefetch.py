"""LoRA steps with the frozen layers in pinned host memory and one layer prefetched: the peer of a streamed `ft-bench step`.

transformers + PEFT + Liger, bf16 weights and adapters, gradient checkpointing. Two buffers on the GPU hold a layer each; before
a layer runs, forward or in backward's recomputation, its weights have been copied by a side stream and the next one's copy
starts. The scheme of Axolotl's layer_offloading. Prints one JSON object.
"""
import torch

import peft_lora
from geometries import random_weights


class Prefetcher:
    """Moves the layers' frozen weights to the host, and brings them back around every call of a layer."""

    def __init__(self, layers, device):
        self.stream = torch.cuda.Stream()
        self.tensors = [[p for p in layer.parameters() if not p.requires_grad] for layer in layers]
        self.host = [self.pinned(tensors) for tensors in self.tensors]
        room = max(flat.numel() for flat in self.host)
        self.buffers = [torch.empty(room, dtype=torch.bfloat16, device=device) for _ in range(2)]
        self.ready = [torch.cuda.Event() for _ in range(2)]
        self.held = [None, None]
        self.last = -1
        for index, layer in enumerate(layers):
            self.place(index)
            layer.register_forward_pre_hook(lambda *_, index=index: self.enter(index))

    @staticmethod
    def pinned(tensors):
        flat = torch.empty(sum(t.numel() for t in tensors), dtype=torch.bfloat16, pin_memory=True)
        at = 0
        for tensor in tensors:
            flat[at:at + tensor.numel()].copy_(tensor.detach().flatten())
            at += tensor.numel()
        return flat

    def place(self, index):
        """The layer's parameters become views of its buffer; the memory they had is free."""
        at = 0
        for tensor in self.tensors[index]:
            tensor.data = self.buffers[index % 2][at:at + tensor.numel()].view(tensor.shape)
            at += tensor.numel()

    def fetch(self, index):
        """What is queued so far may still read the buffer: the copy waits for it."""
        if not 0 <= index < len(self.host) or self.held[index % 2] == index:
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream), torch.no_grad():
            self.buffers[index % 2][:self.host[index].numel()].copy_(self.host[index], non_blocking=True)
            self.ready[index % 2].record(self.stream)
        self.held[index % 2] = index

    def enter(self, index):
        self.fetch(index)
        torch.cuda.current_stream().wait_event(self.ready[index % 2])
        direction = -1 if index <= self.last else 1
        self.last = index
        self.fetch(index + direction)


def main():
    options = peft_lora.step_parser(__doc__.splitlines()[0]).parse_args()
    device = torch.device("cuda")
    torch.manual_seed(1)
    case = peft_lora.configuration(options.micro_batch_size, checkpointing=True)

    def work():
        with peft_lora.liger_kernels(options.geometry, True):
            model = peft_lora.adapted(options, case, random_weights(options.geometry, options.layers, device), device)
            Prefetcher(model.base_model.model.model.layers, device)
            torch.cuda.empty_cache()
            return peft_lora.time_steps(options, case, model, device)

    peft_lora.print_result(options, device, "one-layer prefetch hook", case, peft_lora.attempt(work))


if __name__ == "__main__":
    main()
