#!/usr/bin/env python3
"""Compares ft-single's ids with the reference tokenizers' on a mixed corpus, and measures ft-single's speed.

    pip install tokenizers==0.23.3 tiktoken
    ninja -C build tokenizer_ids
    python3 parity.py DIRECTORY build/tests/tokenizer/tokenizer_ids [--mb 12] [--names NAME ...]

DIRECTORY holds tokenizers as make_references.py makes them. The reference of NAME/tokenizer.json is Hugging Face's `tokenizers`;
of a tokenizer.model in tiktoken's format, tiktoken; of NAME-model (SentencePiece), Hugging Face with NAME/tokenizer.json.
A line per tokenizer: texts, bytes, ids, ids that differ, MB/s of processor time on the plain part of the corpus. Exit 1 if any differ.
"""
import argparse
import array
import base64
import json
import random
import struct
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

SCRIPTS = {
    "latin": [(0x61, 0x7A)] * 8 + [(0xDF, 0xF6), (0xF8, 0x17F)],
    "cyrillic": [(0x430, 0x44F)], "greek": [(0x3AC, 0x3CE)], "arabic": [(0x621, 0x63A), (0x641, 0x652)],
    "hebrew": [(0x5D0, 0x5EA)], "devanagari": [(0x904, 0x939), (0x93C, 0x94D)], "bengali": [(0x985, 0x9CD)],
    "tamil": [(0xB85, 0xBCD)], "thai": [(0xE01, 0xE3A), (0xE40, 0xE4E)], "han": [(0x4E00, 0x9FA5)], "kana": [(0x3041, 0x30FE)],
    "hangul": [(0xAC00, 0xD7A3)], "jamo": [(0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2)],
    "combining": [(0x61, 0x7A), (0x300, 0x36F)], "georgian": [(0x10D0, 0x10F0)], "ethiopic": [(0x1200, 0x135A)],
    "deseret": [(0x10400, 0x1044F)], "math": [(0x1D400, 0x1D7CB)], "cuneiform": [(0x12000, 0x12399)],
}
SEPARATED = {"han": "，", "kana": "、", "thai": " ", "jamo": " "}
PIECES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", " \n ", "\u00a0", "\u3000", "\u2028", "\u180e", "\u200b", "\x85", "\x0b", "▁", "▁▁",
          "'s", "'S", "'\u017f", "'re", "'LL", "'d'", "''", "\u2019s", "don't", "I'VE", "1", "12", "1234567", "٣٤", "Ⅷ", "½", "²", "a",
          "Zürich", "日本", "русский", "हिन्दी", "한국", "한", "العربية", "👩‍👩‍👧‍👦", "🇩🇪", "é", "e\u0301", "e\u0323\u0301", "e\u0301\u0323", "\u1ebf",
          "q\u0307\u0323", "\u212b", "\u0340", "\ufb1d", "\u0958", "\u2126", "ﬀ", "ß", "İ", "ı", "\u01c5", "...", "!!!", "//", "\U00031350", "\ua7cb",
          "\u0897", "<|eot_id|>", "<|begin_of_text|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot", "<|", "|>", "<s>", "</s>", "<unk>",
          "<s", "[INST]", "[/INST]", "<0x0A>", "<0x41", "\x00", "\x04", "\x7f", "_", "-", "(", "layer", " layer", "the", " the", "{", "}\n"]


def zipf_words(chance, ranges, n=4000):
    alphabet = [chr(c) for low, high in ranges for c in range(low, high + 1)]
    return ["".join(chance.choices(alphabet, k=min(chance.choice([1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 12]), 12))) for _ in range(n)]


def script_texts(chance, size):
    """Zipf-distributed words of each script in sentences; every text about 4 KB."""
    share = size // len(SCRIPTS)
    for name, ranges in SCRIPTS.items():
        words = zipf_words(chance, ranges)
        weights = [1 / (i + 1) for i in range(len(words))]
        gap, left = SEPARATED.get(name, " "), share
        while left > 0:
            sentences = []
            for _ in range(12):
                sentence = gap.join(chance.choices(words, weights, k=chance.randint(4, 25)))
                sentences.append(sentence.capitalize() + chance.choice([".", "!", "?", ":\n", ".\n\n", ", 42", " (1,024.5)"]))
            text = " ".join(sentences)
            left -= len(text.encode())
            yield text


