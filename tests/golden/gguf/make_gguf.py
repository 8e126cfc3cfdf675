#!/usr/bin/env python3
"""Writes the GGUF goldens of this directory with the gguf package.

    pip install gguf numpy safetensors torch tokenizers transformers
    python make_gguf.py            # in this directory; the seed is fixed

encodings.gguf            a tensor per encoding, blocks at random and at the edges (zero, negative, subnormal, largest scale)
encodings.safetensors     their values by gguf.quants.dequantize
NAME.gguf                 tiny models: llama (tied, rope factors of Llama 3.2, llama-bpe), qwen2 (biases), qwen3 (q/k norms), spm
                          (SentencePiece tokenizer, GGUF version 2, alignment 64), smollm
NAME.safetensors          their tensors by Hugging Face's names. Rows are quantized one by one, so what a row of q or k should be
                          is known without undoing llama.cpp's order of rows
NAME.json                 texts and ids of the same tokenizer built by hand with tokenizers; merges of SentencePiece by
                          transformers' generate_merges
"""
import json

import numpy as np
import torch
from gguf import GGMLQuantizationType as T, GGUFWriter
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.tokenization_utils_base import generate_merges

random = np.random.default_rng(20)
BLOCKS = {T.Q4_K: (144, [0, 2]), T.Q5_K: (176, [0, 2]), T.Q6_K: (210, [208])}  # bytes, where the f16 scales stand
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0]}
TEXTS = ["Hello world", "  two  spaces\n\n\ttabs", "it's 1234567, isn't it? I'LL", "na\u00efve caf\u00e9 \u65e5\u672c\u8a9e \U0001f642", "",
         "then <|begin|>user<|end|> <think>so</think>", "x = {a: [1, 2.5]};  // note\r\n", "e\u0301 \u00e9 \ufb01", "the they them other"]


def random_blocks(kind, n):
    """K blocks have no quantizer in Python: random bytes with finite scales of every size."""
    size, scales = BLOCKS[kind]
    blocks = random.integers(0, 256, (n, size), dtype=np.uint8)
    for at in scales:
        halves = (random.standard_normal(n) * 0.01).astype(np.float16)
        blocks[:, at:at + 2] = halves.view(np.uint8).reshape(n, 2)
    return blocks.reshape(-1)


def edges(raw, kind):
    """Zero, negative, subnormal and largest scales in the first blocks."""
    size, scales = (BLOCKS[kind] if kind in BLOCKS else ({T.Q4_0: 18, T.Q4_1: 20, T.Q5_0: 22, T.Q5_1: 24, T.Q8_0: 34}[kind], SCALES[kind]))
    raw = raw.reshape(-1, size).copy()
    for i, value in enumerate([0.0, -0.0, -1.5, 6e-8, 65504.0][:len(raw)]):
        for at in scales:
            raw[i, at:at + 2] = np.array([value], np.float16).view(np.uint8)
    return raw.reshape(-1)


