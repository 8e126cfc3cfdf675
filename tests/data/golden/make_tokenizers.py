#!/usr/bin/env python3
"""Makes the golden files of the tokenizer tests with Hugging Face's `tokenizers`, the reference.

    pip install tokenizers==0.23.3 && python3 make_tokenizers.py

llama3/   byte-level BPE in the shape of Llama 3: Split by its regular expression, ignore_merges with words no merge makes,
          merges as pairs, a template that adds BOS, special and other added tokens.
smollm/   byte-level BPE in the shape of SmolLM2 and GPT-2: Digits, ByteLevel's own expression, merges as text, no template, and
          an alphabet that lacks bytes, which vanish.
unknown/  as smollm, with unk_token and fuse_unk, and an added token that is `normalized`.
qwen/     byte-level BPE in the shape of Qwen2: NFC, single digits, an added token that NFC rewrites.
spm/      BPE of characters as transformers converts SentencePiece models of Llama 2: Prepend and Replace, byte_fallback, and
          added tokens that strip white space or want to be whole words.
spm_first/  the same under Metaspace with prepend_scheme first and split false, without bytes: unk_token and fuse_unk.
spm_split/  the same under Metaspace in its old form (add_prefix_space, split), with neither.
cases.jsonl, cases_more.jsonl (qwen, spm*)
          {"text", "llama3": ids, "llama3_plain": ids without special tokens, ...}, one case a line.
"""
import json
import random
from pathlib import Path

from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                  r"|\s+(?!\S)|\s+")
CORPUS = """
The streamer asks for a layer, and the layer is there. It isn't magic: the list of transfers was known before the first step.
When you're training a model that does not fit, you'll want to know where every byte lives; we've written it down.
I'd say it's 12 o'clock, or 1,234.56 seconds past it. They'll pay $3.50 for 42 of them in 2026, won't they? I'M SURE THEY'LL.
def read(path, offset=0):\n    with open(path, "rb") as f:\n        f.seek(offset)\n        return f.read()\n\n\n    # four spaces
int main(void)\n{\n\tint i = 0;\n\tfor (i = 0; i < 10; i++) printf("%d\\n", i);\n\treturn 0;\n}\r\n
Der schnelle Läufer überquert die Straße; größere Flächen können später geprüft werden. Äpfel, Öl, Übermut.
Le garçon naïf a mangé à l'hôtel où l'été dernier nous étions allés; ça n'a pas changé, n'est-ce pas?
Быстрый читатель открывает книгу и видит, что каждая страница уже прочитана. Это не чудо, это план.
Η γρήγορη ανάγνωση δεν είναι μαγεία· είναι σχέδιο. Ο δίσκος, η μνήμη και η κάρτα δουλεύουν μαζί.
モデルがメモリに入らないとき、重みはディスクから流れてくる。東京の天気は晴れです。第1章、第2章、第3章。
当模型放不进内存的时候，权重就从磁盘流过来。今天是2026年3月14日，天气很好。
모델이 메모리에 들어가지 않을 때 가중치는 디스크에서 흘러온다. 오늘은 날씨가 좋습니다.
जब मॉडल स्मृति में नहीं आता, तब भार डिस्क से बहते हैं। १२३४ किलोबाइट।
عندما لا يتسع النموذج في الذاكرة تتدفق الأوزان من القرص. ٠١٢٣٤٥٦٧٨٩
כאשר המודל אינו נכנס לזיכרון, המשקולות זורמות מהדיסק.
""".replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
PIECES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", " \n ", "\u00a0", "\u3000", "\u2028", "\u180e", "\u200b", "\x85", "\x0b",
          "'s", "'S", "'\u017f", "'re", "'LL", "'d'", "''", "\u2019s", "don't", "I'VE", "1", "12", "1234567", "٣٤", "Ⅷ", "½", "²", "a",
          "Zürich", "日本", "русский", "हिन्दी", "한국", "العربية", "👩‍👩‍👧‍👦", "🇩🇪", "é", "e\u0301", "ﬀ", "ß", "İ", "ı", "\u212a", "...", "!!!", "//",
          "\U00031350", "\U00010d40", "\ua7cb", "\u0897", "<|eot_id|>", "<|begin_of_text|>", "<|eot", "<|", "|>", "<tool>", "<tool",
          "<end>", "\x04", "\x7f", "_", "-", "(", "layer", " layer", " streamer", "the", " the", "STREAMER", "{", "}\n"]


def alphabet():
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in own]
    return {**{b: chr(b) for b in own}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def token(content, id, **other):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True, **other}


def train(size, stages, full_alphabet):
    from tokenizers import decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(stages)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                  initial_alphabet=sorted(alphabet().values()) if full_alphabet else [])
    tokenizer.train_from_iterator(CORPUS.splitlines(keepends=True), trainer)
    return json.loads(tokenizer.to_str())


