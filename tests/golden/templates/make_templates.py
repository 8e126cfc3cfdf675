#!/usr/bin/env python3
"""Makes the goldens of the chat templates with transformers' apply_chat_template, the reference.

    python3 make_templates.py JINJA                  # JINJA: directory with the families' own templates, <name>.jinja
    python3 make_templates.py JINJA --real TOKENIZERS --output FILE.json
                                                     # masks with real tokenizers (TOKENIZERS/<directory>), for FT_TEMPLATE_MASKS

JINJA holds llama3.jinja (Meta-Llama-3-8B-Instruct), llama3.1.jinja (Llama-3.1-8B-Instruct), smollm2.jinja (SmolLM2-135M-Instruct),
qwen.jinja (Qwen2.5-7B-Instruct), qwen3.jinja (Qwen3-8B), mistral.jinja (Mistral-7B-Instruct-v0.3), mistral-v1.jinja
(Mistral-7B-Instruct-v0.1), mistral-tekken.jinja (Mistral-Nemo-Instruct-2407), chatml.jinja and alpaca.jinja (Axolotl's). They are
not ours and not committed; tools are never used.

texts.json    {"conversations": [messages, ...], "templates": {name: [text or null where the template raises, ...]},
               "prompts": {name: what add_generation_prompt appends}}
masks.json    [{"template", "tokenizer", "conversation": messages, "ids": [...], "masks": [{"roles", "eos", "spans": [[first,
              end], ...]}]}]: the trained tokens by transformers' return_assistant_tokens_mask on the MARKED templates below, which
              render the same text as the families' own (checked here) and mark what is trained. Texts whose last character has
              no token of its own (bytes that vanish, accents that compose) are not among them: there transformers marks the rest
              of the conversation.
<family>/     tiny byte-level BPE tokenizers with the special tokens of the family.
"""
import argparse
import json
from pathlib import Path

from jinja2.exceptions import TemplateError
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = ["The layer is there before it is asked for, and the answer is in the next line.", "What is the answer? It is four.",
          "system user assistant", "You are terse. Answer in one word.", "\n\n", "Below is an instruction.", "    \n  \n\n\n"] * 4

