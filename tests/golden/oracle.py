"""The oracle of tests/golden: transformers and PEFT in float64, and the fp8 form of a base model.

Where float64 comes from. The oracle is the unmodified code of transformers and PEFT. transformers' model files name float32
explicitly in RMSNorm, in the rotary tables and in softmax; inside `double_precision` those of the families used here see a `torch`
whose `float` and `float32` are float64. Nothing else is replaced. Each float64 run proves itself: gradients against central
differences, rotary frequencies against their formula, the first step against AdamW's. `deviation` is the distance of
unpatched float32 and bfloat16 runs, whose loss at float32 is also taken from transformers' own `labels=` path.
"""
import contextlib
import math

import torch
from peft import PeftModel
from peft.optimizers import create_loraplus_optimizer
from transformers import AutoModelForCausalLM, modeling_rope_utils
from transformers.models.llama import modeling_llama
from transformers.models.mistral import modeling_mistral
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3

from cases import CASES, HERE, read_data

STEPS = 10
LOGIT_DOCUMENTS = 2
TILE = 128
E4M3_MAX = 448.0


def fp8_quantize(w):
    """float32 [rows, cols] -> (E4M3FN codes [rows, cols], float32 scales [ceil(rows/128), ceil(cols/128)]), all in float32."""
    rows, cols = w.shape
    grid = (-(-rows // TILE), -(-cols // TILE))
    padded = torch.zeros(grid[0] * TILE, grid[1] * TILE)
    padded[:rows, :cols] = w
    amax = padded.abs().view(grid[0], TILE, grid[1], TILE).amax(dim=(1, 3))
    scales = torch.where(amax == 0, torch.ones_like(amax), amax / E4M3_MAX)
    scaled = w / expand_scales(scales, rows, cols)
    return scaled.clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn), scales


def expand_scales(scales, rows, cols):
    return scales.repeat_interleave(TILE, 0).repeat_interleave(TILE, 1)[:rows, :cols]


def fp8_roundtrip(w):
    """float32 -> the float32 weight that the fp8 base stands for."""
    codes, scales = fp8_quantize(w)
    return codes.float() * expand_scales(scales, *w.shape)


def layer_linears(model):
    """(file key, parameter) of every linear of the layers."""
    return [(k, p) for k, p in model.named_parameters() if k.startswith("model.layers.") and p.dim() == 2]


def quantize_layers(model):
    """Replaces the layers' linears by what their fp8 form stands for. Embedding, norms and head stay."""
    with torch.no_grad():
        for _, p in layer_linears(model):
            p.copy_(fp8_roundtrip(p.float()))


class DoubleTorch:
    """`torch`, except that its float32 is float64."""

    def __getattr__(self, name):
        return torch.float64 if name in ("float", "float32") else getattr(torch, name)


@contextlib.contextmanager
def double_precision():
    modules = (modeling_llama, modeling_mistral, modeling_qwen2, modeling_qwen3, modeling_rope_utils)
    for m in modules:
        m.torch = DoubleTorch()
    try:
        yield
    finally:
        for m in modules:
            m.torch = torch


def lora_parameters(model):
    """(PEFT file key, parameter), in module order."""
    return [(k.replace(".default.", "."), p) for k, p in model.named_parameters() if ".lora_" in k]


def load(name, dtype):
    """Base and adapter as their users load them; in float64 the adapter is float64 too, below that PEFT keeps it float32."""
    case = CASES[name]
    base = AutoModelForCausalLM.from_pretrained(HERE / case["model"] / "model", dtype=torch.float32)
    if case["base_format"] == "fp8":
        quantize_layers(base)
    weights = base.state_dict()
    model = AutoModelForCausalLM.from_pretrained(HERE / case["model"] / "model", dtype=dtype, attn_implementation="eager")
    model.load_state_dict(weights)
    model = PeftModel.from_pretrained(model, HERE / name / "adapter_init", is_trainable=True,
                                      autocast_adapter_dtype=dtype != torch.float64)
    if dtype == torch.float64:
        model = model.double()
        check_double(model)
    return model


def check_double(model):
    assert all(t.dtype == torch.float64 for t in model.parameters())
    rotary = model.base_model.model.model.rotary_emb
    config, rope = model.config, model.config.rope_parameters
    d = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    expect = []
    for i in range(d // 2):
        f = rope["rope_theta"] ** (-2 * i / d)
        if rope["rope_type"] == "llama3":
            low, high = rope["low_freq_factor"], rope["high_freq_factor"]
            turns = rope["original_max_position_embeddings"] * f / (2 * math.pi)
            keep = min(1.0, max(0.0, (turns - low) / (high - low)))
            f = keep * f + (1 - keep) * f / rope["factor"]
        expect.append(f)
    assert rotary.inv_freq.dtype == torch.float64
    torch.testing.assert_close(rotary.inv_freq, torch.tensor(expect, dtype=torch.float64), rtol=1e-13, atol=0)


def document_logits(model, doc):
    """[n, vocab]; one document alone in its batch, so nothing can attend across."""
    logits = model(input_ids=torch.tensor([doc["input_ids"]]), use_cache=False).logits[0]
    return logits if logits.dtype == torch.float64 else logits.float()


def document_nll(model, doc):
    """Sum over t >= 1 of the NLL of labels[t] under the logits at t-1."""
    labels = torch.tensor(doc["labels"][1:])
    logits = document_logits(model, doc)[:-1]
    if not (labels != -100).any():
        return logits.sum() * 0.0
    return torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")


def trainable_tokens(docs):
    return sum(l != -100 for d in docs for l in d["labels"][1:])


def total_loss(model, docs):
    return sum(document_nll(model, d) for d in docs) / trainable_tokens(docs)


def hf_loss(model, docs):
    """The same number through transformers' own label handling."""
    total = 0.0
    for d in docs:
        n = trainable_tokens([d])
        if n:
            ids, labels = torch.tensor([d["input_ids"]]), torch.tensor([d["labels"]])
            total += model(input_ids=ids, labels=labels, use_cache=False).loss.item() * n
    return total / trainable_tokens(docs)


def make_optimizer(model, case):
    o, ratio = case["optimizer"], case["lora"].get("loraplus_lr_ratio")
    common = dict(lr=o["lr"], betas=o["betas"], eps=o["eps"])
    if ratio is None:
        return torch.optim.AdamW([p for _, p in lora_parameters(model)], weight_decay=o["weight_decay"], **common)
    optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, loraplus_lr_ratio=ratio,
                                          loraplus_weight_decay=o["weight_decay"], **common)
    counts = [len(g["params"]) for g in optimizer.param_groups]  # A, embedding, B, B without decay
    assert counts[0] == counts[2] and counts[1] == counts[3] == 0
    return optimizer


def run(name, dtype):
    """Loss, logits and gradients at the initial adapter, then STEPS optimizer steps over all documents."""
    case, docs = CASES[name], read_data(name)
    model = load(name, dtype).eval()
    parameters = lora_parameters(model)
    with torch.no_grad():
        out = dict(logits=[document_logits(model, d).clone() for d in docs[:LOGIT_DOCUMENTS]])
    if dtype == torch.float32:
        out["hf_loss"] = hf_loss(model, docs)
    optimizer = make_optimizer(model, case)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = total_loss(model, docs)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            out["grad"] = {k: p.grad.detach().clone() for k, p in parameters}
            if dtype == torch.float64:
                check_gradients(model, docs, out["grad"])
        norms.append(torch.nn.utils.clip_grad_norm_([p for _, p in parameters], case["optimizer"]["max_grad_norm"]).item())
        before = {k: p.detach().clone() for k, p in parameters}
        optimizer.step()
        if step == 0 and dtype == torch.float64:
            check_first_step(case, parameters, before, out["grad"], norms[0])
    with torch.no_grad():
        losses.append(total_loss(model, docs).item())
    out.update(losses=losses, norms=norms, after={k: p.detach().clone() for k, p in parameters})
    return out


def check_gradients(model, docs, grad, h=1e-4):
    """Central differences at the largest entry of the first A, the last B and one in between."""
    parameters = dict(lora_parameters(model))
    keys = list(parameters)
    for key in (keys[0], keys[len(keys) // 2], keys[-1]):
        flat, at = parameters[key].data.view(-1), grad[key].abs().argmax().item()
        start, side = flat[at].item(), []
        with torch.no_grad():
            for sign in (1, -1):
                flat[at] = start + sign * h
                side.append(total_loss(model, docs).item())
        flat[at] = start
        expect, got = (side[0] - side[1]) / (2 * h), grad[key].view(-1)[at].item()
        assert abs(expect - got) <= 1e-6 * abs(got) + 1e-11, (key, expect, got)


def check_first_step(case, parameters, before, grad, norm):
    """AdamW by its formula: at step 1 the bias-corrected moments are g and g^2. g is the gradient after the clip."""
    o, ratio = case["optimizer"], case["lora"].get("loraplus_lr_ratio") or 1.0
    clip = min(1.0, o["max_grad_norm"] / (norm + 1e-6))
    for key, p in parameters:
        g, lr = grad[key] * clip, o["lr"] * (ratio if ".lora_B." in key else 1.0)
        expect = before[key] * (1 - lr * o["weight_decay"]) - lr * g / (g.abs() + o["eps"])
        torch.testing.assert_close(p.detach(), expect, rtol=1e-12, atol=1e-14)


def deviation(got, ref):
    """How far a run in a lower precision lands from the float64 one."""
    def worst(a, b):
        return max((x.double() - y.double()).abs().max().item() for x, y in zip(a, b))
    def relative(a, b):
        return max(((x.double() - y.double()).norm() / y.double().norm()).item() for x, y in zip(a, b))
    keys = list(ref["after"])
    return {
        "loss": abs(got["losses"][0] - ref["losses"][0]),
        "logits_max": worst(got["logits"], ref["logits"]),
        "grad_relative_l2_max": relative([got["grad"][k] for k in keys], [ref["grad"][k] for k in keys]),
        "grad_norm_relative": abs(got["norms"][0] / ref["norms"][0] - 1),
        "loss_after_step_max": max(abs(a - b) for a, b in zip(got["losses"][1:], ref["losses"][1:])),
        "after_max": worst([got["after"][k] for k in keys], [ref["after"][k] for k in keys]),
    }