def make_llama3():
    from tokenizers import Regex, pre_tokenizers
    made = train(900, [pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"),
                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)], True)
    vocab = made["model"]["vocab"]
    for word in ["STREAMER", "Ġunreachable", "Zürich".encode()]:
        text = word if isinstance(word, str) else "".join(alphabet()[b] for b in word)
        vocab[text] = len(vocab)
    n = len(vocab)
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eot_id|>x"]
    made["added_tokens"] = [token(name, n + i) for i, name in enumerate(names)]
    made["added_tokens"].append(token("<tool>", n + len(names), special=False))
    made["model"].update(ignore_merges=True)
    template = [{"SpecialToken": {"id": names[0], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    made["post_processor"] = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "TemplateProcessing", "single": template, "pair": template + [{"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {names[0]: {"id": names[0], "ids": [n], "tokens": [names[0]]}}}]}
    return made, {"bos_token": names[0], "eos_token": {"content": names[1], "lstrip": False}}


def make_smollm(**model):
    from tokenizers import pre_tokenizers
    made = train(700, [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)], False)
    vocab, merges = made["model"]["vocab"], made["model"]["merges"]
    names = ["<|endoftext|>", "<|eot_id|>", "<end>"]
    made["model"]["vocab"] = {**{name: i for i, name in enumerate(names)}, **{text: i + len(names) for text, i in vocab.items()}}
    made["model"]["merges"] = [" ".join(pair) for pair in merges]
    made["model"].update(model)
    made["added_tokens"] = [token(name, i) for i, name in enumerate(names)]
    return made, {"bos_token": names[0], "eos_token": names[0], "pad_token": names[1]}


def make_unknown():
    made, config = make_smollm(unk_token="<|endoftext|>", fuse_unk=True)
    made["added_tokens"][2].update(normalized=True, special=False)
    return made, config


def make_qwen():
    from tokenizers import Regex, pre_tokenizers
    made = train(800, [pre_tokenizers.Split(Regex(LLAMA3_PATTERN.replace("{1,3}", "")), "isolated"),
                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)], True)
    n = len(made["model"]["vocab"])
    made["normalizer"] = {"type": "NFC"}
    made["post_processor"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    made["added_tokens"] = [token("<|endoftext|>", n), token("<|eot_id|>", n + 1),
                            token("re\u0301seau", n + 2, normalized=True, special=False)]
    return made, {"bos_token": None, "eos_token": "<|eot_id|>", "pad_token": "<|endoftext|>"}


def train_characters(names):
    from tokenizers import models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=900, show_progress=False, special_tokens=names, limit_alphabet=150)
    tokenizer.train_from_iterator(CORPUS.splitlines(keepends=True), trainer)
    return json.loads(tokenizer.to_str())


def make_spm(metaspace, bytes_too, unknown):
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256) if bytes_too]
    made = train_characters(names)
    n = len(made["model"]["vocab"])
    made["model"].update(byte_fallback=bytes_too, fuse_unk=unknown, unk_token="<unk>" if unknown else None)
    made["added_tokens"] = [token(name, i) for i, name in enumerate(names[:3])] + [
        token("<|eot_id|>", n, lstrip=True), token("<tool>", n + 1, rstrip=True, special=False),
        token("layer", n + 2, single_word=True, special=False), token("<end> x", n + 3, normalized=True, special=False)]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    made["normalizer"] = None if metaspace else {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]}
    made["pre_tokenizer"] = metaspace
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    made["decoder"] = {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    return made, {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}


def make_spm_first():
    return make_spm({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}, False, True)


def make_spm_split():
    made, config = make_spm({"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, False, False)
    made["decoder"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    return made, config


MORE_PIECES = ["e\u0323\u0301", "\u1112\u1161\u11ab", "\u0301\u0323", "re\u0301seau", "r\u00e9seau", "\u212b", "▁", "▁▁", "<s>", "</s>", "<unk>",
               " <|eot_id|> ", "<tool> \n", " layer ", "player", "layer.", "<end> x", "<0x0A>", "\u0958", "q\u0307\u0323"]


def more_texts():
    chance = random.Random(6)
    yield from ["", " ", "\n", "a", "\u0301", "▁a", "  a  b", "layer", " layer layers layer"]
    yield from CORPUS.splitlines()
    yield from ["x" * 100, " " * 90, "日" * 70, "e\u0301" * 80, "\u0301\u0323" * 50]
    for _ in range(110):
        yield "".join(chance.choice(PIECES + 2 * MORE_PIECES) for _ in range(chance.randint(1, 30)))


def texts():
    chance = random.Random(5)
    yield from ["", " ", "\n", "a", CORPUS]
    yield from CORPUS.splitlines()
    yield from ["x" * 200, " " * 300, "ab" * 150 + "\n" * 90, "9" * 100, "the" * 70, "<|eot_id|>x<|eot_id|>", "<end><|eot_id|><end>"]
    for _ in range(150):
        yield "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 40)))
    scalars = [c for c in range(1, 0x110000) if not 0xd800 <= c < 0xe000]
    for _ in range(25):
        yield "".join(chr(chance.choice(scalars[:0x3000] if i % 2 else scalars)) for i in range(20))


def write_tokenizer(name, made, config):
    directory = HERE / name
    directory.mkdir(exist_ok=True)
    (directory / "tokenizer.json").write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return Tokenizer.from_file(str(directory / "tokenizer.json"))


def write_cases(name, makers, texts, decoded=False):
    tokenizers = {key: write_tokenizer(key, *make()) for key, make in makers.items()}
    with open(HERE / name, "w", encoding="utf-8") as out:
        for text in texts:
            case = {"text": text}
            for key, tokenizer in tokenizers.items():
                for suffix, plain in [("", False), ("_plain", True)]:
                    tokenizer.encode_special_tokens = plain
                    case[key + suffix] = tokenizer.encode(text, add_special_tokens=False).ids
                if decoded:
                    case[key + "_decoded"] = tokenizer.decode(case[key], skip_special_tokens=False)
            out.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    write_cases("cases.jsonl", {"llama3": make_llama3, "smollm": make_smollm, "unknown": make_unknown}, texts())
    write_cases("cases_more.jsonl", {"qwen": make_qwen, "spm": lambda: make_spm(None, True, True), "spm_first": make_spm_first,
                                     "spm_split": make_spm_split}, more_texts(), decoded=True)


if __name__ == "__main__":
    main()