def plain_texts(size):
    """Program text and its documentation: Python's standard library, in pieces of up to 16 KB."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("**/*.py")):
        if "site-packages" in path.parts:
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        for at in range(0, len(text), 16384):
            piece = text[at:at + 16384]
            size -= len(piece.encode())
            yield piece
            if size < 0:
                return


def hostile_texts(chance):
    yield from ["", " ", "\n", "a", "▁", " ▁ ", "\u0301", "<s>", "  <s>  a", "<s><s>", "a<s> b</s>"]
    for _ in range(4000):
        yield "".join(chance.choices(PIECES, k=chance.randint(1, 40)))
    scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    bmp = [c for c in scalars if c < 0x10000]
    for at in range(0, len(bmp), 256):
        yield "".join(map(chr, bmp[at:at + 256]))
        yield " ".join(map(chr, bmp[at:at + 256]))
        yield "a".join(chr(c) + "\u0323\u0301" for c in bmp[at:at + 256])
    for c in bmp:
        yield chr(c)
    for _ in range(500):
        yield "".join(map(chr, chance.choices(scalars, k=30)))
    for unit in ["x", " ", "ab", "9", "the", "\n", "!", "日本語", "e\u0301", "\u0301", "\u0323\u0301", "▁", " a", "\u1100\u1161", "🙂"]:
        yield unit * (20000 // len(unit))
    yield "".join(chance.choices("etaoinshrdlu", k=1 << 20))
    yield "a" * 50000 + " " * 50000 + "b"


def reference(directory):
    """A function from (text, plain) to ids; None where there is none."""
    path = directory / "tokenizer.json"
    if not path.exists() and directory.name.endswith("-model"):
        path = directory.parent / directory.name.removesuffix("-model") / "tokenizer.json"
    if path.exists():
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(str(path))

        def encode(text, plain):
            tokenizer.encode_special_tokens = plain
            return tokenizer.encode(text, add_special_tokens=False).ids
        return encode
    return tiktoken_reference(directory / "tokenizer.model")


def tiktoken_reference(path):
    import tiktoken
    from make_references import LLAMA3_PATTERN, llama3_names, read_tiktoken
    ranks = read_tiktoken(path)
    special = {name: len(ranks) + i for i, name in enumerate(llama3_names())}
    model = tiktoken.Encoding("llama3", pat_str=LLAMA3_PATTERN, mergeable_ranks=ranks, special_tokens=special)
    return lambda text, plain: (model.encode(text, disallowed_special=()) if plain else model.encode(text, allowed_special="all"))


def run_tool(tool, directory, texts, plain, scratch):
    with open(scratch / "texts", "wb") as out:
        for text in texts:
            data = text.encode()
            out.write(struct.pack("<I", len(data)) + data)
    command = [tool, directory, scratch / "texts", scratch / "ids"] + (["plain"] if plain else [])
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    numbers = array.array("i", (scratch / "ids").read_bytes())
    ids, at = [], 0
    while at < len(numbers):
        ids.append(numbers[at + 1:at + 1 + numbers[at]].tolist())
        at += 1 + numbers[at]
    return report, ids


def differing(expected, got):
    return sum(a != b for a, b in zip(expected, got)) + abs(len(expected) - len(got))


def compare(tool, directory, corpus, scratch):
    encode = reference(directory)
    texts = size = ids = wrong = 0
    rates = {}
    for part, plain, batch in [("plain", False, corpus["plain"]), ("scripts", False, corpus["scripts"]),
                               ("hostile", False, corpus["hostile"]), ("hostile", True, corpus["hostile"])]:
        report, got = run_tool(tool, directory, batch, plain, scratch)
        if part != "hostile":
            rates[part] = report["bytes"] / report["seconds"] / 1e6
        assert len(got) == len(batch)
        for text, mine in zip(batch, got):
            theirs = encode(text, plain)
            if mine != theirs:
                n = differing(theirs, mine)
                if wrong < 5:
                    first = next((i for i, (a, b) in enumerate(zip(theirs, mine)) if a != b), min(len(mine), len(theirs)))
                    print(f"  {directory.name}: {text[:60]!r}: id {first}: {mine[first:first + 5]} for {theirs[first:first + 5]}")
                wrong += max(n, 1)
            texts += 1
            size += len(text.encode())
            ids += len(theirs)
    print(f"{directory.name}: {texts} texts, {size} bytes, {ids} ids, {wrong} differ; {rates['plain']:.1f} MB/s of plain text, "
          f"{rates['scripts']:.1f} MB/s of many scripts", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("tool")
    parser.add_argument("--names", nargs="*", default=[])
    parser.add_argument("--mb", type=float, default=12, help="size of the corpus without the hostile part")
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    chance = random.Random(7)
    corpus = {"plain": list(plain_texts(int(args.mb * 5e5))), "scripts": list(script_texts(chance, int(args.mb * 5e5))),
              "hostile": list(hostile_texts(chance))}
    found = sorted(p.parent for p in args.directory.glob("*/tokenizer.*") if p.suffix in (".json", ".model"))
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for directory in dict.fromkeys(found):
            if not args.names or directory.name in args.names:
                wrong += compare(args.tool, directory, corpus, Path(scratch))
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
