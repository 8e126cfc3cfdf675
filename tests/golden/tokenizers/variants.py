#!/usr/bin/env python3
"""Compares ids under random settings: the tiny golden tokenizers with other normalizers, pre-tokenizers, model flags and added
tokens, each against Hugging Face's `tokenizers`.

    pip install tokenizers==0.23.3 && ninja -C build tokenizer_ids
    python3 variants.py build/tests/tokenizer/tokenizer_ids [--seed 1] [--count 100] 2>/dev/null

Prints what differs and the number of variants; exit 1 if any differs. Texts on which the reference panics (it cannot place added
tokens that strip each other's white space) and settings that are refused by name are left out.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import Tokenizer

import parity

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"
PIECES = parity.PIECES + ["X", "foo", "bar", " X ", "X_", "X\u0301", "\nX\n", "aX", "Xa", "foo bar", "  foo", "bar  ", "foo\t", "layer", " layer ",
                          "player", "<tool> \n", "<end> x", "re\u0301seau"]
SHORT = ["a", "b", " ", "X", "▁", "foo", "e\u0301", "\n", "é"]
ADDED = ["X", "foo", " bar", "foo bar", "e\u0301", "▁", "\n", "Zür", "  ", "日"]


def normalizer(chance):
    kinds = [lambda: {"type": "NFC"}, lambda: {"type": "Prepend", "prepend": chance.choice(["▁", "xy"])},
             lambda: {"type": "Replace", "pattern": {"String": chance.choice([" ", "  ", "\n"])},
                      "content": chance.choice(["▁", " ", "zz"])}]
    steps = [chance.choice(kinds)() for _ in range(chance.choice([0, 0, 1, 2, 3]))]
    return chance.choice([{"type": "Sequence", "normalizers": steps}, steps[0] if steps else None])


def metaspace(chance):
    base = {"type": "Metaspace", "replacement": "▁"}
    scheme = {**base, "prepend_scheme": chance.choice(["always", "first", "never"]), "split": chance.random() < 0.5}
    old = {**base, "add_prefix_space": True}
    return chance.choice([None, scheme, old, {"type": "Sequence", "pretokenizers": [scheme]}])


def variant(chance):
    name = chance.choice(["spm", "spm_first", "spm_split", "qwen", "llama3"])
    made = json.loads((GOLDEN / name / "tokenizer.json").read_text(encoding="utf-8"))
    model, vocab = made["model"], made["model"]["vocab"]
    made["normalizer"] = normalizer(chance)
    model["ignore_merges"] = chance.random() < 0.5
    if name.startswith("spm"):
        made["pre_tokenizer"] = metaspace(chance)
        model.update(byte_fallback=chance.random() < 0.5, fuse_unk=chance.random() < 0.5, unk_token=chance.choice([None, "<unk>"]))
        for byte in chance.sample(range(256), chance.choice([0, 0, 30])):
            if f"<0x{byte:02X}>" in vocab:
                vocab[f"<lost {byte}>"] = vocab.pop(f"<0x{byte:02X}>")
    id = max([*vocab.values(), *(token["id"] for token in made["added_tokens"])]) + 1
    for content in chance.sample(ADDED, chance.randint(1, 5)):
        if content not in vocab:
            flags = {key: chance.random() < 0.4 for key in ["single_word", "lstrip", "rstrip", "normalized", "special"]}
            made["added_tokens"].append({"id": id, "content": content, **flags})
            id += 1
    return made


def differences(tool, made, texts, scratch):
    """Yields (text, ours, theirs) where the tokens differ."""
    (scratch / "tokenizer.json").write_text(json.dumps(made), encoding="utf-8")
    reference = Tokenizer.from_file(str(scratch / "tokenizer.json"))
    for plain in [False, True]:
        reference.encode_special_tokens = plain
        for text, ours in zip(texts, parity.run_tool(tool, scratch, texts, plain, scratch)[1]):
            try:
                theirs = reference.encode(text, add_special_tokens=False).ids
            except BaseException as failure:
                if type(failure).__name__ != "PanicException":
                    raise
                continue
            if ours != theirs:
                yield text, [reference.id_to_token(i) for i in ours], [reference.id_to_token(i) for i in theirs]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    wrong = refused = 0
    with tempfile.TemporaryDirectory() as scratch:
        for i in range(args.count):
            made = variant(chance)
            texts = ["".join(chance.choices(PIECES, k=chance.randint(1, 25))) for _ in range(150)]
            texts += ["".join(chance.choices(SHORT, k=chance.randint(1, 12))) for _ in range(150)]
            try:
                found = list(differences(args.tool, made, texts, Path(scratch)))
            except subprocess.CalledProcessError:
                refused += 1
                continue
            for text, ours, theirs in found[:1]:
                print(f"variant {i}: {text!r}\n  ours   {ours}\n  theirs {theirs}\n  {made['normalizer']} {made['added_tokens'][-5:]}")
            wrong += bool(found)
    print(f"{args.count} variants, {refused} refused, {wrong} differ")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