def encodings():
    writer, expected = GGUFWriter("encodings.gguf", "none"), {}
    for kind in [T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q4_K, T.Q5_K, T.Q6_K]:
        rows, cols = (8, 256) if kind in BLOCKS else (4, 64)
        values = (random.standard_normal((rows, cols)) * 3).astype(np.float32)
        raw = random_blocks(kind, rows).reshape(rows, -1) if kind in BLOCKS else quantize(values, kind)
        if kind in BLOCKS or kind in SCALES:
            raw = edges(raw, kind).reshape(rows, -1)
        writer.add_tensor(kind.name, raw, raw_dtype=kind)
        expected[kind.name] = dequantize(raw, kind).astype(np.float32).reshape(rows, cols)
    finish(writer)
    save_file(expected, "encodings.safetensors")


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def permute(w, heads):
    """LlamaModel.permute of convert_hf_to_gguf.py."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def rope_factors(theta, dim, factor):
    """LlamaModel.generate_extra_tensors: float32 as torch computes it."""
    out = []
    for freq in 1.0 / (theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)):
        length = 2 * np.pi / freq
        if length < 8192 / 4:
            out.append(1)
        elif length > 8192:
            out.append(factor)
        else:
            smooth = (8192 / length - 1) / 3
            out.append(1 / ((1 - smooth) / factor + smooth))
    return np.array([float(x) for x in out], np.float32)


class Model:
    """Hidden 64, FFN 96, 4 query and 2 key/value heads of 16, two layers; the encodings take turns."""
    KINDS = [T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.F16, T.BF16, T.F32]

    def __init__(self, name, arch, vocab, tied, alignment=32):
        self.name, self.arch, self.expected, self.turn = name, arch, {}, 0
        self.writer = w = GGUFWriter(f"{name}.gguf", arch)
        if alignment != 32:
            w.add_custom_alignment(alignment)
        w.add_block_count(2)
        w.add_context_length(16384)
        w.add_embedding_length(64)
        w.add_feed_forward_length(96)
        w.add_head_count(4)
        w.add_head_count_kv(2)
        w.add_layer_norm_rms_eps(1e-5)
        w.add_rope_freq_base(500000.0 if arch == "llama" else 1000000.0)
        w.add_vocab_size(vocab)
        self.matrix("token_embd.weight", "model.embed_tokens.weight", vocab, 64)
        if not tied:
            self.matrix("output.weight", "lm_head.weight", vocab, 64)
        self.vector("output_norm.weight", "model.norm.weight", 64)
        for layer in range(2):
            self.layer(f"blk.{layer}.", f"model.layers.{layer}.")

    def layer(self, gguf, hf):
        llama = self.arch == "llama"
        self.vector(gguf + "attn_norm.weight", hf + "input_layernorm.weight", 64)
        self.vector(gguf + "ffn_norm.weight", hf + "post_attention_layernorm.weight", 64)
        self.matrix(gguf + "attn_q.weight", hf + "self_attn.q_proj.weight", 64, 64, 4 if llama else 0)
        self.matrix(gguf + "attn_k.weight", hf + "self_attn.k_proj.weight", 32, 64, 2 if llama else 0)
        self.matrix(gguf + "attn_v.weight", hf + "self_attn.v_proj.weight", 32, 64)
        self.matrix(gguf + "attn_output.weight", hf + "self_attn.o_proj.weight", 64, 64)
        self.matrix(gguf + "ffn_gate.weight", hf + "mlp.gate_proj.weight", 96, 64)
        self.matrix(gguf + "ffn_up.weight", hf + "mlp.up_proj.weight", 96, 64)
        self.matrix(gguf + "ffn_down.weight", hf + "mlp.down_proj.weight", 64, 96)
        if self.arch == "qwen2":
            for part, rows in (("q", 64), ("k", 32), ("v", 32)):
                self.vector(gguf + f"attn_{part}.bias", hf + f"self_attn.{part}_proj.bias", rows)
        if self.arch == "qwen3":
            for part in "qk":
                self.vector(gguf + f"attn_{part}_norm.weight", hf + f"self_attn.{part}_norm.weight", 16)

    def vector(self, gguf, hf, n):
        self.expected[hf] = values = (1 + random.standard_normal(n) * 0.1).astype(np.float32)
        self.writer.add_tensor(gguf, values)

    def matrix(self, gguf, hf, rows, cols, heads=0):
        kind = self.KINDS[self.turn % len(self.KINDS)]
        self.turn += 1
        raw = quantize((random.standard_normal((rows, cols)) * 0.05).astype(np.float32), kind)
        self.expected[hf] = np.ascontiguousarray(dequantize(raw, kind), np.float32).reshape(rows, cols)
        self.writer.add_tensor(gguf, np.ascontiguousarray(permute(raw, heads)) if heads else raw, raw_dtype=kind)

    def finish(self, notes):
        finish(self.writer)
        if self.name != "smollm":  # its weights show nothing that llama's do not
            save_file(self.expected, f"{self.name}.safetensors")
        with open(f"{self.name}.json", "w") as file:
            json.dump(notes, file, indent=1)
            file.write("\n")


SPECIAL = ["<|begin|>", "<|end|>", "<|pad|>"]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CORPUS = ["the other brother gathered them there, then they hid", "hello world, hello there", "it's 2024; isn't it 123 456?"] * 9


def byte_level(pattern=None, digits=False, nfc=False, bos=None, ignore_merges=False):
    split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else [pre_tokenizers.Digits(True)] if digits else []
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence(split + [pre_tokenizers.ByteLevel(False, use_regex=pattern is None)])
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=290, show_progress=False,
                                                            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(trained.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(m) for m in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = trained.pre_tokenizer
    tokenizer.normalizer = normalizers.NFC() if nfc else None
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer, merges


def add_byte_level(model, pre, tokenizer, merges, fill):
    w, n = model.writer, tokenizer.get_vocab_size()
    tokens = [tokenizer.id_to_token(i) for i in range(n)] + [f"[PAD{i}]" for i in range(n, fill)]
    kinds = [3 if t in SPECIAL else 4 if t == "<think>" else 1 for t in tokens[:n]] + [5] * (fill - n)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges([" ".join(m) for m in merges])
    w.add_bos_token_id(tokens.index("<|begin|>"))
    w.add_eos_token_id(tokens.index("<|end|>"))
    w.add_pad_token_id(tokens.index("<|pad|>"))
    w.add_chat_template("{% for m in messages %}<|begin|>{{ m['content'] }}<|end|>\n{% endfor %}")
    return {"texts": [{"text": t, "ids": tokenizer.encode(t).ids} for t in TEXTS], "tokens": n}


def sentencepiece(model):
    words = ["\u2581", "t", "h", "e", "r", "y", "m", "o", "l", "w", "d", "H", "th", "he", "er", "the", "\u2581the", "\u2581th", "ey", "ll", "lo", "or",
             "llo", "Hello", "He", "\u2581w", "wor", "\u2581wor", "ld", "world", "\u2581world", "\u2581\u2581", "\u2581they"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + words + ["[INST]"]
    scores = [0.0] * 259 + [-float(i // 2) for i in range(len(words))] + [0.0]  # pairs of equal scores
    kinds = [2, 3, 3] + [6] * 256 + [1] * len(words) + [4]
    w = model.writer
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    w.add_token_scores(scores)
    w.add_token_types(kinds)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    merges = generate_merges({t: i for i, t in enumerate(tokens)}, dict(zip(tokens, scores)))
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])  # Llama 2's
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in tokens[:3]])
    tokenizer.add_tokens([AddedToken("[INST]", normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    texts = TEXTS + ["Hello world, they</s>the [INST] lower", " hello", "thethethe"]
    return {"texts": [{"text": t, "ids": tokenizer.encode(t).ids} for t in texts], "merges": merges, "tokens": len(tokens)}, len(tokens)


def main():
    encodings()
    for name, arch, pre, kind, tied in [
            ("llama", "llama", "llama-bpe", dict(pattern=LLAMA3, bos="<|begin|>", ignore_merges=True), True),
            ("qwen2", "qwen2", "qwen2", dict(pattern=QWEN2, nfc=True), False),
            ("qwen3", "qwen3", "qwen2", dict(pattern=QWEN2, nfc=True), True),
            ("smollm", "llama", "smollm", dict(digits=True), False)]:
        tokenizer, merges = byte_level(**kind)
        fill = 320 if arch != "llama" else tokenizer.get_vocab_size()
        model = Model(name, arch, fill, tied)
        if name == "llama":
            model.writer.add_add_bos_token(True)
            model.writer.add_tensor("rope_freqs.weight", rope_factors(500000.0, 16, 32.0))
        if arch == "qwen3":
            model.writer.add_key_length(16)
            model.writer.add_value_length(16)
        model.finish(add_byte_level(model, pre, tokenizer, merges, fill))
    model = Model("spm", "llama", 293, False, alignment=64)
    notes, n = sentencepiece(model)
    assert n == 293, n
    model.finish(notes)
    with open("spm.gguf", "r+b") as file:
        file.seek(4)
        file.write((2).to_bytes(4, "little"))


if __name__ == "__main__":
    main()