# name -> (special tokens, other added tokens, BOS, EOS); the first special token is id 0 of the added ones
FAMILIES = {
    "llama3": (["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], [],
               "<|begin_of_text|>", "<|eot_id|>"),
    "chatml": (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<think>", "</think>"], None, "<|im_end|>"),
    "mistral": (["<s>", "</s>", "[INST]", "[/INST]"], [], "<s>", "</s>"),
}
TOKENIZER_OF = {"llama3": "llama3", "llama3.1": "llama3", "chatml": "chatml", "smollm2": "chatml", "qwen": "chatml", "qwen3": "chatml",
                "mistral": "mistral", "mistral-v1": "mistral", "mistral-tekken": "mistral", "alpaca": "mistral"}
REAL_OF = {"llama3": "llama3", "llama3.1": "llama3", "chatml": "smollm2", "smollm2": "smollm2", "qwen": "qwen2", "qwen3": "qwen2",
           "mistral": "mistral-metaspace", "mistral-v1": "mistral-spm", "mistral-tekken": "mistral-tekken", "alpaca": "mistral-metaspace"}


def said(text, close="", role="message.role"):
    """Content and closing token, marked where `train` (roles), `eos` and the place of the message say so."""
    def marked(condition, shown):
        return ("{%- if " + condition + " -%}{%- generation -%}{{- " + shown + " -}}{%- endgeneration -%}{%- else -%}{{- " + shown +
                " -}}{%- endif -%}")
    out = marked(f"{role} in train and {text} != ''", text)  # an empty mark would mark the token before it
    if close:
        out += marked(f"eos == 'all' or (eos == 'turn' and {role} in train) or (eos == 'last' and loop.last)", close)
    return out


def chatml(default):
    start = ("{%- if messages[0].role != 'system' -%}{{- '<|im_start|>system\n" + default + "<|im_end|>\n' -}}{%- endif -%}"
             if default else "")
    return (start + "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\n' -}}" +
            said("message.content", "'<|im_end|>'") + "{{- '\n' -}}{%- endfor -%}")


def llama3(start, messages):
    return ("{{- bos_token -}}" + start + "{%- for message in " + messages +
            " -%}{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' -}}" +
            said("message.content | trim", "'<|eot_id|>'") + "{%- endfor -%}")


def mistral(opening, closing, answer, trim, where):
    return ("{{- bos_token -}}{%- set first = 1 if messages[0].role == 'system' else 0 -%}{%- for message in messages[first:] -%}"
            "{%- if message.role == 'user' -%}{{- '" + opening + "' -}}{%- if first and loop." + where + " -%}" +
            said("messages[0].content", role="'system'") + "{{- '\n\n' -}}{%- endif -%}" + said("message.content") +
            "{{- '" + closing + "' -}}{%- else -%}{{- '" + answer + "' -}}" + said("message.content" + trim, "eos_token") +
            "{%- endif -%}{%- endfor -%}")


DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
QWEN3 = """
{%- set ns = namespace(question=messages|length - 1, found=false) -%}
{%- for message in messages[::-1] -%}
{%- if not ns.found and message.role == 'user' and not (message.content[:15] == '<tool_response>' and message.content[-16:] == '</tool_response>') -%}
{%- set ns.found = true -%}{%- set ns.question = messages|length - 1 - loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\n' -}}
{%- set ns.said = message.content -%}
{%- if message.role == 'assistant' -%}
{%- set ns.thought = '' -%}
{%- if '</think>' in message.content -%}
{%- set ns.thought = message.content.partition('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') -%}
{%- set ns.said = message.content.split('</think>')[-1].lstrip('\n') -%}
{%- endif -%}
{%- if loop.index0 > ns.question and (loop.last or ns.thought) -%}
{%- set ns.said = '<think>\n' + ns.thought.strip('\n') + '\n</think>\n\n' + ns.said.lstrip('\n') -%}
{%- endif -%}
{%- endif -%}""" + said("ns.said", "'<|im_end|>'") + "{{- '\n' -}}{%- endfor -%}"
MARKED = {
    "llama3": llama3("", "messages"),
    # The system turn is a part of the loop by hand, so that its message is marked like the others.
    "llama3.1": "{{- bos_token + '<|start_header_id|>system<|end_header_id|>\n\n" + DATES + "' -}}"
                "{%- set first = 1 if messages[0].role == 'system' else 0 -%}{%- if first -%}{%- for message in messages -%}{%- if loop.first -%}" +
                said("message.content | trim", "'<|eot_id|>'") + "{%- endif -%}{%- endfor -%}{%- else -%}{{- '<|eot_id|>' -}}{%- endif -%}" +
                llama3("", "messages[first:]").replace("{{- bos_token -}}", ""),
    "chatml": chatml(""),
    "smollm2": chatml("You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    "qwen": chatml("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    "qwen3": QWEN3,
    "mistral": mistral("[INST] ", "[/INST]", " ", " | trim", "last"),
    "mistral-v1": mistral(" [INST] ", " [/INST]", " ", "", "first"),
    "mistral-tekken": mistral("[INST]", "[/INST]", "", "", "last"),
    "alpaca": "{{- bos_token -}}{%- for message in messages -%}{%- if message.role == 'user' -%}{{- '### Instruction:\n' -}}"
              "{%- elif message.role == 'assistant' -%}{{- '### Response:\n' -}}{%- endif -%}{%- if message.role == 'assistant' -%}" +
              said("message.content", "eos_token") + "{%- else -%}" + said("message.content") + "{%- endif -%}"
              "{%- if not loop.last -%}{{- '\n\n' -}}{%- endif -%}{%- endfor -%}",
}
OPTIONS = [(["assistant"], "turn"), (["assistant"], "none"), (["assistant"], "all"), (["assistant"], "last"),
           (["assistant", "user"], "turn"), (["system", "user", "assistant"], "all"), (["user"], "turn")]


def conversation(*said):
    names = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": names[who], "content": text} for who, text in said]


def conversations():
    plain = conversation(("u", "What is 2 + 2?"), ("a", "It is four."))
    texts = ["", " ", "\n", "  two spaces around  ", "\n\nlines around\n\n", "\ttab\t", "Grüße aus Köln", "モデルの重みは流れる。", "👩‍👩‍👧‍👦 🇩🇪",
             "\u00a0\u2003wide spaces\u3000\u2028", "\u200bzero width\u200b", "\x1cseparator\x1f", "\u0085next line\u0085", "1234567", "{{ messages }} {% raw %}",
             "\\n is no line end", "'quotes' \"double\"", "a\r\nb\r\n", "code:\n```c\nint x;\n```\n", "<think>", "x" * 70]
    yield plain
    for system in ["You are terse.", "", "  padded \n", "Réponds en français."]:
        yield conversation(("s", system)) + plain
        yield conversation(("s", system)) + plain + conversation(("u", "And 3 + 3?"), ("a", "Six."))
    yield plain + conversation(("u", "Why?"), ("a", "Because.\n\nIt is so."), ("u", "Sure?"), ("a", "Yes."))
    for text in texts:
        yield conversation(("u", text), ("a", "Yes."))
        yield conversation(("u", "Say it."), ("a", text))
    yield conversation(("s", "  "), ("u", " "), ("a", " "))
    yield conversation(("s", "Sys."), ("u", "Question at the end?"))
    yield conversation(("u", "Only a question?"))
    yield conversation(("s", "Only a system message."))
    yield conversation(("a", "The answer first."))
    yield conversation(("u", "One."), ("u", "Two."), ("a", "Three."))
    yield conversation(("u", "One."), ("a", "Two."), ("a", "Three."))
    yield conversation(("u", "One."), ("s", "Between."), ("a", "Three."))
    yield conversation(("s", "One."), ("s", "Two."), ("u", "Three."), ("a", "Four."))
    yield conversation(("s", "One."), ("a", "Two."), ("u", "Three."), ("a", "Four."))
    yield conversation(("u", "One."), ("a", "Two."), ("s", "Late."), ("u", "Three."), ("a", "Four."))
    thoughts = ["<think>\nHm, 4.\n</think>\n\nFour.", "<think></think>Four.", "<think>\n\n</think>\n\n\nFour.", "Hm.</think>Four.",
                "<think>a</think>b<think>c</think>\n\nd", "<think>never closed", "pre <think>\nwhy\n</think> post", "</think>", "\nFour."]
    for thought in thoughts:
        yield conversation(("u", "2 + 2?"), ("a", thought))
        yield conversation(("u", "2 + 2?"), ("a", thought), ("u", "Sure?"), ("a", thought))
        yield conversation(("u", "2 + 2?"), ("a", thought), ("a", "More."))
    yield conversation(("u", "2 + 2?"), ("a", "Look it up."), ("u", "<tool_response>\n4\n</tool_response>"), ("a", "<think>ok</think>4"))
    yield conversation(("u", "<tool_response>4</tool_response>"), ("a", "<think>ok</think>4"))


def train_tokenizer(family):
    specials, others, bos, eos = FAMILIES[family]
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERN), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=360, show_progress=False, initial_alphabet=sorted(alphabet)))
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in specials])
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in others])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A $B",
                                                                 special_tokens=[(bos, tokenizer.token_to_id(bos))])
    directory = HERE / family
    directory.mkdir(exist_ok=True)
    (directory / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")),
                                              encoding="utf-8")
    config = {"bos_token": bos, "eos_token": eos} if bos else {"eos_token": eos}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"), **config)


