#!/usr/bin/env python3
"""Compares imported models with transformers' own reading of the same GGUF files.

    python check_import.py FT_SINGLE [FILE.gguf ...]      # default: the goldens of this directory

Imports each file as float32 into a temporary directory and checks that AutoTokenizer gives the same ids and AutoModelForCausalLM the
same weights and, on one text, the same logits as from_pretrained(gguf_file=...). Exit code 1 if anything differs. Two differences are
meant: transformers 5.23 ignores rope_freqs.weight and Qwen 3's key_length, so its model is made from the imported config.json; and its
SentencePiece tokenizer drops the prefix space before a space, which Llama 2's tokenizer.json and sentencepiece keep (such texts are
left out).
"""
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = ["Hello world", "  two  spaces\n\n\ttabs", "it's 1234567, isn't it? I'LL", "na\u00efve caf\u00e9 \u65e5\u672c\u8a9e \U0001f642", "",
         "x = {a: [1, 2.5]};  // note\r\n", "the they them other", " " * 20 + "end", "\ufb01 \u00c5"]


def compare(program, path, directory):
    subprocess.run([program, "import", str(path), "--output", directory, "--dtype", "f32"], check=True, capture_output=True)
    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    ours = AutoTokenizer.from_pretrained(directory)
    pieces = ours.backend_tokenizer.pre_tokenizer is None
    ids = [t for t in TEXTS if theirs(t).input_ids != ours(t).input_ids and not (pieces and t.startswith(" "))]
    b = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    a = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32, config=b.config).eval()
    left, right = a.state_dict(), b.state_dict()
    weights = [k for k in right if k not in left or not torch.equal(left[k], right[k])]
    text = ours("the other text, 123", return_tensors="pt").input_ids
    with torch.no_grad():
        logits = (a(text).logits - b(text).logits).abs().max().item()
    print(f"{path.name}: {len(ids)} of {len(TEXTS)} texts differ {ids}, {len(weights)} of {len(right)} weights differ, logits by {logits:g}")
    return not ids and not weights and logits == 0


def main():
    files = [pathlib.Path(p) for p in sys.argv[2:]] or sorted(p for p in pathlib.Path(__file__).parent.glob("*.gguf") if p.stem != "encodings")
    same = True
    for path in files:
        with tempfile.TemporaryDirectory() as parent:
            same = compare(sys.argv[1], path.resolve(), parent + "/model") and same
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
