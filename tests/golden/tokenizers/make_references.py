#!/usr/bin/env python3
"""Makes full-size tokenizers in Hugging Face's format out of files that come with PyPI packages, for parity.py.

    pip install tokenizers numpy sentencepiece protobuf transformers
    python3 make_references.py OUT [--llama3 tokenizer.model] [--qwen qwen.tiktoken] [--tekken tekken.json]
                               [--spm-prepend tokenizer.model.v1] [--spm-metaspace tokenizer.model.v3]

llama-models ships Llama 3's tokenizer.model, dashscope qwen.tiktoken, mistral-common the SentencePiece models and tekken.json.
Each becomes OUT/NAME/tokenizer.json in the shape its publisher uses; the original tokenizer.model goes to OUT/NAME-tiktoken or
OUT/NAME-model, where it stands without a tokenizer.json.
"""
import argparse
import base64
import json
import shutil
from pathlib import Path

LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                  r"|\s+(?!\S)|\s+")
QWEN2_PATTERN = LLAMA3_PATTERN.replace("{1,3}", "")


def alphabet():
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in own]
    return {**{b: chr(b) for b in own}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


ALPHABET = alphabet()


def spelled(token):
    return "".join(ALPHABET[b] for b in token)


def parts_of(token, ranks):
    """The two tokens the training merged into this one: byte pairs of lower rank, merged until two parts are left."""
    parts = [bytes([b]) for b in token]
    while len(parts) > 2:
        best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], 1 << 60))
        if ranks.get(parts[best] + parts[best + 1], 1 << 60) >= ranks[token]:
            return None
        parts[best:best + 2] = [parts[best] + parts[best + 1]]
    return parts


def merges_of(ranks):
    pairs = (parts_of(token, ranks) for token in sorted(ranks, key=ranks.get) if len(token) > 1)
    return [[spelled(left), spelled(right)] for left, right in filter(None, pairs)]


def special(content, id):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def byte_level(trim=False):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": trim, "use_regex": False}


def template(name, id):
    single = [{"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = single + [{"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair,
            "special_tokens": {name: {"id": name, "ids": [id], "tokens": [name]}}}


def document(added, normalizer, pre_tokenizer, post_processor, decoder, **model):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": decoder,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, **model}}


def write(directory, made, **config):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def read_tiktoken(path):
    return {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in Path(path).read_bytes().splitlines()}


def llama3_names():
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
             "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
             "<|python_tag|>"]
    return names + [f"<|reserved_special_token_{i}|>" for i in range(3, 3 + 256 - len(names))]


def make_llama3(path, out):
    ranks = read_tiktoken(path)
    names = llama3_names()
    added = [special(name, len(ranks) + i) for i, name in enumerate(names)]
    bos = template(names[0], len(ranks))
    made = document(added, None, {"type": "Sequence", "pretokenizers": [split(LLAMA3_PATTERN), byte_level(True)]},
                    {"type": "Sequence", "processors": [byte_level(), bos]}, byte_level(True),
                    vocab={spelled(token): rank for token, rank in ranks.items()}, merges=merges_of(ranks), ignore_merges=True)
    write(out / "llama3", made, bos_token=names[0], eos_token=names[1])
    (out / "llama3-tiktoken").mkdir(exist_ok=True)
    shutil.copy(path, out / "llama3-tiktoken" / "tokenizer.model")


def make_qwen2(path, out):
    ranks = read_tiktoken(path)
    added = [special(name, len(ranks) + i) for i, name in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])]
    made = document(added, {"type": "NFC"}, {"type": "Sequence", "pretokenizers": [split(QWEN2_PATTERN), byte_level()]},
                    byte_level(), byte_level(), vocab={spelled(token): rank for token, rank in ranks.items()},
                    merges=[" ".join(pair) for pair in merges_of(ranks)], continuing_subword_prefix="", end_of_word_suffix="")
    write(out / "qwen2", made, eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token=None, add_bos_token=False)


def make_tekken(path, out):
    tekken = json.loads(Path(path).read_text())
    config = tekken["config"]
    n = config["default_num_special_tokens"]
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    names += [f"<SPECIAL_{i}>" for i in range(len(names), n)]
    entries = tekken["vocab"][:config["default_vocab_size"] - n]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in entries}
    vocab = {name: i for i, name in enumerate(names)} | {spelled(token): rank + n for token, rank in ranks.items()}
    made = document([special(name, i) for i, name in enumerate(names)], None,
                    {"type": "Sequence", "pretokenizers": [split(config["pattern"]), byte_level()]},
                    template("<s>", 1), byte_level(), vocab=vocab, merges=merges_of(ranks), ignore_merges=True)
    write(out / "mistral-tekken", made, bos_token="<s>", eos_token="</s>")


def make_spm(path, out, name, metaspace):
    from transformers.convert_slow_tokenizer import generate_merges, import_protobuf
    model = import_protobuf().ModelProto()
    model.ParseFromString(Path(path).read_bytes())
    vocab = {piece.piece: i for i, piece in enumerate(model.pieces)}
    pairs = generate_merges(vocab, [(piece.piece, piece.score) for piece in model.pieces],
                            {piece.piece for piece in model.pieces if piece.type != 1})
    added = [special(piece.piece, i) for i, piece in enumerate(model.pieces) if piece.type in (2, 3)]
    added += [special(piece.piece, i) | {"special": False} for i, piece in enumerate(model.pieces) if piece.type == 4]
    prepend = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                                   {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    first = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    decoder = {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    made = document(added, None if metaspace else prepend, first if metaspace else None, template("<s>", 1), decoder,
                    vocab=vocab, merges=[list(pair) for pair in pairs] if metaspace else [" ".join(pair) for pair in pairs],
                    unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    write(out / name, made, bos_token="<s>", eos_token="</s>", add_bos_token=True)
    (out / f"{name}-model").mkdir(exist_ok=True)
    (out / f"{name}-model" / "tokenizer_config.json").write_text(json.dumps({"legacy": not metaspace}))
    shutil.copy(path, out / f"{name}-model" / "tokenizer.model")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    for name in ["llama3", "qwen", "tekken", "spm-prepend", "spm-metaspace"]:
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    if args.llama3:
        make_llama3(args.llama3, args.out)
    if args.qwen:
        make_qwen2(args.qwen, args.out)
    if args.spm_prepend:
        make_spm(args.spm_prepend, args.out, "mistral-spm", False)
    if args.spm_metaspace:
        make_spm(args.spm_metaspace, args.out, "mistral-metaspace", True)
    if args.tekken:
        make_tekken(args.tekken, args.out)


if __name__ == "__main__":
    main()