def open_real(directory):
    config = json.loads((directory / "tokenizer_config.json").read_text()) if (directory / "tokenizer_config.json").exists() else {}
    names = {key: config[key]["content"] if isinstance(config[key], dict) else config[key]
             for key in ("bos_token", "eos_token") if config.get(key)}
    return PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"), **names)


def render(tokenizer, template, messages, **options):
    try:
        return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **options)
    except TemplateError:
        return None


def shown_whole(name, messages):
    """Whether the template shows every message: Axolotl's alpaca leaves out a late system message, which is refused here."""
    return name != "alpaca" or all(message["role"] != "system" for message in messages[1:])


def make_texts(jinja, tokenizers):
    every = list(conversations())
    made = {"conversations": every, "templates": {}, "prompts": {}}
    for name, family in TOKENIZER_OF.items():
        template, tokenizer = (jinja / f"{name}.jinja").read_text(encoding="utf-8"), tokenizers[family]
        texts = [render(tokenizer, template, messages) if shown_whole(name, messages) else None for messages in every]
        prompts = set()
        for messages, text in zip(every, texts):
            if text is None:
                continue
            prompted = render(tokenizer, template, messages, add_generation_prompt=True)
            assert prompted.startswith(text)
            prompts.add(prompted[len(text):])
            marked = render(tokenizer, MARKED[name], messages, train=["assistant"], eos="turn")
            assert marked == text, (name, messages, text, marked)
        assert len(prompts) == 1
        made["templates"][name] = texts
        made["prompts"][name] = prompts.pop()
    return made


def spans(mask):
    found = []
    for i, trained in enumerate(mask):
        if trained and found and found[-1][1] == i:
            found[-1][1] = i + 1
        elif trained:
            found.append([i, i + 1])
    return found


def whole_characters(mask, tokenizer, text):
    """transformers marks only the first token of the last character; where that character is several tokens, mark them all."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert len(offsets) == len(mask)
    for i in range(1, len(mask)):
        if mask[i - 1] and offsets[i][0] < offsets[i - 1][1] and offsets[i][1] > offsets[i][0]:
            mask[i] = 1
    return mask


def make_masks(texts, directories, tokenizers):
    cases = []
    for name, directory in directories.items():
        chosen = [i for i, text in enumerate(texts["templates"][name]) if text is not None]
        for i in chosen[:12] + chosen[12::5]:
            messages, masks = texts["conversations"][i], []
            for roles, eos in OPTIONS:
                made = tokenizers[directory].apply_chat_template(messages, chat_template=MARKED[name], tokenize=True, return_dict=True,
                                                                 return_assistant_tokens_mask=True, train=roles, eos=eos)
                masks.append({"roles": roles, "eos": eos,
                              "spans": spans(whole_characters(made["assistant_masks"], tokenizers[directory], texts["templates"][name][i]))})
            cases.append({"template": name, "tokenizer": directory, "conversation": messages, "ids": made["input_ids"], "masks": masks})
    return cases


def write(path, made):
    path.write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("jinja", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    tokenizers = {family: train_tokenizer(family) for family in FAMILIES}
    texts = make_texts(options.jinja, tokenizers)
    if options.real:
        there = {name: directory for name, directory in REAL_OF.items() if (options.real / directory / "tokenizer.json").exists()}
        real = {directory: open_real(options.real / directory) for directory in set(there.values())}
        write(options.output, make_masks(texts, there, real))
        return
    write(HERE / "texts.json", texts)
    write(HERE / "masks.json", make_masks(texts, TOKENIZER_OF, tokenizers))


if __name__ == "__main__":
    main()
