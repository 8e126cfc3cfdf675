#!/usr/bin/env python3
"""Writes core/tokenizer/unicode_tables.c: character classes and canonical composition exactly as Hugging Face's `tokenizers` has them.

    pip install tokenizers==0.23.3 && python3 make_unicode.py > ../../../core/tokenizer/unicode_tables.c

Its regular expressions and its normalizers follow Unicode versions of their own, so every code point is put to the library
itself; Python's unicodedata (as new as the normalizer or newer) only says what to ask.
"""
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CLASSES = [r"\p{L}", r"\p{N}", r"\s", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"]
NFC_CHECK = 1 << len(CLASSES)
WORD = NFC_CHECK << 1
compose, decompose = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str


def matching(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "removed")
    return {c for c in SCALARS if not split.pre_tokenize_str(chr(c))}


def word_characters():
    """Those that keep a single_word token from matching beside them."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("<x>", single_word=True)])
    return {c for c in SCALARS if len(tokenizer.encode("<x>" + chr(c)).ids) == 1}


def is_hangul(c):
    return 0xAC00 <= c < 0xAC00 + 11172


def combining_class(c):
    """unicodedata's, if the library reorders by it."""
    value = unicodedata.combining(chr(c))
    if value == 0:
        return 0
    if value == 1:
        return value if decompose("a\u0315" + chr(c)) == "a" + decompose(chr(c)) + "\u0315" else 0
    return value if decompose("a" + chr(c) + "\u0334") == "a\u0334" + decompose(chr(c)) else 0


def decomposition(c):
    """One step: one or two code points, or None."""
    text = unicodedata.decomposition(chr(c))
    if not text or text.startswith("<") or decompose(chr(c)) == chr(c):
        return None
    parts = [int(part, 16) for part in text.split()]
    assert decompose("".join(map(chr, parts))) == decompose(chr(c)), hex(c)
    return parts


def composes(c, parts):
    return len(parts) == 2 and compose("".join(map(chr, parts))) == chr(c)


def runs(values):
    """(first code point, value) where the value changes; the code points between are alike."""
    last = None
    for c in range(0x110000):
        value = values.get(c, 0)
        if value != last:
            yield c, value
            last = value


def table(kind, name, rows):
    print(f"\nconst {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        item = " {" + ", ".join(f"0x{v:X}" if v > 9 else str(v) for v in row) + "},"
        if len(line) + len(item) > 126:
            print(line)
            line = "   "
        line += item
    print(f"{line}\n}};\nconst int {name}_n = sizeof {name} / sizeof *{name};")


def main():
    classes = {}
    for bit, pattern in enumerate(CLASSES):
        for c in matching(pattern):
            classes[c] = classes.get(c, 0) | 1 << bit
    combining = {c: k for c in SCALARS if (k := combining_class(c))}
    parts = {c: p for c in SCALARS if not is_hangul(c) and (p := decomposition(c))}
    pairs = sorted((p[0], p[1], c) for c, p in parts.items() if composes(c, p))
    seconds = {second for _, second, _ in pairs} | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    changed = {c for c in parts if compose(chr(c)) != chr(c)}
    for c in seconds | changed | set(combining):
        classes[c] = classes.get(c, 0) | NFC_CHECK
    for c in SCALARS:
        assert classes.get(c, 0) & NFC_CHECK or compose(chr(c)) == chr(c), hex(c)
    for c in word_characters():
        classes[c] = classes.get(c, 0) | WORD
    print("// Written by tests/golden/tokenizers/make_unicode.py. See unicode.h.")
    print('#include "tokenizer/unicode.h"')
    table("ft_unicode_run", "ft_unicode_class_runs", runs(classes))
    table("ft_unicode_run", "ft_unicode_combining_runs", runs(combining))
    table("ft_unicode_parts", "ft_unicode_decompositions", ([c] + (p + [0])[:2] for c, p in sorted(parts.items())))
    table("ft_unicode_pair", "ft_unicode_compositions", pairs)


if __name__ == "__main__":
    sys.exit(main())
